//! One line of the Backup Log, and the ways that it can go.
//!
//! ```text
//! Building ──▶ Uploading ──▶ Uploaded ──▶ Deleting ──▶ Completed
//!                  ▲            │  ▲         │  ▲
//!                  └ send again ┤  │         ▼  │ try again
//!                               └──┴────── Failed
//! ```
//!
//! Pure: no I/O, no clock. A transition takes a line and gives back the next, or says why it
//! cannot be; it never changes what it was given. Each of them may come twice.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use retention::{
    backup::{JobId, retention::Status},
    records::Dataset,
};
use serde::{Deserialize, Serialize};

/// How far a backup is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stage {
    /// Its archive is being made.
    Building,
    /// Its archive is made, and on its way.
    Uploading,
    /// The SFTP server has it.
    Uploaded,
    /// What it held is being deleted.
    Deleting,
    /// That did not work; it can be tried again.
    Failed,
    /// What it held is gone from here.
    Completed,
}

impl Stage {
    /// The Retention Status, in maaiiconnect's words.
    pub(crate) fn status(self) -> &'static str {
        match self {
            Self::Building | Self::Uploading => Status::Uploading,
            Self::Uploaded => Status::Uploaded,
            Self::Deleting => Status::Deleting,
            Self::Failed => Status::Failed,
            Self::Completed => Status::Completed,
        }
        .words()
    }
}

/// What was made, and is sent under one name as often as it takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Made {
    /// Of the archive. It is told to nobody.
    pub(crate) sha256: String,
    /// The archive itself.
    pub(crate) size_bytes: u64,
    /// All of its files together, uncompressed.
    pub(crate) data_bytes: u64,
    /// How many there are.
    pub(crate) files: u64,
}

/// A deletion that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Deletion {
    /// When it was asked for first.
    pub(crate) requested: Timestamp,
    /// When it was completed or failed.
    pub(crate) ended: Option<Timestamp>,
    /// What it takes. Counted once, before anything goes.
    pub(crate) takes: Option<Takes>,
}

/// What a deletion takes, and what it leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Takes {
    /// Records of each dataset.
    pub(crate) records: BTreeMap<Dataset, u64>,
    /// Media that nothing else names.
    pub(crate) media: u64,
    /// Records that were changed since the backup, and stay.
    pub(crate) kept: u64,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Backup {
    /// Names it for ever.
    #[serde(rename = "_id")]
    pub(crate) job: JobId,
    /// The file name, which says when it was made.
    pub(crate) file: String,
    /// The hour that it was scheduled for. No other backup has the same.
    pub(crate) created: Timestamp,
    /// It holds what is older than this.
    pub(crate) before: Timestamp,
    /// How far it is.
    pub(crate) stage: Stage,
    /// Its archive, once it is made.
    pub(crate) made: Option<Made>,
    /// How much of it was sent.
    pub(crate) sent_bytes: u64,
    /// How often sending it was begun.
    pub(crate) attempts: u32,
    /// Why it does not get on.
    pub(crate) trouble: Option<String>,
    /// When it was uploaded last.
    pub(crate) uploaded: Option<Timestamp>,
    /// Its deletion.
    pub(crate) deletion: Option<Deletion>,
    /// The log's revision that this is of.
    pub(crate) revision: i64,
}

/// Why a line cannot go that way.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// It is somewhere else.
    #[error("the backup is at {:?}", .0.status())]
    Elsewhere(Stage),
    /// The appliance holds another archive.
    #[error("the archive that was sent has another SHA-256 or size")]
    Differs,
}

/// What the appliance says that it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// In lower-case hexadecimal.
    pub(crate) sha256: String,
    /// Where it was given.
    pub(crate) size_bytes: Option<u64>,
}

impl Backup {
    /// The backup that is due at `created`, of everything older than so many days.
    pub(crate) fn begin(service: &str, job: JobId, created: Timestamp, days: u16) -> Self {
        let stamp = created.to_zoned(TimeZone::UTC).strftime("%Y%m%d%H%M%S");
        Self {
            file: format!("backup_{service}_{job}_{stamp}.zip"),
            job,
            created,
            before: created - SignedDuration::from_hours(24 * i64::from(days)),
            stage: Stage::Building,
            made: None,
            sent_bytes: 0,
            attempts: 0,
            trouble: None,
            uploaded: None,
            deletion: None,
            revision: 0,
        }
    }

