//! What administrators decide about a backup: the deletion of its data from maaiiconnect, for what
//! they take responsibility, and that a rejection is known. Each change is acknowledged by most members
//! and is in the backup's history.

use bson::{Bson, Document, doc};

use super::{
    Error, Store,
    backups::{Backup, line, pushed},
    schema,
};
use crate::backup::{
    Acknowledged, JobId, State, UploadId,
    history::Event,
    retention::{Deletion, Status},
    verdict::Override,
};

impl Store {
    /// Writes down how far a deletion is, over the status that it was thought to have.
    ///
    /// Returns false, and changes nothing, if the backup has another status by now.
    pub async fn change_deletion(
        &self,
        upload: &UploadId,
        from: Status,
        deletion: &Deletion,
        event: &Event,
    ) -> Result<bool, Error> {
        let mut filter = doc! { "_id": upload.as_str(), "state": State::Stored.as_str() };
        match from {
            Status::Uploading | Status::Uploaded => {
                filter.insert("deletion", doc! { "$exists": false });
            }
            Status::Deleting | Status::Failed | Status::Completed => {
                filter.insert("deletion.status", from.as_str());
            }
        }
        let set = doc! { "deletion": line::deletion(deletion)? };
        self.write_line(filter, set, doc! {}, event).await
    }

    /// Writes down for what somebody takes responsibility.
    pub async fn take_responsibility(
        &self,
        upload: &UploadId,
        word: &Override,
        event: &Event,
    ) -> Result<bool, Error> {
        let filter = doc! { "_id": upload.as_str(), "state": State::Stored.as_str() };
        let pushed = doc! { "overrides": line::word(word)? };
        self.write_line(filter, doc! {}, pushed, event).await
    }

    /// Writes down that a rejection is known. Returns false, and changes nothing, if the backup is
    /// not rejected, or is acknowledged already.
    pub async fn acknowledge_rejection(
        &self,
        upload: &UploadId,
        word: &Acknowledged,
        event: &Event,
    ) -> Result<bool, Error> {
        let filter = doc! {
            "_id": upload.as_str(),
            "state": State::Rejected.as_str(),
            "acknowledged": { "$exists": false },
        };
        let set = doc! { "acknowledged": line::acknowledged(word)? };
        self.write_line(filter, set, doc! {}, event).await
    }

    /// Writes into the history of a job's rejected upload, if there is one that nothing took the place
    /// of, that it was asked for once more.
    pub async fn note_asked_again(&self, job: &JobId, event: &Event) -> Result<(), Error> {
        let filter = doc! {
            "job": job.as_str(),
            "state": State::Rejected.as_str(),
            "superseded": { "$ne": true },
        };
        self.write_line(filter, doc! {}, doc! {}, event).await.map(drop)
    }

    /// Backups whose data is being deleted from maaiiconnect, the oldest first.
    pub async fn deletions(&self) -> Result<Vec<Backup>, Error> {
        let filter = doc! { "deletion.status": Status::Deleting.as_str() };
        self.find_backups(filter, doc! { "_id": 1 }, 0).await
    }

    /// Backups whose deletion from maaiiconnect was asked for and is not completed, the newest first.
    pub async fn unsettled_deletions(&self, limit: i64) -> Result<Vec<Backup>, Error> {
        let unsettled = [Status::Deleting.as_str(), Status::Failed.as_str()];
        let filter = doc! { "deletion.status": { "$in": unsettled.to_vec() } };
        self.find_backups(filter, doc! { "_id": -1 }, limit).await
    }

    /// Those of some jobs that are stored and of which nothing is being deleted, as far as is known here.
    pub async fn stored_and_kept<'a>(
        &self,
        jobs: impl IntoIterator<Item = &'a JobId>,
    ) -> Result<Vec<Backup>, Error> {
        let jobs: Vec<&str> = jobs.into_iter().map(JobId::as_str).collect();
        if jobs.is_empty() {
            return Ok(Vec::new());
        }
        let filter = doc! {
            "job": { "$in": jobs },
            "state": State::Stored.as_str(),
            "deletion.status": { "$in": [Bson::Null, Bson::from(Status::Failed.as_str())] },
        };
        self.find_backups(filter, doc! { "_id": 1 }, 0).await
    }

    /// Writes down that maaiiconnect was asked for a deletion that goes on.
    pub async fn note_passed_on(&self, upload: &UploadId) -> Result<(), Error> {
        let wanted = doc! { "_id": upload.as_str(), "deletion.status": Status::Deleting.as_str() };
        self.collection(schema::BACKUPS)
            .update_one(wanted, doc! { "$set": { "deletion.passed_on": true } })
            .await
            .map_err(Error::database("note that a deletion was asked for"))?;
        Ok(())
    }

    pub(super) async fn write_line(
        &self,
        filter: Document,
        set: Document,
        mut push: Document,
        event: &Event,
    ) -> Result<bool, Error> {
        push.extend(pushed(event)?);
        let mut update = doc! { "$push": push };
        if !set.is_empty() {
            update.insert("$set", set);
        }
        let outcome = self
            .collection(schema::BACKUPS)
            .update_one(filter, update)
            .await
            .map_err(Error::database("write to the line of a backup"))?;
        Ok(outcome.matched_count == 1)
    }
}
