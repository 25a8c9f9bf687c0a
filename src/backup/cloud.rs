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
    /// When we first saw that its upload had ended, by our clock.
    pub uploaded_seen: Option<Timestamp>,
    /// Whether its upload had ended when this log was read for the first time: it went elsewhere,
    /// before our time, and nothing is to be said about it.
    pub before_our_time: bool,
}

/// How far a backup of maaiiconnect's log has got here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Presence {
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
            let has_ended = backup.status != Status::Uploading;
            let was_before = before.as_ref().is_some_and(|before| before.before_our_time);
            let seen_before = before.and_then(|before| before.uploaded_seen);
            backup.before_our_time = has_ended && (was_before || self.is_new());
            let is_seen = has_ended && !backup.before_our_time;
            backup.uploaded_seen = is_seen.then(|| seen_before.unwrap_or(now));
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

    /// Takes over from another copy of the same log since when something is so.
    pub fn agree_with(&mut self, other: &Self) {
        for backup in &mut self.backups {
            let Some(known) = other.of(&backup.job) else { continue };
            if known.before_our_time && backup.status != Status::Uploading {
                (backup.before_our_time, backup.uploaded_seen) = (true, None);
            }
            if let (Some(ours), Some(theirs)) = (&mut backup.uploaded_seen, known.uploaded_seen) {
                *ours = theirs.min(*ours);
            }
        }
    }

    /// Whether it was never read.
    fn is_new(&self) -> bool {
        self.read == Timestamp::UNIX_EPOCH
    }

    /// What it says of a job.
    pub fn of(&self, job: &JobId) -> Option<&CloudBackup> {
        self.backups.iter().find(|backup| backup.job == *job)
    }

    /// What is missing here of all that maaiiconnect has uploaded for so long, where `here` is what is not.
    pub fn missing(
        &self,
        here: &HashMap<JobId, Presence>,
        now: Timestamp,
    ) -> Vec<(&CloudBackup, Missing)> {
        let missing = |backup: &CloudBackup| {
            let seen = backup.uploaded_seen?;
            let is_deleted = matches!(backup.status, Status::Deleting | Status::Completed);
            match here.get(&backup.job) {
                Some(Presence::Stored) => None,
                Some(Presence::Known) => is_deleted.then_some(Missing::NotStored),
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
            before_our_time: false,
        }
    }

    fn at(hour: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_hours(hour)
    }

    /// A log that was read before, and had nothing in it.
    fn known() -> CloudLog {
        CloudLog { read: at(1), ..CloudLog::default() }
    }

    #[test]
    fn what_went_elsewhere_before_the_log_was_ever_read_is_not_missing() {
        let mut log = CloudLog::default();
        log.begin_anew(vec![backup(1, Status::Uploaded), backup(2, Status::Uploading)], at(1));
        log.read = at(1);
        log.take_in(vec![backup(1, Status::Deleting), backup(2, Status::Uploaded)], at(2));
        let missing = log.missing(&HashMap::new(), at(9));
        let missing: Vec<&str> = missing.iter().map(|(one, _)| one.file.as_str()).collect();
        assert_eq!(missing, ["backup-2.zip"]);
        // Sent once more, it is awaited like any other.
        log.take_in(vec![backup(1, Status::Uploading)], at(3));
        log.take_in(vec![backup(1, Status::Uploaded)], at(4));
        assert_eq!(log.missing(&HashMap::new(), at(9)).len(), 2);
    }

    #[test]
    fn two_who_read_the_log_agree_since_when_something_is_so() {
        let (mut one, mut other, mut first) = (known(), known(), CloudLog::default());
        one.take_in(vec![backup(1, Status::Uploaded)], at(5));
        other.take_in(vec![backup(1, Status::Uploaded)], at(3));
        first.take_in(vec![backup(1, Status::Uploaded)], at(1));
        one.agree_with(&other);
        assert_eq!(one.backups[0].uploaded_seen, Some(at(3)));
        one.agree_with(&first);
        assert!(one.backups[0].before_our_time && one.backups[0].uploaded_seen.is_none());
    }

    #[test]
    fn the_newest_are_kept_and_each_as_it_is_now() {
        let mut log = known();
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
            (&[Uploading, Completed], Some(at(1))),
        ] {
            let mut log = known();
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
            (Status::Uploaded, Some(Presence::Known), 60, None),
            (Status::Uploaded, Some(Presence::Stored), 60, None),
            // Rejected or waiting here, and yet deleted there.
            (Status::Deleting, Some(Presence::Known), 0, Some(Missing::NotStored)),
            (Status::Deleting, None, 0, Some(Missing::NotStored)),
            (Status::Deleting, Some(Presence::Stored), 60, None),
        ] {
            let mut log = known();
            log.take_in(vec![backup(1, status)], at(0));
            let job = log.backups[0].job.clone();
            let here: HashMap<JobId, Presence> = here.map(|here| (job, here)).into_iter().collect();
            let now = at(0) + SignedDuration::from_mins(minutes);
            let found = log.missing(&here, now);
            let found = found.first().map(|(_, why)| *why);
            assert_eq!(found, expected, "{status} {here:?} {minutes}");
        }
    }
}
