//! Safe to delete, or not yet: the verdict on a stored backup, with every reason.
//!
//! After *Delete from maaiiconnect* ours is the only copy. So each point below has to hold, and each
//! answer is computed from facts that somebody has just looked up; what could not be looked up does
//! not hold. Pure: facts in, verdict out. An administrator may take responsibility for a finding
//! with a reason, and for nothing that we have still to do: nobody can say that a backup is on two
//! machines when it is on one. That one is all there will be, as with Offline mode alone, can be
//! accepted.

use std::{collections::BTreeMap, fmt};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Condition, FindingKind, Findings, Progress, Readability, State, Verified};

/// Something that has to hold before data may be deleted from maaiiconnect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Point {
    /// The archive came complete and intact, no other upload contradicts it, and it is kept where it
    /// has to be.
    Intact,
    /// Every entry was opened with a known key.
    Opened,
    /// Every record was read and counted.
    Parsed,
    /// Every reference to a medium has its medium.
    Resolved,
    /// Every medium can be played or shown.
    Readable,
    /// Every data node has it.
    Copied,
    /// There is a signed receipt.
    Receipt,
}

impl Point {
    /// Every point, in the order in which they are shown.
    pub const ALL: [Self; 7] = [
        Self::Intact,
        Self::Opened,
        Self::Parsed,
        Self::Resolved,
        Self::Readable,
        Self::Copied,
        Self::Receipt,
    ];

    /// As it is written down.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Intact => "intact",
            Self::Opened => "opened",
            Self::Parsed => "parsed",
            Self::Resolved => "resolved",
            Self::Readable => "readable",
            Self::Copied => "copied",
            Self::Receipt => "receipt",
        }
    }

    /// What has to hold, for people.
    pub fn title(self) -> &'static str {
        match self {
            Self::Intact => "The archive is complete and intact",
            Self::Opened => "Every entry was opened with a known key",
            Self::Parsed => "Every record was read and counted",
            Self::Resolved => "Every reference has its file",
            Self::Readable => "Every file can be played or shown",
            Self::Copied => "Every data node has it",
            Self::Receipt => "There is a signed receipt",
        }
    }
}

/// Whether a point holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// It does.
    Yes,
    /// It does not, and an administrator takes responsibility for that.
    Overridden,
    /// Not yet: it is being seen to.
    Pending,
    /// It does not.
    No,
}

/// A point, its answer and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Judged {
    /// What has to hold.
    pub point: Point,
    /// Whether it does.
    pub answer: Answer,
    /// Why, in a sentence or two.
    pub sentence: String,
    /// What an administrator may take responsibility for as it is now. What the sender got wrong will
    /// not become right by waiting; what we have not done will.
    pub acceptable: Option<Tally>,
    /// The word that it is accepted by, if so.
    pub word: Option<Word>,
}

/// An administrator's word that holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Word {
    /// What it is for, in a sentence.
    pub found: String,
    /// The account.
    pub by: String,
    /// Why it is all right.
    pub reason: String,
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} Accepted by {}: {}", self.found, self.by, self.reason)
    }
}

impl Judged {
    /// The same by this word.
    fn accepted(self, Override { by, reason, .. }: &Override) -> Self {
        let found = self.sentence;
        Self {
            answer: Answer::Overridden,
            sentence: format!("{found} {by} takes responsibility: {reason}"),
            acceptable: None,
            word: Some(Word { found, by: by.clone(), reason: reason.clone() }),
            ..self
        }
    }
}

/// What does not hold at a point, counted by kind: what an administrator takes responsibility for,
/// and no more than that.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally(BTreeMap<String, u64>);

impl Tally {
    fn of<K: Into<String>>(counts: impl IntoIterator<Item = (K, u64)>) -> Self {
        let counts = counts.into_iter().filter(|(_, count)| *count > 0);
        Self(counts.map(|(kind, count)| (kind.into(), count)).collect())
    }

    /// Whether all of another is in it.
    fn covers(&self, other: &Self) -> bool {
        let count = |kind| self.0.get(kind).copied().unwrap_or(0);
        other.0.iter().all(|(kind, wrong)| count(kind) >= *wrong)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (kind, count)) in self.0.iter().enumerate() {
            let joint = if place == 0 { "" } else { ", " };
            write!(f, "{joint}{kind}: {count}")?;
        }
        Ok(())
    }
}

/// Whether the archive is where it has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It is kept as it was delivered (Offline mode).
    Here,
    /// It was removed once everything was in the database (Online mode alone).
    Removed,
    /// It is kept by another appliance of the same database; whether everything was unpacked as well.
    Elsewhere {
        /// Whether the database has all of it, too.
        unpacked: bool,
    },
    /// It should be kept, and is not there.
    Missing,
}

/// The data nodes of the replica set, and which of them have a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nodes {
    /// Those that have everything of it.
    pub have_it: u32,
    /// All of the replica set that hold data.
    pub all: u32,
}

/// Uploads of the same job with other contents that nobody has settled: neither acknowledged, nor
/// followed by another upload of what is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflicts {
    /// How many there are.
    pub uploads: u64,
    /// The file name of the newest.
    pub file: String,
    /// When that one arrived.
    pub arrived: Timestamp,
}

