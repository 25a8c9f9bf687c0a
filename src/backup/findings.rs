//! What is remarkable about a backup that is stored all the same.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

/// How many examples of one kind are kept; all of them are counted.
pub const EXAMPLES: usize = 20;

/// A kind of finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingKind {
    /// A record names a medium that the archive does not hold.
    MissingMedium,
    /// A medium that no record names.
    UnreferencedMedium,
    /// A record gives another size than its medium has.
    SizeDiffers,
    /// A record file that is not JSON; it is kept whole.
    NotJson,
    /// A record that BSON cannot hold as it is; its text is kept.
    KeptAsText,
    /// A record file or record that no rule knows.
    UnknownDataset,
    /// An entry that was not encrypted.
    Unencrypted,
}

impl FindingKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::MissingMedium,
        Self::UnreferencedMedium,
        Self::SizeDiffers,
        Self::NotJson,
        Self::KeptAsText,
        Self::UnknownDataset,
        Self::Unencrypted,
    ];

    /// As it is written down.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MissingMedium => "missing-medium",
            Self::UnreferencedMedium => "unreferenced-medium",
            Self::SizeDiffers => "size-differs",
            Self::NotJson => "not-json",
            Self::KeptAsText => "kept-as-text",
            Self::UnknownDataset => "unknown-dataset",
            Self::Unencrypted => "unencrypted",
        }
    }

    /// What it means, as a sentence about `count` cases.
    pub fn sentence(self, count: u64) -> String {
        let (one, many) = match self {
            Self::MissingMedium => (
                "A record names a medium that the archive does not hold.",
                "records name a medium that the archive does not hold.",
            ),
            Self::UnreferencedMedium => {
                ("A medium is named by no record.", "media are named by no record.")
            }
            Self::SizeDiffers => (
                "A record gives another size than its medium has.",
                "records give another size than their medium has.",
            ),
            Self::NotJson => (
                "A record file is not JSON; it is kept whole as a file.",
                "record files are not JSON; they are kept whole as files.",
            ),
            Self::KeptAsText => (
                "A record is kept as its JSON text because the database cannot hold its form.",
                "records are kept as their JSON text because the database cannot hold their form.",
            ),
            Self::UnknownDataset => (
                "A record belongs to no known dataset; it is kept under Other records.",
                "records belong to no known dataset; they are kept under Other records.",
            ),
            Self::Unencrypted => ("An entry was not encrypted.", "entries were not encrypted."),
        };
        if count == 1 { one.to_owned() } else { format!("{count} {many}") }
    }
}

/// All cases of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// How many there are.
    pub count: u64,
    /// The first [`EXAMPLES`] of them: an entry's name, or a dataset and an id.
    pub examples: Vec<String>,
}

/// Everything remarkable about one backup.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Findings(BTreeMap<FindingKind, Finding>);

impl Findings {
    /// Notes one case.
    pub fn note(&mut self, kind: FindingKind, example: impl fmt::Display) {
        let finding = self.0.entry(kind).or_default();
        finding.count += 1;
        if finding.examples.len() < EXAMPLES {
            finding.examples.push(example.to_string());
        }
    }

    /// Takes over what was noted elsewhere.
    pub fn merge(&mut self, other: Self) {
        for (kind, found) in other.0 {
            let finding = self.0.entry(kind).or_default();
            finding.count += found.count;
            let room = EXAMPLES.saturating_sub(finding.examples.len());
            finding.examples.extend(found.examples.into_iter().take(room));
        }
    }

    /// Whether there is nothing remarkable.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many cases of a kind there are.
    pub fn count(&self, kind: FindingKind) -> u64 {
        self.0.get(&kind).map_or(0, |finding| finding.count)
    }

    /// Kinds and cases, in the order of [`FindingKind`].
    pub fn iter(&self) -> impl Iterator<Item = (FindingKind, &Finding)> {
        self.0.iter().map(|(kind, finding)| (*kind, finding))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_cases_are_counted_and_some_are_shown() {
        let mut findings = Findings::default();
        for n in 0..50 {
            findings.note(FindingKind::Unencrypted, n);
        }
        let mut more = Findings::default();
        more.note(FindingKind::Unencrypted, "more");
        more.note(FindingKind::NotJson, "history/call.json");
        findings.merge(more);
        assert_eq!(findings.count(FindingKind::Unencrypted), 51);
        assert_eq!(findings.count(FindingKind::NotJson), 1);
        let shown: Vec<usize> = findings.iter().map(|(_, f)| f.examples.len()).collect();
        assert_eq!(shown, [1, EXAMPLES]);
    }

    #[test]
    fn a_kind_is_called_as_it_is_written_down() {
        for kind in FindingKind::ALL {
            let written = serde_json::to_string(&kind).expect("a word");
            assert_eq!(written, format!("{:?}", kind.as_str()));
        }
    }
}
