//! Which media a record names.

use super::{Dataset, Fields, rules::MEDIA_FOLDER};

/// A record's mention of a medium.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reference {
    /// Where in the archive it says the medium is.
    pub path: Option<String>,
    /// The medium's file id: the stem of its entry's name.
    pub file_id: Option<String>,
    /// How many bytes it says the medium has.
    pub size_bytes: Option<u64>,
}

/// Where a dataset's records name media: path, file id, size in bytes.
const PLACES: &[(&[Dataset], &str, &str, &str)] = &[
    (
        &[Dataset::Message],
        "content.msg.file.path",
        "content.msg.file.fileID",
        "content.msg.file.size",
    ),
    (&[Dataset::Staff], "avatarUrl", "", ""),
    (
        &[
            Dataset::File,
            Dataset::Avatar,
            Dataset::TagIcon,
            Dataset::Voicemail,
            Dataset::Recording,
            Dataset::Other,
        ],
        "path",
        "fileID",
        "size",
    ),
];

impl Reference {
    /// The medium that a record of `dataset` names, if it names one.
    pub fn of(dataset: Dataset, record: &(impl Fields + ?Sized)) -> Option<Self> {
        let (_, path, file_id, size) =
            PLACES.iter().find(|(datasets, ..)| datasets.contains(&dataset))?;
        let path = record.text(path).filter(|path| {
            // A web address, say of an avatar, is not a place in the archive.
            dataset != Dataset::Staff || path.trim_start_matches("./").starts_with(MEDIA_FOLDER)
        });
        let file_id = record.text(file_id);
        if path.is_none() && file_id.is_none() {
            return None;
        }
        let size_bytes = record.get(size).and_then(|size| size.integer());
        Some(Self { path, file_id, size_bytes: size_bytes.and_then(|size| size.try_into().ok()) })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn media_are_named_by_path_or_file_id() {
        for (dataset, record, expected) in [
            (
                Dataset::File,
                json!({"path": "data-retention/a.txt", "size": 3}),
                Some((Some("data-retention/a.txt"), None, Some(3))),
            ),
            (Dataset::Voicemail, json!({"fileID": "f"}), Some((None, Some("f"), None))),
            (
                Dataset::Message,
                json!({"content": {"msg": {"file": {"fileID": "f", "size": {"$numberInt": "9"}}}}}),
                Some((None, Some("f"), Some(9))),
            ),
            (Dataset::Message, json!({"msgText": "hello"}), None),
            (Dataset::Staff, json!({"avatarUrl": "https://cdn.example/a.png"}), None),
            (
                Dataset::Staff,
                json!({"avatarUrl": "data-retention/avatars/a.png"}),
                Some((Some("data-retention/avatars/a.png"), None, None)),
            ),
            (Dataset::Call, json!({"fileID": "f"}), None),
        ] {
            let expected =
                expected.map(|(path, id, size_bytes): (Option<&str>, Option<&str>, _)| Reference {
                    path: path.map(Into::into),
                    file_id: id.map(Into::into),
                    size_bytes,
                });
            assert_eq!(Reference::of(dataset, &record), expected, "{record}");
        }
    }
}
