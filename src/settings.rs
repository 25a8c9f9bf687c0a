//! Administration > Security > Retention > Settings: what an administrator sets in the portal.
//!
//! The configuration file says how an appliance begins; what was set in the portal goes before it, is
//! kept in the database, and so is the same on every node. Whoever needs a setting reads it when it is
//! needed, so that a change needs no restart.
//!
//! All of this is pure. Secrets are held [sealed](seal) and never shown again; this module must never
//! drop an Archive Key, for archives that it opens are kept for years.

pub mod archive_key;
pub mod seal;
pub mod sheet;

use jiff::Timestamp;

use crate::config::{Modes, Mongodb, Secret};
use seal::{Mark, Seal, Sealed};

/// For how many days maaiiconnect can be told to retain data.
pub const DAYS: std::ops::RangeInclusive<u16> = 1..=3650;

/// What was set. What was never set is as the configuration says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Counts the changes.
    pub revision: u64,
    /// The last change.
    pub changed: Option<Change>,
    /// Whether Retention was switched off.
    pub off: bool,
    /// The maximum number of days that data is retained in the service account.
    pub days_retained: Option<u16>,
    /// The hour of the day, in UTC, at which backups are made.
    pub schedule_hour: Option<u8>,
    /// Archive Keys, the newest first. None is ever dropped.
    pub archive_keys: Vec<ArchiveKey>,
    /// What becomes of a backup.
    pub modes: Option<Modes>,
    /// The database, where another one was set than the configuration names.
    pub mongodb: Option<Database>,
    /// Host and port under which maaiiconnect reaches the endpoint.
    pub sftp_address: Option<String>,
    /// The SFTP Public Keys that may upload, to every node.
    pub sftp_keys: Vec<SftpKey>,
    /// What maaiiconnect was told through the connector, and when.
    pub told: Option<Told>,
}

/// Who changed something, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// When.
    pub at: Timestamp,
    /// Whose account it was.
    pub by: String,
}

/// An Archive Key that was set in the portal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveKey {
    /// Tells it from others.
    pub mark: Mark,
    /// The key.
    pub key: Sealed,
    /// Who set it, and when.
    pub set: Change,
}

/// MongoDB Permissions as they were set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Database {
    /// Host, User, AuthDB and TargetDB; the rest is as the configuration says.
    pub host: String,
    /// User; empty where the database asks for none.
    pub user: String,
    /// The password; none where it is the one of the configuration.
    pub password: Option<Sealed>,
    /// AuthDB.
    pub auth_db: String,
    /// TargetDB.
    pub target_db: String,
    /// The replica set's name, as the database said it; empty where it is in none.
    pub replica_set: String,
}

impl Database {
    /// This database; what cannot be set is as the configuration says.
    pub fn over(&self, configured: &Mongodb) -> Mongodb {
        let Self { host, user, auth_db, target_db, replica_set, .. } = self.clone();
        Mongodb { host, user, auth_db, target_db, replica_set, ..configured.clone() }
    }
}

/// An SFTP Public Key that may upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SftpKey {
    /// Its SHA-256 fingerprint, as OpenSSH writes it.
    pub fingerprint: String,
    /// The key, as a line of `authorized_keys`.
    pub line: String,
    /// Who added it, and when.
    pub added: Change,
    /// Until when it may upload; nothing while that has no end.
    pub until: Option<Timestamp>,
}

/// What maaiiconnect was told last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// Which revision of the settings.
    pub revision: u64,
    /// When.
    pub at: Timestamp,
}

/// What holds where nothing was set: the configuration.
#[derive(Clone, Debug)]
pub struct Defaults {
    /// What becomes of a backup.
    pub modes: Modes,
    /// The hour of the day, in UTC, at which backups come.
    pub schedule_hour: Option<u8>,
    /// The database.
    pub mongodb: Mongodb,
    /// Host and port under which maaiiconnect reaches the endpoint, as far as it is known.
    pub sftp_address: String,
}

/// An Archive Key that can be used.
#[derive(Clone, Debug)]
pub struct KnownKey {
    /// Tells it from others; none where nothing can make marks.
    pub mark: Option<Mark>,
    /// The key.
    pub key: Secret,
}

/// All Archive Keys that were ever set.
#[derive(Debug)]
pub struct KnownKeys {
    /// Those that can be used, the newest first.
    pub open: Vec<KnownKey>,
    /// Why some cannot be used. An archive that none of the others opens may be theirs: it is not the
    /// sender's fault.
    pub closed: Option<seal::Error>,
}

impl Settings {
    /// What becomes of a backup.
    pub fn modes(&self, defaults: &Defaults) -> Modes {
        self.modes.unwrap_or(defaults.modes)
    }

    /// The database.
    pub fn database(&self, defaults: &Defaults) -> Mongodb {
        let over = |set: &Database| set.over(&defaults.mongodb);
        self.mongodb.as_ref().map_or_else(|| defaults.mongodb.clone(), over)
    }

    /// The hour of the day, in UTC, at which backups are made.
    pub fn hour(&self, defaults: &Defaults) -> Option<u8> {
        self.schedule_hour.or(defaults.schedule_hour)
    }

