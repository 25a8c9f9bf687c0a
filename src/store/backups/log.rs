//! Reading the log: one backup, all of a job, and pages of it.

use std::collections::HashMap;

use bson::{Bson, DateTime, Document, doc};
use futures_util::TryStreamExt;
use jiff::Timestamp;
use serde::Deserialize;

use super::{Backup, Held, date, from_document, line::read, query::LogQuery, to_bson};
use crate::{
    backup::{
        DirectoryId, JobId, RejectionCode, State, UploadId, retention::Status, verdict::Conflicts,
    },
    store::{Cursor, Error, Store, schema},
};

/// What contradicts a job, as it is added up.
#[derive(Deserialize)]
struct Contradiction {
    _id: JobId,
    uploads: i64,
    file: String,
    arrived: DateTime,
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

    /// What contradicts each of some jobs: uploads that were rejected because others of the same job
    /// were stored, and that nobody has settled. A job without any is left out.
    pub async fn conflicts(&self, jobs: &[JobId]) -> Result<HashMap<JobId, Conflicts>, Error> {
        let failed = "look for uploads that contradict others";
        let jobs: Vec<&str> = jobs.iter().map(JobId::as_str).collect();
        let pipeline = [
            doc! { "$match": {
                "job": { "$in": jobs },
                "state": State::Rejected.as_str(),
                "rejection.code": to_bson(&RejectionCode::Conflict)?,
                "superseded": { "$ne": true },
                "acknowledged": Bson::Null,
            } },
            doc! { "$sort": { "_id": 1 } },
            doc! { "$group": {
                "_id": "$job",
                "uploads": { "$sum": 1 },
                "file": { "$last": "$file" },
                "arrived": { "$last": "$arrived" },
            } },
        ];
        let found = self.collection(schema::BACKUPS).aggregate(pipeline).await;
        let found: Vec<Document> = found
            .map_err(Error::database(failed))?
            .try_collect()
            .await
            .map_err(Error::database(failed))?;
        found.into_iter().map(contradiction).collect()
    }

    /// How many backups are stored, and how many of them are only copies.
    pub async fn stored_backups(&self) -> Result<Held, Error> {
        let count = async |more: Document| {
            let mut filter = doc! { "state": State::Stored.as_str() };
            filter.extend(more);
            let count = self.collection(schema::BACKUPS).count_documents(filter).await;
            count.map_err(Error::database("count stored backups"))
        };
        let completed = doc! { "deletion.status": Status::Completed.as_str() };
        Ok(Held { stored: count(doc! {}).await?, only_copies: count(completed).await? })
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

    /// Some lines of the log from a place in it on, in the order of a walk: backwards, the nearest
    /// comes first.
    pub async fn log_lines(
        &self,
        query: &LogQuery,
        from: Option<&Cursor>,
        backwards: bool,
        limit: usize,
    ) -> Result<Vec<Backup>, Error> {
        let mut filter = query.base();
        if let Some(from) = from {
            filter = doc! { "$and": [filter, query.beyond(from, backwards)] };
        }
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.find_backups(filter, query.sort(backwards), limit).await
    }

    /// How many lines there are, as far as states tell.
    pub async fn count_log(&self, query: &LogQuery) -> Result<u64, Error> {
        self.collection(schema::BACKUPS)
            .count_documents(query.base())
            .await
            .map_err(Error::database("count the lines of the Backup Log"))
    }

    /// The last that arrived, of whatever state.
    pub async fn newest_backups(&self, limit: u16) -> Result<Vec<Backup>, Error> {
        self.find_backups(doc! {}, doc! { "_id": -1 }, limit.into()).await
    }

    /// Backups of a service that are stored and were made before a time, the newest first.
    pub async fn stored_before(
        &self,
        service: &str,
        made: Timestamp,
        limit: usize,
    ) -> Result<Vec<Backup>, Error> {
        let filter = doc! {
            "taken": { "$lt": date(made) },
            "service": service,
            "state": State::Stored.as_str(),
        };
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.find_backups(filter, doc! { "taken": -1, "_id": -1 }, limit).await
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

fn contradiction(document: Document) -> Result<(JobId, Conflicts), Error> {
    let id = document.get_str("_id").unwrap_or("without an id").to_owned();
    let unreadable = |why: String| Error::Unreadable { what: "backup", id, why };
    let read = |document| {
        let Contradiction { _id, uploads, file, arrived } = from_document(document)?;
        let arrived = Timestamp::from_millisecond(arrived.timestamp_millis());
        let arrived = arrived.map_err(|error| error.to_string())?;
        Ok((_id, Conflicts { uploads: uploads.try_into().unwrap_or(1), file, arrived }))
    };
    read(document).map_err(unreadable)
}
