//! Reading the log: one backup, all of a job, and pages of it.

use bson::{Bson, Document, doc};
use futures_util::TryStreamExt;

use super::{Backup, date, line::read};
use jiff::Timestamp;

use crate::{
    backup::{DirectoryId, JobId, State, UploadId},
    store::{Cursor, Error, Store, browse::Position, schema},
};

/// A page of the log, the newest first.
#[derive(Clone, Debug, Default)]
pub struct LogPage {
    /// Its lines.
    pub lines: Vec<Backup>,
    /// Where the page before it ends.
    pub previous: Option<Cursor>,
    /// Where the page after it begins.
    pub next: Option<Cursor>,
}

impl Store {
    /// The backup of one upload.
    pub async fn backup(&self, upload: &UploadId) -> Result<Option<Backup>, Error> {
        let found = self
            .collection(schema::BACKUPS)
            .find_one(doc! { "_id": upload.as_str() })
            .await
            .map_err(Error::database("look for a backup"))?;
        found.map(read).transpose()
    }

    /// All uploads of one job, the oldest first.
    pub async fn backups_of_job(&self, job: &JobId) -> Result<Vec<Backup>, Error> {
        self.find_backups(doc! { "job": job.as_str() }, doc! { "_id": 1 }, 0).await
    }

    /// Backups that are neither stored nor rejected, the oldest first.
    pub async fn unfinished_backups(&self) -> Result<Vec<Backup>, Error> {
        let states: Vec<&str> =
            State::ALL.into_iter().filter(|state| !state.is_final()).map(State::as_str).collect();
        self.find_backups(doc! { "state": { "$in": states } }, doc! { "_id": 1 }, 0).await
    }

    /// Backups on their way whose files are not in the state directory `own`, and that have not
    /// changed since `before`; without those whose job was stored since. The oldest first.
    pub async fn stranded_backups(
        &self,
        own: &DirectoryId,
        before: Timestamp,
    ) -> Result<Vec<Backup>, Error> {
        let mut stranded = self.unfinished_backups().await?;
        stranded.retain(|backup| backup.directory.as_ref() != Some(own) && backup.changed < before);
        let jobs: Vec<&str> = stranded.iter().map(|backup| backup.job.as_str()).collect();
        if jobs.is_empty() {
            return Ok(stranded);
        }
        let stored = doc! { "job": { "$in": jobs }, "state": State::Stored.as_str() };
        let stored = self.find_backups(stored, doc! { "_id": 1 }, 0).await?;
        stranded.retain(|backup| stored.iter().all(|other| other.job != backup.job));
        Ok(stranded)
    }

    /// Whether another backup may count on what this one has brought since it was begun: it was
    /// stored since, or is being stored, and what it found there already was not stored again.
    pub async fn is_counted_on(&self, upload: &UploadId, begun: Timestamp) -> Result<bool, Error> {
        let others = doc! {
            "_id": { "$ne": upload.as_str() },
            "$or": [
                { "state": State::Stored.as_str(), "changed": { "$gte": date(begun) } },
                { "state": State::Storing.as_str() },
            ],
        };
        let found = self.collection(schema::BACKUPS).find_one(others).await;
        Ok(found.map_err(Error::database("look for backups that were stored since"))?.is_some())
    }

    /// Jobs of which something may be in the collections that must not be seen yet.
    pub(in crate::store) async fn hidden_jobs(&self) -> Result<Vec<String>, Error> {
        let failed = "look for unfinished backups";
        let jobs_in = |states: Vec<&str>, among: Option<Vec<Bson>>| {
            let mut filter = doc! { "state": { "$in": states } };
            if let Some(among) = among {
                filter.insert("job", doc! { "$in": among });
            }
            let backups = self.collection(schema::BACKUPS);
            async move { backups.distinct("job", filter).await.map_err(Error::database(failed)) }
        };
        let begun = jobs_in(vec![State::Storing.as_str(), State::Waiting.as_str()], None).await?;
        if begun.is_empty() {
            return Ok(Vec::new());
        }
        // Another upload of a job that is stored hides nothing of it.
        let stored = jobs_in(vec![State::Stored.as_str()], Some(begun.clone())).await?;
        let hidden = begun.iter().filter(|job| !stored.contains(job));
        Ok(hidden.filter_map(|job| job.as_str().map(str::to_owned)).collect())
    }

