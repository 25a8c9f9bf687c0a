//! What was set in the portal: one document, the same for every node.
//!
//! A change is made over the revision that it was thought of with, so that two administrators, or two
//! nodes, never undo each other's unseen.

use bson::{Bson, DateTime, Document, doc};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Error, Store,
    backups::{date, from_document, is_duplicate, line::ModesLine, to_bson},
    schema,
};
use crate::{
    config::Modes,
    settings::{
        ArchiveKey, Change, Database, Settings, SftpKey, Told,
        seal::{Mark, Sealed},
    },
};

/// The one document.
const ID: &str = "retention";

/// The settings as they are written.
#[derive(Serialize, Deserialize)]
struct Line {
    revision: i64,
    changed: Option<ChangeLine>,
    #[serde(default)]
    off: bool,
    days_retained: Option<i32>,
    schedule_hour: Option<i32>,
    #[serde(default)]
    archive_keys: Vec<ArchiveKeyLine>,
    modes: Option<ModesLine>,
    mongodb: Option<DatabaseLine>,
    sftp_address: Option<String>,
    #[serde(default)]
    sftp_keys: Vec<SftpKeyLine>,
    told: Option<ToldLine>,
}

#[derive(Serialize, Deserialize)]
struct ChangeLine {
    at: DateTime,
    by: String,
}

#[derive(Serialize, Deserialize)]
struct ArchiveKeyLine {
    mark: Mark,
    sealed: Sealed,
    set: ChangeLine,
}

#[derive(Serialize, Deserialize)]
struct DatabaseLine {
    host: String,
    user: String,
    sealed_password: Option<Sealed>,
    auth_db: String,
    target_db: String,
    #[serde(default)]
    replica_set: String,
}

#[derive(Serialize, Deserialize)]
struct SftpKeyLine {
    fingerprint: String,
    line: String,
    added: ChangeLine,
    until: Option<DateTime>,
}

#[derive(Serialize, Deserialize)]
struct ToldLine {
    revision: i64,
    at: DateTime,
}

impl Store {
    /// What was set. Nothing was, where nobody has set anything yet.
    pub async fn settings(&self) -> Result<Settings, Error> {
        let found = self
            .collection(schema::SETTINGS)
            .find_one(doc! { "_id": ID })
            .await
            .map_err(Error::database("read the settings"))?;
        found.map_or_else(|| Ok(Settings::default()), read)
    }

    /// Writes settings over those of the revision before theirs, acknowledged by most members.
    ///
    /// Returns false, and changes nothing, if somebody else was quicker.
    pub async fn change_settings(&self, settings: &Settings) -> Result<bool, Error> {
        let failed = "change the settings";
        let before = whole(settings.revision.saturating_sub(1));
        let document = written(settings)?;
        let settings = self.collection(schema::SETTINGS);
        let wanted = doc! { "_id": ID, "revision": before };
        let replaced = settings.replace_one(wanted, document.clone()).await;
        if replaced.map_err(Error::database(failed))?.matched_count == 1 {
            return Ok(true);
        }
        if before == 0 { self.insert_settings(document).await } else { Ok(false) }
    }

    /// Writes settings where there are none, as they are elsewhere, acknowledged by most members.
    ///
    /// Returns false, and changes nothing, if there are some.
    pub async fn begin_settings(&self, settings: &Settings) -> Result<bool, Error> {
        self.insert_settings(written(settings)?).await
    }

    async fn insert_settings(&self, mut document: Document) -> Result<bool, Error> {
        document.insert("_id", ID);
        match self.collection(schema::SETTINGS).insert_one(document).await {
            Err(error) if is_duplicate(&error) => Ok(false),
            other => other.map(|_| true).map_err(Error::database("begin the settings")),
        }
    }

    /// Writes down that maaiiconnect knows the settings of a revision.
    pub async fn note_told(&self, told: Told) -> Result<(), Error> {
        let line = ToldLine { revision: whole(told.revision), at: date(told.at) };
        self.collection(schema::SETTINGS)
            .update_one(doc! { "_id": ID }, doc! { "$set": { "told": to_bson(&line)? } })
            .await
            .map_err(Error::database("note what maaiiconnect was told"))?;
        Ok(())
    }

    /// How many backups an Archive Key has opened, and when the newest of them was made.
    pub async fn opened_with(&self, mark: &Mark) -> Result<(u64, Option<Timestamp>), Error> {
        let failed = "count what an Archive Key has opened";
        let wanted = doc! { "archive_keys": mark.as_str() };
        let backups = self.collection(schema::BACKUPS);
        let count = backups.count_documents(wanted.clone()).await;
        let newest = backups.find_one(wanted).sort(doc! { "taken": -1 }).await;
        let newest = newest.map_err(Error::database(failed))?;
        let taken = newest.as_ref().and_then(|backup| backup.get_datetime("taken").ok());
        let taken = taken.and_then(|at| Timestamp::from_millisecond(at.timestamp_millis()).ok());
        Ok((count.map_err(Error::database(failed))?, taken))
    }
}

