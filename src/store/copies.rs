//! On how many members of the replica set something is.

use std::time::Duration;

use bson::{Bson, Document, doc};
use mongodb::{
    error::{ErrorKind, WriteFailure},
    options::{Acknowledgment, WriteConcern},
};
use serde::{Deserialize, Serialize};

use super::{Error, Store, schema};
use crate::backup::UploadId;

/// For how long a member may take to acknowledge what the others have.
const PATIENCE: Duration = Duration::from_secs(3);

/// Where a backup is stored, and on how many members it was then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copies {
    /// The replica set's name, if there is one.
    pub replica_set: Option<String>,
    /// The database: TargetDB.
    pub database: String,
    /// Members that hold data and can become primary or be read from. Arbiters hold none.
    pub data_members: u64,
    /// How many of them had all of it on their disks.
    pub acknowledged: u64,
}

impl Store {
    /// Asks how many members have all that was written of a backup, each with its journal on the
    /// disk.
    ///
    /// Whoever acknowledges a write holds everything before it. So a write to the backup's line is
    /// tried for all data members, and for fewer where some do not answer.
    pub async fn copies(&self, upload: &UploadId) -> Result<Copies, Error> {
        let admin = self.db.client().database("admin");
        let hello = admin.run_command(doc! { "isMaster": 1 }).await;
        let hello = hello.map_err(Error::database("ask which members there are"))?;
        let (replica_set, data_members) = data_members(&hello);
        let mut acknowledged = data_members;
        while acknowledged > 1 && !self.has_copies(upload, acknowledged).await? {
            acknowledged -= 1;
        }
        Ok(Copies {
            replica_set,
            database: self.db.name().to_owned(),
            data_members: data_members.into(),
            acknowledged: acknowledged.into(),
        })
    }

    async fn has_copies(&self, upload: &UploadId, members: u32) -> Result<bool, Error> {
        let concern = WriteConcern::builder()
            .w(Acknowledgment::Nodes(members))
            .journal(true)
            .w_timeout(PATIENCE)
            .build();
        let outcome = self
            .collection(schema::BACKUPS)
            .update_one(
                doc! { "_id": upload.as_str() },
                doc! { "$currentDate": { "confirmed": true } },
            )
            .write_concern(concern)
            .await;
        match outcome {
            Ok(_) => Ok(true),
            Err(error)
                if matches!(
                    error.kind.as_ref(),
                    ErrorKind::Write(WriteFailure::WriteConcernError(_))
                ) =>
            {
                Ok(false)
            }
            Err(error) => Err(Error::database("ask which members have a backup")(error)),
        }
    }
}

/// The name of the replica set, and how many of its members hold data.
pub(super) fn data_members(hello: &Document) -> (Option<String>, u32) {
    let Ok(name) = hello.get_str("setName") else { return (None, 1) };
    let members = u32::try_from(data_hosts(hello).count()).unwrap_or(1);
    (Some(name.to_owned()), members.max(1))
}

/// Hosts and ports of the members that hold data. Arbiters stand in a list of their own, and hidden
/// members in none.
pub(super) fn data_hosts(hello: &Document) -> impl Iterator<Item = &str> {
    let lists = ["hosts", "passives"].into_iter().filter_map(|kind| hello.get_array(kind).ok());
    lists.flatten().filter_map(Bson::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_that_hold_data_are_counted_and_arbiters_are_not() {
        for (hello, expected) in [
            (doc! { "ismaster": true }, (None, 1)),
            (doc! { "setName": "rs0", "hosts": ["a:1"] }, (Some("rs0"), 1)),
            (
                doc! { "setName": "rs0", "hosts": ["a:1", "b:1"], "arbiters": ["c:1"] },
                (Some("rs0"), 2),
            ),
            (
                doc! { "setName": "rs0", "hosts": ["a:1", "b:1"], "passives": ["c:1"] },
                (Some("rs0"), 3),
            ),
        ] {
            let (name, count) = data_members(&hello);
            assert_eq!((name.as_deref(), count), expected, "{hello}");
        }
    }
}
