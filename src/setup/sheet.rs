//! The setup sheet: exactly what is to be typed into maaiiconnect, and what to keep.
//!
//! This module must never show a secret that is stored. What was made up just now is
//! shown once, because somebody has to type it.

use std::{fmt::Write as _, net::SocketAddr};

use serde::Serialize;

use super::{machine::Machine, perform::Done};
use crate::{
    accounts::ADMIN,
    appliance,
    config::Config,
    portal::certificate::{authority::Authority, inspect::Certificate},
};

/// The values, under maaiiconnect's own names.
#[derive(Clone, Debug, Serialize)]
pub struct Sheet {
    /// "Offline mode".
    pub sftp: Sftp,
    /// "Online mode".
    pub mongodb: Mongodb,
    /// Where the portal is.
    pub portal: Portal,
    /// What was made up just now and is shown this once.
    pub once: Once,
}

/// "Offline mode", and how the sender knows the endpoint.
#[derive(Clone, Debug, Serialize)]
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
#[derive(Clone, Debug, Serialize)]
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
#[derive(Clone, Debug, Serialize)]
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

/// What is shown once.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Once {
    /// The password of `Admin`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin_password: Option<String>,
    /// The password of the MongoDB user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mongodb_password: Option<String>,
    /// The name of the MongoDB administrator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mongodb_administrator: Option<String>,
    /// Its password. It is kept nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mongodb_administrator_password: Option<String>,
}

impl Sheet {
    /// The sheet of a configuration that was carried out.
    pub fn new(config: &Config, machine: &Machine, done: &Done) -> Self {
        let endpoint = appliance::endpoint(config);
        let keys = endpoint.authorized_keys().list().map(|listing| listing.keys);
        let section = config.mongodb();
        let fingerprint = |key: &crate::sftp::host_keys::HostKey| {
            format!("{} {}", key.algorithm, key.fingerprint)
        };
        let reveal = |secret: &crate::config::Secret| secret.reveal().to_owned();
        let administrator = done.administrator.as_ref();
        Self {
            sftp: Sftp {
                user: config.sftp().user.clone(),
                address: sftp_address(config, machine),
                host_key_fingerprints: done.host_keys.iter().map(fingerprint).collect(),
                authorised_keys: keys.into_iter().flatten().map(|key| key.fingerprint).collect(),
            },
            mongodb: Mongodb {
                host: section.host.clone(),
                user: section.user.clone(),
                auth_db: section.auth_db.clone(),
                target_db: section.target_db.clone(),
                only_from_here: section.host.split(',').all(is_loopback),
            },
            portal: portal(config, machine),
            once: Once {
                admin_password: done.admin_password.as_ref().map(reveal),
                mongodb_password: done.mongodb_password.as_ref().map(reveal),
                mongodb_administrator: administrator.map(|(name, _)| name.clone()),
                mongodb_administrator_password: administrator.map(|(_, it)| reveal(it)),
            },
        }
    }

    /// The sheet for people.
    pub fn text(&self) -> String {
        let mut text = String::from(
            "\nSetup sheet: what to type in maaiiconnect under\n\
             Administration > Security > Retention > Settings\n\n",
        );
        let mut row = |name: &str, value: &str| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  {name:<22} {value}");
        };
        row("SFTP User", &self.sftp.user);
        row("SFTP Address", &self.sftp.address);
        for fingerprint in &self.sftp.host_key_fingerprints {
            row("host key", fingerprint);
        }
        row("MongoDB Host", &self.mongodb.host);
        row("MongoDB User", &self.mongodb.user);
        let password = self.once.mongodb_password.as_deref();
        row("MongoDB Password", password.unwrap_or("(as it was set)"));
        row("MongoDB AuthDB", &self.mongodb.auth_db);
        row("MongoDB TargetDB", &self.mongodb.target_db);
        row("Retention Portal", &self.portal.url);
        row("Portal account", self.portal.account);
        let password = self.once.admin_password.as_deref();
        row("Portal password", password.unwrap_or("(as it was set)"));
        text.push_str(&self.notes());
        text
    }

    fn notes(&self) -> String {
        let mut notes = Vec::new();
        let once = &self.once;
        if once.admin_password.is_some() || once.mongodb_password.is_some() {
            notes.push("The passwords above are shown this once. Type them in now.".to_owned());
        }
        if let (Some(name), Some(password)) =
            (&once.mongodb_administrator, &once.mongodb_administrator_password)
        {
            notes.push(format!(
                "MongoDB had no user. Its administrator is now {name} with the password \
                 {password}; put it in a safe, because the appliance does not keep it."
            ));
        }
        if self.mongodb.only_from_here {
            notes.push(
                "MongoDB listens for this machine alone. maaiiconnect's own test of it needs \
                 `net.bindIp` and the firewall to let the tunnel in; storing backups does not."
                    .to_owned(),
            );
        }
        if self.sftp.authorised_keys.is_empty() {
            notes.push(
                "Nobody can upload yet: copy the SFTP Public Key from maaiiconnect and run \
                 `retention key add`."
                    .to_owned(),
            );
        }
        if let (Some(path), Some(fingerprint)) =
            (&self.portal.authority, &self.portal.authority_fingerprint)
        {
            notes.push(format!(
                "Browsers accept the portal once they trust {path} (SHA-256 {fingerprint})."
            ));
        }
        notes.iter().map(|note| format!("\n{note}\n")).collect()
    }
}

fn sftp_address(config: &Config, machine: &Machine) -> String {
    let section = config.sftp();
    if !section.address.is_empty() {
        return section.address.clone();
    }
    let mut address = section.listen;
    if address.ip().is_unspecified() {
        address = SocketAddr::new(machine.address(), address.port());
    }
    address.to_string()
}

fn portal(config: &Config, machine: &Machine) -> Portal {
    let section = config.portal();
    let name = match section.names.first() {
        Some(name) => name.clone(),
        None if section.listen.ip().is_unspecified() => machine.address().to_string(),
        None => section.listen.ip().to_string(),
    };
    let name = if name.contains(':') { format!("[{name}]") } else { name };
    let url = match section.listen.port() {
        443 => format!("https://{name}/"),
        port => format!("https://{name}:{port}/"),
    };
    let authority = Authority::new(appliance::portal_directory(config)).certificate();
    let found = Certificate::read(&authority).ok().filter(|_| section.certificate.is_none());
    Portal {
        url,
        account: ADMIN,
        authority: found.as_ref().map(|_| authority.display().to_string()),
        authority_fingerprint: found.map(|found| found.fingerprint),
    }
}

fn is_loopback(host: &str) -> bool {
    let name = host.trim().rsplit_once(':').map_or(host.trim(), |(name, _)| name);
    name == "localhost" || name == "[::1]" || name.starts_with("127.")
}