fn written(settings: &Settings) -> Result<Document, Error> {
    let change = |change: &Change| ChangeLine { at: date(change.at), by: change.by.clone() };
    let archive_key = |key: &ArchiveKey| ArchiveKeyLine {
        mark: key.mark.clone(),
        sealed: key.key.clone(),
        set: change(&key.set),
    };
    let sftp_key = |key: &SftpKey| SftpKeyLine {
        fingerprint: key.fingerprint.clone(),
        line: key.line.clone(),
        added: change(&key.added),
        until: key.until.map(date),
    };
    let database = |database: &Database| DatabaseLine {
        host: database.host.clone(),
        user: database.user.clone(),
        sealed_password: database.password.clone(),
        auth_db: database.auth_db.clone(),
        target_db: database.target_db.clone(),
        replica_set: database.replica_set.clone(),
    };
    let line = Line {
        revision: whole(settings.revision),
        changed: settings.changed.as_ref().map(change),
        off: settings.off,
        days_retained: settings.days_retained.map(i32::from),
        schedule_hour: settings.schedule_hour.map(i32::from),
        archive_keys: settings.archive_keys.iter().map(archive_key).collect(),
        modes: settings.modes.map(ModesLine::from),
        mongodb: settings.mongodb.as_ref().map(database),
        sftp_address: settings.sftp_address.clone(),
        sftp_keys: settings.sftp_keys.iter().map(sftp_key).collect(),
        told: settings
            .told
            .map(|told| ToldLine { revision: whole(told.revision), at: date(told.at) }),
    };
    match to_bson(&line)? {
        Bson::Document(document) => Ok(document),
        _ => Ok(Document::new()),
    }
}

fn read(document: Document) -> Result<Settings, Error> {
    let unreadable = |why: String| Error::Unreadable { what: "settings", id: ID.to_owned(), why };
    let line: Line = from_document(document).map_err(unreadable)?;
    let time = |date: DateTime| {
        Timestamp::from_millisecond(date.timestamp_millis())
            .map_err(|error| unreadable(error.to_string()))
    };
    let change = |line: ChangeLine| Ok::<_, Error>(Change { at: time(line.at)?, by: line.by });
    let small = |number: i32| u16::try_from(number).map_err(|error| unreadable(error.to_string()));
    let archive_key = |line: ArchiveKeyLine| {
        Ok::<_, Error>(ArchiveKey { mark: line.mark, key: line.sealed, set: change(line.set)? })
    };
    let sftp_key = |line: SftpKeyLine| {
        Ok::<_, Error>(SftpKey {
            fingerprint: line.fingerprint,
            line: line.line,
            added: change(line.added)?,
            until: line.until.map(time).transpose()?,
        })
    };
    let told = |line: ToldLine| {
        Ok::<_, Error>(Told { revision: line.revision.unsigned_abs(), at: time(line.at)? })
    };
    let hour = line.schedule_hour.map(small).transpose()?;
    let hour = hour.map(|hour| u8::try_from(hour).map_err(|error| unreadable(error.to_string())));
    Ok(Settings {
        revision: line.revision.unsigned_abs(),
        changed: line.changed.map(change).transpose()?,
        off: line.off,
        days_retained: line.days_retained.map(small).transpose()?,
        schedule_hour: hour.transpose()?,
        archive_keys: line.archive_keys.into_iter().map(archive_key).collect::<Result<_, _>>()?,
        modes: line.modes.map(Modes::from),
        mongodb: line.mongodb.map(|line| Database {
            host: line.host,
            user: line.user,
            password: line.sealed_password,
            auth_db: line.auth_db,
            target_db: line.target_db,
            replica_set: line.replica_set,
        }),
        sftp_address: line.sftp_address,
        sftp_keys: line.sftp_keys.into_iter().map(sftp_key).collect::<Result<_, _>>()?,
        told: line.told.map(told).transpose()?,
    })
}

/// A number as BSON has it, which knows no larger ones.
pub(super) fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::Secret, settings::seal::Seal};

    #[test]
    fn what_was_set_is_read_as_it_was_written() {
        let change = Change { at: Timestamp::UNIX_EPOCH, by: "Admin".into() };
        let seal = Seal::new(&Secret::new("a secret of the site".into()));
        let mut settings = Settings {
            revision: 7,
            changed: Some(change.clone()),
            off: true,
            days_retained: Some(3650),
            schedule_hour: Some(23),
            modes: Some(Modes { online: true, offline: false }),
            mongodb: Some(Database {
                host: "a:1,b:2".into(),
                user: "u".into(),
                password: None,
                auth_db: "admin".into(),
                target_db: "retention".into(),
                replica_set: "rs0".into(),
            }),
            sftp_address: Some("192.0.2.1:22".into()),
            sftp_keys: vec![SftpKey {
                fingerprint: "SHA256:x".into(),
                line: "ssh-ed25519 AAAA".into(),
                added: change.clone(),
                until: Some(Timestamp::UNIX_EPOCH),
            }],
            told: Some(Told { revision: 6, at: Timestamp::UNIX_EPOCH }),
            ..Settings::default()
        };
        let key = Secret::new("Str0ng!Key".into());
        settings.set_archive_key(&key, &seal, change).expect("sealed");
        let document = written(&settings).expect("written");
        assert!(!document.to_string().contains("Str0ng"));
        assert_eq!(read(document).expect("read"), settings);
        // A document of an older version has less.
        assert_eq!(read(doc! { "revision": 1_i64 }).expect("read").revision, 1);
    }
}
