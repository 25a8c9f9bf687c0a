//! Keys that receipts were signed with, as each node noted its own.
//!
//! Whether one of them is accepted is decided where vouchers can be checked: being in here says nothing.

use bson::{DateTime, Document, doc};
use futures_util::TryStreamExt;
use jiff::Timestamp;
use serde::Deserialize;

use super::{
    Error, Store,
    backups::{date, from_document},
    schema,
};

/// A key as somebody noted it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotedKey {
    /// Its SHA-256 fingerprint, as OpenSSH writes it.
    pub fingerprint: String,
    /// The public key, as a line.
    pub line: String,
    /// Whose it is, for people.
    pub whose: String,
    /// When it was noted, to the millisecond.
    pub at: Timestamp,
    /// What shows who noted it.
    pub voucher: String,
}

impl Store {
    /// All keys that were noted. What cannot be read is none.
    pub async fn noted_keys(&self) -> Result<Vec<NotedKey>, Error> {
        let failed = "look for keys that receipts were signed with";
        let found =
            self.collection(schema::RECEIPT_KEYS).find(doc! {}).sort(doc! { "at": 1 }).await;
        let found = found.map_err(Error::database(failed))?;
        let found: Vec<Document> = found.try_collect().await.map_err(Error::database(failed))?;
        Ok(found.into_iter().filter_map(read).collect())
    }

    /// Notes a key, in the place of what was noted of it before, acknowledged by most members.
    pub async fn note_key(&self, key: &NotedKey) -> Result<(), Error> {
        let NotedKey { fingerprint, line, whose, at, voucher } = key;
        let document = doc! { "line": line, "whose": whose, "at": date(*at), "voucher": voucher };
        self.collection(schema::RECEIPT_KEYS)
            .replace_one(doc! { "_id": fingerprint }, document)
            .upsert(true)
            .await
            .map_err(Error::database("note a key that receipts are signed with"))?;
        Ok(())
    }
}

/// A key's document as serde reads it.
#[derive(Deserialize)]
struct Line {
    _id: String,
    line: String,
    whose: String,
    at: DateTime,
    voucher: String,
}

fn read(document: Document) -> Option<NotedKey> {
    let Line { _id, line, whose, at, voucher } = from_document(document).ok()?;
    let at = Timestamp::from_millisecond(at.timestamp_millis()).ok()?;
    Some(NotedKey { fingerprint: _id, line, whose, at, voucher })
}
