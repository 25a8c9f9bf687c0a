//! Putting records in, so that nothing is overwritten and nothing comes twice.
//!
//! A record is inserted as version 1 of its id. Where that id exists already,
//! the record is either the same as a version that is there, and nothing is
//! written, or it becomes the next version. Staff and contacts come anew in every
//! backup, so "the same" is asked of the version that was current when the backup
//! was made, and of everything that this very backup brought before.
//!
//! Only one backup is stored at a time, so only its own batches compete for a version.

use std::collections::{BTreeMap, HashMap, HashSet};

use bson::{RawDocumentBuf, doc};
use futures_util::TryStreamExt;
use mongodb::error::{ErrorKind, InsertManyError};

use super::{
    Error, RecordKey, Store,
    brought::Brought,
    document::{NewRecord, Origin},
    schema,
};
use crate::{accounts::DataType, backup::JobId, records::Dataset};

/// The server's code for a key that is there already.
const DUPLICATE_KEY: i32 = 11000;

/// How often storing new versions is tried while others are stored beside them.
const VERSION_ATTEMPTS: usize = 20;

/// Versions that are asked for at once.
const VERSIONS_AT_ONCE: i32 = 8;

/// What a batch of records became.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inserted {
    /// Ids that were new.
    pub new: u64,
    /// Known ids with new content.
    pub versions: u64,
    /// Records that were there already.
    pub known: u64,
    /// The documents that were written.
    pub brought: Brought,
}

/// A version of a record that is in the store.
struct Known {
    version: i32,
    taken_millis: i64,
    backup: String,
    content: Vec<u8>,
}

impl Store {
    /// Stores records of one dataset that `origin` brought, acknowledged by the primary.
    pub async fn insert_records(
        &self,
        dataset: Dataset,
        origin: &Origin,
        records: Vec<NewRecord>,
    ) -> Result<Inserted, Error> {
        let documents: Vec<&RawDocumentBuf> =
            records.iter().map(|record| &record.document).collect();
        let collection = self.db.collection::<RawDocumentBuf>(schema::collection(dataset));
        let insert = collection.insert_many(documents).ordered(false);
        let outcome = insert.write_concern(self.bulk.clone()).await;
        let taken = match outcome {
            Ok(_) => Vec::new(),
            Err(error) => taken_ids(error)?,
        };
        let mut inserted =
            Inserted { new: (records.len() - taken.len()) as u64, ..Inserted::default() };
        for (_, record) in without(&records, &taken) {
            inserted.brought.add(dataset, &record.document);
        }
        if !taken.is_empty() {
            let again: Vec<&NewRecord> =
                taken.iter().filter_map(|index| records.get(*index)).collect();
            self.insert_versions(dataset, origin, &again, &mut inserted).await?;
        }
        Ok(inserted)
    }

    /// Stores what is new among records whose ids are known.
    ///
    /// Batches of one backup are on their way at the same time, so a version may be
    /// taken between looking and storing; then it is looked again.
    async fn insert_versions(
        &self,
        dataset: Dataset,
        origin: &Origin,
        records: &[&NewRecord],
        inserted: &mut Inserted,
    ) -> Result<(), Error> {
        let mut open: Vec<&NewRecord> = records.to_vec();
        for _ in 0..VERSION_ATTEMPTS {
            let (next, known) = self.next_versions(dataset, origin, &open).await?;
            inserted.known += known;
            if next.is_empty() {
                return Ok(());
            }
            let documents = next.iter().map(|(_, document)| document);
            let collection = self.db.collection::<RawDocumentBuf>(schema::collection(dataset));
            let insert = collection.insert_many(documents).ordered(false);
            let taken = match insert.write_concern(self.bulk.clone()).await {
                Ok(_) => Vec::new(),
                Err(error) => taken_ids(error)?,
            };
            inserted.versions += (next.len() - taken.len()) as u64;
            for (_, (_, document)) in without(&next, &taken) {
                inserted.brought.add(dataset, document);
            }
            open = taken.iter().filter_map(|at| next.get(*at)).map(|(record, _)| *record).collect();
            if open.is_empty() {
                return Ok(());
            }
        }
        Err(Error::Unreadable {
            what: "versions of a record",
            id: open.first().map(|record| record.id.clone()).unwrap_or_default(),
            why: "they change while they are being stored".to_owned(),
        })
    }

