//! Which data nodes have everything of a backup.
//!
//! Whatever was written before a moment has a lower place in the oplog than that moment; a member
//! that has written up to there has it all. Must never take a node's word for another, nor count one
//! that cannot be reached: what cannot be found out is not there.

use bson::{Bson, Document, Timestamp as Optime, doc};
use mongodb::error::ErrorKind;

use super::{Error, Store, schema};
use crate::backup::{UploadId, verdict::Nodes};

impl Store {
    /// How many data nodes have everything of a backup that is stored; nothing where our user may not
    /// ask.
    pub async fn nodes_with(&self, upload: &UploadId) -> Result<Option<Nodes>, Error> {
        let failed = "ask which members have a backup";
        let admin = self.db.client().database("admin");
        let hello = admin.run_command(doc! { "isMaster": 1 }).await;
        let hello = hello.map_err(Error::database(failed))?;
        let Some(all) = data_nodes(&hello) else {
            // No replica set: this one server has what it acknowledged.
            return Ok(Some(Nodes { have_it: 1, all: 1 }));
        };
        let Some(needed) = self.optime(upload, &hello).await? else { return Ok(None) };
        let status = match admin.run_command(doc! { "replSetGetStatus": 1 }).await {
            Ok(status) => status,
            // Unauthorized.
            Err(error) if matches!(error.kind.as_ref(), ErrorKind::Command(it) if it.code == 13) => {
                return Ok(None);
            }
            Err(error) => return Err(Error::database(failed)(error)),
        };
        let members = status.get_array("members").map(Vec::as_slice).unwrap_or_default();
        let members = members.iter().filter_map(Bson::as_document);
        let have_it = members.filter(|member| has(member, needed)).count();
        Ok(Some(Nodes { have_it: u32::try_from(have_it).unwrap_or(u32::MAX), all }))
    }

    /// A place in the oplog before which everything of the backup stands. It is found out once.
    async fn optime(&self, upload: &UploadId, hello: &Document) -> Result<Option<Optime>, Error> {
        let backups = self.collection(schema::BACKUPS);
        let line = backups.find_one(doc! { "_id": upload.as_str() }).await;
        let line = line.map_err(Error::database("look for a backup"))?;
        if let Some(known) = line.and_then(|line| line.get_timestamp("optime").ok()) {
            return Ok(Some(known));
        }
        // A secondary has not written as far as the primary may have.
        if !hello.get_bool("ismaster").unwrap_or(false) {
            return Ok(None);
        }
        let last = hello.get_document("lastWrite").and_then(|last| last.get_document("opTime"));
        let Ok(now) = last.and_then(|last| last.get_timestamp("ts")) else { return Ok(None) };
        backups
            .update_one(
                doc! { "_id": upload.as_str(), "state": "Stored", "optime": { "$exists": false } },
                doc! { "$set": { "optime": now } },
            )
            .await
            .map_err(Error::database("note when a backup was complete"))?;
        Ok(Some(now))
    }
}

/// How many members of the set hold data; nothing where there is no set. Arbiters stand in a list of
/// their own, and hidden members in none.
fn data_nodes(hello: &Document) -> Option<u32> {
    hello.get_str("setName").ok()?;
    let count = |name| hello.get_array(name).map_or(0, Vec::len);
    u32::try_from(count("hosts") + count("passives")).ok()
}

/// Whether a member is there and has written to its disk up to that place.
fn has(member: &Document, needed: Optime) -> bool {
    let is_data_node = matches!(member.get_str("stateStr"), Ok("PRIMARY" | "SECONDARY"));
    let healthy = member.get_f64("health").is_ok_and(|health| health == 1.0);
    let durable = ["optimeDurable", "optime"].into_iter().find_map(|name| {
        member.get_document(name).and_then(|optime| optime.get_timestamp("ts")).ok()
    });
    is_data_node && healthy && durable.is_some_and(|durable| durable >= needed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn optime(time: u32, increment: u32) -> Optime {
        Optime { time, increment }
    }

    #[test]
    fn a_member_has_what_it_wrote_to_its_disk_while_it_can_be_reached() {
        let member = |state: &str, health: f64, durable: Optime| {
            doc! {
                "stateStr": state, "health": health,
                "optime": { "ts": optime(9, 9) }, "optimeDurable": { "ts": durable },
            }
        };
        let needed = optime(5, 2);
        for (has_it, found) in [
            (true, member("PRIMARY", 1.0, optime(5, 2))),
            (true, member("SECONDARY", 1.0, optime(6, 1))),
            (false, member("SECONDARY", 1.0, optime(5, 1))),
            (false, member("SECONDARY", 0.0, optime(6, 1))),
            (false, member("RECOVERING", 1.0, optime(6, 1))),
            (false, doc! { "stateStr": "ARBITER", "health": 1.0 }),
        ] {
            assert_eq!(has(&found, needed), has_it, "{found}");
        }
    }

    #[test]
    fn arbiters_hold_nothing_and_are_not_counted() {
        let hello = doc! { "setName": "rs0", "hosts": ["a", "b"], "arbiters": ["c"] };
        assert_eq!(data_nodes(&hello), Some(2));
        let passive = doc! { "setName": "rs0", "hosts": ["a"], "passives": ["b"] };
        assert_eq!(data_nodes(&passive), Some(2));
        assert_eq!(data_nodes(&doc! { "ismaster": true }), None);
    }
}
