//! Media in GridFS, named by their contents: the same bytes are there once.
//!
//! `media.files._id` is the SHA-256 in hexadecimal. Chunks go in before the file
//! they belong to, so a file that is there is complete. Chunks carry an ObjectId
//! made here, whose time tells which of them came since a backup was begun.

use std::collections::HashSet;

use bson::{
    Bson, DateTime, Document, RawBinaryRef, RawDocumentBuf, cstr, doc, oid::ObjectId,
    spec::BinarySubtype,
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt};
use jiff::Timestamp;
use mongodb::error::{ErrorKind, InsertManyError};

use super::{Error, Store, schema};
use crate::backup::{JobId, MediumId};

/// Bytes of a medium in one chunk.
pub const CHUNK_BYTES: usize = 1024 * 1024;

/// What is known of a medium.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Medium {
    /// Its name: the SHA-256 of its bytes.
    pub id: MediumId,
    /// How many bytes it has.
    pub length_bytes: u64,
    /// The name of the entry that first brought it.
    pub entry: String,
    /// The backup that first brought it.
    pub backup: Option<JobId>,
}

/// A chunk on its way into the store.
#[derive(Debug)]
pub struct Chunk(RawDocumentBuf);

impl Chunk {
    /// The `number`th chunk of a medium.
    pub fn new(medium: &MediumId, number: u32, data: &[u8]) -> Self {
        Self::of(&medium.to_string(), number, data)
    }

    /// The `number`th chunk of the file with this id.
    pub(super) fn of(file: &str, number: u32, data: &[u8]) -> Self {
        let mut document = RawDocumentBuf::new();
        document.append(cstr!("_id"), ObjectId::new());
        document.append(cstr!("files_id"), file);
        document.append(cstr!("n"), i32::try_from(number).unwrap_or(i32::MAX));
        document
            .append(cstr!("data"), RawBinaryRef { subtype: BinarySubtype::Generic, bytes: data });
        Self(document)
    }

    /// How many bytes it takes on its way.
    pub fn size_bytes(&self) -> usize {
        self.0.as_bytes().len()
    }
}

impl Store {
    /// Which of these media are there already, complete.
    pub async fn known_media(&self, ids: &[MediumId]) -> Result<HashSet<MediumId>, Error> {
        let names: Vec<String> = ids.iter().map(MediumId::to_string).collect();
        let found = self
            .collection(schema::MEDIA_FILES)
            .find(doc! { "_id": { "$in": names } })
            .projection(doc! { "_id": 1 })
            .await
            .map_err(Error::database("look for media"))?;
        let known = found.try_filter_map(|file| async move {
            Ok(file.get_str("_id").ok().and_then(|id| id.parse::<MediumId>().ok()))
        });
        known.try_collect().await.map_err(Error::database("look for media"))
    }

    /// Stores chunks. Those that are there already are left as they are.
    pub async fn insert_chunks(&self, chunks: Vec<Chunk>) -> Result<(), Error> {
        self.insert_chunks_into(schema::MEDIA_CHUNKS, chunks, "store media").await
    }

    /// Stores chunks in one collection of them, acknowledged by the primary.
    pub(super) async fn insert_chunks_into(
        &self,
        collection: &str,
        chunks: Vec<Chunk>,
        operation: &'static str,
    ) -> Result<(), Error> {
        let documents: Vec<RawDocumentBuf> = chunks.into_iter().map(|chunk| chunk.0).collect();
        let outcome = self
            .db
            .collection::<RawDocumentBuf>(collection)
            .insert_many(documents)
            .ordered(false)
            .write_concern(self.bulk.clone())
            .await;
        ignore_known(outcome.map(|_| ()), operation)
    }

    /// Declares media complete whose chunks are all stored.
    pub async fn insert_media(&self, media: &[Medium], now: Timestamp) -> Result<(), Error> {
        if media.is_empty() {
            return Ok(());
        }
        let uploaded = DateTime::from_millis(now.as_millisecond());
        let documents = media.iter().map(|medium| {
            doc! {
                "_id": medium.id.to_string(),
                "length": Bson::Int64(i64::try_from(medium.length_bytes).unwrap_or(i64::MAX)),
                "chunkSize": Bson::Int32(i32::try_from(CHUNK_BYTES).unwrap_or(i32::MAX)),
                "uploadDate": uploaded,
                "filename": &medium.entry,
                "metadata": { "backup": medium.backup.as_ref().map(JobId::to_string) },
            }
        });
        let files = self.collection(schema::MEDIA_FILES);
        let insert = files.insert_many(documents).ordered(false);
        let outcome = insert.write_concern(self.bulk.clone()).await;
        ignore_known(outcome.map(|_| ()), "store media")
    }