    /// A page of the log, the newest arrival first.
    pub async fn backup_log(&self, position: &Position, limit: u16) -> Result<LogPage, Error> {
        let backwards = matches!(position, Position::Before(_) | Position::Last);
        let (filter, sort) = match position {
            Position::First => (doc! {}, doc! { "_id": -1 }),
            Position::After(cursor) => (doc! { "_id": { "$lt": &cursor.id } }, doc! { "_id": -1 }),
            Position::Before(cursor) => (doc! { "_id": { "$gt": &cursor.id } }, doc! { "_id": 1 }),
            Position::Last => (doc! {}, doc! { "_id": 1 }),
        };
        let mut lines = self.find_backups(filter, sort, i64::from(limit) + 1).await?;
        let more = lines.len() > usize::from(limit);
        lines.truncate(limit.into());
        if backwards {
            lines.reverse();
        }
        let place =
            |line: &Backup| Cursor { millis: None, name: None, id: line.upload.to_string() };
        let (before, after) = match position {
            Position::First => (false, more),
            Position::After(_) => (true, more),
            Position::Before(_) => (more, true),
            Position::Last => (more, false),
        };
        Ok(LogPage {
            previous: lines.first().filter(|_| before).map(place),
            next: lines.last().filter(|_| after).map(place),
            lines,
        })
    }

    /// Backups that somebody has to look after: those that wait or were rejected, and whose job was
    /// not uploaded again since. The newest first, and after them those whose rejection was
    /// acknowledged. No more than `limit`.
    pub async fn unresolved_backups(&self, limit: i64) -> Result<Vec<Backup>, Error> {
        let failed = "look for backups that wait or were rejected";
        let states = [State::Waiting.as_str(), State::Rejected.as_str()];
        let pipeline = [
            doc! { "$match": { "state": { "$in": &states[..] }, "superseded": { "$ne": true } } },
            doc! { "$addFields": {
                "is_known": { "$cond": [{ "$gt": ["$acknowledged", Bson::Null] }, 1, 0] },
            } },
            doc! { "$sort": { "is_known": 1, "_id": -1 } },
            doc! { "$lookup": {
                "from": schema::BACKUPS,
                "let": { "job": "$job", "upload": "$_id" },
                "pipeline": [
                    { "$match": { "$expr": { "$and": [
                        { "$eq": ["$job", "$$job"] },
                        { "$gt": ["$_id", "$$upload"] },
                    ] } } },
                    { "$limit": 1 },
                    { "$project": { "_id": 1 } },
                ],
                "as": "newer",
            } },
            doc! { "$match": { "newer": { "$size": 0 } } },
            doc! { "$limit": limit },
        ];
        let found = self
            .collection(schema::BACKUPS)
            .aggregate(pipeline)
            .await
            .map_err(Error::database(failed))?;
        let documents: Vec<Document> =
            found.try_collect().await.map_err(Error::database(failed))?;
        documents.into_iter().map(read).collect()
    }

    pub(in crate::store) async fn find_backups(
        &self,
        filter: Document,
        sort: Document,
        limit: i64,
    ) -> Result<Vec<Backup>, Error> {
        let failed = "read the Backup Log";
        let found = self
            .collection(schema::BACKUPS)
            .find(filter)
            .sort(sort)
            .limit(limit)
            .await
            .map_err(Error::database(failed))?;
        let documents: Vec<Document> =
            found.try_collect().await.map_err(Error::database(failed))?;
        documents.into_iter().map(read).collect()
    }
}