    /// The documents of those records that are new versions, and how many are not.
    async fn next_versions<'a>(
        &self,
        dataset: Dataset,
        origin: &Origin,
        records: &[&'a NewRecord],
    ) -> Result<(Vec<(&'a NewRecord, RawDocumentBuf)>, u64), Error> {
        let mut stored = self.versions(dataset, records).await?;
        let (mut next, mut known) = (Vec::new(), 0);
        for record in records.iter().copied() {
            let versions = stored.entry(record.id.as_str()).or_default();
            let content = content(&record.document);
            if is_known(versions, origin, &content) {
                known += 1;
                continue;
            }
            let version = versions.iter().map(|known| known.version).max().unwrap_or(0) + 1;
            next.push((record, record.as_version(dataset, version)));
            versions.push(Known {
                version,
                taken_millis: origin.taken_millis,
                backup: origin.job.to_string(),
                content,
            });
        }
        Ok((next, known))
    }

    /// All stored versions of the ids of `records`.
    async fn versions<'a>(
        &self,
        dataset: Dataset,
        records: &[&'a NewRecord],
    ) -> Result<HashMap<&'a str, Vec<Known>>, Error> {
        let mut found: HashMap<&str, Vec<Known>> =
            records.iter().map(|record| (record.id.as_str(), Vec::new())).collect();
        let mut open: Vec<&str> = found.keys().copied().collect();
        let mut first = 1;
        while !open.is_empty() {
            let last = first + VERSIONS_AT_ONCE - 1;
            let keys: Vec<String> = open
                .iter()
                .flat_map(|id| {
                    (first..=last).map(move |version| RecordKey::new(dataset, id, version).0)
                })
                .collect();
            let mut stored = self
                .db
                .collection::<RawDocumentBuf>(schema::collection(dataset))
                .find(doc! { "_id": { "$in": keys } })
                .await
                .map_err(Error::database("look for earlier versions"))?;
            while let Some(document) =
                stored.try_next().await.map_err(Error::database("read earlier versions"))?
            {
                let Ok(id) = document.get_str("id") else {
                    continue;
                };
                if let Some(versions) = found.get_mut(id) {
                    versions.push(Known {
                        version: document.get_i32("version").unwrap_or(1),
                        taken_millis: document
                            .get_datetime("taken")
                            .map_or(0, |time| time.timestamp_millis()),
                        backup: document.get_str("backup").unwrap_or_default().to_owned(),
                        content: content(&document),
                    });
                }
            }
            open.retain(|id| found[id].iter().any(|known| known.version == last));
            first = last + 1;
        }
        Ok(found)
    }

    /// Takes out everything that a backup brought that will not be stored.
    pub async fn take_out(&self, job: &JobId) -> Result<(), Error> {
        for data_type in DataType::ALL {
            self.collection(schema::table(data_type))
                .delete_many(doc! { "backup": job.as_str() })
                .await
                .map_err(Error::database("take records of a rejected backup out"))?;
        }
        Ok(())
    }

    /// How many records of each dataset a backup was the first to bring.
    pub async fn count_brought(&self, job: &JobId) -> Result<BTreeMap<String, u64>, Error> {
        let mut counts = BTreeMap::new();
        for dataset in Dataset::ALL {
            let count = self
                .collection(schema::collection(dataset))
                .count_documents(doc! { "backup": job.as_str(), "dataset": dataset.as_str() })
                .await
                .map_err(Error::database("count the records of a backup"))?;
            if count > 0 {
                counts.insert(dataset.as_str().to_owned(), count);
            }
        }
        Ok(counts)
    }
}

/// Those that were not refused, with their places.
fn without<'a, T>(all: &'a [T], refused: &[usize]) -> impl Iterator<Item = (usize, &'a T)> {
    let refused: HashSet<usize> = refused.iter().copied().collect();
    all.iter().enumerate().filter(move |(at, _)| !refused.contains(at))
}

/// Whether this content is nothing new, coming from `origin`.
fn is_known(versions: &[Known], origin: &Origin, content: &[u8]) -> bool {
    if versions.iter().any(|known| known.backup == origin.job.as_str() && known.content == content)
    {
        return true;
    }
    let current = versions
        .iter()
        .filter(|known| known.taken_millis <= origin.taken_millis)
        .max_by_key(|known| (known.taken_millis, known.version));
    let current =
        current.or_else(|| versions.iter().min_by_key(|known| (known.taken_millis, known.version)));
    current.is_some_and(|known| known.content == content)
}

/// What was delivered: `raw`, or the digest of what is too long to be in the document.
fn content(document: &bson::RawDocument) -> Vec<u8> {
    match document.get("raw").ok().flatten() {
        Some(bson::RawBsonRef::Document(raw)) => raw.as_bytes().to_vec(),
        Some(bson::RawBsonRef::String(text)) => text.as_bytes().to_vec(),
        _ => document.get_str("raw_medium").unwrap_or_default().as_bytes().to_vec(),
    }
}

/// Which documents of an insert were refused because their `_id` is taken.
///
/// Any other refusal is an error.
fn taken_ids(error: mongodb::error::Error) -> Result<Vec<usize>, Error> {
    if let ErrorKind::InsertMany(InsertManyError {
        write_errors: Some(errors),
        write_concern_error: None,
        ..
    }) = error.kind.as_ref()
        && errors.iter().all(|error| error.code == DUPLICATE_KEY)
    {
        return Ok(errors.iter().map(|error| error.index).collect());
    }
    Err(Error::Database { operation: "store records", source: error })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(version: i32, taken_millis: i64, backup: &str, content: &str) -> Known {
        Known { version, taken_millis, backup: backup.into(), content: content.into() }
    }

    #[test]
    fn content_is_compared_with_what_was_current_then() {
        let job: JobId = "2ed1076d-f512-4316-be8f-e6d1a3a6ae52".parse().expect("an id");
        let own = job.as_str();
        let at = |taken_millis| Origin { job: job.clone(), taken_millis };
        let history = [known(1, 10, "x", "a"), known(2, 20, "y", "b")];
        for (versions, taken, content, expected) in [
            (&history[..], 20, "b", true),
            (&history, 30, "b", true),
            (&history, 30, "a", false), // changed back: a third version
            (&history, 15, "a", true),  // late, and as it was then
            (&history, 15, "b", false),
            (&history, 5, "a", true), // older than all: like the oldest
            (&history, 5, "b", false),
            (&[known(1, 10, own, "a"), known(2, 10, own, "b")], 10, "a", true), // taken up again
        ] {
            let origin = at(taken);
            assert_eq!(
                is_known(versions, &origin, content.as_bytes()),
                expected,
                "{taken} {content}"
            );
        }
    }
}
