//! The customer's mail server, which stands in the customer's own network.

use std::net::{Ipv4Addr, SocketAddrV4};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{
    machine::Machine,
    network::{Namespace, Network, Side},
    place::Place,
    process,
    sink::Sink,
    until,
};

/// Where it listens.
const ADDRESS: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 25), 587);

/// The password of the user `alerts`.
const PASSWORD: &str = "Copper-Letter-3-Box";

/// Where the appliance finds the certificate that it has to trust.
const CERTIFICATE: &str = "/etc/retention/mail-ca.pem";

/// A server that keeps what arrives.
pub(crate) struct MailServer {
    sink: Sink,
    _namespace: Namespace,
    _place: Place,
}

impl MailServer {
    /// A server that takes mails.
    pub(crate) async fn new(network: &Network) -> Result<Self> {
        let place = Place::new()?;
        let namespace = Namespace::new(&place)?;
        network.attach(&namespace, Side::Inside, &ADDRESS.ip().to_string())?;
        let mut sink = Sink::at(ADDRESS, namespace.enter(), "smtp", place.path(), PASSWORD)?;
        sink.start().await?;
        Ok(Self { sink, _namespace: namespace, _place: place })
    }

    /// Brings what an appliance needs to use it, and returns what its answers have to say: who is
    /// told, and that he is told at once.
    pub(crate) fn introduce(&self, appliance: &Machine) -> Result<String> {
        appliance.copy_in(&self.sink.certificate(), CERTIFICATE)?;
        process::write_secret(&appliance.path("/root/smtp-password"), PASSWORD)?;
        Ok(format!(
            "[secrets]\nsmtp-password = {{ file = \"/root/smtp-password\" }}\n\
             [configuration.alerts]\nsettle_seconds = 1\n\
             [configuration.alerts.mail]\nserver = \"{ADDRESS}\"\nca_file = {CERTIFICATE:?}\n\
             user = \"alerts\"\nfrom = \"retention@customer.example\"\n\
             to = [\"administrators@customer.example\"]\n"
        ))
    }

    /// Waits for a mail with these words in its subject and in its text, and returns the text. Those
    /// that came before do not count, and it does not count again.
    pub(crate) fn wait(&self, seen: &mut usize, subject: &str, text: &str) -> Result<String> {
        let mut found = None;
        until(&format!("a mail has come: {subject} … {text}"), || {
            for mail in self.sink.arrived()?.into_iter().skip(*seen) {
                *seen += 1;
                let says = |part: &str, words: &str| {
                    mail[part].as_str().is_some_and(|said| said.contains(words))
                };
                if says("subject", subject) && says("text", text) {
                    found = Some(mail);
                    return Ok(true);
                }
            }
            Ok(false)
        })
        .with_context(|| format!("there came {:?}", self.subjects()))?;
        let mail: Value = found.context("a mail")?;
        ensure!(mail["encrypted"] == true && mail["signed_in"] == true, "{mail}");
        Ok(mail["text"].as_str().unwrap_or_default().to_owned())
    }

    fn subjects(&self) -> Vec<String> {
        let arrived = self.sink.arrived().unwrap_or_default();
        arrived.iter().map(|mail| mail["subject"].to_string()).collect()
    }
}