    /// Takes out what a backup brought that will not be stored: everything that
    /// came since `begun`, when work on it began.
    pub async fn take_media_out(&self, job: &JobId, begun: Timestamp) -> Result<(), Error> {
        let failed = "take media of a rejected backup out";
        self.collection(schema::MEDIA_FILES)
            .delete_many(doc! { "metadata.backup": job.as_str() })
            .await
            .map_err(Error::database(failed))?;
        self.collection(schema::MEDIA_REPEATED)
            .delete_many(doc! { "backup": job.as_str() })
            .await
            .map_err(Error::database(failed))?;
        // One second of slack: an ObjectId counts whole seconds.
        let seconds = u32::try_from(begun.as_second().saturating_sub(1)).unwrap_or(0);
        let since = ObjectId::from_parts(seconds, [0; 5], [0; 3]);
        let chunks = self.collection(schema::MEDIA_CHUNKS);
        let mut recent = chunks
            .aggregate([
                doc! { "$match": { "_id": { "$gte": since } } },
                doc! { "$group": { "_id": "$files_id" } },
                doc! { "$lookup": { "from": schema::MEDIA_FILES, "localField": "_id", "foreignField": "_id", "as": "file" } },
                doc! { "$match": { "file": { "$size": 0 } } },
                doc! { "$project": { "_id": 1 } },
            ])
            .allow_disk_use(true)
            .await
            .map_err(Error::database(failed))?;
        while let Some(orphan) = recent.try_next().await.map_err(Error::database(failed))? {
            if let Some(id) = orphan.get("_id") {
                chunks
                    .delete_many(doc! { "files_id": id.clone() })
                    .await
                    .map_err(Error::database(failed))?;
            }
        }
        Ok(())
    }

    /// What is known of a medium, if it is there.
    pub async fn medium(&self, id: &MediumId) -> Result<Option<Medium>, Error> {
        let found = self
            .collection(schema::MEDIA_FILES)
            .find_one(doc! { "_id": id.to_string() })
            .await
            .map_err(Error::database("look for a medium"))?;
        found.as_ref().map(read).transpose()
    }

    /// The bytes of a medium from `start` up to but not including `end`.
    ///
    /// A chunk that is missing is an error, never a gap.
    pub fn medium_bytes(
        &self,
        id: MediumId,
        start: u64,
        end: u64,
    ) -> impl Stream<Item = Result<Bytes, Error>> + Send + 'static {
        self.chunked(schema::MEDIA_CHUNKS, "medium", id.to_string(), start, end)
    }

    /// Bytes of a file out of one collection of chunks. `what` says in an error what it is.
    pub(super) fn chunked(
        &self,
        collection: &str,
        what: &'static str,
        id: String,
        start: u64,
        end: u64,
    ) -> impl Stream<Item = Result<Bytes, Error>> + Send + 'static {
        let chunks = self.db.collection::<RawDocumentBuf>(collection);
        let size = CHUNK_BYTES as u64;
        let numbers = if start < end { start / size..end.div_ceil(size) } else { 0..0 };
        futures_util::stream::iter(numbers).then(move |number| {
            let (chunks, id) = (chunks.clone(), id.clone());
            async move {
                let wanted =
                    doc! { "files_id": &id, "n": i32::try_from(number).unwrap_or(i32::MAX) };
                let chunk = chunks
                    .find_one(wanted)
                    .await
                    .map_err(Error::database("read the bytes of a file"))?;
                let unreadable = |why: &str| Error::Unreadable {
                    what,
                    id: id.clone(),
                    why: format!("chunk {number} {why}"),
                };
                let chunk = chunk.ok_or_else(|| unreadable("is missing"))?;
                let data = chunk.get_binary("data").map_err(|_| unreadable("holds no bytes"))?;
                let from = start.saturating_sub(number * size).min(size);
                let to = (end - number * size).min(size);
                let part = usize::try_from(from).ok().zip(usize::try_from(to).ok());
                part.and_then(|(from, to)| data.bytes.get(from..to))
                    .map(Bytes::copy_from_slice)
                    .ok_or_else(|| unreadable("is too short"))
            }
        })
    }
}

/// A medium out of its document.
pub(super) fn read(file: &Document) -> Result<Medium, Error> {
    let name = file.get_str("_id").unwrap_or_default();
    let id = name.parse().map_err(|_| Error::Unreadable {
        what: "medium",
        id: name.to_owned(),
        why: "its name is no SHA-256".to_owned(),
    })?;
    Ok(Medium {
        id,
        length_bytes: file.get_i64("length").ok().and_then(|n| n.try_into().ok()).unwrap_or(0),
        entry: file.get_str("filename").unwrap_or_default().to_owned(),
        backup: file
            .get_document("metadata")
            .ok()
            .and_then(|metadata| metadata.get_str("backup").ok()?.parse().ok()),
    })
}

/// What is there already is as good as stored: it has the same bytes.
pub(super) fn ignore_known(
    outcome: mongodb::error::Result<()>,
    operation: &'static str,
) -> Result<(), Error> {
    let Err(error) = outcome else { return Ok(()) };
    if let ErrorKind::InsertMany(InsertManyError {
        write_errors: Some(errors),
        write_concern_error: None,
        ..
    }) = error.kind.as_ref()
        && errors.iter().all(|error| error.code == 11000)
    {
        return Ok(());
    }
    Err(Error::Database { operation, source: error })
}
