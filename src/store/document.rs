//! The document that a record becomes.
//!
//! ```text
//! _id      id#version; id#avatar-version and id#tag-icon-version, for these share
//!          their collection with shared files
//! id       the record's id
//! dataset  what kind of record it is
//! backup   the job id of the backup that first brought it
//! taken    when that backup was made
//! version  1, or more where the same id came with other content
//! at       when what it tells of took place
//! medium   the SHA-256 of the medium it names, if the backup held it
//! ...      the dataset's view fields
//! raw      the record as delivered; its JSON text where BSON cannot hold it
//! ```

use std::{fmt, str::FromStr};

use bson::{
    DateTime, RawBsonRef, RawDocument, RawDocumentBuf, cstr,
    raw::{BindRawBsonRef, CString, RawElement},
};
use sha2::{Digest, Sha256};

use crate::{
    backup::{BackupName, JobId, MediumId},
    records::{Dataset, Fields, Scalar, view},
};

/// Ids longer than this are replaced by their digest, so that keys stay short.
const ID_LIMIT_BYTES: usize = 200;

/// The `_id` of a record's document: its id and its version.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RecordKey(pub(super) String);

impl RecordKey {
    /// No two datasets of one collection have a key in common, whatever their ids are:
    /// what comes after the last `#` is a number alone only where the dataset is not named.
    pub(super) fn new(dataset: Dataset, id: &str, version: i32) -> Self {
        Self(match dataset {
            Dataset::Avatar | Dataset::TagIcon => format!("{id}#{dataset}-{version}"),
            _ => format!("{id}#{version}"),
        })
    }
}

impl fmt::Display for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that is not the key of a record.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not the key of a record")]
pub struct InvalidKey(String);

impl FromStr for RecordKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let last = text.rsplit_once('#').map(|(_, last)| last);
        let named = |dataset: Dataset| last?.strip_prefix(dataset.as_str())?.strip_prefix('-');
        let version = named(Dataset::Avatar).or(named(Dataset::TagIcon)).or(last);
        match version.and_then(|version| version.parse::<i32>().ok()) {
            Some(1..) => Ok(Self(text.to_owned())),
            _ => Err(InvalidKey(text.to_owned())),
        }
    }
}

/// Where a record came from.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The backup that brought it.
    pub job: JobId,
    /// When that backup was made, in milliseconds since 1970.
    pub taken_millis: i64,
}

impl Origin {
    /// What the name of a backup says of where its records come from.
    pub fn of(name: &BackupName) -> Self {
        Self { job: name.job.clone(), taken_millis: name.taken.as_millisecond() }
    }

    /// Where nothing will be stored, nothing need be known.
    pub fn unknown() -> Self {
        let job = "00000000-0000-0000-0000-000000000000".parse().expect("36 characters");
        Self { job, taken_millis: 0 }
    }
}

/// How a record is kept under `raw`.
#[derive(Clone, Copy)]
pub enum Raw<'a> {
    /// As BSON.
    Bson(&'a RawFields<'a>),
    /// As its JSON text.
    Text(&'a str),
    /// As a medium, because even its text is too long for a document.
    Medium(MediumId),
    /// Not at all: there is no record, only an entry of the archive.
    Nothing,
}

/// A record on its way into the store, always as its first version.
#[derive(Clone, Debug)]
pub struct NewRecord {
    pub(super) id: String,
    pub(super) document: RawDocumentBuf,
}

impl NewRecord {
    /// How many bytes it takes on its way.
    pub fn size_bytes(&self) -> usize {
        self.document.as_bytes().len()
    }

    /// Puts a record's document together. `fields` looks into the record.
    pub fn new(
        dataset: Dataset,
        origin: &Origin,
        fields: &impl Fields,
        medium: Option<MediumId>,
        raw: Raw<'_>,
    ) -> Self {
        let id = view::id(dataset, fields).map_or_else(|| digest_of(raw), short_id);
        let mut document = RawDocumentBuf::new();
        document.append(cstr!("_id"), RecordKey::new(dataset, &id, 1).0.as_str());
        document.append(cstr!("id"), id.as_str());
        document.append(cstr!("dataset"), dataset.as_str());
        document.append(cstr!("backup"), origin.job.as_str());
        document.append(cstr!("taken"), DateTime::from_millis(origin.taken_millis));
        document.append(cstr!("version"), 1);
        if let Some(millis) = view::time(dataset, fields) {
            document.append(cstr!("at"), DateTime::from_millis(millis));
        }
        if let Some(medium) = medium {
            document.append(cstr!("medium"), medium.to_string());
        }
        for field in view::fields(dataset) {
            match field.read(fields) {
                Some(view::Value::Text(text)) => append(&mut document, field.name, text),
                Some(view::Value::Number(number)) => append(&mut document, field.name, number),
                Some(view::Value::Flag(flag)) => append(&mut document, field.name, flag),
                Some(view::Value::Time(millis)) => {
                    append(&mut document, field.name, DateTime::from_millis(millis));
                }
                None => {}
            }
        }
        match raw {
            Raw::Bson(record) => document.append(cstr!("raw"), record.document),
            Raw::Text(text) => document.append(cstr!("raw"), text),
            Raw::Medium(medium) => document.append(cstr!("raw_medium"), medium.to_string()),
            Raw::Nothing => {}
        }
        Self { id, document }
    }

