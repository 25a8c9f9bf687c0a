//! Alerts as JSON, posted to a webhook and signed.
//!
//! The body is the message as JSON. Three headers go with it:
//!
//! ```text
//! Retention-Id: ID                    the same event has the same id
//! Retention-Timestamp: SECONDS        since 1970, when it was sent
//! Retention-Signature: sha256=HEX     HMAC-SHA256 over TIMESTAMP "." BODY with the secret webhook-key
//! ```
//!
//! Whoever receives it computes the signature anew, and turns away what is older than some minutes.

use std::time::Duration;

use hmac::{Hmac, Mac};
use jiff::Timestamp;
use sha2::Sha256;
use ureq::tls::TlsConfig;

use super::message::Message;
use crate::{
    config::{self, Secret, Secrets, secret},
    trust,
};

/// How long everything may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Which step of a delivery failed, and why.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The key is missing.
    #[error("cannot sign without a key")]
    Key(#[from] secret::Error),
    /// The message cannot be written as JSON.
    #[error("cannot write the message")]
    Write(#[from] serde_json::Error),
    /// The file with the authority's certificate cannot be used.
    #[error(transparent)]
    Trust(#[from] trust::Error),
    /// The webhook could not be reached, or its certificate is not trusted.
    #[error("cannot post to {url}")]
    Post {
        /// The address.
        url: String,
        /// Why.
        source: Box<ureq::Error>,
    },
}

/// Where alerts are posted to.
#[derive(Clone, Debug)]
pub struct Webhook {
    section: config::Webhook,
    secrets: Secrets,
}

impl Webhook {
    /// The webhook of the configuration.
    pub fn new(section: config::Webhook, secrets: Secrets) -> Self {
        Self { section, secrets }
    }

    /// Posts a message. Takes its time.
    pub fn post(&self, message: &Message, now: Timestamp) -> Result<(), Error> {
        let body = serde_json::to_vec(message)?;
        let timestamp = now.as_second().to_string();
        let signature = signature(&self.secrets.webhook_key()?, &timestamp, &body);
        let tls = TlsConfig::builder()
            .root_certs(trust::authorities(self.section.ca_file.as_deref())?)
            .build();
        let config = ureq::Agent::config_builder()
            .https_only(true)
            .tls_config(tls)
            .timeout_global(Some(PATIENCE))
            // What is signed for one address is not carried to another.
            .max_redirects(0)
            .user_agent("retention")
            .build();
        let url = &self.section.url;
        let post = config
            .new_agent()
            .post(url)
            .header("Content-Type", "application/json")
            .header("Retention-Id", &message.id)
            .header("Retention-Timestamp", &timestamp)
            .header("Retention-Signature", &format!("sha256={signature}"));
        match post.send(&body[..]) {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(ureq::Error::StatusCode(answer.status().as_u16())),
            Err(error) => Err(error),
        }
        .map_err(|source| Error::Post { url: url.clone(), source: source.into() })
    }
}

fn signature(key: &Secret, timestamp: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.reveal().as_bytes())
        .expect("a key of any length will do");
    mac.update(timestamp.as_bytes());
    mac.update(b".");
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_what_others_compute() {
        // printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac key
        let signature = signature(&Secret::new("key".into()), "1700000000", b"{\"a\":1}");
        assert_eq!(signature, "a438e398bfafc57e4396bb7fc2304422f0f768e965d073ca313cb52e22e6ad03");
    }
}
