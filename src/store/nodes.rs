//! Which data nodes have everything of a backup.
//!
//! Whatever was written before a moment has a lower place in the oplog than that moment; a member
//! that has written up to there has it all. Must never take a node's word for another, nor count one
//! that cannot be reached: what cannot be found out is not there. Hidden members are counted nowhere:
//! nobody can go on with them.

use std::collections::HashMap;

use bson::{Document, Timestamp as Optime, doc};
use futures_util::TryStreamExt;

use super::{
    Error, Store,
    copies::{data_hosts, data_members},
    schema,
    vitals::{Asked, Member},
};
use crate::backup::{UploadId, verdict::Nodes};

impl Store {
    /// How many data nodes have everything of each of some backups that are stored; one of which
    /// that cannot be found out, or where our user may not ask, is left out.
    pub async fn nodes_with(
        &self,
        uploads: &[UploadId],
    ) -> Result<HashMap<UploadId, Nodes>, Error> {
        let failed = "ask which members have a backup";
        if uploads.is_empty() {
            return Ok(HashMap::new());
        }
        let admin = self.db.client().database("admin");
        let hello = admin.run_command(doc! { "isMaster": 1 }).await;
        let hello = hello.map_err(Error::database(failed))?;
        let (Some(_), all) = data_members(&hello) else {
            // No replica set: this one server has what it acknowledged.
            let one = Nodes { have_it: 1, all: 1 };
            return Ok(uploads.iter().map(|upload| (upload.clone(), one)).collect());
        };
        let needed = self.optimes(uploads, &hello).await?;
        let Asked::Answer(members) = self.members().await? else { return Ok(HashMap::new()) };
        let nodes = |needed| Nodes { have_it: count(&members, &hello, needed), all };
        Ok(needed.into_iter().map(|(upload, needed)| (upload, nodes(needed))).collect())
    }

    /// Places in the oplog before which everything of each backup stands. They are found out once.
    async fn optimes(
        &self,
        uploads: &[UploadId],
        hello: &Document,
    ) -> Result<HashMap<UploadId, Optime>, Error> {
        let failed = "look for backups";
        let ids: Vec<&str> = uploads.iter().map(UploadId::as_str).collect();
        let backups = self.collection(schema::BACKUPS);
        let lines = backups.find(doc! { "_id": { "$in": ids } }).projection(doc! { "optime": 1 });
        let lines = lines.await.map_err(Error::database(failed))?;
        let lines: Vec<Document> = lines.try_collect().await.map_err(Error::database(failed))?;
        let mut known: HashMap<UploadId, Optime> = lines.iter().filter_map(noted).collect();
        let missing: Vec<&UploadId> =
            uploads.iter().filter(|upload| !known.contains_key(*upload)).collect();
        // A secondary has not written as far as the primary may have.
        if missing.is_empty() || !hello.get_bool("ismaster").unwrap_or(false) {
            return Ok(known);
        }
        let last = hello.get_document("lastWrite").and_then(|last| last.get_document("opTime"));
        let Ok(now) = last.and_then(|last| last.get_timestamp("ts")) else { return Ok(known) };
        let ids: Vec<&str> = missing.iter().map(|upload| upload.as_str()).collect();
        backups
            .update_many(
                doc! { "_id": { "$in": ids }, "state": "Stored", "optime": { "$exists": false } },
                doc! { "$set": { "optime": now } },
            )
            .await
            .map_err(Error::database("note when a backup was complete"))?;
        known.extend(missing.into_iter().map(|upload| (upload.clone(), now)));
        Ok(known)
    }
}

/// What a backup's line says of it.
fn noted(line: &Document) -> Option<(UploadId, Optime)> {
    Some((line.get_str("_id").ok()?.parse().ok()?, line.get_timestamp("optime").ok()?))
}

/// How many of the members that hold data have written up to that place.
fn count(members: &[Member], hello: &Document, needed: Optime) -> u32 {
    let is_data_node = |member: &&Member| data_hosts(hello).any(|host| host == member.name);
    let have_it = members.iter().filter(is_data_node).filter(|member| has(member, needed));
    u32::try_from(have_it.count()).unwrap_or(u32::MAX)
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
    fn a_hidden_member_does_not_stand_in_for_one_that_lags() {
        let hello = doc! { "setName": "rs0", "hosts": ["a:1"], "passives": ["b:1"] };
        let member = |name: &str, state: &str, written: u32| {
            vitals::member(&doc! {
                "name": name, "stateStr": state, "health": 1.0,
                "optimeDurable": { "ts": optime(written, 1) },
            })
        };
        for (passive, expected) in [(4, 1), (5, 2)] {
            let members = [
                member("a:1", "PRIMARY", 9),
                member("b:1", "SECONDARY", passive),
                member("hidden:1", "SECONDARY", 9),
            ];
            assert_eq!(count(&members, &hello, optime(5, 1)), expected);
            assert_eq!(data_members(&hello).1, 2);
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
