//! A backup in one line: maaiiconnect's words for where it stands, and ours for
//! the condition of the data here.

use super::{coming::Coming, progress};
use crate::{
    backup::{
        Condition, State,
        retention::Status,
        verdict::{Answer, Kept, Nodes},
    },
    portal::{
        cells::{Cell, Head, Line, Nothing, Table, count, counted, shorten, size},
        gate::{Judged, SignedIn},
        zone::Zone,
    },
    store::backups::Backup,
};

/// How much of a reason a line shows, in characters.
const REASON_CHARS: usize = 160;

/// Where the page of a backup is.
pub(super) fn path(backup: &Backup) -> String {
    format!("/retention/backups/{}", backup.upload)
}

/// What became of an upload here, without the verdict on it, and how good that is.
pub(super) fn outcome(backup: &Backup) -> (&'static str, String) {
    match backup.state {
        State::Stored if differs(backup) => ("bad", "Not as it was received".into()),
        State::Stored if backup.is_only_copy() => ("good", "Only copy".into()),
        State::Stored if !backup.findings.is_empty() => ("fair", "Stored, with findings".into()),
        State::Stored => ("good", "Stored".into()),
        State::Rejected if backup.superseded => ("plain", "Rejected, replaced since".into()),
        State::Rejected if backup.acknowledged.is_some() => {
            ("plain", "Rejected, acknowledged".into())
        }
        State::Rejected => ("bad", "Rejected".into()),
        State::Waiting => ("fair", "Waiting".into()),
        State::Storing => ("busy", "Being stored".into()),
        State::Arriving | State::Arrived | State::Claimed => ("busy", "Received".into()),
    }
}

/// What a backup may be pressed for in maaiiconnect's log, by this verdict.
pub(super) fn button(who: &SignedIn, status: Status, safe: bool) -> Option<&'static str> {
    match status {
        _ if !safe || !who.is_administrator() => None,
        Status::Uploaded => Some("Delete from maaiiconnect"),
        Status::Failed => Some("Try again"),
        Status::Uploading | Status::Deleting | Status::Completed => None,
    }
}

/// Whether something differed when it was held against its receipt last.
pub(super) fn differs(backup: &Backup) -> bool {
    backup.verified.as_ref().is_some_and(|found| !found.is_ok())
}

/// The Backup Log's table, with what is on its way or missing above what has arrived.
pub(super) fn table<'a>(
    who: &SignedIn,
    coming: impl IntoIterator<Item = Coming<'a>>,
    backups: &[Judged],
    zone: &Zone,
) -> Table {
    let mut lines: Vec<Line> = coming.into_iter().map(|one| one.line(who, zone)).collect();
    lines.extend(backups.iter().map(|judged| line(who, judged, zone)));
    Table {
        caption: "Backup Log".into(),
        heads: vec![
            Head::new("Date and time"),
            Head::new("File name"),
            Head::number("Total data size"),
            Head::number("Backup files"),
            Head::new("Status"),
            Head::new("Data here"),
        ],
        lead: 0,
        lines,
        nothing: Nothing {
            title: "No backup has arrived yet".into(),
            advice: "maaiiconnect uploads one a day, at the hour of its retention schedule. In \
                     maaiiconnect, Administration > Security > Retention has the button Test this \
                     configuration now."
                .into(),
        },
    }
}

fn line(who: &SignedIn, judged: &Judged, zone: &Zone) -> Line {
    let backup = &judged.backup;
    let files = match backup.progress.entries_total {
        0 => Cell::Empty,
        files => Cell::Number(count(files)),
    };
    let here = match backup.state {
        State::Storing => Cell::Bar {
            id: backup.upload.to_string(),
            what: "Being stored",
            percent: Some(backup.progress.percent()),
            text: progress::storing(&backup.progress, who.bytes_per_second(&backup.upload)),
        },
        _ => Cell::Judged {
            tone: tone(judged),
            text: judged.condition().words().to_owned(),
            notes: notes(judged),
        },
    };
    let status = backup.retention_status();
    let safe = backup.state == State::Stored && judged.looked.verdict.is_safe();
    let text = status.words().to_owned();
    let status = match button(who, status, safe) {
        Some(label) => Cell::Press { text, href: format!("{}/delete", path(backup)), label },
        None => Cell::Text(text),
    };
    Line {
        href: path(backup),
        cells: vec![
            Cell::When(zone.show(backup.taken)),
            Cell::Text(backup.file.clone()),
            backup.total_data_bytes().map_or(Cell::Empty, |bytes| Cell::Number(size(bytes))),
            files,
            status,
            here,
        ],
    }
}

