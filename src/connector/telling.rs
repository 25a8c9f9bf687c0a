//! Telling the service what was set in the portal.
//!
//! The whole of the settings each time, as the interface wants it, until the store says that the
//! service knows this revision. Nothing is told before days, hour and an Archive Key are there, for
//! without them no backup can be made; being switched off is told in any case.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Follower, client};
use crate::{
    cause::chain,
    config::{Mongodb, Secret, Secrets},
    settings::{self, Defaults, MONGODB_PASSWORD, Settings, Told, seal::Seal},
    sftp::Endpoint,
    store,
};

/// What the service is told beside the settings, and what opens those that are secret.
#[derive(Clone, Debug)]
pub struct Site {
    /// The endpoint that it uploads to.
    pub endpoint: Endpoint,
    /// What holds where nothing was set.
    pub defaults: Defaults,
    /// Opens what is sealed.
    pub seal: Option<Seal>,
    /// The secrets of the configuration.
    pub secrets: Secrets,
}

/// Why the settings cannot be told.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Client(#[from] client::Error),
    #[error(transparent)]
    Seal(#[from] settings::seal::Error),
    #[error("the endpoint's host keys cannot be read")]
    HostKeys(#[from] crate::sftp::Error),
    #[error("the SFTP Address {address:?} is not HOST:PORT")]
    Address { address: String },
}

impl Follower {
    /// Tells what the service does not know yet. Returns why it cannot, if so.
    pub(super) async fn tell(&self) -> Option<String> {
        match self.tell_settings().await {
            Ok(()) => None,
            Err(Error::Store(error)) => {
                tracing::debug!("cannot look at the settings: {}", chain(&error));
                None
            }
            Err(error) => Some(chain(&error)),
        }
    }

    async fn tell_settings(&self) -> Result<(), Error> {
        let settings = self.store.settings().await?;
        if settings.revision == 0 || settings.are_told() || !self.is_worth_telling(&settings) {
            return Ok(());
        }
        let body = self.body(&settings)?;
        self.client.put_settings(&body).await?;
        let told = Told { revision: settings.revision, at: (self.clock)() };
        self.store.note_told(told).await?;
        let state = if settings.off { "off" } else { "on" };
        tracing::info!(
            revision = settings.revision,
            "maaiiconnect has the settings: Retention is {state}"
        );
        Ok(())
    }

    fn is_worth_telling(&self, settings: &Settings) -> bool {
        settings.off || missing(settings, &self.site.defaults).is_empty()
    }

    /// What is put.
    fn body(&self, settings: &Settings) -> Result<Value, Error> {
        let Site { endpoint, defaults, seal, secrets } = &self.site;
        if !missing(settings, defaults).is_empty() {
            return Ok(json!({ "enabled": false }));
        }
        let open = |sealed, what| settings::seal::open(seal.as_ref(), sealed, what);
        let archive_key = settings
            .archive_keys
            .first()
            .map(|key| open(&key.key, settings::ARCHIVE_KEY))
            .transpose()?;
        let modes = settings.modes(defaults);
        let address = settings.sftp_address.as_ref().unwrap_or(&defaults.sftp_address);
        let (host, port) =
            host_and_port(address).ok_or_else(|| Error::Address { address: address.clone() })?;
        let host_keys = endpoint.host_keys()?;
        let mut body = json!({
            "enabled": !settings.off,
            "general": {
                "days_retained": settings.days_retained,
                "schedule_hour_utc": settings.hour(defaults),
                "archive_key": archive_key.as_ref().map(Secret::reveal),
            },
            "sftp": {
                "user": endpoint.user,
                "address": host,
                "port": port,
                "host_key_fingerprints":
                    host_keys.iter().map(|key| &key.fingerprint).collect::<Vec<_>>(),
            },
        });
        if modes.offline {
            body["offline_mode"] = json!({});
        }
        if modes.online {
            let sealed = settings.mongodb.as_ref().and_then(|set| set.password.as_ref());
            let password = match sealed.map(|sealed| open(sealed, MONGODB_PASSWORD)).transpose()? {
                Some(password) => Some(password),
                None => {
                    secrets.mongodb_password().ok().filter(|_| !defaults.mongodb.user.is_empty())
                }
            };
            let Mongodb { host, user, auth_db, target_db, .. } = settings.database(defaults);
            body["online_mode"] = json!({ "mongodb": {
                "host": host,
                "user": user,
                "auth_db": auth_db,
                "target_db": target_db,
                "password": password.as_ref().map(Secret::reveal),
            } });
        }
        Ok(body)
    }
}

/// What has to be set before maaiiconnect can make backups, in the words of the page.
pub fn missing(settings: &Settings, defaults: &Defaults) -> Vec<&'static str> {
    let mut missing = Vec::new();
    if settings.days_retained.is_none() {
        missing.push("the days of retention");
    }
    if settings.hour(defaults).is_none() {
        missing.push("the hour of the schedule");
    }
    if settings.archive_keys.is_empty() {
        missing.push("an Archive Key");
    }
    missing
}

/// Host and port of an address; the port is 22 where none is said.
pub fn host_and_port(address: &str) -> Option<(String, u16)> {
    if let Ok(address) = address.parse::<std::net::SocketAddr>() {
        return Some((address.ip().to_string(), address.port()));
    }
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().ok().filter(|port| *port != 0)?),
        None => (address, 22),
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
    let fits = !host.is_empty() && host.chars().all(is_name) && !host.starts_with('-');
    fits.then(|| (host.to_owned(), port))
}

/// How long since the service was told what is set now; nothing while it was not.
pub fn told(settings: &Settings) -> Option<Timestamp> {
    settings.told.filter(|told| told.revision == settings.revision).map(|told| told.at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for (address, expected) in [
            ("192.0.2.1:2222", Some(("192.0.2.1", 2222))),
            ("192.0.2.1", Some(("192.0.2.1", 22))),
            ("vault.example:22", Some(("vault.example", 22))),
            ("[2001:db8::1]:22", Some(("2001:db8::1", 22))),
            ("vault.example:0", None),
            ("vault.example:ssh", None),
            ("-oProxyCommand=x", None),
            ("a b", None),
            ("", None),
        ] {
            let found = host_and_port(address);
            let found = found.as_ref().map(|(host, port)| (host.as_str(), *port));
            assert_eq!(found, expected, "{address}");
        }
    }

    #[test]
    fn what_is_missing_for_a_backup_is_named() {
        let defaults = Defaults {
            modes: crate::config::Modes::default(),
            schedule_hour: Some(2),
            mongodb: Mongodb::default(),
            sftp_address: String::new(),
        };
        let settings = Settings { days_retained: Some(30), ..Settings::default() };
        assert_eq!(missing(&settings, &defaults), ["an Archive Key"]);
        let without = Defaults { schedule_hour: None, ..defaults };
        assert_eq!(missing(&Settings::default(), &without).len(), 3);
    }
}