impl Conflicts {
    fn sentence(&self) -> String {
        let Self { uploads, file, arrived } = self;
        let arrived = arrived.strftime("%Y-%m-%d %H:%M:%S UTC");
        let (what, whom) = match uploads {
            0 | 1 => (
                format!(
                    "Another upload of this job, {file} of {arrived}, has other contents and was"
                ),
                "it",
            ),
            _ => (
                format!(
                    "{uploads} other uploads of this job, the last {file} of {arrived}, have other \
                     contents and were"
                ),
                "each of them",
            ),
        };
        format!(
            "{what} rejected. Find out which is right: if it is this one, acknowledge the rejection of \
             {whom}, with a reason."
        )
    }
}

/// An administrator's word for a point that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// The point.
    pub point: Point,
    /// What was accepted; older versions did not note it.
    pub accepted: Option<Tally>,
    /// Why it is all right.
    pub reason: String,
    /// The account.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

impl Override {
    /// Whether it was given for all that does not hold now.
    fn holds(&self, wrong: &Tally) -> bool {
        match &self.accepted {
            Some(accepted) => accepted.covers(wrong),
            // What was found while it was stored is today as it was then. Anything else may have
            // grown since.
            None => matches!(self.point, Point::Parsed | Point::Resolved),
        }
    }
}

/// All that a verdict is made from.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// The state of the backup.
    pub state: State,
    /// What was counted.
    pub progress: &'a Progress,
    /// What was remarkable.
    pub findings: &'a Findings,
    /// Other uploads of its job that contradict it.
    pub conflicts: Option<&'a Conflicts>,
    /// Where the archive is.
    pub kept: Kept,
    /// Whether its records and media are in the database as well, and so on every data node; not
    /// known of some that older versions stored.
    pub unpacked: Option<bool>,
    /// What came of the last check against the receipt; nothing before the first.
    pub verified: Option<&'a Verified>,
    /// Which media can be read; nothing where that cannot be found out.
    pub readability: Option<&'a Readability>,
    /// Who has everything of the database; nothing where that cannot be found out.
    pub nodes: Option<Nodes>,
    /// The number of its receipt.
    pub receipt: Option<u64>,
    /// For what an administrator takes responsibility.
    pub overrides: &'a [Override],
}

impl Facts<'_> {
    /// The data nodes that have everything of the backup. Of one that was not unpacked only its line
    /// in the log replicates: then it is the one node that keeps the archive.
    pub fn nodes_with_all(&self) -> Option<Nodes> {
        let nodes = self.nodes?;
        if self.unpacked == Some(true) {
            return Some(nodes);
        }
        let has_archive = matches!(self.kept, Kept::Here | Kept::Elsewhere { .. });
        Some(Nodes { have_it: nodes.have_it.min(has_archive.into()), ..nodes })
    }
}

/// The verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    points: Vec<Judged>,
}

/// The proof that a backup was judged and found safe. It cannot be made otherwise.
#[derive(Debug)]
pub struct Cleared(());

impl Verdict {
    /// Judges a backup.
    pub fn of(facts: &Facts<'_>) -> Self {
        let judge = |point| {
            let Found { answer, sentence, acceptable } = find(point, facts);
            let judged = Judged { point, answer, sentence, acceptable, word: None };
            let Some(wrong) = &judged.acceptable else { return judged };
            let mut words = facts.overrides.iter().rev().filter(|word| word.point == point);
            let newest = words.clone().next();
            match (words.find(|word| word.holds(wrong)), newest) {
                (Some(word), _) => judged.accepted(word),
                (None, Some(Override { by, .. })) => {
                    let found = &judged.sentence;
                    let sentence = format!("{found} That is not what {by} has accepted before.");
                    Judged { sentence, ..judged }
                }
                (None, None) => judged,
            }
        };
        Self { points: Point::ALL.into_iter().map(judge).collect() }
    }

    /// Whether its data may be deleted from maaiiconnect.
    pub fn is_safe(&self) -> bool {
        self.points.iter().all(|judged| matches!(judged.answer, Answer::Yes | Answer::Overridden))
    }

    /// The proof of that, for whoever deletes.
    pub fn cleared(&self) -> Option<Cleared> {
        self.is_safe().then_some(Cleared(()))
    }

    /// Every point with its answer.
    pub fn points(&self) -> &[Judged] {
        &self.points
    }

    /// Those that stand in the way.
    pub fn in_the_way(&self) -> impl Iterator<Item = &Judged> {
        self.points.iter().filter(|judged| matches!(judged.answer, Answer::No | Answer::Pending))
    }

    /// A point with its answer.
    pub fn point(&self, point: Point) -> Option<&Judged> {
        self.points.iter().find(|judged| judged.point == point)
    }

    /// The words that it relies on.
    pub fn relied_on(&self) -> impl Iterator<Item = &Word> {
        self.points.iter().filter_map(|judged| judged.word.as_ref())
    }

    /// The verdict in a line.
    pub fn words(&self) -> &'static str {
        if self.is_safe() { Condition::Safe.words() } else { Condition::NotYet.words() }
    }
}

/// What is found at a point, before anybody's word.
struct Found {
    answer: Answer,
    sentence: String,
    /// What somebody may take responsibility for.
    acceptable: Option<Tally>,
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

fn find(point: Point, facts: &Facts<'_>) -> Found {
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

#[cfg(test)]
mod tests;
