//! maaiiconnect's own Backup Log and schedule, as the connector read them last.
//!
//! What maaiiconnect says of a backup is its word and not ours: it never makes a backup safe. It tells
//! how large an upload will be, when the next one is due, and, most of all, of what is missing here.

use std::collections::{HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};

use super::{JobId, retention::Status};

/// How many backups of maaiiconnect's log are held, the newest of them.
pub const KEPT: usize = 100;

/// How long an upload that has ended may be on its way into the log here.
pub const ON_ITS_WAY: SignedDuration = SignedDuration::from_mins(15);

/// The newest part of maaiiconnect's log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CloudLog {
    /// When it was read last.
    pub read: Timestamp,
    /// Why it could not be read since, in a sentence.
    pub trouble: Option<String>,
    /// When maaiiconnect makes the next backup; nothing while retention is off there.
    pub next_backup: Option<Timestamp>,
    /// The newest backups, the newest first.
    pub backups: Vec<CloudBackup>,
}

/// A backup in maaiiconnect's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloudBackup {
    /// The job.
    pub job: JobId,
    /// The archive's file name.
    pub file: String,
    /// When it was made.
    pub created: Timestamp,
    /// Its Retention Status there.
    pub status: Status,
    /// How large the archive is; nothing before it is built.
    pub archive_bytes: Option<u64>,
    /// How much of it was sent.
    pub sent_bytes: u64,
    /// Why it does not get on, or why it failed.
    pub trouble: Option<String>,
    /// When we first saw that its upload had ended, by our clock. Nothing of one whose data was deleted
    /// when we first saw it: it went elsewhere, before our time.
    pub uploaded_seen: Option<Timestamp>,
}

/// How far a backup of maaiiconnect's log has got here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Here {
    /// It has a line in our log.
    Known,
    /// It is stored.
    Stored,
}

/// Why a backup of maaiiconnect's log is missing here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Missing {
    /// maaiiconnect has uploaded it, and it never arrived.
    NeverArrived,
    /// maaiiconnect deletes what it holds, or has, and it is not stored here.
    NotStored,
}

impl CloudLog {
    /// Takes in what was read: backups as they are now.
    pub fn take_in(&mut self, backups: Vec<CloudBackup>, now: Timestamp) {
        for mut backup in backups {
            let known = self.backups.iter().position(|known| known.job == backup.job);
            let before = known.map(|at| self.backups.swap_remove(at));
            let seen_before = before.as_ref().and_then(|before| before.uploaded_seen);
            let was_completed = before.is_none_or(|before| before.status == Status::Completed);
            backup.uploaded_seen = match backup.status {
                Status::Uploading => None,
                Status::Completed if was_completed => seen_before,
                _ => seen_before.or(Some(now)),
            };
            self.backups.push(backup);
        }
        self.backups.sort_by(|a, b| (b.created, &b.job).cmp(&(a.created, &a.job)));
        self.backups.truncate(KEPT);
    }

    /// Takes in all that there is: what was known beside it is no longer in the log.
    pub fn begin_anew(&mut self, backups: Vec<CloudBackup>, now: Timestamp) {
        let all: HashSet<JobId> = backups.iter().map(|backup| backup.job.clone()).collect();
        self.take_in(backups, now);
        self.backups.retain(|backup| all.contains(&backup.job));
    }

    /// What it says of a job.
    pub fn of(&self, job: &JobId) -> Option<&CloudBackup> {
        self.backups.iter().find(|backup| backup.job == *job)
    }

    /// What is missing here of all that maaiiconnect has uploaded for so long, where `here` is what is not.
    pub fn missing(
        &self,
        here: &HashMap<JobId, Here>,
        now: Timestamp,
    ) -> Vec<(&CloudBackup, Missing)> {
        let missing = |backup: &CloudBackup| {
            let seen = backup.uploaded_seen?;
            let is_deleted = matches!(backup.status, Status::Deleting | Status::Completed);
            match here.get(&backup.job) {
                Some(Here::Stored) => None,
                Some(Here::Known) => is_deleted.then_some(Missing::NotStored),
                None if is_deleted => Some(Missing::NotStored),
                None if now.duration_since(seen) < ON_ITS_WAY => None,
                None => Some(Missing::NeverArrived),
            }
        };
        self.backups.iter().filter_map(|backup| Some((backup, missing(backup)?))).collect()
    }

