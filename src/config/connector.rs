//! `[connector]`: where maaiiconnect is asked to delete what a backup holds.

use std::path::PathBuf;

use serde::Deserialize;

/// `[connector]`: the service's side of the cycle, if it offers one. Without it an administrator does
/// by hand in maaiiconnect's console what is asked for here, and says what came of it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Connector {
    /// The address of its interface, `https://…/connector/v1`; empty for none. The bearer token is
    /// the secret `connector-token`; a service that knows us by our certificate may want none.
    pub url: String,
    /// The certificate of the authority that signed the service's certificate, in PEM; without it
    /// the authorities that the program brings along.
    pub ca_file: Option<PathBuf>,
    /// A certificate of ours in PEM, where the service wants to know us by one, and its key.
    pub certificate: Option<PathBuf>,
    /// The key of that certificate, in PEM.
    pub key: Option<PathBuf>,
}

impl Connector {
    /// Whether there is one.
    pub fn is_there(&self) -> bool {
        !self.url.is_empty()
    }

    /// What cannot work, and what to write instead.
    pub(super) fn objection(&self) -> Option<(&'static str, &'static str)> {
        let on_this_machine = ["http://127.0.0.1:", "http://localhost:", "http://[::1]:"];
        let is_plain = on_this_machine.iter().any(|start| self.url.starts_with(start));
        if self.is_there() && !self.url.starts_with("https://") && !is_plain {
            return Some(("connector.url", "write https://, for a token goes with each request"));
        }
        if self.certificate.is_some() != self.key.is_some() {
            return Some(("connector.certificate", "certificate and key go together"));
        }
        None
    }
}
