//! The log of backups: one document for each claimed upload.
//!
//! A state is changed only from the state it was thought to be in. What stands
//! in the database is data: a document that cannot be read is an error that names
//! it, never a panic.

pub(super) mod line;
mod log;
mod query;

use bson::{Bson, DateTime, Document, doc};
use jiff::Timestamp;
use mongodb::error::{ErrorKind, WriteFailure};
use serde::{Serialize, de::DeserializeOwned};

use super::{Error, Store, schema};
use crate::backup::{
    Acknowledged, BackupName, DirectoryId, Findings, JobId, Progress, Readability, Reason,
    RejectionCode, Senders, State, UploadId, WaitCode,
    history::{self, Event, What},
    retention::{Deletion, Status},
    state,
    verdict::Override,
    verified::Verified,
};
use crate::{config::Modes, settings::seal::Mark};
use line::written;

pub use query::{Column, LogQuery};

/// One backup as the log shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Backup {
    /// The upload.
    pub upload: UploadId,
    /// The job that it belongs to.
    pub job: JobId,
    /// The service account that it is from.
    pub service: String,
    /// The archive's file name.
    pub file: String,
    /// When the cloud made it.
    pub taken: Timestamp,
    /// When its upload was complete.
    pub arrived: Timestamp,
    /// How many bytes the archive has.
    pub size_bytes: u64,
    /// The state that it is in.
    pub state: State,
    /// How far it is, or how much it was.
    pub progress: Progress,
    /// What was remarkable.
    pub findings: Findings,
    /// Why it was rejected.
    pub rejection: Option<Reason<RejectionCode>>,
    /// Why it waits.
    pub waiting: Option<Reason<WaitCode>>,
    /// When work on it began.
    pub begun: Option<Timestamp>,
    /// When it became what it is now.
    pub changed: Timestamp,
    /// The SHA-256 of the archive, once known.
    pub sha256: Option<String>,
    /// How many more times the very same bytes were uploaded.
    pub repeats: u32,
    /// Whether a later upload of the same job took its place.
    pub superseded: bool,
    /// By whom its rejection was acknowledged, if it was.
    pub acknowledged: Option<Acknowledged>,
    /// The state directory that its file is in; not known of one that older versions took in.
    pub directory: Option<DirectoryId>,
    /// Who may have sent it, if that was noted.
    pub senders: Option<Senders>,
    /// Whether its archive was kept once it was stored, or removed; nothing before.
    pub archive_kept: Option<bool>,
    /// In which modes it was stored; nothing before, and of backups of older versions.
    pub modes: Option<Modes>,
    /// How readable its media are in its archive, if they were examined there.
    pub readability: Option<Readability>,
    /// The marks of the Archive Keys that opened it, as far as there were any.
    pub archive_keys: Vec<Mark>,
    /// What happened to it, the oldest first.
    pub history: Vec<Event>,
    /// What came of the last check against its receipt; nothing before the first.
    pub verified: Option<Verified>,
    /// For what an administrator took responsibility.
    pub overrides: Vec<Override>,
    /// The deletion of its data from maaiiconnect, once somebody asked for it.
    pub deletion: Option<Deletion>,
}

impl Backup {
    /// Its Retention Status.
    pub fn retention_status(&self) -> Status {
        Status::of(self.state, self.deletion.as_ref())
    }

    /// maaiiconnect's *total data size*: all of its files together, uncompressed, in bytes. Not known
    /// before its directory was read.
    pub fn total_data_bytes(&self) -> Option<u64> {
        (self.progress.entries_total > 0).then_some(self.progress.bytes_total)
    }

    /// Whether it was rejected because its file is gone, so that there is none in quarantine.
    pub fn is_gone(&self) -> bool {
        self.rejection.as_ref().is_some_and(|reason| reason.code == RejectionCode::FileGone)
    }

    /// Whether its records and media are in the database. Not known of some that older versions
    /// stored: then nothing may be made of that.
    pub fn is_unpacked(&self) -> Option<bool> {
        let removed = self.archive_kept == Some(false);
        // An archive is removed with Online mode alone.
        self.modes.map(|modes| modes.online).or(removed.then_some(true))
    }

    /// Whether maaiiconnect has deleted what it holds, so that nobody else has it.
    pub fn is_only_copy(&self) -> bool {
        self.retention_status() == Status::Completed
    }
}

/// How many backups a database holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Those that are stored.
    pub stored: u64,
    /// Those of them that nobody else has.
    pub only_copies: u64,
}

/// What is written when an upload was claimed.
#[derive(Clone, Debug)]
pub struct NewBackup {
    /// The upload.
    pub upload: UploadId,
    /// What its file name says.
    pub name: BackupName,
    /// How many bytes the archive has.
    pub size_bytes: u64,
    /// When the upload was complete.
    pub arrived: Timestamp,
    /// The state directory that it was taken into.
    pub directory: DirectoryId,
    /// Who may have sent it, if that is known.
    pub senders: Option<Senders>,
}

