//! What the service holds: records, the media that they name, and the rooms that they are in.
//!
//! A record is kept as the text that a backup brings, so that what is uploaded, what is deleted
//! and what is compared are the same to the byte.

use retention::records::{Dataset, Fields, Reference};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The record files of a backup, in their folders.
pub(crate) const FILES: [(Dataset, &str); 12] = [
    (Dataset::Staff, "lc-data-server/staff.json"),
    (Dataset::Enquiry, "lc-data-server/enquiry.json"),
    (Dataset::Message, "history/message.json"),
    (Dataset::Call, "history/call.json"),
    (Dataset::Conference, "history/conference.json"),
    (Dataset::Voicemail, "history/voicemail.json"),
    (Dataset::Recording, "history/recording.json"),
    (Dataset::File, "file-management/file.json"),
    (Dataset::Avatar, "file-management/avatar.json"),
    (Dataset::TagIcon, "file-management/tag-icon.json"),
    (Dataset::Contact, "dynamic-phonebook/contact.json"),
    (Dataset::Other, "history/survey.json"),
];

/// The folder of its media.
pub(crate) const MEDIA: &str = "data-retention";

/// One record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Dataset and id, which nothing else has.
    #[serde(rename = "_id")]
    pub(crate) key: String,
    /// Its dataset.
    pub(crate) dataset: Dataset,
    /// Its id.
    pub(crate) id: String,
    /// When it happened, in milliseconds since 1970; 0 for what has no time.
    pub(crate) at: i64,
    /// The room that it is in.
    pub(crate) room: Option<String>,
    /// Which one it is in its room.
    pub(crate) seq: Option<i64>,
    /// The media that it names, by their file ids.
    pub(crate) names: Vec<String>,
    /// All of it.
    pub(crate) json: String,
    /// The SHA-256 of that.
    pub(crate) digest: String,
}

/// The bytes of a shared file, a voicemail, a recording or a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Medium {
    /// Its file id.
    pub(crate) id: String,
    /// Where it lies in a backup.
    pub(crate) path: String,
    /// What it is.
    pub(crate) bytes: Vec<u8>,
}

/// A room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Room {
    /// Its id.
    #[serde(rename = "_id")]
    pub(crate) id: String,
    /// What people call it.
    pub(crate) title: String,
}

impl Record {
    /// A record out of its JSON.
    pub(crate) fn new(dataset: Dataset, value: &Value) -> Self {
        let own = dataset.own_id().unwrap_or("_id");
        let id = ["_id", "id", own].into_iter().find_map(|name| value.text(name));
        let id = id.unwrap_or_default();
        let time = match dataset {
            Dataset::Message => "ts",
            Dataset::Call | Dataset::Conference => "callDate",
            Dataset::Voicemail | Dataset::Recording | Dataset::File => "createdAt",
            Dataset::Enquiry => "closedAt",
            Dataset::Other => "answeredAt",
            _ => "",
        };
        let json = value.to_string();
        Self {
            key: format!("{dataset}/{id}"),
            dataset,
            id,
            at: Fields::get(value, time).and_then(|at| at.time()).unwrap_or(0),
            room: value.text("roomID"),
            seq: Fields::get(value, "seq").and_then(|seq| seq.integer()),
            names: Reference::of(dataset, value).and_then(file_id).into_iter().collect(),
            digest: hex::encode(Sha256::digest(&json)),
            json,
        }
    }
}

/// The file id of a medium that is named: as it is, or as the stem of its path.
fn file_id(reference: Reference) -> Option<String> {
    reference.file_id.or_else(|| stem(&reference.path?))
}

/// The file id that the name of a medium in a backup begins with.
pub(crate) fn stem(path: &str) -> Option<String> {
    let name = path.rsplit('/').next()?;
    Some(name.split('.').next()?.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_record_knows_its_id_its_time_and_its_media() {
        let time = "2021-05-01T08:00:00Z";
        let millis = 1_619_856_000_000;
        for (dataset, value, id, at, names) in [
            (
                Dataset::Message,
                json!({"_id": "m", "ts": time, "roomID": "r", "seq": 4,
                       "content": {"msg": {"file": {"fileID": "f"}}}}),
                "m",
                millis,
                vec!["f"],
            ),
            (Dataset::Call, json!({"callID": "c", "callDate": time}), "c", millis, vec![]),
            (Dataset::Enquiry, json!({"id": "e", "closedAt": time}), "e", millis, vec![]),
            (Dataset::Other, json!({"_id": "v", "answeredAt": time}), "v", millis, vec![]),
            (
                Dataset::File,
                json!({"fileID": "f", "createdAt": time, "path": "data-retention/r/f.png"}),
                "f",
                millis,
                vec!["f"],
            ),
            (
                Dataset::Staff,
                json!({"id": "s", "avatarUrl": "data-retention/avatars/a.png"}),
                "s",
                0,
                vec!["a"],
            ),
        ] {
            let record = Record::new(dataset, &value);
            assert_eq!((record.id.as_str(), record.at), (id, at), "{value}");
            assert_eq!(record.names, names, "{value}");
            assert_eq!(record.key, format!("{dataset}/{id}"));
        }
    }
}
