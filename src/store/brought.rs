//! What a backup was the first to bring: how many documents of each dataset, and a digest of them all.
//!
//! A digest says whether any record was changed since, added or taken away, in whatever order they are
//! read. It is made as they are stored, and again from what is in the store. It is of what was
//! delivered, the medium it goes with and its place in the history of its id; view fields are derived
//! from that, may be derived anew, and are not in it.
//!
//! Order must not matter, and a receipt must not hold a line for each of ten million records. So each
//! record is turned into a number of 2048 bits, and these are added up. A sum of plain digests, of 256
//! bits, could be reached on purpose by changing some hundreds of records in ways that nobody sees (the
//! generalised birthday problem); with 2048 bits nobody knows how.

use std::collections::BTreeMap;

use bson::{RawBsonRef, RawDocument, RawDocumentBuf, doc};
use futures_util::TryStreamExt;
use sha2::{Digest, Sha256};

use super::{Error, Store, schema};
use crate::{backup::JobId, records::Dataset};

/// The words of a sum: 2048 bits, the lowest first.
const WORDS: usize = 32;

/// How many words a SHA-256 fills.
const WORDS_OF_A_DIGEST: usize = 4;

/// What must be the same for a document to be the same.
const MEMBERS: [&str; 6] = ["_id", "dataset", "taken", "medium", "raw", "raw_medium"];

/// Documents of one dataset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Tally {
    documents: u64,
    sum: [u64; WORDS],
}

/// All that a backup was the first to bring.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Brought(BTreeMap<Dataset, Tally>);

impl Brought {
    /// Takes a document into account.
    pub(super) fn add(&mut self, dataset: Dataset, document: &RawDocument) {
        self.0.entry(dataset).or_default().add(document);
    }

    /// Takes in what else was counted.
    pub fn merge(&mut self, other: &Self) {
        for (dataset, tally) in &other.0 {
            self.0.entry(*dataset).or_default().merge(tally);
        }
    }

    /// How many documents there are, by the name of their dataset.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        self.by_name(|tally| tally.documents)
    }

    /// Their digests in hexadecimal, by the name of their dataset.
    pub fn digests(&self) -> BTreeMap<String, String> {
        self.by_name(Tally::digest)
    }

    fn by_name<T>(&self, of: impl Fn(&Tally) -> T) -> BTreeMap<String, T> {
        self.0.iter().map(|(dataset, tally)| (dataset.as_str().to_owned(), of(tally))).collect()
    }
}

impl Tally {
    fn add(&mut self, document: &RawDocument) {
        let mut hash = Sha256::new();
        for name in MEMBERS {
            let Ok(Some(value)) = document.get(name) else { continue };
            hash.update(name);
            match value {
                RawBsonRef::Document(raw) => part(&mut hash, raw.as_bytes()),
                RawBsonRef::String(text) => part(&mut hash, text.as_bytes()),
                RawBsonRef::DateTime(time) => {
                    part(&mut hash, &time.timestamp_millis().to_le_bytes());
                }
                other => part(&mut hash, format!("{other:?}").as_bytes()),
            }
        }
        let digest = hash.finalize();
        let mut number = [0; WORDS];
        for (counter, words) in (0_u8..).zip(number.chunks_exact_mut(WORDS_OF_A_DIGEST)) {
            let block = Sha256::new().chain_update([counter]).chain_update(digest).finalize();
            for (word, bytes) in words.iter_mut().zip(block.chunks_exact(8)) {
                *word = bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
            }
        }
        self.merge(&Self { documents: 1, sum: number });
    }

    fn merge(&mut self, other: &Self) {
        self.documents += other.documents;
        let mut carried = false;
        for (word, more) in self.sum.iter_mut().zip(other.sum) {
            let (sum, first) = word.overflowing_add(more);
            let (sum, second) = sum.overflowing_add(u64::from(carried));
            (*word, carried) = (sum, first || second);
        }
    }

    fn digest(&self) -> String {
        let mut hash = Sha256::new_with_prefix(self.documents.to_le_bytes());
        self.sum.iter().for_each(|word| hash.update(word.to_le_bytes()));
        hex::encode(hash.finalize())
    }
}