/// The state that a backup changes to.
#[derive(Clone, Debug)]
pub enum Change {
    /// Work begins, or begins again.
    Storing(state::Storing),
    /// It is complete.
    Stored(state::Stored, Opened),
    /// It has to wait.
    Waiting(state::Waiting),
    /// It is refused; with the SHA-256 of the archive, unless that is gone.
    Rejected(state::Rejected, Option<[u8; 32]>),
}

/// What was learnt of an archive by opening it.
#[derive(Clone, Debug)]
pub struct Opened {
    /// Its SHA-256.
    pub sha256: [u8; 32],
    /// In which modes it was stored.
    pub modes: Modes,
    /// The marks of the Archive Keys that opened it.
    pub archive_keys: Vec<Mark>,
}

impl Change {
    /// What there is to say about it.
    fn said(&self) -> Option<String> {
        match self {
            Self::Storing(_) | Self::Stored(..) => None,
            Self::Waiting(waiting) => Some(waiting.reason.sentence.clone()),
            Self::Rejected(rejected, _) => Some(rejected.reason.sentence.clone()),
        }
    }
}

impl Store {
    /// Writes down that an upload was claimed. Does nothing if that stands there already.
    pub async fn add_backup(&self, backup: &NewBackup) -> Result<(), Error> {
        let document = doc! {
            "_id": backup.upload.as_str(),
            "job": backup.name.job.as_str(),
            "service": &backup.name.service,
            "file": backup.name.as_str(),
            "taken": date(backup.name.taken),
            "arrived": date(backup.arrived),
            "size_bytes": i64::try_from(backup.size_bytes).unwrap_or(i64::MAX),
            "state": State::Claimed.as_str(),
            "changed": date(backup.arrived),
            "progress": to_bson(&Progress::default())?,
            "findings": {},
            "repeats": 0,
            "superseded": false,
            "directory": backup.directory.as_str(),
            "senders": to_bson(&backup.senders)?,
            "history": [line::event(&Event::new(backup.arrived, What::Claimed, None))?],
        };
        match self.collection(schema::BACKUPS).insert_one(document).await {
            Err(error) if is_duplicate(&error) => Ok(()),
            other => other.map(|_| ()).map_err(Error::database("note a backup")),
        }
    }

    /// Changes the state of a backup from `from`, acknowledged by most members.
    ///
    /// Fails if the backup is not in the state `from`, and changes nothing then.
    pub async fn change_backup(
        &self,
        upload: &UploadId,
        from: State,
        change: Change,
        now: Timestamp,
    ) -> Result<(), Error> {
        let said = change.said();
        let (to, mut set) = written(change)?;
        set.insert("state", to.as_str());
        set.insert("changed", date(now));
        // A value that begins with a dollar sign is a value.
        let literal = |(name, value)| (name, Bson::Document(doc! { "$literal": value }));
        let mut set: Document = set.into_iter().map(literal).collect();
        if let Some(what) = What::of(to) {
            set.insert("history", joined(&Event::new(now, what, said))?);
        }
        if to == State::Storing {
            // The first beginning counts: what came since then is what this backup brought.
            set.insert("begun", doc! { "$min": ["$begun", date(now)] });
        }
        let mut update = vec![doc! { "$set": set }];
        if to == State::Waiting {
            // Nothing of it is in the store then.
            update.push(doc! { "$unset": "begun" });
        }
        let outcome = self
            .collection(schema::BACKUPS)
            .update_one(doc! { "_id": upload.as_str(), "state": from.as_str() }, update)
            .await
            .map_err(Error::database("change the state of a backup"))?;
        if outcome.matched_count == 1 {
            return Ok(());
        }
        // A retried write may have been carried out the first time.
        match self.backup(upload).await? {
            Some(backup) if backup.state == to => Ok(()),
            _ => Err(Error::StateMoved { upload: upload.to_string(), expected: from }),
        }
    }

    /// Writes down in which state directory the file of a backup was found.
    pub async fn note_directory(
        &self,
        upload: &UploadId,
        directory: &DirectoryId,
    ) -> Result<(), Error> {
        let set = doc! { "$set": { "directory": directory.as_str() } };
        self.collection(schema::BACKUPS)
            .update_one(doc! { "_id": upload.as_str() }, set)
            .await
            .map_err(Error::database("note where the file of a backup is"))?;
        Ok(())
    }

    /// Shows why a backup still waits. Since when it waits stays as it was.
    pub async fn note_reason(
        &self,
        upload: &UploadId,
        reason: &Reason<WaitCode>,
    ) -> Result<(), Error> {
        self.collection(schema::BACKUPS)
            .update_one(
                doc! { "_id": upload.as_str(), "state": State::Waiting.as_str() },
                doc! { "$set": { "waiting": to_bson(reason)? } },
            )
            .await
            .map_err(Error::database("note why a backup waits"))?;
        Ok(())
    }

    /// Writes to the line of a backup, acknowledged by most members.
    ///
    /// Whoever acknowledges it holds everything that the primary held before.
    pub async fn confirm_backup(&self, upload: &UploadId) -> Result<(), Error> {
        // A date is always a new value: a write that changes nothing is none.
        self.collection(schema::BACKUPS)
            .update_one(
                doc! { "_id": upload.as_str() },
                doc! { "$currentDate": { "confirmed": true } },
            )
            .await
            .map_err(Error::database("confirm what is stored of a backup"))?;
        Ok(())
    }

