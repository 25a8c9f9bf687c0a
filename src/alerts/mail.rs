//! Alerts by mail.

use std::{path::PathBuf, time::Duration};

use lettre::{
    message::{
        Mailbox,
        header::{ContentType, HeaderName, HeaderValue},
    },
    transport::smtp::{
        authentication::{Credentials, Mechanism},
        client::{Certificate, CertificateStore, SmtpConnection, TlsParameters},
        extension::ClientId,
    },
};

use super::message::Message;
use crate::config::{self, Encryption, Secrets, secret};

/// How long the server may take for each answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Which step of a delivery failed, and why.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The mail cannot be written.
    #[error("cannot write the mail")]
    Write(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The file with the authority's certificate cannot be used.
    #[error("cannot use the authority's certificate {}", path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Nobody answers.
    #[error("cannot connect to {server}")]
    Connect {
        /// Host and port.
        server: String,
        /// Why.
        source: lettre::transport::smtp::Error,
    },
    /// The connection cannot be encrypted.
    #[error("cannot encrypt the connection to {server}")]
    Encrypt {
        /// Host and port.
        server: String,
        /// Why.
        source: lettre::transport::smtp::Error,
    },
    /// The password is missing.
    #[error("cannot sign in without a password")]
    Password(#[from] secret::Error),
    /// User and password are not accepted.
    #[error("cannot sign in to {server} as {user}")]
    SignIn {
        /// Host and port.
        server: String,
        /// The user.
        user: String,
        /// Why.
        source: lettre::transport::smtp::Error,
    },
    /// The server does not take the mail.
    #[error("{server} does not take the mail")]
    Send {
        /// Host and port.
        server: String,
        /// Why.
        source: lettre::transport::smtp::Error,
    },
}

/// Where mail goes and how.
#[derive(Clone, Debug)]
pub struct Mail {
    section: config::Mail,
    secrets: Secrets,
    host: String,
}

impl Mail {
    /// Mail as the configuration says. `host` is what this machine is called.
    pub fn new(section: config::Mail, secrets: Secrets, host: String) -> Self {
        Self { section, secrets, host }
    }

    /// Hands a message to the server. Takes its time.
    pub fn send(&self, message: &Message) -> Result<(), Error> {
        let mail = self.written(message)?;
        let server = || self.section.server.clone();
        let (host, port) = self.section.address().unwrap_or(("", 0));
        let tls = self.tls(host)?;
        let own = ClientId::Domain(self.host.clone());
        let at_once = (self.section.encryption == Encryption::Tls).then_some(&tls);
        let connect = SmtpConnection::connect((host, port), Some(PATIENCE), &own, at_once, None);
        let mut connection = connect.map_err(|source| match source.is_tls() {
            true => Error::Encrypt { server: server(), source },
            false => Error::Connect { server: server(), source },
        })?;
        if self.section.encryption == Encryption::Starttls {
            // A server that offers none is an error: nothing is said in the clear.
            connection
                .starttls(&tls, &own)
                .map_err(|source| Error::Encrypt { server: server(), source })?;
        }
        if !self.section.user.is_empty() {
            let password = self.secrets.smtp_password()?;
            let user = self.section.user.clone();
            let credentials = Credentials::new(user.clone(), password.reveal().to_owned());
            connection
                .auth(&[Mechanism::Plain, Mechanism::Login], &credentials)
                .map_err(|source| Error::SignIn { server: server(), user, source })?;
        }
        connection
            .send(mail.envelope(), &mail.formatted())
            .map_err(|source| Error::Send { server: server(), source })?;
        // It was taken; whether the server says goodbye is all the same.
        let _ = connection.quit();
        Ok(())
    }

    fn tls(&self, host: &str) -> Result<TlsParameters, Error> {
        let mut builder = TlsParameters::builder(host.to_owned());
        if let Some(path) = &self.section.ca_file {
            let failed = |source| Error::Authority { path: path.clone(), source };
            let pem = std::fs::read(path).map_err(|error| failed(error.into()))?;
            let authority = Certificate::from_pem(&pem).map_err(|error| failed(error.into()))?;
            builder =
                builder.certificate_store(CertificateStore::None).add_root_certificate(authority);
        }
        let server = self.section.server.clone();
        builder.build().map_err(|source| Error::Encrypt { server, source })
    }

    fn written(&self, message: &Message) -> Result<lettre::Message, Error> {
        let failed = |error: Box<dyn std::error::Error + Send + Sync>| Error::Write(error);
        let mailbox = |address: &str| address.parse::<Mailbox>().map_err(|e| failed(e.into()));
        let header = |name: &'static str, value: &str| {
            let name = HeaderName::new_from_ascii_str(name);
            HeaderValue::new(name, value.to_owned())
        };
        let mut builder = lettre::Message::builder()
            .from(mailbox(&self.section.from)?)
            .subject(&message.subject)
            .date(message.at.into())
            .message_id(Some(format!("<{}@{}>", message.id, self.host)))
            // So that nobody's absence notice answers it.
            .raw_header(header("Auto-Submitted", "auto-generated"))
            .header(ContentType::TEXT_PLAIN);
        for address in &self.section.to {
            builder = builder.to(mailbox(address)?);
        }
        builder.body(message.text.clone()).map_err(|error| failed(error.into()))
    }
}