/// How good the condition of a backup's data is.
fn tone(judged: &Judged) -> &'static str {
    let refused = judged.looked.verdict.points().iter().any(|point| point.answer == Answer::No);
    match judged.condition() {
        Condition::Rejected => "bad",
        Condition::OnlyCopy if refused => "bad",
        Condition::Safe | Condition::OnlyCopy => "good",
        Condition::NotYet if refused => "fair",
        Condition::Waiting => "fair",
        Condition::NotYet | Condition::Received | Condition::Storing => "busy",
        Condition::Replaced | Condition::Acknowledged => "plain",
    }
}

/// What there is to say about the condition of a backup's data.
fn notes(judged: &Judged) -> Vec<String> {
    let mut notes = Vec::new();
    let backup = &judged.backup;
    match (reasons(judged).as_slice(), backup.state) {
        ([], _) => {}
        ([only], _) => notes.push(shorten(only.clone(), REASON_CHARS)),
        ([first, more @ ..], _) => {
            let more = counted(u64::try_from(more.len()).unwrap_or(0), "reason", "reasons");
            notes.push(format!("{} And {more} more.", shorten(first.clone(), REASON_CHARS)));
        }
    }
    for word in judged.looked.verdict.relied_on() {
        let (found, by) = (shorten(word.found.clone(), REASON_CHARS), &word.by);
        let reason = shorten(word.reason.clone(), REASON_CHARS);
        notes.push(format!("{found} Accepted by {by}: {reason}"));
    }
    if backup.state == State::Stored {
        notes.push(kept(judged.looked.nodes, judged.looked.kept, remarkable(judged)));
    }
    notes
}

/// Everything that stands in the way of a backup.
pub(super) fn reasons(judged: &Judged) -> Vec<String> {
    let backup = &judged.backup;
    let rejected = backup.rejection.as_ref().map(|reason| reason.sentence.clone());
    let waiting = backup.waiting.as_ref().map(|reason| reason.sentence.clone());
    match backup.state {
        State::Stored => {
            judged.looked.verdict.in_the_way().map(|point| point.sentence.clone()).collect()
        }
        State::Rejected => rejected.into_iter().collect(),
        State::Waiting => waiting.into_iter().collect(),
        State::Arriving | State::Arrived | State::Claimed | State::Storing => Vec::new(),
    }
}

/// What of a backup does not hold and was accepted, by whom and why.
pub(super) fn accepted(judged: &Judged) -> Vec<String> {
    judged.looked.verdict.relied_on().map(ToString::to_string).collect()
}

/// How many cases were found of all kinds, with media that cannot be read or that nobody could.
pub(super) fn remarkable(judged: &Judged) -> u64 {
    let media = &judged.looked.readability;
    findings(&judged.backup) + media.damaged + media.not_decoded()
}

/// How many cases were found of all kinds while a backup was stored.
pub(super) fn findings(backup: &Backup) -> u64 {
    backup.findings.iter().map(|(_, finding)| finding.count).sum()
}

/// What became of the archive, in a word.
pub(super) fn archive(kept: Kept) -> &'static str {
    match kept {
        Kept::Here => "kept",
        Kept::Removed => "removed",
        Kept::Elsewhere { .. } => "kept by another node",
        Kept::Missing => "missing",
    }
}

fn kept(nodes: Option<Nodes>, kept: Kept, findings: u64) -> String {
    let on = match nodes {
        Some(Nodes { have_it, all }) => format!("Stored on {have_it} of {all}"),
        None => "Stored on an unknown number of nodes".to_owned(),
    };
    let found = match findings {
        0 => "no findings".to_owned(),
        found => counted(found, "finding", "findings"),
    };
    format!("{on}, archive {}, {found}", archive(kept))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_backup_is_kept_is_said_in_a_line() {
        let on = |have_it, all| Some(Nodes { have_it, all });
        for (nodes, archive, found, expected) in [
            (on(1, 2), Kept::Here, 0, "Stored on 1 of 2, archive kept, no findings"),
            (on(2, 2), Kept::Removed, 1, "Stored on 2 of 2, archive removed, 1 finding"),
            (
                None,
                Kept::Missing,
                2000,
                "Stored on an unknown number of nodes, archive missing, 2,000 findings",
            ),
        ] {
            assert_eq!(kept(nodes, archive, found), expected);
        }
    }
}
