//! The retention settings: what the appliance puts, what is kept, and what may be seen of it.
//!
//! They are one file that its owner alone can read, for there are secrets in it. No secret is
//! ever in what is shown. [`input`] says what is wrong with settings that were put.

pub(crate) mod input;
mod secret;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use jiff::Timestamp;
use retention::{config::Secret, files};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use input::{Fault, Input};

/// What went wrong with the settings.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The file cannot be read.
    #[error("cannot read the settings {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not what this version writes.
    #[error("cannot understand the settings {}", path.display())]
    Understand {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// The file cannot be written.
    #[error("cannot write the settings {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What was put has faults.
    #[error("the settings have faults")]
    Faults(Vec<Fault>),
    /// Somebody else has put others.
    #[error("the settings were changed since they were read")]
    Changed,
}

/// A secret and when it was put.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sealed {
    /// What it is.
    #[serde(with = "secret")]
    pub(crate) value: Secret,
    /// When it was put.
    pub(crate) set: Timestamp,
}

/// Where and as whom to upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sftp {
    /// SFTP User.
    pub(crate) user: String,
    /// SFTP Address.
    pub(crate) address: String,
    /// Its port.
    pub(crate) port: u16,
    /// `SHA256:…` of the host keys, any of which the server has to show.
    pub(crate) host_key_fingerprints: Vec<String>,
}

/// Online mode.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Online {
    /// The Retention Portal's administrator password.
    pub(crate) portal_password: Option<Sealed>,
    /// Host.
    pub(crate) host: String,
    /// User.
    pub(crate) user: String,
    /// Password.
    pub(crate) password: Option<Sealed>,
    /// AuthDB.
    pub(crate) auth_db: String,
    /// TargetDB.
    pub(crate) target_db: String,
}

/// All of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Settings {
    /// Retention Settings ON or OFF.
    pub(crate) enabled: bool,
    /// How many days data is retained here.
    pub(crate) days_retained: u16,
    /// Retention schedule: the hour of the day in UTC.
    pub(crate) schedule_hour_utc: u8,
    /// Archive Key.
    pub(crate) archive_key: Option<Sealed>,
    /// Where backups go.
    pub(crate) sftp: Option<Sftp>,
    /// Online mode, where it is used.
    pub(crate) online: Option<Online>,
    /// Offline mode.
    pub(crate) offline: bool,
    /// When they were put last.
    pub(crate) changed: Option<Timestamp>,
    /// When retention was switched on, while it is: no backup is due before.
    pub(crate) since: Option<Timestamp>,
    /// How often they were put.
    pub(crate) version: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            enabled: false,
            days_retained: 30,
            schedule_hour_utc: 2,
            archive_key: None,
            sftp: None,
            online: None,
            offline: false,
            changed: None,
            since: None,
            version: 0,
        }
    }
}

impl Settings {
    /// What may be seen of them.
    pub(crate) fn shown(&self) -> Value {
        let set = |secret: &Option<Sealed>| secret.as_ref().map(|secret| secret.set);
        let online = self.online.as_ref().map(|online| {
            json!({
                "portal_password_set": set(&online.portal_password),
                "mongodb": {
                    "host": online.host, "user": online.user,
                    "password_set": set(&online.password),
                    "auth_db": online.auth_db, "target_db": online.target_db,
                },
            })
        });
        json!({
            "enabled": self.enabled,
            "general": {
                "days_retained": self.days_retained,
                "schedule_hour_utc": self.schedule_hour_utc,
                "archive_key_set": set(&self.archive_key),
            },
            "sftp": self.sftp,
            "online_mode": online,
            "offline_mode": self.offline.then(|| json!({})),
            "changed": self.changed,
        })
    }

    /// What changes with them, for `ETag`.
    pub(crate) fn tag(&self) -> String {
        format!("\"{}\"", self.version)
    }
}

/// The file that they are kept in.
#[derive(Debug)]
pub(crate) struct SettingsFile {
    path: PathBuf,
    now: Mutex<Settings>,
}

impl SettingsFile {
    /// Opens it; a file that is missing is one with nothing set.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let settings = match fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|source| Error::Understand { path: path.to_owned(), source })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Settings::default(),
            Err(source) => return Err(Error::Read { path: path.to_owned(), source }),
        };
        Ok(Self { path: path.to_owned(), now: Mutex::new(settings) })
    }

    /// As they are.
    pub(crate) fn get(&self) -> Settings {
        self.now.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts others, unless they have faults, or are not the ones that were `seen`.
    pub(crate) fn put(
        &self,
        input: Input,
        seen: Option<&str>,
        now: Timestamp,
    ) -> Result<Settings, Error> {
        let mut current = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.is_some_and(|seen| seen != "*" && seen != current.tag()) {
            return Err(Error::Changed);
        }
        let next = input.joined(&current, now).map_err(Error::Faults)?;
        let text = serde_json::to_vec(&next)
            .map_err(|source| Error::Understand { path: self.path.clone(), source })?;
        let text = zeroize::Zeroizing::new(text);
        files::write_whole(&self.path, &text, 0o600)
            .map_err(|source| Error::Write { path: self.path.clone(), source })?;
        *current = next.clone();
        Ok(next)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn settings_outlast_a_restart_and_no_secret_is_shown() {
        let scratch = tempfile::tempdir().expect("scratch");
        let path = scratch.path().join("settings.json");
        let input = serde_json::from_value(json!({
            "enabled": true,
            "general": { "days_retained": 7, "schedule_hour_utc": 3, "archive_key": "Str0ng!Key" },
            "sftp": {
                "user": "u", "address": "192.0.2.1", "port": 22,
                "host_key_fingerprints": [format!("SHA256:{}", "a".repeat(43))],
            },
            "online_mode": {
                "portal_password": "hush-portal",
                "mongodb": {
                    "host": "db.example", "user": "r", "password": "hush-database",
                    "auth_db": "admin", "target_db": "retention",
                },
            },
        }));
        let file = SettingsFile::open(&path).expect("no file, nothing set");
        let tag = file.get().tag();
        let now = Timestamp::UNIX_EPOCH;
        let put = file.put(input.expect("an input"), Some(&tag), now).expect("put");
        let mode = fs::metadata(&path).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let again = SettingsFile::open(&path).expect("open").get();
        assert_eq!(again, put);
        assert_eq!(again.archive_key.as_ref().map(|key| key.value.reveal()), Some("Str0ng!Key"));
        let shown = format!("{} {again:?}", again.shown());
        for secret in ["Str0ng", "hush"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        let later = serde_json::from_value(json!({ "enabled": false })).expect("an input");
        assert!(matches!(file.put(later, Some(&tag), now), Err(Error::Changed)));
    }
}
