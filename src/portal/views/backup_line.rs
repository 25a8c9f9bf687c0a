//! A backup in one line: maaiiconnect's words for where it stands, and ours for
//! the condition of the data here.

use crate::{
    backup::{
        BackupName, Condition, Progress, State, pace,
        retention::Status,
        verdict::{Answer, Kept, Nodes},
    },
    portal::{
        cells::{Cell, Head, Line, Nothing, Table, count, counted, shorten, size},
        gate::{Judged, OnItsWay, SignedIn},
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
        State::Stored if backup.is_only_copy() => ("good", "Only copy".into()),
        State::Stored if !backup.findings.is_empty() => ("fair", "Stored, with findings".into()),
        State::Stored => ("good", "Stored".into()),
        State::Rejected if backup.superseded => ("plain", "Rejected, replaced since".into()),
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

/// How far a backup is that is being stored, and at what pace, in words.
pub(super) fn storing(progress: &Progress, bytes_per_second: Option<u64>) -> String {
    let (done, total) = (progress.bytes_done, progress.bytes_total);
    if total == 0 {
        return "being opened".to_owned();
    }
    let mut text = format!("{} %, {} of {}", progress.percent(), size(done), size(total));
    if let Some(rate) = bytes_per_second {
        text.push_str(&format!(", {}/s", size(rate)));
        let left = pace::seconds_left(total.saturating_sub(done), rate);
        text.extend(left.map(|seconds| format!(", {}", time_left(seconds))));
    }
    text
}

/// How much of an upload has arrived, and at what pace, in words.
pub(super) fn uploading(coming: &OnItsWay) -> String {
    let mut text = format!("{} so far", size(coming.upload.size_bytes));
    text.extend(coming.upload.bytes_per_second.map(|rate| format!(", {}/s", size(rate))));
    if let (Some(usual), true) = (coming.usual_bytes, percent(coming).is_some()) {
        text.push_str(&format!("; those before had about {}", size(usual)));
    }
    text
}

/// How far an upload would be if it were as large as those before it. How large it will be, nobody
/// says.
pub(super) fn percent(coming: &OnItsWay) -> Option<u8> {
    let so_far = coming.upload.size_bytes;
    let usual = coming.usual_bytes.filter(|usual| so_far < *usual)?;
    u8::try_from(u128::from(so_far) * 100 / u128::from(usual)).ok()
}

fn time_left(seconds: u64) -> String {
    match (seconds, seconds.div_ceil(60), seconds.div_ceil(3600)) {
        (0..60, ..) => "less than a minute left".to_owned(),
        (60..3600, minutes, _) => format!("about {} left", counted(minutes, "minute", "minutes")),
        (.., hours) => format!("about {} left", counted(hours, "hour", "hours")),
    }
}

/// The Backup Log's table, with uploads on their way above what has arrived.
pub(super) fn table<'a>(
    who: &SignedIn,
    coming: impl IntoIterator<Item = &'a OnItsWay>,
    backups: &[Judged],
    zone: &Zone,
) -> Table {
    let mut lines: Vec<Line> = coming.into_iter().map(|upload| coming_line(upload, zone)).collect();
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
            text: storing(&backup.progress, who.bytes_per_second(&backup.upload)),
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
            Cell::Number(size(backup.size_bytes)),
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
        Condition::Replaced => "plain",
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
    if backup.state == State::Stored {
        notes.push(kept(judged.looked.nodes, judged.looked.kept, findings(backup)));
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

/// How many cases were found of all kinds.
pub(super) fn findings(backup: &Backup) -> u64 {
    backup.findings.iter().map(|(_, finding)| finding.count).sum()
}

/// What became of the archive, in a word.
pub(super) fn archive(kept: Kept) -> &'static str {
    match kept {
        Kept::Here => "kept",
        Kept::Removed => "removed",
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

fn coming_line(coming: &OnItsWay, zone: &Zone) -> Line {
    let upload = &coming.upload;
    let here = if upload.interrupted {
        let text = format!("Interrupted at {}", size(upload.size_bytes));
        Cell::Badge { tone: "fair", text }
    } else {
        Cell::Bar {
            id: upload.file.clone(),
            what: "On its way",
            percent: percent(coming),
            text: uploading(coming),
        }
    };
    let name = upload.file.parse::<BackupName>().ok();
    Line {
        href: String::new(),
        cells: vec![
            Cell::When(zone.show(name.map_or(upload.since, |name| name.taken))),
            Cell::Text(upload.file.clone()),
            Cell::Empty,
            Cell::Empty,
            Cell::Text(Status::Uploading.words().into()),
            here,
        ],
    }
}

/// Something that an administrator should look at.
pub(super) struct Attention {
    pub(super) tone: &'static str,
    pub(super) title: String,
    pub(super) text: String,
    pub(super) href: String,
}

/// What of a backup calls for somebody's attention.
pub(super) fn attention(backup: &Backup, zone: &Zone) -> Option<Attention> {
    let href = path(backup);
    let name = format!("Backup of {} from {}", zone.show(backup.taken).date, backup.service);
    match backup.state {
        State::Waiting => Some(Attention {
            tone: "fair",
            title: format!("{name}: waiting"),
            text: backup.waiting.as_ref().map(|why| why.sentence.clone()).unwrap_or_default(),
            href,
        }),
        State::Rejected if !backup.superseded => Some(Attention {
            tone: "bad",
            title: format!("{name}: rejected"),
            text: backup.rejection.as_ref().map(|why| why.sentence.clone()).unwrap_or_default(),
            href,
        }),
        State::Stored if !backup.findings.is_empty() => {
            let kinds = backup.findings.iter().map(|(kind, found)| kind.sentence(found.count));
            Some(Attention {
                tone: "fair",
                title: format!(
                    "{name}: stored with {}",
                    counted(findings(backup), "finding", "findings")
                ),
                text: kinds.collect::<Vec<_>>().join(" "),
                href,
            })
        }
        _ => None,
    }
}

/// Changes whenever what a page shows of backups under way is out of date, but
/// for bars and sizes, which a script keeps up to date.
pub(super) fn signature(coming: &[OnItsWay], unfinished: &[Backup]) -> String {
    use sha2::{Digest, Sha256};
    let mut digest = Sha256::new();
    for OnItsWay { upload, .. } in coming {
        digest.update(&upload.file);
        digest.update([0, u8::from(upload.interrupted)]);
    }
    digest.update([1]);
    for backup in unfinished {
        digest.update(backup.upload.as_str());
        digest.update(backup.state.as_str());
    }
    hex::encode(&digest.finalize()[..8])
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::portal::Arriving;

    fn coming(size_bytes: u64, interrupted: bool) -> OnItsWay {
        let upload = Arriving {
            file: "a.zip".into(),
            size_bytes,
            since: Timestamp::UNIX_EPOCH,
            bytes_per_second: None,
            interrupted,
        };
        OnItsWay { upload, usual_bytes: None }
    }

    #[test]
    fn a_page_is_out_of_date_once_an_upload_moves_on() {
        let signatures = [
            signature(&[], &[]),
            signature(&[coming(1, false)], &[]),
            signature(&[coming(1, true)], &[]),
        ];
        assert_eq!(signatures[1], signature(&[coming(2, false)], &[]));
        for (index, one) in signatures.iter().enumerate() {
            assert!(signatures[index + 1..].iter().all(|other| other != one));
        }
    }

    #[test]
    fn what_is_being_stored_has_a_percentage_a_pace_and_an_end() {
        for (done, total, rate, expected) in [
            (0, 0, None, "being opened"),
            (0, 0, Some(5), "being opened"),
            (25, 100, None, "25 %, 25 bytes of 100 bytes"),
            (
                2_000_000_000,
                8_000_000_000,
                Some(50_000_000),
                "25 %, 2.0 GB of 8.0 GB, 50 MB/s, about 2 minutes left",
            ),
            (1, 100, Some(0), "1 %, 1 byte of 100 bytes, 0 bytes/s"),
            (99, 100, Some(1), "99 %, 99 bytes of 100 bytes, 1 byte/s, less than a minute left"),
            (0, 7201, Some(1), "0 %, 0 bytes of 7.2 kB, 1 byte/s, about 3 hours left"),
        ] {
            let progress = Progress { bytes_done: done, bytes_total: total, ..Progress::default() };
            assert_eq!(storing(&progress, rate), expected);
        }
    }

    #[test]
    fn nobody_knows_how_large_an_upload_will_be_and_those_before_it_only_suggest_it() {
        for (so_far, rate, usual, percentage, words) in [
            (1_500_000, None, None, None, "1.5 MB so far"),
            (1_500_000, Some(3_000_000), None, None, "1.5 MB so far, 3.0 MB/s"),
            (
                1_500_000,
                None,
                Some(6_000_000),
                Some(25),
                "1.5 MB so far; those before had about 6.0 MB",
            ),
            (6_000_000, Some(0), Some(6_000_000), None, "6.0 MB so far, 0 bytes/s"),
        ] {
            let mut upload = coming(so_far, false);
            upload.upload.bytes_per_second = rate;
            upload.usual_bytes = usual;
            assert_eq!(percent(&upload), percentage);
            assert_eq!(uploading(&upload), words);
        }
    }

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