    /// The same record as another version of its id.
    pub(super) fn as_version(&self, dataset: Dataset, version: i32) -> RawDocumentBuf {
        let mut document = RawDocumentBuf::new();
        for (key, value) in self.document.iter().filter_map(Result::ok) {
            match key.as_str() {
                "_id" => {
                    document.append(key, RecordKey::new(dataset, &self.id, version).0.as_str());
                }
                "version" => document.append(key, version),
                _ => document.append(key, value),
            }
        }
        document
    }
}

fn append(document: &mut RawDocumentBuf, name: &'static str, value: impl BindRawBsonRef) {
    if let Ok(name) = CString::try_from(name.to_owned()) {
        document.append(name, value);
    }
}

fn short_id(id: String) -> String {
    if id.len() <= ID_LIMIT_BYTES {
        id
    } else {
        format!("sha256-{}", hex::encode(Sha256::digest(id)))
    }
}

/// The id of a record that has none: the digest of what it says.
fn digest_of(raw: Raw<'_>) -> String {
    let digest = match raw {
        Raw::Bson(record) => Sha256::digest(record.document.as_bytes()),
        Raw::Text(text) => Sha256::digest(text),
        Raw::Medium(medium) => return format!("sha256-{medium}"),
        Raw::Nothing => Sha256::digest([]),
    };
    format!("sha256-{}", hex::encode(digest))
}

/// A record in BSON, to look into.
///
/// Its members are found once, because the view fields ask for most of them.
pub struct RawFields<'a> {
    document: &'a RawDocument,
    members: Vec<(&'a str, RawElement<'a>)>,
}

impl<'a> RawFields<'a> {
    pub(super) fn new(bson: &'a [u8]) -> Option<Self> {
        let document = RawDocument::from_bytes(bson).ok()?;
        let members = document.iter_elements().map(|element| {
            let element = element.ok()?;
            Some((element.key().as_str(), element))
        });
        Some(Self { document, members: members.collect::<Option<_>>()? })
    }
}

impl fmt::Debug for RawFields<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never what a record says: it is personal data.
        f.debug_struct("RawFields").field("members", &self.members.len()).finish_non_exhaustive()
    }
}

impl Fields for RawFields<'_> {
    fn get(&self, path: &str) -> Option<Scalar<'_>> {
        let (first, mut rest) = match path.split_once('.') {
            Some((first, rest)) => (first, Some(rest)),
            None => (path, None),
        };
        let (_, element) = self.members.iter().find(|(name, _)| *name == first)?;
        let mut value = element.value().ok()?;
        while let Some(path) = rest {
            let (name, deeper) = match path.split_once('.') {
                Some((name, deeper)) => (name, Some(deeper)),
                None => (path, None),
            };
            value = value.as_document()?.get(name).ok().flatten()?;
            rest = deeper;
        }
        scalar(value)
    }
}

fn scalar(value: RawBsonRef<'_>) -> Option<Scalar<'_>> {
    Some(match value {
        RawBsonRef::String(text) => Scalar::Text(text.into()),
        RawBsonRef::Int32(number) => Scalar::Integer(number.into()),
        RawBsonRef::Int64(number) => Scalar::Integer(number),
        RawBsonRef::Double(number) => Scalar::Double(number),
        RawBsonRef::Decimal128(number) => Scalar::Text(number.to_string().into()),
        RawBsonRef::Boolean(flag) => Scalar::Flag(flag),
        RawBsonRef::DateTime(time) => Scalar::Time(time.timestamp_millis()),
        RawBsonRef::ObjectId(id) => Scalar::Text(id.to_hex().into()),
        RawBsonRef::Array(list) => Scalar::List(list.into_iter().count()),
        RawBsonRef::Document(_) => Scalar::Object,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::transcode::RECORD_LIMIT_BYTES;

    #[test]
    fn datasets_of_one_collection_have_no_key_in_common() {
        let of = |dataset, id: &str| RecordKey::new(dataset, id, 1).to_string();
        assert_eq!(of(Dataset::File, "f1"), "f1#1");
        assert_eq!(of(Dataset::Avatar, "f1"), "f1#avatar-1");
        assert_eq!(of(Dataset::TagIcon, "f1"), "f1#tag-icon-1");
        // Not even where an id looks like a key.
        assert_ne!(of(Dataset::File, "f1#avatar-1"), of(Dataset::Avatar, "f1"));
        for key in ["f1#1", "f1#avatar-2", "f1#tag-icon-3", "a#b#1"] {
            assert_eq!(key.parse::<RecordKey>().expect(key).to_string(), key);
        }
        for key in ["f1", "f1#", "f1#0", "f1#avatar", "f1#avatar-0", "f1#other-1", "f1#-1"] {
            assert!(key.parse::<RecordKey>().is_err(), "{key}");
        }
    }

    /// The most that the server takes in one document.
    const SERVER_LIMIT_BYTES: usize = 16 * 1024 * 1024;

    /// A record with a very long text wherever one is looked for.
    struct Long(String);

    impl Fields for Long {
        fn get(&self, _: &str) -> Option<Scalar<'_>> {
            Some(Scalar::Text(self.0.as_str().into()))
        }
    }

    #[test]
    fn the_largest_record_fits_with_all_its_view_fields() {
        let (long, raw) = (Long("好".repeat(100_000)), "x".repeat(RECORD_LIMIT_BYTES));
        let medium = Some(MediumId::new([7; 32]));
        for dataset in Dataset::ALL {
            let record =
                NewRecord::new(dataset, &Origin::unknown(), &long, medium, Raw::Text(&raw));
            let size_bytes = record.size_bytes();
            assert!(size_bytes < SERVER_LIMIT_BYTES - 64 * 1024, "{dataset}: {size_bytes}");
        }
    }
}