    /// Shows how far a backup is. Of no consequence if lost.
    pub async fn note_progress(&self, upload: &UploadId, progress: &Progress) -> Result<(), Error> {
        self.collection(schema::BACKUPS)
            .update_one(
                doc! { "_id": upload.as_str(), "state": State::Storing.as_str() },
                doc! { "$set": { "progress": to_bson(progress)? } },
            )
            .await
            .map_err(Error::database("note the progress of a backup"))?;
        Ok(())
    }

    /// Writes down whether the archive of a stored backup is kept, before it is kept or removed.
    pub async fn note_archive(&self, upload: &UploadId, kept: bool) -> Result<(), Error> {
        self.collection(schema::BACKUPS)
            .update_one(doc! { "_id": upload.as_str() }, doc! { "$set": { "archive_kept": kept } })
            .await
            .map_err(Error::database("note what becomes of an archive"))?;
        Ok(())
    }

    /// Counts an upload that brought the bytes of `of` once more, and drops its own line.
    pub async fn merge_repeat(
        &self,
        of: &UploadId,
        repeat: &UploadId,
        now: Timestamp,
    ) -> Result<(), Error> {
        let failed = "note a repeated upload";
        let backups = self.collection(schema::BACKUPS);
        let mut push = pushed(&Event::new(now, What::Repeated, None))?;
        push.insert("merged", doc! { "$each": [repeat.as_str()], "$slice": -100 });
        backups
            .update_one(
                doc! { "_id": of.as_str(), "merged": { "$ne": repeat.as_str() } },
                doc! { "$inc": { "repeats": 1 }, "$push": push },
            )
            .await
            .map_err(Error::database(failed))?;
        backups
            .delete_one(doc! { "_id": repeat.as_str() })
            .await
            .map_err(Error::database(failed))?;
        Ok(())
    }

    /// Marks rejected uploads of a job as superseded by a good one.
    pub async fn supersede(&self, job: &JobId, by: &UploadId) -> Result<(), Error> {
        self.collection(schema::BACKUPS)
            .update_many(
                doc! { "job": job.as_str(), "_id": { "$lt": by.as_str() }, "state": State::Rejected.as_str() },
                doc! { "$set": { "superseded": true } },
            )
            .await
            .map_err(Error::database("mark replaced uploads"))?;
        Ok(())
    }
}

/// What is pushed when something happened.
pub(super) fn pushed(event: &Event) -> Result<Document, Error> {
    let each = [line::event(event)?];
    Ok(doc! { "history": { "$each": each.to_vec(), "$slice": -history::KEPT } })
}

/// The history with what happened by itself.
///
/// A try that ends as the one before it did is not told twice, only its time: of two events of the same
/// kind and words, with at most one between them, the newer stays. So what is tried again every few
/// seconds does not drive out how it all began.
fn joined(event: &Event) -> Result<Document, Error> {
    let same = doc! { "$and": [
        { "$eq": ["$$event.what", { "$literal": to_bson(&event.what)? }] },
        { "$eq": [{ "$ifNull": ["$$event.said", null] }, { "$literal": event.said.clone() }] },
        { "$eq": [{ "$ifNull": ["$$event.by", null] }, { "$literal": event.by.clone() }] },
    ] };
    let history = doc! { "$ifNull": ["$history", []] };
    let older = doc! { "$subtract": [{ "$size": "$$history" }, 2] };
    let older = doc! { "$cond": [
        { "$gt": [older.clone(), 0] }, { "$slice": ["$$history", older] }, []
    ] };
    let newest = doc! { "$filter": {
        "input": { "$slice": ["$$history", -2] }, "as": "event", "cond": { "$not": [same] }
    } };
    let each = doc! { "$concatArrays": [older, newest, [{ "$literal": line::event(event)? }]] };
    Ok(doc! { "$let": {
        "vars": { "history": history },
        "in": { "$slice": [each, -history::KEPT] },
    } })
}

/// A time as the database keeps it.
pub(super) fn date(time: Timestamp) -> DateTime {
    DateTime::from_millis(time.as_millisecond())
}

/// A value of ours as BSON.
pub(super) fn to_bson(value: &impl Serialize) -> Result<Bson, Error> {
    bson::serialize_to_bson(value).map_err(|error| Error::Unreadable {
        what: "value",
        id: String::new(),
        why: error.to_string(),
    })
}

/// A value of ours out of BSON, or what is wrong with it.
pub(super) fn from_document<T: DeserializeOwned>(document: Document) -> Result<T, String> {
    bson::deserialize_from_document(document).map_err(|error| error.to_string())
}

/// Whether an insert was refused because its key is taken.
pub(super) fn is_duplicate(error: &mongodb::error::Error) -> bool {
    matches!(error.kind.as_ref(), ErrorKind::Write(WriteFailure::WriteError(error)) if error.code == 11000)
}