    /// Its archive is made.
    pub(crate) fn built(self, made: Made) -> Result<Self, Refusal> {
        self.only(&[Stage::Building])?;
        Ok(Self { stage: Stage::Uploading, made: Some(made), trouble: None, ..self })
    }

    /// Sending is begun, or goes on where it broke off.
    pub(crate) fn attempt(self) -> Result<Self, Refusal> {
        self.only(&[Stage::Uploading])?;
        Ok(Self { attempts: self.attempts + 1, ..self })
    }

    /// So much of it was sent.
    pub(crate) fn sent(self, bytes: u64) -> Result<Self, Refusal> {
        self.only(&[Stage::Uploading])?;
        let most = self.made.as_ref().map_or(0, |made| made.size_bytes);
        Ok(Self { sent_bytes: bytes.min(most), ..self })
    }

    /// It does not get on just now.
    pub(crate) fn hindered(self, why: String) -> Result<Self, Refusal> {
        self.only(&[Stage::Building, Stage::Uploading])?;
        Ok(Self { trouble: Some(why), ..self })
    }

    /// The server has all of it.
    pub(crate) fn arrived(self, now: Timestamp) -> Result<Self, Refusal> {
        self.only(&[Stage::Uploading])?;
        let sent_bytes = self.made.as_ref().map_or(0, |made| made.size_bytes);
        let stage = Stage::Uploaded;
        Ok(Self { stage, sent_bytes, uploaded: Some(now), trouble: None, ..self })
    }

    /// It is to be sent once more.
    pub(crate) fn send_again(self) -> Result<Self, Refusal> {
        self.only(&[Stage::Building, Stage::Uploading, Stage::Uploaded])?;
        if self.stage != Stage::Uploaded {
            return Ok(self);
        }
        Ok(Self { stage: Stage::Uploading, sent_bytes: 0, ..self })
    }

    /// What it held is to be deleted, says one who holds `held`.
    pub(crate) fn delete(self, held: &Held, now: Timestamp) -> Result<Self, Refusal> {
        if self.stage == Stage::Completed {
            return Ok(self);
        }
        self.only(&[Stage::Uploaded, Stage::Deleting, Stage::Failed])?;
        let same = self.made.as_ref().is_some_and(|made| {
            made.sha256 == held.sha256
                && held.size_bytes.is_none_or(|bytes| bytes == made.size_bytes)
        });
        if !same {
            return Err(Refusal::Differs);
        }
        let first = Deletion { requested: now, ended: None, takes: None };
        let deletion = Deletion { ended: None, ..self.deletion.clone().unwrap_or(first) };
        Ok(Self { stage: Stage::Deleting, deletion: Some(deletion), trouble: None, ..self })
    }

    /// What goes was counted. The first count stands.
    pub(crate) fn counted(self, takes: Takes) -> Result<Self, Refusal> {
        self.only(&[Stage::Deleting])?;
        let deletion = self.deletion.clone().map(|deletion| {
            let takes = deletion.takes.or(Some(takes));
            Deletion { takes, ..deletion }
        });
        Ok(Self { deletion, ..self })
    }

    /// The deletion ended: well, or for a reason.
    pub(crate) fn ended(self, failed: Option<String>, now: Timestamp) -> Result<Self, Refusal> {
        self.only(&[Stage::Deleting])?;
        let deletion =
            self.deletion.clone().map(|deletion| Deletion { ended: Some(now), ..deletion });
        let stage = if failed.is_some() { Stage::Failed } else { Stage::Completed };
        Ok(Self { stage, deletion, trouble: failed, ..self })
    }

    fn only(&self, stages: &[Stage]) -> Result<(), Refusal> {
        if stages.contains(&self.stage) { Ok(()) } else { Err(Refusal::Elsewhere(self.stage)) }
    }
}

/// Whether records of a dataset stay here when a backup that held them is deleted.
///
/// Contact lists and user accounts are backed up but not deleted.
pub(crate) fn stays(dataset: Dataset) -> bool {
    matches!(dataset, Dataset::Staff | Dataset::Contact | Dataset::Avatar | Dataset::TagIcon)
}

