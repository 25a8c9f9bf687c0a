//! What the database says of its own health: disk, members, oplog.
//!
//! Asks only; needs no right but those of the role `clusterMonitor`, and says where one is missing.

use bson::{Bson, DateTime, Document, doc};
use jiff::Timestamp;
use mongodb::error::ErrorKind;

use super::{Error, Store};

/// What was asked for, or why there is none.
#[derive(Clone, Debug, PartialEq)]
pub enum Asked<T> {
    /// The answer.
    Answer(T),
    /// Our user has not the right to ask.
    NotPermitted,
    /// There is no such thing: no replica set.
    NotThere,
}

/// The file system of the server that was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// How many bytes it has.
    pub total_bytes: u64,
    /// How many of them are free.
    pub free_bytes: u64,
}

/// A member of the replica set.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// Host and port.
    pub name: String,
    /// `PRIMARY`, `SECONDARY`, `ARBITER`, or what else it is.
    pub state: String,
    /// Whether the member that was asked can reach it.
    pub healthy: bool,
    /// When the last write was made that it has; nothing of an arbiter.
    pub written: Option<Timestamp>,
    /// Up to which place of the oplog it has written to its disk: a second since 1970, and a number
    /// within it; nothing of an arbiter.
    pub durable: Option<(u32, u32)>,
}

/// The log that members replicate from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Oplog {
    /// How large it may be.
    pub limit_bytes: u64,
    /// How large it is.
    pub used_bytes: u64,
    /// The time from its first entry to its last.
    pub window_seconds: i64,
}

impl Store {
    /// The disk that the database is on; nothing where the server does not say, as of a database
    /// that nothing was written to yet.
    pub async fn space(&self) -> Result<Option<Space>, Error> {
        let stats = self
            .db
            .run_command(doc! { "dbStats": 1 })
            .await
            .map_err(Error::database("ask for the database's disk"))?;
        let number = |name| stats.get(name).and_then(whole);
        let total = number("fsTotalSize").filter(|total| *total > 0);
        let used = number("fsUsedSize");
        Ok(total.zip(used).map(|(total_bytes, used)| Space {
            total_bytes,
            free_bytes: total_bytes.saturating_sub(used),
        }))
    }

    /// What time it is for the database, to the millisecond.
    pub async fn database_time(&self) -> Result<Option<Timestamp>, Error> {
        let admin = self.db.client().database("admin");
        let hello = admin
            .run_command(doc! { "isMaster": 1 })
            .await
            .map_err(Error::database("ask for the database's time"))?;
        Ok(hello.get_datetime("localTime").ok().and_then(time))
    }

    /// The members of the replica set.
    pub async fn members(&self) -> Result<Asked<Vec<Member>>, Error> {
        let admin = self.db.client().database("admin");
        let status = match admin.run_command(doc! { "replSetGetStatus": 1 }).await {
            Ok(status) => status,
            Err(error) => return refusal(error, "ask for the replica set's members"),
        };
        let members = status.get_array("members").map(Vec::as_slice).unwrap_or_default();
        Ok(Asked::Answer(members.iter().filter_map(Bson::as_document).map(member).collect()))
    }

    /// The oplog of the server that is asked.
    pub async fn oplog(&self) -> Result<Asked<Oplog>, Error> {
        let failed = "ask for the oplog";
        let local = self.db.client().database("local");
        let stats = match local.run_command(doc! { "collStats": "oplog.rs" }).await {
            Ok(stats) => stats,
            Err(error) => return refusal(error, failed),
        };
        let entries = local.collection::<Document>("oplog.rs");
        let mut times = [0; 2];
        for (time, order) in times.iter_mut().zip([1, -1]) {
            let entry = entries.find_one(doc! {}).sort(doc! { "$natural": order });
            match entry.projection(doc! { "ts": 1 }).await {
                Ok(Some(entry)) => *time = entry.get_timestamp("ts").map_or(0, |ts| ts.time),
                Ok(None) => return Ok(Asked::NotThere),
                Err(error) => return refusal(error, failed),
            }
        }
        let number = |name| stats.get(name).and_then(whole).unwrap_or(0);
        match number("maxSize") {
            0 => Ok(Asked::NotThere),
            limit_bytes => Ok(Asked::Answer(Oplog {
                limit_bytes,
                used_bytes: number("size"),
                window_seconds: i64::from(times[1].saturating_sub(times[0])),
            })),
        }
    }
}

/// What an error means to somebody who only asks.
fn refusal<T>(error: mongodb::error::Error, operation: &'static str) -> Result<Asked<T>, Error> {
    match error.kind.as_ref() {
        // Unauthorized.
        ErrorKind::Command(command) if command.code == 13 => Ok(Asked::NotPermitted),
        // NoReplicationEnabled, NotYetInitialized, NamespaceNotFound.
        ErrorKind::Command(command) if [76, 94, 26].contains(&command.code) => Ok(Asked::NotThere),
        _ => Err(Error::database(operation)(error)),
    }
}

pub(super) fn member(document: &Document) -> Member {
    let text = |name| document.get_str(name).unwrap_or("unknown").to_owned();
    let state = text("stateStr");
    let written = document.get_datetime("optimeDate").ok().filter(|_| state != "ARBITER");
    let durable = ["optimeDurable", "optime"].into_iter().find_map(|name| {
        let place =
            document.get_document(name).and_then(|optime| optime.get_timestamp("ts")).ok()?;
        Some((place.time, place.increment))
    });
    Member {
        name: text("name"),
        durable: durable.filter(|_| state != "ARBITER"),
        healthy: document.get("health").and_then(whole) == Some(1),
        written: written.and_then(time),
        state,
    }
}

fn time(date: &DateTime) -> Option<Timestamp> {
    Timestamp::from_millisecond(date.timestamp_millis()).ok()
}

/// A number that the server may send in any of its three forms.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sizes and counts, which the server sends as doubles where they may be large"
)]
fn whole(value: &Bson) -> Option<u64> {
    match *value {
        Bson::Int32(number) => u64::try_from(number).ok(),
        Bson::Int64(number) => u64::try_from(number).ok(),
        Bson::Double(number) if number >= 0.0 => Some(number as u64),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_in_three_forms() {
        for (value, number) in [
            (Bson::Int32(1), Some(1)),
            (Bson::Int64(1 << 40), Some(1 << 40)),
            (Bson::Double(1e12), Some(1_000_000_000_000)),
            (Bson::Double(-1.0), None),
            (Bson::Int32(-1), None),
            (Bson::Null, None),
        ] {
            assert_eq!(whole(&value), number, "{value:?}");
        }
    }

    #[test]
    fn an_arbiter_has_no_writes_to_be_behind_with() {
        let date = DateTime::from_millis(1000);
        for (state, written) in [("SECONDARY", true), ("ARBITER", false)] {
            let found = member(
                &doc! { "name": "a:1", "stateStr": state, "health": 1.0, "optimeDate": date },
            );
            assert_eq!(found.written.is_some(), written);
            assert!(found.healthy);
        }
        assert!(!member(&doc! { "health": 0.0 }).healthy);
    }
}
