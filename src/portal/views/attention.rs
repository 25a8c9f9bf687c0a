//! What of the newest backups an administrator should look at.

use super::backup_line::{differs, findings, path};
use crate::{
    backup::{
        State, Verified,
        retention::{Status, Step},
    },
    portal::{cells::counted, gate::NotHere, zone::Zone},
    store::backups::Backup,
};

/// Something that an administrator should look at.
pub(super) struct Attention {
    pub(super) tone: &'static str,
    pub(super) title: String,
    pub(super) text: String,
    pub(super) href: String,
}

/// What of a backup calls for somebody's attention.
pub(super) fn of(backup: &Backup, zone: &Zone) -> Option<Attention> {
    let href = path(backup);
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
        State::Stored if backup.retention_status() == Status::Failed => Some(Attention {
            tone: "fair",
            title: format!("{name}: {}", Status::Failed.words()),
            text: match backup.deletion.as_ref().map(|deletion| &deletion.step) {
                Some(Step::Failed(failed)) => failed.why.clone(),
                _ => String::new(),
            },
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

/// The same of what is missing.
pub(super) fn missing(missing: &NotHere, zone: &Zone) -> Attention {
    let NotHere { backup, why } = missing;
    Attention {
        tone: "bad",
        title: format!("Backup of {}: missing", zone.show(backup.created).date),
        text: why.sentence().to_owned(),
        href: "/retention/backups".into(),
    }
}
