//! What is found at each point, before anybody's word.

use super::{
    facts::{Conflicts, Facts, Kept, Nodes},
    point::{Answer, Point},
    word::Tally,
};
use crate::backup::{FindingKind, Readability, State, Verified};

/// What is found at a point, before anybody's word.
pub(super) struct Found {
    pub(super) answer: Answer,
    pub(super) sentence: String,
    /// What somebody may take responsibility for.
    pub(super) acceptable: Option<Tally>,
}

impl Found {
    fn yes(sentence: impl Into<String>) -> Self {
        Self { answer: Answer::Yes, sentence: sentence.into(), acceptable: None }
    }

    fn pending(sentence: impl Into<String>) -> Self {
        Self { answer: Answer::Pending, sentence: sentence.into(), acceptable: None }
    }

    /// What nobody can take responsibility for.
    fn no(sentence: impl Into<String>) -> Self {
        Self { answer: Answer::No, sentence: sentence.into(), acceptable: None }
    }

    /// What will not become right by waiting.
    fn lasting(sentence: impl Into<String>, wrong: Tally) -> Self {
        Self { acceptable: Some(wrong), ..Self::no(sentence) }
    }
}

/// Looks at one point.
pub(super) fn find(point: Point, facts: &Facts<'_>) -> Found {
    match facts.state {
        State::Stored => {}
        State::Rejected => return Found::no("The upload was rejected."),
        _ => return Found::pending("It is not stored yet."),
    }
    match point {
        Point::Intact => intact(facts),
        Point::Opened => opened(facts),
        Point::Parsed => parsed(facts),
        Point::Resolved => resolved(facts),
        Point::Readable => readable(facts),
        Point::Copied => copied(facts),
        Point::Receipt => match facts.receipt {
            Some(number) => Found::yes(format!("Receipt {number} is signed.")),
            None => Found::pending("It has no receipt yet."),
        },
    }
}

fn intact(facts: &Facts<'_>) -> Found {
    let differs = facts.verified.filter(|found| !found.is_ok()).map(Verified::sentence);
    // Which of two archives of one job is the right one, nothing in either of them tells.
    let contradicted = facts.conflicts.map(Conflicts::sentence);
    let wrong: Vec<String> = differs.into_iter().chain(contradicted).collect();
    if !wrong.is_empty() {
        return Found::no(wrong.join(" "));
    }
    let entries = facts.progress.entries_total;
    let checked = format!("All {entries} entries passed their checksums");
    match facts.kept {
        Kept::Here => Found::yes(format!("{checked}, and the archive is kept.")),
        Kept::Removed => {
            Found::yes(format!("{checked}; the archive was removed once all was stored."))
        }
        Kept::Elsewhere { unpacked: true } => {
            Found::yes(format!("{checked}, and another node keeps the archive."))
        }
        Kept::Elsewhere { unpacked: false } => Found::no(
            "The archive is the only copy here, and another node keeps it. See there whether it is.",
        ),
        Kept::Missing => Found::no(
            "The archive should be kept and is not there. Upload it again: it is put back in its \
             place.",
        ),
    }
}

fn opened(facts: &Facts<'_>) -> Found {
    let open = facts.findings.count(FindingKind::Unencrypted);
    Found::yes(match open {
        0 => "Every entry was encrypted, and opened.".to_owned(),
        _ => format!("Every entry was opened. {}", FindingKind::Unencrypted.sentence(open)),
    })
}

fn parsed(facts: &Facts<'_>) -> Found {
    let count = facts.findings.count(FindingKind::NotJson);
    if count > 0 {
        let kind = FindingKind::NotJson;
        return Found::lasting(kind.sentence(count), Tally::of([(kind.as_str(), count)]));
    }
    let mut sentence = format!("{} records were read.", facts.progress.records_total());
    for kind in [FindingKind::KeptAsText, FindingKind::UnknownDataset] {
        let count = facts.findings.count(kind);
        if count > 0 {
            sentence.push(' ');
            sentence.push_str(&kind.sentence(count));
        }
    }
    Found::yes(sentence)
}

