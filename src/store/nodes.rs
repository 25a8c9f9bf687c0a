//! Which data nodes have everything of a backup.
//!
//! Whatever was written before a moment has a lower place in the oplog than that moment; a member
//! that has written up to there has it all. Must never take a node's word for another, nor count one
//! that cannot be reached: what cannot be found out is not there.

use bson::{Document, Timestamp as Optime, doc};

use super::{
    Error, Store,
    copies::data_members,
    schema,
    vitals::{Asked, Member},
};
use crate::backup::{UploadId, verdict::Nodes};

impl Store {
    /// How many data nodes have everything of a backup that is stored; nothing where our user may not
    /// ask.
    pub async fn nodes_with(&self, upload: &UploadId) -> Result<Option<Nodes>, Error> {
        let failed = "ask which members have a backup";
        let admin = self.db.client().database("admin");
        let hello = admin.run_command(doc! { "isMaster": 1 }).await;
        let hello = hello.map_err(Error::database(failed))?;
        let (Some(_), all) = data_members(&hello) else {
            // No replica set: this one server has what it acknowledged.
            return Ok(Some(Nodes { have_it: 1, all: 1 }));
        };
        let Some(needed) = self.optime(upload, &hello).await? else { return Ok(None) };
        let Asked::Answer(members) = self.members().await? else { return Ok(None) };
        let have_it = members.iter().filter(|member| has(member, needed)).count();
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

/// Whether a member is there and has written to its disk up to that place.
fn has(member: &Member, needed: Optime) -> bool {
    let is_data_node = matches!(&*member.state, "PRIMARY" | "SECONDARY");
    let needed = (needed.time, needed.increment);
    is_data_node && member.healthy && member.durable.is_some_and(|durable| durable >= needed)
}

#[cfg(test)]
mod tests {
    use super::{super::vitals, *};

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
            assert_eq!(has(&vitals::member(&found), needed), has_it, "{found}");
        }
    }

    #[test]
    fn arbiters_hold_nothing_and_are_not_counted() {
        let hello = doc! { "setName": "rs0", "hosts": ["a", "b"], "arbiters": ["c"] };
        assert_eq!(data_members(&hello), (Some("rs0".into()), 2));
        let passive = doc! { "setName": "rs0", "hosts": ["a"], "passives": ["b"] };
        assert_eq!(data_members(&passive), (Some("rs0".into()), 2));
        assert_eq!(data_members(&doc! { "ismaster": true }).0, None);
    }
}
