//! The Backup Log: one line a backup, and a revision for each change of it.
//!
//! There is one writer, this program. A change reads the line, makes the next of it and writes
//! that over the one that was read, one change after the other, so that revisions are seen in
//! their order and none is passed over. What is read is settled: nobody sees a revision before
//! the log counts it. It must never make a second line for one hour.

use futures_util::TryStreamExt;
use jiff::Timestamp;
use mongodb::{Collection, bson::doc};
use retention::backup::JobId;
use tokio::sync::{Mutex, watch};

use super::{Error, during};
use crate::job::{Backup, Refusal, Stage};

/// Why a line was not changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unchanged {
    /// There is none.
    #[error("the Backup Log has no job {0}")]
    Missing(JobId),
    /// It cannot go that way.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The database.
    #[error(transparent)]
    Log(#[from] Error),
}

/// The log.
#[derive(Debug)]
pub(crate) struct Log {
    backups: Collection<Backup>,
    /// The newest revision, and the right to write.
    writing: Mutex<i64>,
    revision: watch::Sender<i64>,
}

impl Log {
    pub(super) async fn open(backups: Collection<Backup>) -> Result<Self, Error> {
        let newest = backups.find_one(doc! {}).sort(doc! { "revision": -1 }).await;
        let newest = newest.map_err(during("read the Backup Log"))?;
        let revision = newest.map_or(0, |backup| backup.revision);
        let writing = Mutex::new(revision);
        Ok(Self { backups, writing, revision: watch::Sender::new(revision) })
    }

    /// The newest revision, and a way to wait for the next.
    pub(crate) fn revision(&self) -> watch::Receiver<i64> {
        self.revision.subscribe()
    }

    /// Adds a line, unless there is one for that hour. Returns the one that is there then.
    pub(crate) async fn begin(&self, backup: Backup) -> Result<Backup, Error> {
        let mut writing = self.writing.lock().await;
        let created = doc! { "created": backup.created.to_string() };
        let there = self.backups.find_one(created).await;
        if let Some(there) = there.map_err(during("read the Backup Log"))? {
            return Ok(there);
        }
        let backup = Backup { revision: *writing + 1, ..backup };
        self.backups.insert_one(&backup).await.map_err(during("write the Backup Log"))?;
        *writing = backup.revision;
        self.revision.send_replace(backup.revision);
        Ok(backup)
    }

    /// Changes a line. What is as it was before keeps its revision.
    pub(crate) async fn change(
        &self,
        job: &JobId,
        way: impl FnOnce(Backup) -> Result<Backup, Refusal> + Send,
    ) -> Result<Backup, Unchanged> {
        let mut writing = self.writing.lock().await;
        let Some(before) = self.find(job).await? else {
            return Err(Unchanged::Missing(job.clone()));
        };
        let after = way(before.clone())?;
        if after == before {
            return Ok(before);
        }
        let after = Backup { revision: *writing + 1, ..after };
        let filter = doc! { "_id": job.as_str() };
        let write = self.backups.replace_one(filter, &after).await;
        write.map_err(during("write the Backup Log"))?;
        *writing = after.revision;
        self.revision.send_replace(after.revision);
        Ok(after)
    }

    /// One line.
    pub(crate) async fn get(&self, job: &JobId) -> Result<Option<Backup>, Error> {
        let _settled = self.writing.lock().await;
        self.find(job).await
    }

    async fn find(&self, job: &JobId) -> Result<Option<Backup>, Error> {
        let found = self.backups.find_one(doc! { "_id": job.as_str() }).await;
        found.map_err(during("read the Backup Log"))
    }

    /// The lines before a time, or all, the newest first.
    pub(crate) async fn page(
        &self,
        before: Option<Timestamp>,
        limit: i64,
    ) -> Result<Vec<Backup>, Error> {
        let _settled = self.writing.lock().await;
        let filter = before.map(|before| doc! { "created": { "$lt": before.to_string() } });
        let find = self.backups.find(filter.unwrap_or_default()).sort(doc! { "created": -1 });
        let found = find.limit(limit).await.map_err(during("read the Backup Log"))?;
        found.try_collect().await.map_err(during("read the Backup Log"))
    }

    /// The lines that have changed since a revision, in the order of their changes.
    pub(crate) async fn changes(&self, since: i64, limit: i64) -> Result<Vec<Backup>, Error> {
        let _settled = self.writing.lock().await;
        let filter = doc! { "revision": { "$gt": since } };
        let find = self.backups.find(filter).sort(doc! { "revision": 1 }).limit(limit);
        let found = find.await.map_err(during("read the Backup Log"))?;
        found.try_collect().await.map_err(during("read the Backup Log"))
    }

    /// The newest line.
    pub(crate) async fn newest(&self) -> Result<Option<Backup>, Error> {
        Ok(self.page(None, 1).await?.pop())
    }

    /// The oldest line that is at one of these stages.
    pub(crate) async fn oldest_at(&self, stages: &[Stage]) -> Result<Option<Backup>, Error> {
        let names = stages.iter().map(|stage| {
            // A stage is written as its name.
            serde_json::to_value(stage).ok().and_then(|name| name.as_str().map(str::to_owned))
        });
        let names: Vec<String> = names.flatten().collect();
        let found = self.backups.find_one(doc! { "stage": { "$in": names } });
        found.sort(doc! { "created": 1 }).await.map_err(during("read the Backup Log"))
    }
}