    /// The hour of the day, in UTC, at which a backup has to come; none while Retention is off.
    pub fn awaited_hour(&self, configured: Option<u8>) -> Option<u8> {
        self.schedule_hour.or(configured).filter(|_| !self.off)
    }

    /// The Archive Keys that open archives, the newest first: those that were set here, then those of
    /// the configuration.
    pub fn known_keys(&self, seal: Option<&Seal>, configured: Vec<Secret>) -> KnownKeys {
        let (mut open, mut closed) = (Vec::new(), None);
        for set in &self.archive_keys {
            match seal::open(seal, &set.key, ARCHIVE_KEY) {
                Ok(key) => open.push(KnownKey { mark: Some(set.mark.clone()), key }),
                Err(error) => closed = Some(error),
            }
        }
        for key in configured {
            if open.iter().all(|other| other.key != key) {
                open.push(KnownKey { mark: seal.map(|seal| seal.mark(&key)), key });
            }
        }
        KnownKeys { open, closed }
    }

    /// Sets a new Archive Key. Returns false if it is the newest already.
    pub fn set_archive_key(
        &mut self,
        key: &Secret,
        seal: &Seal,
        set: Change,
    ) -> Result<bool, seal::Error> {
        let mark = seal.mark(key);
        if self.archive_keys.first().is_some_and(|newest| newest.mark == mark) {
            return Ok(false);
        }
        let sealed = seal.close(key, ARCHIVE_KEY)?;
        self.archive_keys.retain(|old| old.mark != mark);
        self.archive_keys.insert(0, ArchiveKey { mark, key: sealed, set });
        Ok(true)
    }

    /// All that is sealed in here, each as what it was sealed.
    pub fn sealed(&self) -> Vec<(&Sealed, &'static str)> {
        let keys = self.archive_keys.iter().map(|set| (&set.key, ARCHIVE_KEY));
        let password = self.mongodb.as_ref().and_then(|database| database.password.as_ref());
        keys.chain(password.map(|password| (password, MONGODB_PASSWORD))).collect()
    }

    /// Whether maaiiconnect knows these settings.
    pub fn are_told(&self) -> bool {
        self.told.is_some_and(|told| told.revision == self.revision)
    }
}

/// What an Archive Key is sealed as.
pub const ARCHIVE_KEY: &str = "archive key";
/// What the password of MongoDB's user is sealed as.
pub const MONGODB_PASSWORD: &str = "mongodb password";

#[cfg(test)]
mod tests {
    use super::*;

    fn change() -> Change {
        Change { at: Timestamp::UNIX_EPOCH, by: "Admin".into() }
    }

    fn secret(text: &str) -> Secret {
        Secret::new(text.into())
    }

    #[test]
    fn a_new_archive_key_goes_first_and_the_old_ones_stay() {
        let seal = Seal::new(&secret("a secret of the site"));
        let mut settings = Settings::default();
        for (key, expected) in
            [("One!1234", true), ("Two!1234", true), ("Two!1234", false), ("One!1234", true)]
        {
            let new = settings.set_archive_key(&secret(key), &seal, change()).expect("sealed");
            assert_eq!(new, expected, "{key}");
        }
        let configured = vec![secret("Old!1234"), secret("Two!1234")];
        let known = settings.known_keys(Some(&seal), configured);
        assert!(known.closed.is_none());
        let known = known.open;
        let keys: Vec<&str> = known.iter().map(|known| known.key.reveal()).collect();
        assert_eq!(keys, ["One!1234", "Two!1234", "Old!1234"]);
        assert!(known.iter().all(|known| known.mark.is_some()));
    }

    #[test]
    fn keys_that_cannot_be_opened_hold_up_no_others_and_are_not_passed_over() {
        let seal = Seal::new(&secret("a secret of the site"));
        let mut settings = Settings::default();
        let known = settings.known_keys(None, vec![secret("a")]);
        assert!(known.open.len() == 1 && known.closed.is_none());
        settings.set_archive_key(&secret("One!1234"), &seal, change()).expect("sealed");
        let known = settings.known_keys(None, vec![secret("a")]);
        assert!(known.open.len() == 1 && matches!(known.closed, Some(seal::Error::NoKey)));
        let other = Seal::new(&secret("another secret"));
        let known = settings.known_keys(Some(&other), vec![]);
        assert!(known.open.is_empty() && matches!(known.closed, Some(seal::Error::Open { .. })));
        // Typed in again under the other.
        settings.set_archive_key(&secret("One!1234"), &other, change()).expect("sealed");
        let known = settings.known_keys(Some(&other), vec![]);
        assert!(known.open.len() == 1 && known.closed.is_some());
    }

    #[test]
    fn no_backup_is_awaited_while_retention_is_off() {
        let set = Settings { schedule_hour: Some(3), ..Settings::default() };
        assert_eq!(set.awaited_hour(Some(2)), Some(3));
        assert_eq!(Settings::default().awaited_hour(Some(2)), Some(2));
        assert_eq!(Settings { off: true, ..set }.awaited_hour(Some(2)), None);
    }
}
