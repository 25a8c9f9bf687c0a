//! What came of holding a stored backup against its receipt again.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How many findings are kept; all of them are counted.
pub const KEPT: usize = 20;

/// The result of the last check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// When.
    pub at: Timestamp,
    /// How many differences there were.
    pub differences: u64,
    /// What differs: the first of them.
    pub findings: Vec<Differs>,
}

/// Something that is not as it was received.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Differs {
    /// What it is: `archive`, `medium`, `records`, or a part of the receipt.
    pub what: String,
    /// How it differs. It may name files, which may tell of people.
    pub sentence: String,
}

impl Verified {
    /// What was found at a time.
    pub fn new(at: Timestamp, all: impl IntoIterator<Item = Differs>) -> Self {
        let mut verified = Self { at, differences: 0, findings: Vec::new() };
        for one in all {
            verified.differences += 1;
            if verified.findings.len() < KEPT {
                verified.findings.push(one);
            }
        }
        verified
    }

    /// Whether everything is as it was received.
    pub fn is_ok(&self) -> bool {
        self.differences == 0
    }

    /// What was found, in a sentence that names no file.
    pub fn sentence(&self) -> String {
        let day = self.at.strftime("%Y-%m-%d");
        match self.differences {
            0 => format!("On {day} it was checked again, and was as it was received."),
            1 => format!(
                "When it was checked again on {day}, something was not as it was received: {}.",
                self.kinds()
            ),
            many => format!(
                "When it was checked again on {day}, {many} things were not as they were received: \
                 {}.",
                self.kinds()
            ),
        }
    }

    /// What kinds of things differ.
    fn kinds(&self) -> String {
        let mut kinds: Vec<&str> = Vec::new();
        for Differs { what, .. } in &self.findings {
            let kind = match what.as_str() {
                "archive" => "the archive",
                "medium" => "media",
                "records" => "records",
                _ => "the receipt",
            };
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        kinds.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_counted_and_told_without_names() {
        let at = "2026-05-01T10:00:00Z".parse().expect("a time");
        let differs =
            |what: &str| Differs { what: what.into(), sentence: "Of Mei's photo.jpg.".into() };
        for (all, said) in [
            (vec![], "On 2026-05-01 it was checked again, and was as it was received."),
            (vec!["medium"], "something was not as it was received: media."),
            (
                vec!["medium", "medium", "archive"],
                "3 things were not as they were received: media, ",
            ),
            (vec!["chain"], "something was not as it was received: the receipt."),
            (vec!["records"; 30], "30 things were not as they were received: records."),
        ] {
            let verified = Verified::new(at, all.iter().map(|what| differs(what)));
            let sentence = verified.sentence();
            assert!(sentence.contains(said) && !sentence.contains("Mei"), "{sentence}");
            assert_eq!(verified.is_ok(), all.is_empty());
            assert_eq!(verified.findings.len(), all.len().min(KEPT));
        }
    }
}