/// A value with its length before it, so that no two rows of values are the same bytes.
fn part(hash: &mut Sha256, bytes: &[u8]) {
    hash.update((bytes.len() as u64).to_le_bytes());
    hash.update(bytes);
}

impl Store {
    /// What a backup was the first to bring, as it is in the store. Reads all of it.
    pub async fn brought(&self, job: &JobId) -> Result<Brought, Error> {
        let failed = "read the records of a backup";
        let mut brought = Brought::default();
        let wanted: bson::Document =
            MEMBERS.iter().map(|name| ((*name).to_owned(), 1.into())).collect();
        for dataset in Dataset::ALL {
            let mut documents = self
                .db
                .collection::<RawDocumentBuf>(schema::collection(dataset))
                .find(doc! { "backup": job.as_str(), "dataset": dataset.as_str() })
                .projection(wanted.clone())
                .await
                .map_err(Error::database(failed))?;
            while let Some(document) =
                documents.try_next().await.map_err(Error::database(failed))?
            {
                brought.add(dataset, &document);
            }
        }
        Ok(brought)
    }
}

#[cfg(test)]
mod tests {
    use bson::{DateTime, Document, rawdoc};

    use super::*;

    fn record(id: &str, text: &str) -> RawDocumentBuf {
        rawdoc! {
            "_id": id, "id": id, "dataset": "message", "backup": "x",
            "taken": DateTime::from_millis(7), "text": "derived", "raw": { "text": text },
        }
    }

    fn digest(records: &[RawDocumentBuf]) -> String {
        let mut brought = Brought::default();
        records.iter().for_each(|record| brought.add(Dataset::Message, record));
        brought.digests()["message"].clone()
    }

    #[test]
    fn any_change_is_seen_and_no_order_matters() {
        let record = |(id, text): &(&str, &str)| record(id, text);
        let digest_of = |records: &[(&str, &str)]| {
            digest(&records.iter().map(record).collect::<Vec<RawDocumentBuf>>())
        };
        let (a, b, c) = (("1", "a"), ("2", "b"), ("3", "c"));
        let all = digest_of(&[a, b, c]);
        assert_eq!(digest_of(&[c, a, b]), all);
        for others in [
            &[a, b][..],
            &[a, b, c, c],
            &[a, b, b],
            &[a, b, ("3", "d")],
            &[a, b, ("4", "c")],
            &[a, ("2", "c"), ("3", "b")],
        ] {
            assert_ne!(digest_of(others), all, "{others:?}");
        }
    }

    #[test]
    fn what_is_delivered_counts_and_what_is_derived_from_it_does_not() {
        let plain = record("1", "a");
        let with = |name: &str, value: bson::Bson| {
            let mut document = Document::try_from(&*plain).expect("a document");
            document.insert(name, value);
            RawDocumentBuf::try_from(&document).expect("a document")
        };
        for (name, value, same) in [
            ("text", "derived anew".into(), true),
            ("medium", "ab".into(), false),
            ("raw_medium", "ab".into(), false),
            ("taken", DateTime::from_millis(8).into(), false),
            ("raw", "{\"text\":\"a\"}".into(), false),
        ] {
            let found = digest(&[with(name, value)]) == digest(std::slice::from_ref(&plain));
            assert_eq!(found, same, "{name}");
        }
    }

    #[test]
    fn parts_that_were_counted_apart_are_the_whole() {
        let records: Vec<RawDocumentBuf> =
            (0..500).map(|number| record(&number.to_string(), "a")).collect();
        let (mut first, mut second) = (Brought::default(), Brought::default());
        for (number, record) in records.iter().enumerate() {
            let part = if number % 3 == 0 { &mut first } else { &mut second };
            part.add(Dataset::Message, record);
        }
        first.merge(&second);
        assert_eq!(first.digests()["message"], digest(&records));
        assert_eq!(first.counts(), [("message".to_owned(), 500)].into());
    }
}
