//! Which stored backups are to be held against their receipts again, and what came of it.
//!
//! The result stands in a backup's line, so that whoever looks next knows when it was checked last.
//! One that was never checked again counts as checked when it was stored.

use bson::{Document, doc};
use futures_util::TryStreamExt;
use jiff::Timestamp;

use super::{
    Error, Store,
    backups::{Backup, date, line},
    schema, whole,
};
use crate::backup::{
    DirectoryId, State, UploadId, Verified,
    history::{Event, What},
    retention::Status,
};

/// How many backups are named.
const NAMED: i64 = 20;

/// Since when a backup must not have been checked for it to be due.
#[derive(Clone, Copy, Debug)]
pub struct Due {
    /// One of which ours is the only copy.
    pub only_copy: Timestamp,
    /// Any other.
    pub other: Timestamp,
    /// One that was not as it was received.
    pub differing: Timestamp,
}

/// How it stands with the checks of all stored backups.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Standing {
    /// Those that were not as they were received when they were checked last.
    pub differing: Vec<Backup>,
    /// How many should have been checked long ago.
    pub overdue: u64,
    /// Those that should have had their receipt long ago.
    pub without_receipt: Vec<Backup>,
}

impl Store {
    /// The backup whose check is due for the longest time, among those whose files are in the state
    /// directory `own`; without those in `but`. One without a receipt cannot be checked.
    pub async fn backup_to_verify(
        &self,
        own: &DirectoryId,
        due: Due,
        but: &[UploadId],
    ) -> Result<Option<Backup>, Error> {
        let but: Vec<&str> = but.iter().map(UploadId::as_str).collect();
        let among = doc! {
            "_id": { "$nin": but },
            "directory": { "$in": [own.as_str(), bson::Bson::Null] },
        };
        let mut pipeline = due_pipeline(among, due);
        pipeline.push(doc! { "$limit": 1 });
        Ok(self.find_by(pipeline).await?.pop())
    }

    /// Writes down what came of a check. A change of what is so is in the backup's history.
    pub async fn note_verified(&self, upload: &UploadId, found: &Verified) -> Result<(), Error> {
        let set = doc! { "verified": line::verified(found)? };
        let (is_news, what) = if found.is_ok() {
            (doc! { "_id": upload.as_str(), "verified.ok": false }, What::AsReceived)
        } else {
            (doc! { "_id": upload.as_str(), "verified.ok": { "$ne": false } }, What::Differs)
        };
        let event = Event::new(found.at, what, Some(found.sentence()));
        if self.write_line(is_news, set.clone(), doc! {}, &event).await? {
            return Ok(());
        }
        self.collection(schema::BACKUPS)
            .update_one(doc! { "_id": upload.as_str() }, doc! { "$set": set })
            .await
            .map_err(Error::database("note what came of a check"))?;
        Ok(())
    }

    /// How it stands with all stored backups, where those checked before `overdue` are overdue, and
    /// those stored before `receipts` should have one.
    pub async fn verification(&self, overdue: Due, receipts: Timestamp) -> Result<Standing, Error> {
        let differing = doc! { "state": State::Stored.as_str(), "verified.ok": false };
        let differing = self.find_backups(differing, doc! { "_id": -1 }, NAMED).await?;
        let mut counted = due_pipeline(doc! {}, overdue);
        counted.push(doc! { "$count": "overdue" });
        let counted = self.documents(counted).await?;
        let overdue = counted.first().and_then(|found| found.get("overdue")).and_then(whole);
        // Those of versions that gave no receipts have no directory, and those with a receipt know
        // what became of their archive.
        let waiting = vec![
            doc! { "$match": {
                "state": State::Stored.as_str(),
                "directory": { "$exists": true },
                "archive_kept": { "$exists": false },
                "changed": { "$lt": date(receipts) },
            } },
            with_receipts(),
            doc! { "$match": { "receipts": { "$size": 0 } } },
            doc! { "$limit": NAMED },
        ];
        let without_receipt = self.find_by(waiting).await?;
        Ok(Standing { differing, overdue: overdue.unwrap_or(0), without_receipt })
    }

    async fn find_by(&self, pipeline: Vec<Document>) -> Result<Vec<Backup>, Error> {
        self.documents(pipeline).await?.into_iter().map(line::read).collect()
    }

    async fn documents(&self, pipeline: Vec<Document>) -> Result<Vec<Document>, Error> {
        let failed = "look for backups to check again";
        let found = self.collection(schema::BACKUPS).aggregate(pipeline).await;
        let found = found.map_err(Error::database(failed))?;
        found.try_collect().await.map_err(Error::database(failed))
    }
}

/// Stored backups with a receipt that are due, the one that was checked longest ago first.
fn due_pipeline(mut among: Document, due: Due) -> Vec<Document> {
    among.insert("state", State::Stored.as_str());
    let before = |time: Timestamp| doc! { "$lt": date(time) };
    vec![
        doc! { "$match": among },
        doc! { "$addFields": { "checked": { "$ifNull": ["$verified.at", "$changed"] } } },
        doc! { "$match": { "$or": [
            { "deletion.status": Status::Completed.as_str(), "checked": before(due.only_copy) },
            { "checked": before(due.other) },
            { "verified.ok": false, "checked": before(due.differing) },
        ] } },
        doc! { "$sort": { "checked": 1, "_id": 1 } },
        with_receipts(),
        doc! { "$match": { "receipts.0": { "$exists": true } } },
    ]
}

fn with_receipts() -> Document {
    doc! { "$lookup": {
        "from": schema::RECEIPT_FILES,
        "localField": "_id",
        "foreignField": "metadata.upload",
        "as": "receipts",
    } }
}
