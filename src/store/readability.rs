//! Which media were examined, and what came of it.
//!
//! It stands beside each medium, in `metadata.examined`. A medium is examined once, under the
//! backup that first brought it; which later backups hold it as well, `media.repeated` knows.

use bson::{Document, doc};
use futures_util::TryStreamExt;

use super::{
    Error, Store,
    backups::{date, to_bson},
    media::{self, Medium},
    schema, whole,
};
use crate::backup::{
    Examined, JobId, MediumId, Readability, State, UploadId,
    examined::{DamagedMedium, NAMED},
};

/// A medium that a backup holds and another one brought.
#[derive(Clone, Debug)]
pub struct Repeated {
    /// The medium.
    pub id: MediumId,
    /// The name of the entry that holds it.
    pub entry: String,
}

impl Store {
    /// Writes down that a backup holds media that were there before.
    pub async fn insert_repeated(&self, job: &JobId, media: &[Repeated]) -> Result<(), Error> {
        if media.is_empty() {
            return Ok(());
        }
        let documents = media.iter().map(|medium| {
            let id = medium.id.to_string();
            doc! { "_id": format!("{job} {id}"), "backup": job.as_str(), "medium": id, "entry": &medium.entry }
        });
        let repeated = self.collection(schema::MEDIA_REPEATED);
        let insert = repeated.insert_many(documents).ordered(false);
        let outcome = insert.write_concern(self.bulk.clone()).await;
        media::ignore_known(outcome.map(|_| ()), "note media that come again")
    }

    /// The newest backup whose media were not all examined by these rules.
    pub async fn backup_to_examine(&self, rules: i32) -> Result<Option<(UploadId, JobId)>, Error> {
        let failed = "look for media to examine";
        let wanted = doc! { "state": State::Stored.as_str(), "media_examined": { "$not": { "$gte": rules } } };
        let found = self
            .collection(schema::BACKUPS)
            .find_one(wanted)
            .sort(doc! { "_id": -1 })
            .projection(doc! { "job": 1 })
            .await
            .map_err(Error::database(failed))?;
        let Some(line) = found else { return Ok(None) };
        let text = |name| line.get_str(name).unwrap_or_default();
        match (text("_id").parse(), text("job").parse()) {
            (Ok(upload), Ok(job)) => Ok(Some((upload, job))),
            _ => Err(Error::Unreadable {
                what: "backup",
                id: text("_id").to_owned(),
                why: "its ids are none".to_owned(),
            }),
        }
    }

    /// Some of the media that a backup brought and that were not examined by these rules.
    pub async fn media_to_examine(
        &self,
        job: &JobId,
        rules: i32,
        limit: i64,
    ) -> Result<Vec<Medium>, Error> {
        let failed = "look for media to examine";
        let wanted = doc! {
            "metadata.backup": job.as_str(),
            "metadata.examined.rules": { "$not": { "$gte": rules } },
        };
        let files = self.collection(schema::MEDIA_FILES);
        let found = files.find(wanted).limit(limit).await.map_err(Error::database(failed))?;
        let found: Vec<Document> = found.try_collect().await.map_err(Error::database(failed))?;
        found.iter().map(media::read).collect()
    }

    /// Writes down what came of a medium.
    pub async fn note_examined(&self, id: &MediumId, examined: &Examined) -> Result<(), Error> {
        let mut examined_bson = to_bson(examined)?;
        if let Some(document) = examined_bson.as_document_mut() {
            document.insert("at", date(examined.at));
        }
        self.collection(schema::MEDIA_FILES)
            .update_one(
                doc! { "_id": id.to_string() },
                doc! { "$set": { "metadata.examined": examined_bson } },
            )
            .write_concern(self.bulk.clone())
            .await
            .map_err(Error::database("note what a medium was found to be"))?;
        Ok(())
    }

    /// Writes down that all media that a backup brought were examined by these rules.
    pub async fn note_media_examined(&self, upload: &UploadId, rules: i32) -> Result<(), Error> {
        self.collection(schema::BACKUPS)
            .update_one(
                doc! { "_id": upload.as_str() },
                doc! { "$set": { "media_examined": rules } },
            )
            .await
            .map_err(Error::database("note that media were examined"))?;
        Ok(())
    }

    /// How readable the media of a backup are by these rules, whichever backup first brought
    /// them.
    pub async fn readability(&self, job: &JobId, rules: i32) -> Result<Readability, Error> {
        let own = [doc! { "$match": { "metadata.backup": job.as_str() } }];
        let again = [
            doc! { "$match": { "backup": job.as_str() } },
            doc! { "$lookup": { "from": schema::MEDIA_FILES, "localField": "medium", "foreignField": "_id", "as": "file" } },
            doc! { "$unwind": { "path": "$file", "preserveNullAndEmptyArrays": true } },
            // Work that was cut off and done again meets what it brought itself.
            doc! { "$match": { "file.metadata.backup": { "$ne": job.as_str() } } },
            doc! { "$project": { "filename": "$entry", "metadata": "$file.metadata" } },
        ];
        let mut found = Readability::default();
        self.add_up(schema::MEDIA_FILES, &own, rules, &mut found).await?;
        self.add_up(schema::MEDIA_REPEATED, &again, rules, &mut found).await?;
        Ok(found)
    }

    async fn add_up(
        &self,
        collection: &str,
        media: &[Document],
        rules: i32,
        to: &mut Readability,
    ) -> Result<(), Error> {
        let failed = "ask how readable media are";
        let collection = self.collection(collection);
        let run = |last: Vec<Document>| {
            let pipeline: Vec<Document> = media.iter().cloned().chain(last).collect();
            let collection = &collection;
            async move {
                let found =
                    collection.aggregate(pipeline).await.map_err(Error::database(failed))?;
                found.try_collect::<Vec<Document>>().await.map_err(Error::database(failed))
            }
        };
        let examined = "$metadata.examined";
        let groups = run(vec![doc! { "$group": {
            "_id": {
                "outcome": format!("{examined}.outcome"),
                "whole": format!("{examined}.whole"),
                "current": { "$gte": [format!("{examined}.rules"), rules] },
            },
            "count": { "$sum": 1 },
        } }]);
        for group in groups.await? {
            let count = group.get("count").and_then(whole).unwrap_or(0);
            let key = group.get_document("_id").cloned().unwrap_or_default();
            let holds = |name| key.get_bool(name).unwrap_or(false);
            let outcome = key.get_str("outcome").ok().filter(|_| holds("current"));
            *match outcome {
                Some("readable") if holds("whole") => &mut to.readable,
                Some("readable") => &mut to.readable_in_part,
                Some("damaged") => &mut to.damaged,
                Some("not-examined") => &mut to.not_examined,
                _ => &mut to.waiting,
            } += count;
        }
        let room = NAMED.saturating_sub(to.examples.len());
        if to.damaged > 0 && room > 0 {
            let damaged = run(vec![
                doc! { "$match": { "metadata.examined.outcome": "damaged", "metadata.examined.rules": { "$gte": rules } } },
                doc! { "$sort": { "filename": 1 } },
                doc! { "$limit": i64::try_from(room).unwrap_or(i64::MAX) },
            ]);
            to.examples.extend(damaged.await?.iter().map(|file| {
                DamagedMedium {
                    entry: file.get_str("filename").unwrap_or_default().to_owned(),
                    why: file
                        .get_document("metadata")
                        .and_then(|metadata| metadata.get_document("examined"))
                        .and_then(|examined| examined.get_str("why"))
                        .unwrap_or_default()
                        .to_owned(),
                }
            }));
        }
        Ok(())
    }
}
