//! Collections and indexes. Built before any data arrives.

use mongodb::{
    Database, IndexModel,
    bson::{Document, doc},
    options::IndexOptions,
};

use super::Error;
use crate::{accounts::DataType, records::Dataset};

/// The collection that a dataset's records are kept in.
pub(super) fn collection(dataset: Dataset) -> &'static str {
    table(DataType::of(dataset))
}

/// The collection that a data type's records are kept in.
pub(super) fn table(data_type: DataType) -> &'static str {
    data_type.as_str()
}

/// Uploads and what came of them.
pub(super) const BACKUPS: &str = "backups";
/// Who may sign in.
pub(super) const ACCOUNTS: &str = "accounts";
/// What was set in the portal.
pub(super) const SETTINGS: &str = "settings";
/// What maaiiconnect's own log says.
pub(super) const CLOUD: &str = "cloud";
/// Who did what.
pub(super) const AUDIT: &str = "audit";
/// GridFS: what media there are.
pub(super) const MEDIA_FILES: &str = "media.files";
/// GridFS: their bytes.
pub(super) const MEDIA_CHUNKS: &str = "media.chunks";

/// GridFS: what receipts there are.
pub(super) const RECEIPT_FILES: &str = "receipts.files";
/// GridFS: their statements.
pub(super) const RECEIPT_CHUNKS: &str = "receipts.chunks";
/// Keys that receipts were signed with.
pub(super) const RECEIPT_KEYS: &str = "receipts.keys";
/// Which backups hold media that another one brought.
pub(super) const MEDIA_REPEATED: &str = "media.repeated";

/// Data types whose records say what kind of medium theirs is.
pub(super) const NAMING: [DataType; 3] =
    [DataType::Files, DataType::Voicemails, DataType::Recordings];

/// The indexes of a data type's collection, beside `_id`.
///
/// Each view lists by time, the newest first, with `_id` to tell equals apart;
/// `backup` serves taking a rejected backup out and showing what a backup brought;
/// the others serve the links from one view to another.
fn indexes(data_type: DataType) -> Vec<Document> {
    let mut keys = vec![doc! { "at": -1, "_id": -1 }, doc! { "backup": 1 }];
    // What records say of a medium that does not tell by itself what it is.
    if NAMING.contains(&data_type) {
        keys.push(doc! { "medium": 1 });
    }
    keys.extend(match data_type {
        DataType::Calls => vec![doc! { "call": 1 }, doc! { "room": 1, "at": 1 }],
        DataType::Messages => vec![doc! { "room": 1, "at": 1, "seq": 1 }],
        DataType::Voicemails | DataType::Recordings => vec![doc! { "call": 1 }, doc! { "room": 1 }],
        DataType::Files => vec![doc! { "file": 1 }, doc! { "room": 1 }],
        DataType::Staff | DataType::Contacts => {
            vec![doc! { "eid": 1 }, doc! { "id": 1, "taken": -1, "version": -1 }]
        }
        DataType::Conferences | DataType::Enquiries => vec![doc! { "room": 1 }],
        DataType::Other => vec![],
    });
    keys
}

pub(super) async fn prepare(db: &Database) -> Result<(), Error> {
    for data_type in DataType::ALL {
        build(db, table(data_type), &indexes(data_type), false).await?;
    }
    build(
        db,
        BACKUPS,
        &[
            doc! { "job": 1 },
            doc! { "state": 1 },
            doc! { "arrived": -1, "_id": -1 },
            doc! { "taken": -1, "_id": -1 },
        ],
        false,
    )
    .await?;
    // The log by itself, and what one account did, one kind of event, and both.
    let audit = [
        doc! { "at": -1, "_id": -1 },
        doc! { "account": 1, "at": -1, "_id": -1 },
        doc! { "action": 1, "at": -1, "_id": -1 },
        doc! { "account": 1, "action": 1, "at": -1, "_id": -1 },
    ];
    build(db, AUDIT, &audit, false).await?;
    for chunks in [MEDIA_CHUNKS, RECEIPT_CHUNKS] {
        build(db, chunks, &[doc! { "files_id": 1, "n": 1 }], true).await?;
    }
    // One receipt an upload, and one with each number, so that the chain cannot fork.
    let unique = [doc! { "metadata.number": 1 }, doc! { "metadata.upload": 1 }];
    build(db, RECEIPT_FILES, &unique, true).await?;
    let others = [doc! { "metadata.job": 1 }, doc! { "filename": 1, "uploadDate": 1 }];
    build(db, RECEIPT_FILES, &others, false).await?;
    build(db, MEDIA_REPEATED, &[doc! { "backup": 1 }], false).await?;
    build(
        db,
        MEDIA_FILES,
        &[doc! { "filename": 1, "uploadDate": 1 }, doc! { "metadata.backup": 1 }],
        false,
    )
    .await
}

async fn build(db: &Database, name: &str, keys: &[Document], unique: bool) -> Result<(), Error> {
    let models = keys.iter().map(|keys| {
        let options = unique.then(|| IndexOptions::builder().unique(true).build());
        IndexModel::builder().keys(keys.clone()).options(options).build()
    });
    db.collection::<Document>(name)
        .create_indexes(models)
        .await
        .map_err(Error::database("build the indexes"))?;
    Ok(())
}
