//! `[alerts]`: who is told when something is wrong.

use std::path::PathBuf;

use serde::Deserialize;

/// `[alerts]`: when somebody is told, and by which ways.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Alerts {
    /// How long something has to be as it is before anybody is told, in seconds.
    pub settle_seconds: u32,
    /// After how many hours one is reminded of what is still wrong; 0 for never.
    pub reminder_hours: u32,
    /// The hour of the day, in UTC, of the daily digest.
    pub digest_hour: u8,
    /// Whether there is a daily digest.
    pub digest: bool,
    /// Whether alerts go to this machine's syslog as well.
    pub syslog: bool,
    /// By mail.
    pub mail: Option<Mail>,
    /// To a webhook.
    pub webhook: Option<Webhook>,
}

impl Default for Alerts {
    fn default() -> Self {
        Self {
            settle_seconds: 60,
            reminder_hours: 24,
            digest_hour: 7,
            digest: true,
            syslog: false,
            mail: None,
            webhook: None,
        }
    }
}

/// `[alerts.mail]`: alerts by mail.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mail {
    /// Host and port of the SMTP server.
    pub server: String,
    /// How the connection is encrypted.
    pub encryption: Encryption,
    /// The user; empty where the server asks for none. The password is the secret `smtp-password`.
    pub user: String,
    /// Whom the mail is from.
    pub from: String,
    /// Whom it is for.
    pub to: Vec<String>,
    /// The certificate of the authority that signed the server's certificate, in PEM; without it
    /// the authorities that the program brings along.
    pub ca_file: Option<PathBuf>,
}

/// How a connection to an SMTP server is encrypted.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Encryption {
    /// In the clear at first, and encrypted before anything is said; usually on port 587.
    #[default]
    Starttls,
    /// From the first byte; usually on port 465.
    Tls,
    /// Not at all, to a server on this machine.
    None,
}

/// `[alerts.webhook]`: alerts as signed JSON. The key is the secret `webhook-key`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Webhook {
    /// Where alerts are posted to: an address that begins with `https://`.
    pub url: String,
    /// The certificate of the authority that signed the server's certificate, in PEM; without it
    /// the authorities that the program brings along.
    pub ca_file: Option<PathBuf>,
}

impl Mail {
    /// The server's host and port.
    pub fn address(&self) -> Option<(&str, u16)> {
        let (host, port) = self.server.rsplit_once(':')?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        Some((host, port.parse().ok()?)).filter(|(host, _)| !host.is_empty())
    }

    fn objection(&self) -> Option<(&'static str, &'static str)> {
        let is_address = |text: &String| {
            text.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty())
        };
        let Some((host, _)) = self.address() else {
            return Some(("alerts.mail.server", "write host:port"));
        };
        if !is_address(&self.from) {
            return Some(("alerts.mail.from", "write an address"));
        }
        if self.to.is_empty() || !self.to.iter().all(is_address) {
            return Some(("alerts.mail.to", "write one address or more"));
        }
        let here = ["127.0.0.1", "::1", "localhost"].contains(&host);
        if self.encryption == Encryption::None && !here {
            let why = "mail in the clear goes to this machine only; write starttls or tls";
            return Some(("alerts.mail.encryption", why));
        }
        None
    }
}

impl Alerts {
    /// What cannot work, and what to write instead.
    pub(super) fn objection(&self) -> Option<(&'static str, &'static str)> {
        if self.digest_hour > 23 {
            return Some(("alerts.digest_hour", "it has to be from 0 to 23"));
        }
        let webhook = self.webhook.as_ref();
        if webhook.is_some_and(|webhook| !webhook.url.starts_with("https://")) {
            return Some(("alerts.webhook.url", "it has to begin with https://"));
        }
        self.mail.as_ref().and_then(Mail::objection)
    }
}