fn resolved(facts: &Facts<'_>) -> Found {
    let kinds = [FindingKind::MissingMedium, FindingKind::SizeDiffers];
    let counts = kinds.map(|kind| (kind, facts.findings.count(kind)));
    let wrong = counts.into_iter().filter(|(_, count)| *count > 0);
    let sentences: Vec<String> = wrong.map(|(kind, count)| kind.sentence(count)).collect();
    if sentences.is_empty() {
        Found::yes("Every file that a record names is there, in its size.")
    } else {
        let counts = counts.map(|(kind, count)| (kind.as_str(), count));
        Found::lasting(sentences.join(" "), Tally::of(counts))
    }
}

fn readable(facts: &Facts<'_>) -> Found {
    let Some(found) = facts.readability else {
        return Found::no("It cannot be found out which files can be read.");
    };
    if found.total() == 0 && facts.progress.media > 0 {
        return Found::lasting(
            "The files were not looked at, and it is not known in which mode this was stored.",
            Tally::of([("not looked at", facts.progress.media)]),
        );
    }
    if found.waiting > 0 {
        let (done, total) = (found.total() - found.waiting, found.total());
        return Found::pending(format!("{done} of {total} files were looked at so far."));
    }
    let wrong: Vec<String> = [cannot_be_shown(found.damaged), not_decoded(found)]
        .into_iter()
        .filter(|sentence| !sentence.is_empty())
        .collect();
    if !wrong.is_empty() {
        let kinds = found.not_decoded.iter();
        let kinds = kinds.map(|(kind, count)| (format!("not decoded, {kind}"), *count));
        let tally = Tally::of(kinds.chain([("damaged".to_owned(), found.damaged)]));
        return Found::lasting(wrong.join(" "), tally);
    }
    let mut parts = Vec::new();
    if found.readable > 0 {
        let files = files_were(found.readable);
        parts.push(format!("{files} decoded to the end, or held against checksums."));
    }
    // How far a format can be read here, `examine::decode` says, and why no further.
    if found.readable_in_part > 0 {
        let files = files_were(found.readable_in_part);
        parts.push(format!("{files} read to the end, but not all of it can be decoded here."));
    }
    if found.not_examined > 0 {
        let files = files_were(found.not_examined);
        parts.push(format!("{files} of kinds that cannot be decoded, such as text."));
    }
    if parts.is_empty() {
        parts.push("There are no pictures, sounds or documents to be read.".to_owned());
    }
    Found::yes(parts.join(" "))
}

/// Names of files may tell of people; whoever may see them finds them with the media.
fn cannot_be_shown(damaged: u64) -> String {
    match damaged {
        0 => String::new(),
        _ => format!("{} cannot be played or shown.", files(damaged)),
    }
}

fn not_decoded(found: &Readability) -> String {
    let all = found.not_decoded();
    if all == 0 {
        return String::new();
    }
    let kinds: Vec<String> =
        found.not_decoded.iter().map(|(kind, count)| format!("{kind} ({count})")).collect();
    format!(
        "{} not decoded to the end, as pictures, sound, video and PDF have to be: {}.",
        files_were(all),
        kinds.join(", ")
    )
}

fn files_were(count: u64) -> String {
    format!("{} {}", files(count), if count == 1 { "was" } else { "were" })
}

fn files(count: u64) -> String {
    if count == 1 { "1 file".to_owned() } else { format!("{count} files") }
}

fn copied(facts: &Facts<'_>) -> Found {
    let Some(Nodes { have_it, all }) = facts.nodes_with_all() else {
        return Found::no("It cannot be found out which data nodes have it.");
    };
    let stored = format!("Stored on {have_it} of {all}.");
    let without = || Tally::of([("nodes without it", u64::from(all - have_it))]);
    match facts.unpacked {
        _ if have_it >= all && all > 0 => Found::yes(stored),
        Some(true) => Found::pending(format!("{stored} The others follow by themselves.")),
        // Whether an archive that has to be there is, is asked elsewhere.
        Some(false) if have_it == 0 => Found::no(stored),
        None if have_it == 0 => {
            Found::no("It is not known in which modes it was stored, and its archive is not here.")
        }
        Some(false) => Found::lasting(
            format!(
                "{stored} It was stored with Offline mode alone, so its archive lies on the disk of \
                 one node and nowhere else. Turn Online mode on, and the backups that come from then \
                 on are on every data node; that this one is not, an administrator can accept."
            ),
            without(),
        ),
        None => Found::lasting(
            format!(
                "{stored} It is not known in which modes it was stored: it may be in its archive \
                 alone, on the disk of one node. An administrator can accept that."
            ),
            without(),
        ),
    }
}
