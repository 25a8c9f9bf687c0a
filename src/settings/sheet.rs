//! The setup sheet: exactly what is to be typed into maaiiconnect's Retention settings.
//!
//! It must never have a secret in it.

use serde::Serialize;

/// The values, under maaiiconnect's own names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sheet {
    /// "Offline mode".
    pub sftp: Sftp,
    /// "Online mode".
    pub mongodb: Mongodb,
    /// Where the portal is.
    pub portal: Portal,
}

/// "Offline mode", and how the sender knows the endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sftp {
    /// "SFTP User".
    pub user: String,
    /// "SFTP Address": host and port.
    pub address: String,
    /// By which the sender knows the endpoint, one for each kind of key.
    pub host_key_fingerprints: Vec<String>,
    /// The fingerprints of the keys that may upload.
    pub authorised_keys: Vec<String>,
}

/// "MongoDB Permissions".
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mongodb {
    /// "Host".
    pub host: String,
    /// "User".
    pub user: String,
    /// "AuthDB".
    pub auth_db: String,
    /// "TargetDB".
    pub target_db: String,
    /// Whether only this machine itself reaches the host.
    pub only_from_here: bool,
}

/// The Retention Portal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Portal {
    /// Its address for browsers.
    pub url: String,
    /// The account that is there from the first day.
    pub account: &'static str,
    /// The certificate that browsers have to trust, if a private authority signed.
    pub authority: Option<String>,
    /// Its SHA-256 fingerprint, to compare.
    pub authority_fingerprint: Option<String>,
}

impl Mongodb {
    /// Whether a host, or each of several, is this machine's own.
    pub fn is_only_from_here(host: &str) -> bool {
        host.split(',').all(|host| {
            let name = host.trim().rsplit_once(':').map_or(host.trim(), |(name, _)| name);
            name == "localhost" || name == "[::1]" || name.starts_with("127.")
        })
    }
}
