//! The setup sheet: exactly what is to be typed into maaiiconnect, and what to keep.
//!
//! This module must never show a secret that is stored. What was made up just now is
//! shown once, because somebody has to type it.

use std::fmt::Write as _;

use serde::Serialize;

use super::perform::Done;
use crate::{appliance, config::Config, settings::sheet};

/// The sheet, and what was made up for it.
#[derive(Clone, Debug, Serialize)]
pub struct Sheet {
    /// The values, under maaiiconnect's own names.
    #[serde(flatten)]
    pub values: sheet::Sheet,
    /// What was made up just now and is shown this once.
    pub once: Once,
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
    pub fn new(config: &Config, done: &Done) -> Self {
        let reveal = |secret: &crate::config::Secret| secret.reveal().to_owned();
        let administrator = done.administrator.as_ref();
        Self {
            values: appliance::sheet::values(config),
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
        row("SFTP User", &self.values.sftp.user);
        row("SFTP Address", &self.values.sftp.address);
        for fingerprint in &self.values.sftp.host_key_fingerprints {
            row("host key", fingerprint);
        }
        row("MongoDB Host", &self.values.mongodb.host);
        row("MongoDB User", &self.values.mongodb.user);
        let password = self.once.mongodb_password.as_deref();
        row("MongoDB Password", password.unwrap_or("(as it was set)"));
        row("MongoDB AuthDB", &self.values.mongodb.auth_db);
        row("MongoDB TargetDB", &self.values.mongodb.target_db);
        row("Retention Portal", &self.values.portal.url);
        row("Portal account", self.values.portal.account);
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
        if self.values.mongodb.only_from_here {
            notes.push(
                "MongoDB listens for this machine alone. maaiiconnect's own test of it needs \
                 `net.bindIp` and the firewall to let the tunnel in; storing backups does not."
                    .to_owned(),
            );
        }
        if self.values.sftp.authorised_keys.is_empty() {
            notes.push(
                "Nobody can upload yet: copy the SFTP Public Key from maaiiconnect and run \
                 `retention key add`."
                    .to_owned(),
            );
        }
        if let (Some(path), Some(fingerprint)) =
            (&self.values.portal.authority, &self.values.portal.authority_fingerprint)
        {
            notes.push(format!(
                "Browsers accept the portal once they trust {path} (SHA-256 {fingerprint})."
            ));
        }
        notes.iter().map(|note| format!("\n{note}\n")).collect()
    }
}