    /// Whether it changes from one moment to the next: an upload or a deletion goes on.
    pub fn is_busy(&self) -> bool {
        let busy =
            |backup: &CloudBackup| matches!(backup.status, Status::Uploading | Status::Deleting);
        self.backups.iter().any(busy)
    }
}

impl Missing {
    /// For people.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::NeverArrived => {
                "maaiiconnect says that it was uploaded, and it never arrived here."
            }
            Self::NotStored => "maaiiconnect deletes what it holds, and it is not stored here.",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backup(number: u8, status: Status) -> CloudBackup {
        CloudBackup {
            job: format!("2ed1076d-f512-4316-be8f-e6d1a3a6ae{number:02}").parse().expect("an id"),
            file: format!("backup-{number}.zip"),
            created: at(i64::from(number)),
            status,
            archive_bytes: Some(1),
            sent_bytes: 0,
            trouble: None,
            uploaded_seen: None,
        }
    }

    fn at(hour: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_hours(hour)
    }

    #[test]
    fn the_newest_are_kept_and_each_as_it_is_now() {
        let mut log = CloudLog::default();
        log.take_in((0..99).map(|number| backup(number, Status::Uploading)).collect(), at(0));
        log.take_in(vec![backup(7, Status::Uploaded)], at(1));
        assert_eq!(log.backups.len(), 99);
        assert_eq!(log.backups[0].file, "backup-98.zip");
        let seven = log.of(&backup(7, Status::Uploaded).job).expect("it is there");
        assert_eq!((seven.status, seven.uploaded_seen), (Status::Uploaded, Some(at(1))));
        assert!(log.is_busy());
        log.begin_anew(vec![backup(7, Status::Failed)], at(2));
        assert_eq!((log.backups.len(), log.backups[0].uploaded_seen), (1, Some(at(1))));
        assert!(!log.is_busy());
    }

    #[test]
    fn since_when_it_was_uploaded_is_what_we_saw_first() {
        use Status::{Completed, Deleting, Failed, Uploaded, Uploading};
        for (statuses, seen) in [
            (&[Uploading][..], None),
            (&[Uploading, Uploaded], Some(at(1))),
            (&[Uploaded, Uploaded, Deleting, Failed], Some(at(0))),
            (&[Uploaded, Deleting, Completed], Some(at(0))),
            // It is sent once more: that is awaited anew.
            (&[Uploaded, Uploading, Uploaded], Some(at(2))),
            // Deleted before we ever looked.
            (&[Completed], None),
            (&[Completed, Completed], None),
            (&[Uploading, Completed], Some(at(1))),
        ] {
            let mut log = CloudLog::default();
            for (hour, status) in (0..).zip(statuses) {
                log.take_in(vec![backup(1, *status)], at(hour));
            }
            assert_eq!(log.backups[0].uploaded_seen, seen, "{statuses:?}");
        }
    }

    #[test]
    fn what_is_missing_is_told_from_what_is_on_its_way() {
        for (status, here, minutes, expected) in [
            (Status::Uploading, None, 60, None),
            (Status::Uploaded, None, 14, None),
            (Status::Uploaded, None, 15, Some(Missing::NeverArrived)),
            (Status::Failed, None, 15, Some(Missing::NeverArrived)),
            (Status::Uploaded, Some(Here::Known), 60, None),
            (Status::Uploaded, Some(Here::Stored), 60, None),
            // Rejected or waiting here, and yet deleted there.
            (Status::Deleting, Some(Here::Known), 0, Some(Missing::NotStored)),
            (Status::Deleting, None, 0, Some(Missing::NotStored)),
            (Status::Deleting, Some(Here::Stored), 60, None),
        ] {
            let mut log = CloudLog::default();
            log.take_in(vec![backup(1, status)], at(0));
            let job = log.backups[0].job.clone();
            let here: HashMap<JobId, Here> = here.map(|here| (job, here)).into_iter().collect();
            let now = at(0) + SignedDuration::from_mins(minutes);
            let found = log.missing(&here, now);
            let found = found.first().map(|(_, why)| *why);
            assert_eq!(found, expected, "{status} {here:?} {minutes}");
        }
    }
}
