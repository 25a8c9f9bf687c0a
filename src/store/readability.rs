//! Which media were examined, and what came of it.
//!
//! It stands beside each medium, in `metadata.examined`. A medium is examined once, under the
//! backup that first brought it; which later backups hold it as well, `media.repeated` knows, and
//! under which name.

use std::collections::HashMap;

use bson::{Bson, Document, doc};
use futures_util::TryStreamExt;

use super::{
    Error, Store,
    backups::{Backup, date, line, to_bson},
    media::{self, Medium},
    schema, whole,
};
use crate::{
    accounts::DataType,
    backup::{
        DirectoryId, Examined, JobId, MediumId, Readability, State, UploadId,
        examined::{DamagedMedium, ENDINGS, MediumKind, NAMED},
    },
};

/// How many backups are asked for at once.
const TOGETHER: i64 = 100;

/// A pattern of media types of what is a picture, sound, video or PDF.
const MEDIA_TYPES: &str = r"^\s*(image/|audio/|video/|application/(x-)?pdf)";

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

    /// Whether a record says of a medium that it is a picture, sound, video or PDF: by the media type
    /// or the name that a file's record gives, or because it is of a voicemail or a recording.
    pub async fn says_so(&self, id: &MediumId) -> Result<bool, Error> {
        let (id, failed) = (id.to_string(), "ask what records say of a medium");
        for data_type in schema::NAMING {
            let mut wanted = doc! { "medium": &id };
            if data_type == DataType::Files {
                wanted.insert(
                    "$or",
                    [
                        doc! { "mime": { "$regex": MEDIA_TYPES, "$options": "i" } },
                        doc! { "name": { "$regex": endings(), "$options": "i" } },
                    ]
                    .to_vec(),
                );
            }
            let records = self.collection(schema::table(data_type));
            let found = records.find_one(wanted).projection(doc! { "_id": 1 }).await;
            if found.map_err(Error::database(failed))?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
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

    /// Backups whose media are in their archives alone and were not examined there by these rules,
    /// among those that may lie in the state directory `own`: the newest first, some at a time.
    ///
    /// Those are the ones that were not unpacked. Older versions did not note the mode: of theirs,
    /// those that had media, of which the store has none.
    pub async fn shelved_to_examine(
        &self,
        own: &DirectoryId,
        rules: i32,
    ) -> Result<Vec<Backup>, Error> {
        let failed = "look for media to examine in archives";
        let first = |from: &str, field: &str, found: &str| {
            doc! { "$lookup": {
                "from": from,
                "let": { "job": "$job" },
                "pipeline": [
                    { "$match": { "$expr": { "$eq": [format!("${field}"), "$$job"] } } },
                    { "$limit": 1 },
                    { "$project": { "_id": 1 } },
                ],
                "as": found,
            } }
        };
        let pipeline = [
            doc! { "$match": {
                "state": State::Stored.as_str(),
                "directory": { "$in": [own.as_str(), Bson::Null] },
                "readability.rules": { "$not": { "$gte": rules } },
                "$or": [
                    { "modes.online": false },
                    {
                        "modes": Bson::Null,
                        "archive_kept": { "$ne": false },
                        "progress.media": { "$gt": 0 },
                    },
                ],
            } },
            doc! { "$sort": { "_id": -1 } },
            first(schema::MEDIA_FILES, "metadata.backup", "brought"),
            first(schema::MEDIA_REPEATED, "backup", "repeated"),
            doc! { "$match": { "$or": [
                { "modes.online": false },
                { "brought": { "$size": 0 }, "repeated": { "$size": 0 } },
            ] } },
            doc! { "$limit": TOGETHER },
        ];
        let found = self.collection(schema::BACKUPS).aggregate(pipeline).await;
        let found = found.map_err(Error::database(failed))?;
        let found: Vec<Document> = found.try_collect().await.map_err(Error::database(failed))?;
        found.into_iter().map(line::read).collect()
    }

    /// Writes down how readable the media of a backup are in its archive.
    pub async fn note_readability(
        &self,
        upload: &UploadId,
        found: &Readability,
        rules: i32,
    ) -> Result<(), Error> {
        let set = doc! { "readability": { "rules": rules, "found": to_bson(found)? } };
        self.collection(schema::BACKUPS)
            .update_one(doc! { "_id": upload.as_str() }, doc! { "$set": set })
            .await
            .map_err(Error::database("note how readable media are"))?;
        Ok(())
    }

    /// How readable the media of a backup are by these rules, whichever backup first brought them,
    /// and which of them are damaged or were not decoded.
    pub async fn readability(&self, job: &JobId, rules: i32) -> Result<Readability, Error> {
        let mut all = self.readabilities(std::slice::from_ref(job), rules).await?;
        let mut found = all.remove(job).unwrap_or_default();
        if found.damaged + found.not_decoded() > 0 {
            found.examples = self.damaged(job, rules).await?;
        }
        Ok(found)
    }

    /// The same of many backups at once, without examples. One whose media nobody knows is left out.
    pub async fn readabilities(
        &self,
        jobs: &[JobId],
        rules: i32,
    ) -> Result<HashMap<JobId, Readability>, Error> {
        let jobs: Vec<&str> = jobs.iter().map(JobId::as_str).collect();
        let mut found = HashMap::new();
        let key = |job: &str, outcome: Bson| {
            doc! { "$group": {
                "_id": {
                    "job": job,
                    "outcome": outcome,
                    "whole": "$metadata.examined.whole",
                    "kind": "$metadata.examined.kind",
                    "rules": "$metadata.examined.rules",
                },
                "count": { "$sum": 1 },
            } }
        };
        let own = vec![
            doc! { "$match": { "metadata.backup": { "$in": &jobs } } },
            key("$metadata.backup", "$metadata.examined.outcome".into()),
        ];
        // Avatars come in each backup: each of them is looked up once for all backups that hold it.
        let again = vec![
            doc! { "$match": { "backup": { "$in": &jobs } } },
            doc! { "$project": { "backup": 1, "medium": 1, "says_so": says_so("$entry") } },
            doc! { "$group": { "_id": "$medium", "held": { "$push": { "job": "$backup", "says_so": "$says_so" } } } },
            doc! { "$lookup": { "from": schema::MEDIA_FILES, "localField": "_id", "foreignField": "_id", "as": "file" } },
            doc! { "$unwind": { "path": "$file", "preserveNullAndEmptyArrays": true } },
            doc! { "$project": { "held": 1, "metadata": "$file.metadata" } },
            doc! { "$unwind": "$held" },
            // Work that was cut off and done again meets what it brought itself.
            doc! { "$match": { "$expr": { "$ne": ["$metadata.backup", "$held.job"] } } },
            key("$held.job", outcome_where("$held.says_so".into())),
        ];
        for (collection, pipeline) in [(schema::MEDIA_FILES, own), (schema::MEDIA_REPEATED, again)]
        {
            for group in self.added_up(collection, pipeline).await? {
                add(&group, rules, &mut found);
            }
        }
        Ok(found)
    }

    /// Some of the media of a backup that are damaged or were not decoded.
    async fn damaged(&self, job: &JobId, rules: i32) -> Result<Vec<DamagedMedium>, Error> {
        let own = vec![doc! { "$match": { "metadata.backup": job.as_str() } }];
        let again = vec![
            doc! { "$match": { "backup": job.as_str() } },
            doc! { "$lookup": { "from": schema::MEDIA_FILES, "localField": "medium", "foreignField": "_id", "as": "file" } },
            doc! { "$unwind": "$file" },
            doc! { "$match": { "file.metadata.backup": { "$ne": job.as_str() } } },
            doc! { "$project": { "filename": "$entry", "metadata": "$file.metadata" } },
            doc! { "$addFields": { "metadata.examined.outcome": outcome_where(says_so("$filename")) } },
        ];
        let mut damaged = Vec::new();
        for (collection, mut pipeline) in
            [(schema::MEDIA_FILES, own), (schema::MEDIA_REPEATED, again)]
        {
            let room = NAMED.saturating_sub(damaged.len());
            if room == 0 {
                break;
            }
            pipeline.extend([
                doc! { "$match": { "metadata.examined.outcome": { "$in": ["damaged", "not-decoded"] }, "metadata.examined.rules": { "$gte": rules } } },
                doc! { "$sort": { "filename": 1 } },
                doc! { "$limit": i64::try_from(room).unwrap_or(i64::MAX) },
            ]);
            damaged.extend(self.added_up(collection, pipeline).await?.iter().map(named));
        }
        Ok(damaged)
    }

    async fn added_up(
        &self,
        collection: &str,
        pipeline: Vec<Document>,
    ) -> Result<Vec<Document>, Error> {
        let failed = "ask how readable media are";
        let found = self.collection(collection).aggregate(pipeline).allow_disk_use(true).await;
        found.map_err(Error::database(failed))?.try_collect().await.map_err(Error::database(failed))
    }
}

/// Whether the name that stands in `field` says that this is to be decoded.
fn says_so(field: &str) -> Bson {
    let name = doc! { "$ifNull": [field, ""] };
    doc! { "$regexMatch": { "input": name, "regex": endings(), "options": "i" } }.into()
}

/// What came of a medium where an entry holds it whose name `says_so`, which the first one's may not
/// have done.
fn outcome_where(says_so: Bson) -> Bson {
    let is_not_examined = doc! { "$eq": ["$metadata.examined.outcome", "not-examined"] };
    let both = doc! { "$and": [is_not_examined, says_so] };
    doc! { "$cond": [both, "not-decoded", "$metadata.examined.outcome"] }.into()
}

/// A pattern of the names that [`says_so`](crate::backup::examined::says_so) of.
fn endings() -> String {
    format!(r"\.({})$", ENDINGS.join("|"))
}

/// Adds a group of media with the same outcome to the backup that they belong to.
fn add(group: &Document, rules: i32, to: &mut HashMap<JobId, Readability>) {
    let count = group.get("count").and_then(whole).unwrap_or(0);
    let key = group.get_document("_id").cloned().unwrap_or_default();
    let Some(job) = key.get_str("job").ok().and_then(|job| job.parse().ok()) else { return };
    let to = to.entry(job).or_default();
    let is_current = key.get_i32("rules").is_ok_and(|by| by >= rules);
    let is_whole = key.get_bool("whole").unwrap_or(false);
    *match key.get_str("outcome").ok().filter(|_| is_current) {
        Some("readable") if is_whole => &mut to.readable,
        Some("readable") => &mut to.readable_in_part,
        Some("damaged") => &mut to.damaged,
        Some("not-decoded") => {
            let kind = key.get("kind").cloned().map(bson::deserialize_from_bson);
            let kind = kind.and_then(Result::ok).unwrap_or(MediumKind::Unknown);
            to.not_decoded.entry(kind).or_default()
        }
        Some("not-examined") => &mut to.not_examined,
        _ => &mut to.waiting,
    } += count;
}

fn named(file: &Document) -> DamagedMedium {
    let examined = file
        .get_document("metadata")
        .and_then(|metadata| metadata.get_document("examined"))
        .and_then(|examined| examined.get_str("why"));
    DamagedMedium {
        entry: file.get_str("filename").unwrap_or_default().to_owned(),
        why: examined.unwrap_or_default().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_examined_by_older_rules_still_waits() {
        let job: JobId = "2ed1076d-f512-4316-be8f-e6d1a3a6ae52".parse().expect("an id");
        let mut all = HashMap::new();
        for (outcome, whole, rules, count) in [
            (Some("readable"), Some(true), Some(2), 1),
            (Some("readable"), Some(false), Some(2), 2),
            (Some("readable"), Some(true), Some(1), 4),
            (Some("damaged"), None, Some(3), 8),
            (Some("not-examined"), None, Some(2), 16),
            (None, None, None, 32),
            (Some("not-decoded"), None, Some(2), 64),
            (Some("not-decoded"), None, Some(1), 128),
        ] {
            let key = doc! {
                "job": job.as_str(), "outcome": outcome, "whole": whole, "rules": rules,
                "kind": "heif",
            };
            add(&doc! { "_id": key, "count": count }, 2, &mut all);
        }
        let expected = Readability {
            readable: 1,
            readable_in_part: 2,
            damaged: 8,
            not_decoded: [(MediumKind::Heif, 64)].into(),
            not_examined: 16,
            waiting: 36 + 128,
            examples: Vec::new(),
        };
        assert_eq!(all.get(&job), Some(&expected));
    }
}