#[cfg(test)]
mod tests {
    use retention::backup::BackupName;

    use super::*;

    const JOB: &str = "2ed1076d-f512-4316-be8f-e6d1a3a6ae52";

    fn at(stage: Stage) -> Backup {
        let created = "2026-11-24T02:00:00Z".parse().expect("a time");
        let job = JOB.parse().expect("a job");
        let begun = Backup::begin("acme_eu.maaiiconnect.example", job, created, 30);
        let made = Made { sha256: "ab".into(), size_bytes: 10, data_bytes: 20, files: 2 };
        Backup { stage, made: Some(made), ..begun }
    }

    fn held() -> Held {
        Held { sha256: "ab".into(), size_bytes: Some(10) }
    }

    #[test]
    fn its_file_is_named_as_the_appliance_expects() {
        let backup = at(Stage::Building);
        let name: BackupName = backup.file.parse().expect("the name of a backup");
        assert_eq!(name.service, "acme_eu.maaiiconnect.example");
        assert_eq!(name.job, backup.job);
        assert_eq!(name.taken, backup.created);
        assert_eq!(backup.before.to_string(), "2026-10-25T02:00:00Z");
    }

    #[test]
    fn each_way_leads_from_the_stages_of_the_drawing_alone() {
        use Stage::{Building, Completed, Deleting, Failed, Uploaded, Uploading};
        let all = [Building, Uploading, Uploaded, Deleting, Failed, Completed];
        let made = at(Uploading).made.expect("made");
        let now = Timestamp::UNIX_EPOCH;
        type Way<'a> = &'a dyn Fn(Backup) -> Result<Backup, Refusal>;
        let ways: [(&str, Way<'_>, [Option<Stage>; 6]); 7] = [
            (
                "built",
                &|it| it.built(made.clone()),
                [Some(Uploading), None, None, None, None, None],
            ),
            ("attempt", &|it| it.attempt(), [None, Some(Uploading), None, None, None, None]),
            ("arrived", &|it| it.arrived(now), [None, Some(Uploaded), None, None, None, None]),
            (
                "send again",
                &|it| it.send_again(),
                [Some(Building), Some(Uploading), Some(Uploading), None, None, None],
            ),
            (
                "delete",
                &|it| it.delete(&held(), now),
                [None, None, Some(Deleting), Some(Deleting), Some(Deleting), Some(Completed)],
            ),
            ("ended", &|it| it.ended(None, now), [None, None, None, Some(Completed), None, None]),
            (
                "failed",
                &|it| it.ended(Some("no".into()), now),
                [None, None, None, Some(Failed), None, None],
            ),
        ];
        for (name, way, expected) in ways {
            for (from, to) in all.into_iter().zip(expected) {
                let found = way(at(from)).map(|backup| backup.stage).ok();
                assert_eq!(found, to, "{name} from {from:?}");
            }
        }
    }

    #[test]
    fn nothing_is_deleted_for_one_who_holds_something_else() {
        for (sha256, size_bytes, refused) in [
            ("ab", Some(10), false),
            ("ab", None, false),
            ("AB", None, true),
            ("cd", Some(10), true),
            ("ab", Some(11), true),
            ("", None, true),
        ] {
            let held = Held { sha256: sha256.into(), size_bytes };
            for stage in [Stage::Uploaded, Stage::Deleting, Stage::Failed] {
                let asked = at(stage).delete(&held, Timestamp::UNIX_EPOCH);
                assert_eq!(asked == Err(Refusal::Differs), refused, "{sha256} {stage:?}");
            }
        }
    }

    #[test]
    fn what_goes_is_counted_once() {
        let asked = at(Stage::Uploaded).delete(&held(), Timestamp::UNIX_EPOCH).expect("asked");
        let takes = |media| Takes { media, ..Takes::default() };
        let counted = asked.counted(takes(3)).expect("counted");
        let again = counted.counted(takes(0)).expect("again");
        let failed = again.ended(Some("no".into()), Timestamp::UNIX_EPOCH).expect("failed");
        let tried = failed.delete(&held(), Timestamp::UNIX_EPOCH).expect("tried again");
        assert_eq!(tried.trouble, None);
        assert_eq!(tried.deletion.and_then(|it| it.takes).map(|it| it.media), Some(3));
    }
}
