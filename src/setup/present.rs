//! What is there already: the configuration, the secrets, and the database.
//!
//! Looks, and changes nothing.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    appliance,
    config::{self, Config, Secret, Spec},
    store::{
        self, Store,
        administration::{Access, Administration, Administrator, Probe, Rights},
    },
    trial::database::patiently,
};

/// What went wrong with what is there.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration cannot be read.
    #[error("cannot read the configuration {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The configuration says what cannot be understood.
    #[error(transparent)]
    Configuration(#[from] config::Error),
    /// A secret that is there cannot be read.
    #[error(transparent)]
    Secret(#[from] config::secret::Error),
}

/// The configuration file as it is.
#[derive(Clone, Debug, Default)]
pub struct Existing {
    /// Its text, if there is a file.
    pub text: Option<String>,
    /// What it says; the defaults where there is none.
    pub spec: Spec,
}

impl Existing {
    /// Reads the file at `path`, which need not be there.
    pub fn read(path: &Path) -> Result<Self, Error> {
        match fs::read_to_string(path) {
            Ok(text) => {
                // Whatever stands in it has to be understood before it is changed.
                Config::read(path)?;
                let spec = toml::from_str(&text).map_err(|error| config::Error::Parse {
                    path: path.to_owned(),
                    message: error.to_string(),
                })?;
                Ok(Self { text: Some(text), spec })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(source) => Err(Error::Read { path: path.to_owned(), source }),
        }
    }
}

/// The secrets that are there.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    /// The Archive Keys, the newest first.
    pub archive_keys: Vec<Secret>,
    /// The password of the MongoDB user.
    pub mongodb_password: Option<Secret>,
    /// Whether there is something to seal settings with.
    pub settings_key: bool,
}

impl Kept {
    /// Reads the secrets of a configuration.
    pub fn read(config: &Config) -> Result<Self, Error> {
        let secrets = appliance::secrets(config);
        let mongodb_password = match secrets.mongodb_password() {
            Ok(password) => Some(password),
            Err(config::secret::Error::Missing { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        let settings_key = secrets.settings_key()?.is_some();
        Ok(Self { archive_keys: secrets.archive_keys()?, mongodb_password, settings_key })
    }
}

/// What the database says.
#[derive(Clone, Debug)]
pub enum Database {
    /// Nothing: it cannot be reached.
    Away {
        /// Why.
        why: String,
    },
    /// It answers.
    There {
        /// What it is.
        probe: Probe,
        /// What our user may do there, if it can sign in.
        own: Option<Rights>,
    },
}

impl Database {
    /// Asks the database that `settings` name. They hold the user whom we sign in as, if
    /// there is one whose password is known.
    pub async fn ask(settings: &store::Settings) -> Self {
        let away = |why: String| Self::Away { why };
        let anonymous = store::Settings { user: None, ..settings.clone() };
        let probe = patiently(async move {
            let nobody = Administration::connect(&direct(&anonymous), &Administrator::Nobody)?;
            nobody.probe().await
        });
        let probe = match probe.await {
            Ok(Ok(probe)) => probe,
            Ok(Err(error)) => return away(crate::steps::sentence(&error)),
            Err(failure) => return away(failure.why),
        };
        let own = match (&settings.user, probe.access) {
            (None, Access::Open) | (Some(_), _) => {
                let settings = settings.clone();
                let asked = patiently(async move { Store::connect(&settings)?.rights().await });
                asked.await.ok().and_then(Result::ok)
            }
            (None, _) => None,
        };
        Self::There { probe, own }
    }
}

/// The first of the hosts, whatever it is in its replica set.
pub(super) fn direct(settings: &store::Settings) -> store::Settings {
    let first = settings.host.split(',').next().unwrap_or_default().trim().to_owned();
    store::Settings { host: first, replica_set: None, ..settings.clone() }
}
