//! Receipts in GridFS, in a bucket of their own: the statement as a file, and its number and
//! signature beside it.
//!
//! `receipts.files._id` is the SHA-256 of the statement. Chunks go in before the file they belong
//! to, so a receipt that is there is complete. A number and an upload have one receipt each, which
//! indexes see to. A receipt is never changed, and none is ever taken out.

use std::collections::HashMap;

use bson::{Bson, DateTime, Document, doc};
use bytes::Bytes;
use futures_util::{Stream, TryStreamExt};
use jiff::Timestamp;
use serde::Deserialize;

use super::{
    Error, Store,
    backups::{date, from_document, is_duplicate},
    media::{CHUNK_BYTES, Chunk},
    schema,
};
use crate::backup::{JobId, ReceiptId, UploadId};

/// A receipt, without its statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The SHA-256 of its statement.
    pub id: ReceiptId,
    /// Its place in the chain, from 1.
    pub number: u64,
    /// The job of the backup.
    pub job: JobId,
    /// The upload of the backup.
    pub upload: UploadId,
    /// How many bytes the statement has.
    pub length_bytes: u64,
    /// The signature of the statement, in OpenSSH's armour.
    pub signature: String,
    /// When it was made.
    pub made: Timestamp,
}

impl Store {
    /// Stores a part of a statement: its `number`th [`CHUNK_BYTES`].
    pub async fn insert_statement_part(
        &self,
        id: &ReceiptId,
        number: u32,
        data: &[u8],
    ) -> Result<(), Error> {
        let chunk = Chunk::of(&id.to_string(), number, data);
        self.insert_chunks_into(schema::RECEIPT_CHUNKS, vec![chunk], "store a statement").await
    }

    /// Adds a receipt whose statement is stored, acknowledged by most members.
    ///
    /// Returns false if its number is taken or its upload has a receipt, and changes nothing then.
    pub async fn add_receipt(&self, receipt: &Receipt) -> Result<bool, Error> {
        let number = |number: u64| Bson::Int64(i64::try_from(number).unwrap_or(i64::MAX));
        let document = doc! {
            "_id": receipt.id.to_string(),
            "length": number(receipt.length_bytes),
            "chunkSize": i32::try_from(CHUNK_BYTES).unwrap_or(i32::MAX),
            "uploadDate": date(receipt.made),
            "filename": format!("{}.receipt.json", receipt.job),
            "metadata": {
                "number": number(receipt.number),
                "job": receipt.job.as_str(),
                "upload": receipt.upload.as_str(),
                "signature": &receipt.signature,
            },
        };
        match self.collection(schema::RECEIPT_FILES).insert_one(document).await {
            Err(error) if is_duplicate(&error) => Ok(false),
            other => other.map(|_| true).map_err(Error::database("store a receipt")),
        }
    }

    /// Takes out the bytes of a statement that became no receipt.
    pub async fn drop_statement(&self, id: &ReceiptId) -> Result<(), Error> {
        if self.find_receipt(doc! { "_id": id.to_string() }).await?.is_some() {
            return Ok(());
        }
        self.collection(schema::RECEIPT_CHUNKS)
            .delete_many(doc! { "files_id": id.to_string() })
            .await
            .map_err(Error::database("take out a statement"))?;
        Ok(())
    }

    /// The receipt of an upload.
    pub async fn receipt(&self, upload: &UploadId) -> Result<Option<Receipt>, Error> {
        self.find_receipt(doc! { "metadata.upload": upload.as_str() }).await
    }

    /// The receipts of some uploads; those that have none are left out.
    pub async fn receipts_of(
        &self,
        uploads: &[UploadId],
    ) -> Result<HashMap<UploadId, Receipt>, Error> {
        let ids: Vec<&str> = uploads.iter().map(UploadId::as_str).collect();
        let wanted = doc! { "metadata.upload": { "$in": ids } };
        let found = self.find_receipts(wanted, 1, 0).await?;
        Ok(found.into_iter().map(|receipt| (receipt.upload.clone(), receipt)).collect())
    }

    /// The receipt of a job, of which one upload is stored at most.
    pub async fn receipt_of_job(&self, job: &JobId) -> Result<Option<Receipt>, Error> {
        self.find_receipt(doc! { "metadata.job": job.as_str() }).await
    }

