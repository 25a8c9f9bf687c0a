//! A backup in one line: maaiiconnect's words for where it stands, and ours for
//! the condition of the data here.

use crate::{
    backup::{Progress, State, Verified, retention::Status},
    portal::{
        Arriving,
        cells::{Cell, Head, Line, Nothing, Table, count, counted, size},
        zone::Zone,
    },
    store::backups::Backup,
};

/// Our words for the condition of the data here, and how good that is.
pub(super) fn condition(backup: &Backup) -> (&'static str, String) {
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

/// Whether something differed when it was held against its receipt last.
fn differs(backup: &Backup) -> bool {
    backup.verified.as_ref().is_some_and(|found| !found.is_ok())
}

/// What is left to be done, in words.
pub(super) fn progress_text(progress: &Progress) -> String {
    match (progress.bytes_done, progress.bytes_total) {
        (_, 0) => "being opened".to_owned(),
        (done, total) => format!("{} of {}", size(done), size(total)),
    }
}

/// The Backup Log's table, with uploads on their way above what has arrived.
pub(super) fn table(arriving: &[Arriving], backups: &[Backup], zone: &Zone) -> Table {
    let mut lines: Vec<Line> = arriving.iter().map(|upload| arriving_line(upload, zone)).collect();
    lines.extend(backups.iter().map(|backup| line(backup, zone)));
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

fn line(backup: &Backup, zone: &Zone) -> Line {
    let files = match backup.progress.entries_total {
        0 => Cell::Empty,
        files => Cell::Number(count(files)),
    };
    let here = match backup.state {
        State::Storing => Cell::Bar {
            id: backup.upload.to_string(),
            percent: backup.progress.percent(),
            text: progress_text(&backup.progress),
        },
        _ => {
            let (tone, text) = condition(backup);
            Cell::Badge { tone, text }
        }
    };
    Line {
        href: format!("/retention/backups/{}", backup.upload),
        cells: vec![
            Cell::When(zone.show(backup.taken)),
            Cell::Text(backup.file.clone()),
            Cell::Number(size(backup.size_bytes)),
            files,
            Cell::Text(backup.retention_status().words().into()),
            here,
        ],
    }
}

/// How much of an upload has arrived, in words.
pub(super) fn so_far(upload: &Arriving) -> String {
    format!("{} so far", size(upload.size_bytes))
}

fn arriving_line(upload: &Arriving, zone: &Zone) -> Line {
    let arrived = size(upload.size_bytes);
    let here = if upload.interrupted {
        Cell::Badge { tone: "fair", text: format!("Interrupted at {arrived}") }
    } else {
        Cell::Live { id: upload.file.clone(), text: so_far(upload) }
    };
    let name = upload.file.parse::<crate::backup::BackupName>().ok();
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
    let href = format!("/retention/backups/{}", backup.upload);
    let name = format!("Backup of {} from {}", zone.show(backup.taken).date, backup.service);
    match backup.state {
        State::Waiting => Some(Attention {
            tone: "fair",
            title: format!("{name}: waiting"),
            text: backup.waiting.as_ref().map(|why| why.sentence.clone()).unwrap_or_default(),
            href,
        }),
        State::Rejected if !backup.superseded && backup.acknowledged.is_none() => Some(Attention {
            tone: "bad",
            title: format!("{name}: rejected"),
            text: backup.rejection.as_ref().map(|why| why.sentence.clone()).unwrap_or_default(),
            href,
        }),
        State::Stored if differs(backup) => Some(Attention {
            tone: "bad",
            title: format!("{name}: not as it was received"),
            text: backup.verified.as_ref().map(Verified::sentence).unwrap_or_default(),
            href,
        }),
        State::Stored if !backup.findings.is_empty() => {
            let kinds = backup.findings.iter().map(|(kind, found)| kind.sentence(found.count));
            Some(Attention {
                tone: "fair",
                title: format!(
                    "{name}: stored with {}",
                    counted(
                        backup.findings.iter().map(|(_, f)| f.count).sum(),
                        "finding",
                        "findings"
                    )
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
pub(super) fn signature(arriving: &[Arriving], unfinished: &[Backup]) -> String {
    use sha2::{Digest, Sha256};
    let mut digest = Sha256::new();
    for upload in arriving {
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

    #[test]
    fn a_page_is_out_of_date_once_an_upload_moves_on() {
        let upload = |size_bytes, interrupted| Arriving {
            file: "a.zip".into(),
            size_bytes,
            since: Timestamp::UNIX_EPOCH,
            interrupted,
        };
        let signatures = [
            signature(&[], &[]),
            signature(&[upload(1, false)], &[]),
            signature(&[upload(1, true)], &[]),
        ];
        assert_eq!(signatures[1], signature(&[upload(2, false)], &[]));
        for (index, one) in signatures.iter().enumerate() {
            assert!(signatures[index + 1..].iter().all(|other| other != one));
        }
        assert_eq!(progress_text(&Progress::default()), "being opened");
    }
}
