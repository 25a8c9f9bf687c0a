//! The ids that run through everything: of a job, of an upload, of a medium, of a state directory.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The 36 characters by which maaiiconnect names one backup.
///
/// Kept in lower case, so that one job has one spelling.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JobId(String);

/// Why a text is not an id.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidId {
    /// Not a UUID of 36 characters.
    #[error("{0:?} is not a job id of 36 characters")]
    Job(String),
    /// Not the id of an upload.
    #[error("{0:?} is not the id of an upload")]
    Upload(String),
    /// Not the id of a state directory.
    #[error("{0:?} is not the id of a state directory")]
    Directory(String),
    /// Not a SHA-256 in hexadecimal.
    #[error("{0:?} is not the id of a medium")]
    Medium(String),
    /// Not a SHA-256 in hexadecimal.
    #[error("{0:?} is not the id of a receipt")]
    Receipt(String),
}

impl JobId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for JobId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        match (text.len(), uuid::Uuid::try_parse(text)) {
            (36, Ok(id)) => Ok(Self(id.hyphenated().to_string())),
            _ => Err(InvalidId::Job(text.to_owned())),
        }
    }
}

/// Names one upload: the same job may be uploaded more than once.
///
/// Ids sort by the time of their making, and are safe as names of directories.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UploadId(String);

impl UploadId {
    /// A new id for an upload that was claimed `unix_seconds` after 1970.
    pub fn new(unix_seconds: u64, nanos: u32) -> Self {
        let stamp = uuid::Timestamp::from_unix(uuid::NoContext, unix_seconds, nanos);
        Self(uuid::Uuid::new_v7(stamp).hyphenated().to_string())
    }

    /// When the id was made, which is when the upload was claimed.
    pub fn made(&self) -> Option<jiff::Timestamp> {
        let (seconds, nanos) = uuid::Uuid::try_parse(&self.0).ok()?.get_timestamp()?.to_unix();
        jiff::Timestamp::new(seconds.try_into().ok()?, nanos.try_into().ok()?).ok()
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UploadId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        match (text.len(), uuid::Uuid::try_parse(text)) {
            (36, Ok(id)) => Ok(Self(id.hyphenated().to_string())),
            _ => Err(InvalidId::Upload(text.to_owned())),
        }
    }
}

/// Names the state directory that an upload was taken into: several appliances may store in one
/// database, and each knows only its own files.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DirectoryId(String);

impl DirectoryId {
    /// A new id for a directory that was made `unix_seconds` after 1970.
    pub fn new(unix_seconds: u64, nanos: u32) -> Self {
        Self(UploadId::new(unix_seconds, nanos).0)
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for DirectoryId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        match (text.len(), uuid::Uuid::try_parse(text)) {
            (36, Ok(id)) => Ok(Self(id.hyphenated().to_string())),
            _ => Err(InvalidId::Directory(text.to_owned())),
        }
    }
}

/// Names a medium by its contents: the SHA-256 of its bytes.
///
/// The same bytes are the same medium, however many backups bring them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MediumId([u8; 32]);

/// Names a receipt by the SHA-256 of its statement.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReceiptId([u8; 32]);

/// Gives an id that is a SHA-256 what it takes to be written and read.
macro_rules! digest_id {
    ($($id:ident as $kind:ident),+) => {$(
        impl $id {
            /// The id of the bytes with this SHA-256.
            pub const fn new(sha256: [u8; 32]) -> Self {
                Self(sha256)
            }

            /// The digest itself.
            pub fn digest(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl fmt::Debug for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl FromStr for $id {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let mut digest = [0; 32];
                hex::decode_to_slice(text, &mut digest)
                    .map_err(|_| InvalidId::$kind(text.to_owned()))?;
                Ok(Self(digest))
            }
        }
    )+};
}
digest_id!(MediumId as Medium, ReceiptId as Receipt);

/// Gives an id the conversions that serde and formatting want.
macro_rules! text_id {
    ($($id:ty),+) => {$(
        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )+};
}
text_id!(JobId, UploadId, DirectoryId);

/// Reads and writes an id as its text.
macro_rules! text_serde {
    ($($id:ty),+) => {$(
        impl TryFrom<String> for $id {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }

        impl From<$id> for String {
            fn from(id: $id) -> Self {
                id.to_string()
            }
        }
    )+};
}
text_serde!(JobId, UploadId, DirectoryId, MediumId, ReceiptId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_id_has_36_characters_and_one_spelling() {
        for (text, expected) in [
            ("2ed1076d-f512-4316-be8f-e6d1a3a6ae52", Some("2ed1076d-f512-4316-be8f-e6d1a3a6ae52")),
            ("2ED1076D-F512-4316-BE8F-E6D1A3A6AE52", Some("2ed1076d-f512-4316-be8f-e6d1a3a6ae52")),
            ("2ed1076df5124316be8fe6d1a3a6ae52", None),
            ("2ed1076d-f512-4316-be8f-e6d1a3a6ae5", None),
            ("../1076d-f512-4316-be8f-e6d1a3a6ae52", None),
            ("", None),
        ] {
            let parsed = text.parse::<JobId>().ok();
            assert_eq!(parsed.as_ref().map(JobId::as_str), expected, "{text}");
        }
    }

    #[test]
    fn ids_of_uploads_sort_by_time() {
        assert!(UploadId::new(1_600_000_000, 0) < UploadId::new(1_600_000_001, 0));
    }

    #[test]
    fn a_medium_id_survives_being_written() {
        let id = MediumId::new([0xab; 32]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!("abc".parse::<MediumId>().is_err());
    }
}