    /// The receipt with a number.
    pub async fn receipt_numbered(&self, number: u64) -> Result<Option<Receipt>, Error> {
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        self.find_receipt(doc! { "metadata.number": number }).await
    }

    /// The end of the chain.
    pub async fn newest_receipt(&self) -> Result<Option<Receipt>, Error> {
        Ok(self.find_receipts(doc! {}, -1, 1).await?.pop())
    }

    /// The receipt before a number.
    pub async fn receipt_before(&self, number: u64) -> Result<Option<Receipt>, Error> {
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        let before = doc! { "metadata.number": { "$lt": number } };
        Ok(self.find_receipts(before, -1, 1).await?.pop())
    }

    /// All receipts, in their order.
    pub async fn receipts(&self) -> Result<Vec<Receipt>, Error> {
        self.find_receipts(doc! {}, 1, 0).await
    }

    /// The statement of a receipt. A part that is missing is an error, never a gap.
    pub fn statement(
        &self,
        receipt: &Receipt,
    ) -> impl Stream<Item = Result<Bytes, Error>> + Send + 'static {
        self.statement_part(receipt, 0, receipt.length_bytes)
    }

    /// Bytes of a statement from `start` up to but not including `end`, which lies within it.
    pub fn statement_part(
        &self,
        receipt: &Receipt,
        start: u64,
        end: u64,
    ) -> impl Stream<Item = Result<Bytes, Error>> + Send + 'static {
        self.chunked(schema::RECEIPT_CHUNKS, "statement", receipt.id.to_string(), start, end)
    }

    async fn find_receipt(&self, filter: Document) -> Result<Option<Receipt>, Error> {
        let found = self
            .collection(schema::RECEIPT_FILES)
            .find_one(filter)
            .await
            .map_err(Error::database("look for a receipt"))?;
        found.map(read).transpose()
    }

    async fn find_receipts(
        &self,
        filter: Document,
        order: i32,
        limit: i64,
    ) -> Result<Vec<Receipt>, Error> {
        let failed = "read the receipts";
        let receipts = self.collection(schema::RECEIPT_FILES);
        let sort = doc! { "metadata.number": order };
        let found = receipts.find(filter).sort(sort).limit(limit).await;
        let found = found.map_err(Error::database(failed))?;
        let documents: Vec<Document> =
            found.try_collect().await.map_err(Error::database(failed))?;
        documents.into_iter().map(read).collect()
    }
}

/// A receipt's document as serde reads it.
#[derive(Deserialize)]
struct File {
    _id: ReceiptId,
    length: u64,
    #[serde(rename = "uploadDate")]
    upload_date: DateTime,
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    number: u64,
    job: JobId,
    upload: UploadId,
    signature: String,
}

fn read(document: Document) -> Result<Receipt, Error> {
    let id = document.get_str("_id").unwrap_or("without an id").to_owned();
    let unreadable = |why: String| Error::Unreadable { what: "receipt", id: id.clone(), why };
    let File { _id, length, upload_date, metadata } =
        from_document(document).map_err(&unreadable)?;
    let Metadata { number, job, upload, signature } = metadata;
    let made = Timestamp::from_millisecond(upload_date.timestamp_millis())
        .map_err(|error| unreadable(error.to_string()))?;
    Ok(Receipt { id: _id, number, job, upload, length_bytes: length, signature, made })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_a_receipt_is_named_and_never_guessed_at() {
        let upload = UploadId::new(1_600_000_000, 0);
        let good = doc! {
            "_id": "ab".repeat(32), "length": 7_i64, "chunkSize": 1, "uploadDate": DateTime::from_millis(0),
            "filename": "x", "metadata": {
                "number": 3_i64, "job": "2ed1076d-f512-4316-be8f-e6d1a3a6ae52",
                "upload": upload.as_str(), "signature": "s",
            },
        };
        let receipt = read(good.clone()).expect("a receipt");
        assert_eq!((receipt.number, receipt.length_bytes, receipt.upload), (3, 7, upload));
        for (key, value) in [
            ("_id", Bson::from("short")),
            ("length", Bson::from(-1_i64)),
            ("uploadDate", Bson::Null),
            ("metadata", Bson::from(doc! { "number": 1 })),
        ] {
            let mut bad = good.clone();
            bad.insert(key, value);
            assert!(matches!(read(bad), Err(Error::Unreadable { what: "receipt", .. })), "{key}");
        }
    }
}
