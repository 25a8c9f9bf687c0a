//! The configuration file, read once and turned into values that are valid.
//!
//! The file is a [`Spec`]: its defaults stand in `Default`, its meaning is on
//! each field, and a word it does not know is an error that names the line.
//! Secrets are not in it. They are read from the directory that systemd names in
//! `$CREDENTIALS_DIRECTORY`, else from [`Spec::secrets_directory`], each from a
//! file that only its owner can read; see [`secret`].

mod alerts;
mod connector;
mod health;
pub mod secret;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;

pub use alerts::{Alerts, Encryption, Mail, Webhook};
pub use connector::Connector;
pub use health::{Audience, Health};
pub use secret::{Secret, Secrets};

use crate::records::rules::Addition;

/// Where the configuration is looked for unless `--config` says otherwise.
pub const DEFAULT_PATH: &str = "/etc/retention/retention.toml";

/// What went wrong with the configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read the configuration {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file does not say what a configuration can say.
    #[error("the configuration {} is not valid:\n{message}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// The parser's explanation, with the line.
        message: String,
    },
    /// A value that cannot work.
    #[error("{key} in {}: {why}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// Which key.
        key: &'static str,
        /// What is wrong with it and what to write instead.
        why: String,
    },
    /// A secret cannot be had.
    #[error(transparent)]
    Secret(#[from] secret::Error),
}

/// The configuration file as it is written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Spec {
    /// The version of this file's format: 1.
    pub version: u32,
    /// Where the appliance keeps its state: uploads, archives, quarantine, host keys.
    /// One file system, so that an upload is claimed by a rename.
    pub state_directory: PathBuf,
    /// Where secrets are kept where systemd hands over none.
    pub secrets_directory: PathBuf,
    /// The SFTP endpoint.
    pub sftp: Sftp,
    /// When an upload is complete.
    pub inbox: Inbox,
    /// What an archive may be.
    pub archive: Archive,
    /// The database.
    pub mongodb: Mongodb,
    /// The Retention Portal.
    pub portal: Portal,
    /// What becomes of a backup.
    pub modes: Modes,
    /// How records are told apart.
    pub records: Records,
    /// What the appliance looks after, and when it turns uploads away.
    pub health: Health,
    /// Who is told when something is wrong.
    pub alerts: Alerts,
    /// Where maaiiconnect is asked to delete what a backup holds.
    pub connector: Connector,
}

impl Default for Spec {
    fn default() -> Self {
        Self {
            version: 1,
            state_directory: "/var/lib/retention".into(),
            secrets_directory: "/etc/retention/secrets".into(),
            sftp: Sftp::default(),
            inbox: Inbox::default(),
            archive: Archive::default(),
            mongodb: Mongodb::default(),
            portal: Portal::default(),
            modes: Modes::default(),
            records: Records::default(),
            health: Health::default(),
            alerts: Alerts::default(),
            connector: Connector::default(),
        }
    }
}

/// `[sftp]`: the endpoint that maaiiconnect uploads to.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sftp {
    /// Address and port to listen on.
    pub listen: SocketAddr,
    /// Host and port under which maaiiconnect reaches that, where it differs: behind DNAT, say.
    /// Nothing listens there; it is what people are told.
    pub address: String,
    /// The one user who may upload. It has to exist on this machine.
    pub user: String,
    /// Whether SHA-1 RSA signatures are accepted from that user, as old Java clients send them.
    pub sha1_rsa: bool,
}

impl Default for Sftp {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([0, 0, 0, 0], 2222)),
            address: String::new(),
            user: "retention-sftp".into(),
            sha1_rsa: false,
        }
    }
}

/// `[inbox]`: when an upload is complete, and when it will never be.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Inbox {
    /// How long an interrupted upload is kept so that the client can resume it, in seconds.
    pub grace_seconds: u64,
    /// How often the inbox is looked through even if nothing woke us, in seconds.
    pub rescan_seconds: u64,
}

impl Default for Inbox {
    fn default() -> Self {
        Self { grace_seconds: 24 * 60 * 60, rescan_seconds: 30 }
    }
}

/// `[archive]`: what an archive may be at most.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Archive {
    /// Entries. Each costs about 150 bytes of memory while its archive is taken in.
    pub max_entries: u32,
    /// Uncompressed bytes of the whole archive.
    pub max_total_bytes: u64,
    /// Uncompressed bytes of one entry.
    pub max_entry_bytes: u64,
}

impl Default for Archive {
    fn default() -> Self {
        Self { max_entries: 250_000, max_total_bytes: 1 << 40, max_entry_bytes: 256 << 30 }
    }
}

/// `[mongodb]`: the database, with maaiiconnect's five settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mongodb {
    /// Host and port, or several with commas between them.
    pub host: String,
    /// User; empty where the database asks for none. The password is the secret `mongodb-password`.
    pub user: String,
    /// AuthDB: the database that knows the user.
    pub auth_db: String,
    /// TargetDB: the database that backups are stored in.
    pub target_db: String,
    /// The replica set's name; empty to talk to the one host directly.
    pub replica_set: String,
    /// Whether to speak TLS.
    pub tls: bool,
    /// The certificate of the authority that signed the database's certificate, in PEM.
    pub tls_ca_file: Option<PathBuf>,
}

impl Mongodb {
    /// Whether MongoDB accepts the name of a database, on whatever system it runs.
    pub fn accepts_name(name: &str) -> bool {
        (1..=63).contains(&name.len()) && !name.contains(['/', '\\', '.', ' ', '"', '$', '\0'])
    }
}

impl Default for Mongodb {
    fn default() -> Self {
        Self {
            host: "127.0.0.1:27017".into(),
            user: String::new(),
            auth_db: "admin".into(),
            target_db: "retention".into(),
            replica_set: String::new(),
            tls: false,
            tls_ca_file: None,
        }
    }
}

/// `[portal]`: the Retention Portal.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Portal {
    /// Address and port to listen on.
    pub listen: SocketAddr,
    /// The certificate in PEM; a self-signed one is made where none is given.
    pub certificate: Option<PathBuf>,
    /// Its private key in PEM.
    pub key: Option<PathBuf>,
    /// Further names and addresses under which browsers reach the portal.
    pub names: Vec<String>,
}

impl Default for Portal {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([0, 0, 0, 0], 8443)),
            certificate: None,
            key: None,
            names: Vec::new(),
        }
    }
}

/// `[modes]`: one or both must be on.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct Modes {
    /// Unpack records and media into MongoDB for the portal's views.
    pub online: bool,
    /// Keep the archive as it was delivered.
    pub offline: bool,
}

impl Default for Modes {
    fn default() -> Self {
        Self { online: true, offline: true }
    }
}

/// `[records]`: additions to the rules that tell datasets apart.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Records {
    /// `[[records.rules]]`: names and the dataset that each stands for.
    pub rules: Vec<Addition>,
}

/// A configuration that can work.
#[derive(Clone, Debug)]
pub struct Config {
    spec: Spec,
    path: PathBuf,
    /// The password of MongoDB's user, where another one was set than the secret.
    mongodb_password: Option<Secret>,
}

impl Config {
    /// Reads the file at `path` and checks what it says.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| Error::Read { path: path.to_owned(), source })?;
        let spec: Spec = toml::from_str(&text)
            .map_err(|error| Error::Parse { path: path.to_owned(), message: error.to_string() })?;
        Self::new(spec, path)
    }

    /// Checks a specification that was read from `path`.
    pub fn new(spec: Spec, path: &Path) -> Result<Self, Error> {
        let wrong =
            |key, why: &str| Error::Value { path: path.to_owned(), key, why: why.to_owned() };
        if spec.version != 1 {
            return Err(wrong("version", "this program reads version 1"));
        }
        if !spec.state_directory.is_absolute() {
            return Err(wrong("state_directory", "it has to begin with /"));
        }
        if !spec.modes.online && !spec.modes.offline {
            return Err(wrong("modes", "switch online on, or offline, or both"));
        }
        if spec.portal.certificate.is_some() != spec.portal.key.is_some() {
            return Err(wrong("portal.certificate", "a certificate and its key go together"));
        }
        if spec.mongodb.host.is_empty() || spec.mongodb.host.contains(['/', '@']) {
            return Err(wrong("mongodb.host", "write host:port, or several with commas between"));
        }
        if !Mongodb::accepts_name(&spec.mongodb.target_db) {
            return Err(wrong("mongodb.target_db", "it is not a name that MongoDB accepts"));
        }
        if spec.sftp.user.is_empty() {
            return Err(wrong("sftp.user", "name the user who may upload"));
        }
        if spec.inbox.rescan_seconds == 0 {
            return Err(wrong("inbox.rescan_seconds", "it has to be 1 or more"));
        }
        if spec.archive.max_entries == 0 {
            return Err(wrong("archive.max_entries", "it has to be 1 or more"));
        }
        let sections =
            [spec.health.objection(), spec.alerts.objection(), spec.connector.objection()];
        if let Some((key, why)) = sections.into_iter().flatten().next() {
            return Err(wrong(key, why));
        }
        Ok(Self { spec, path: path.to_owned(), mongodb_password: None })
    }

    /// The same with another database, and with the password of its user where that is not the
    /// secret `mongodb-password`.
    pub fn with_database(mut self, section: Mongodb, password: Option<Secret>) -> Self {
        self.spec.mongodb = section;
        self.mongodb_password = password;
        self
    }

    /// The password of MongoDB's user, where it is not the secret `mongodb-password`.
    pub fn mongodb_password(&self) -> Option<&Secret> {
        self.mongodb_password.as_ref()
    }

    /// The file it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where uploads, archives, quarantine and keys are.
    pub fn state_directory(&self) -> &Path {
        &self.spec.state_directory
    }

    /// Where secrets are kept where systemd hands over none.
    pub fn secrets_directory(&self) -> &Path {
        &self.spec.secrets_directory
    }

    /// The secrets that belong to this configuration. `credentials` is what
    /// systemd names in `$CREDENTIALS_DIRECTORY`.
    pub fn secrets(&self, credentials: Option<PathBuf>) -> Secrets {
        Secrets::new(credentials, self.spec.secrets_directory.clone())
    }

    /// `[sftp]`
    pub fn sftp(&self) -> &Sftp {
        &self.spec.sftp
    }

    /// `[inbox]`
    pub fn inbox(&self) -> &Inbox {
        &self.spec.inbox
    }

    /// `[archive]`
    pub fn archive(&self) -> &Archive {
        &self.spec.archive
    }

    /// `[mongodb]`
    pub fn mongodb(&self) -> &Mongodb {
        &self.spec.mongodb
    }

    /// `[portal]`
    pub fn portal(&self) -> &Portal {
        &self.spec.portal
    }

    /// `[modes]`
    pub fn modes(&self) -> Modes {
        self.spec.modes
    }

    /// `[records]`
    pub fn records(&self) -> &Records {
        &self.spec.records
    }

    /// `[health]`
    pub fn health(&self) -> &Health {
        &self.spec.health
    }

    /// `[alerts]`
    pub fn alerts(&self) -> &Alerts {
        &self.spec.alerts
    }

    /// `[connector]`
    pub fn connector(&self) -> &Connector {
        &self.spec.connector
    }

    /// How long an interrupted upload is kept.
    pub fn grace(&self) -> Duration {
        Duration::from_secs(self.spec.inbox.grace_seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        let spec: Spec = toml::from_str(text).map_err(|e| e.to_string())?;
        Config::new(spec, Path::new("retention.toml")).map_err(|e| e.to_string())
    }

    #[test]
    fn an_empty_file_is_a_configuration() {
        let config = parse("").expect("defaults are valid");
        assert_eq!(config.mongodb().target_db, "retention");
        assert!(config.modes().online && config.modes().offline);
    }

    #[test]
    fn a_database_has_a_name_that_every_mongodb_accepts() {
        let (longest, longer) = ("x".repeat(63), "x".repeat(64));
        for name in ["retention", "records-2021_b", "ablage_\u{fc}", &longest] {
            assert!(Mongodb::accepts_name(name), "{name}");
        }
        for name in ["", &longer, "a.b", "a b", "a/b", "a\\b", "a\"b", "$a", "a\0"] {
            assert!(!Mongodb::accepts_name(name), "{name:?}");
        }
    }

    #[test]
    fn what_cannot_work_is_refused_and_named() {
        for (text, part) in [
            ("version = 2", "version"),
            ("verison = 1", "verison"),
            ("state_directory = 'var'", "state_directory"),
            ("[modes]\nonline = false\noffline = false", "modes"),
            ("[mongodb]\nhost = 'mongodb://a'", "mongodb.host"),
            ("[mongodb]\ntarget_db = 'a.b'", "mongodb.target_db"),
            ("[portal]\ncertificate = '/a'", "portal.certificate"),
            ("[sftp]\nuser = ''", "sftp.user"),
            ("[health]\nschedule_hour = 24", "health.schedule_hour"),
            ("[health]\ninterval_seconds = 0", "health.interval_seconds"),
            ("[health]\nmetrics = 'everyone'", "everyone"),
            ("[health]\nverify_only_copies_days = 0", "health.verify_only_copies_days"),
            ("[health]\nverify_others_days = 367", "health.verify_others_days"),
            ("[alerts]\ndigest_hour = 24", "alerts.digest_hour"),
            ("[alerts.mail]\nserver = 'mail'\nto = ['a@b.example']", "alerts.mail.server"),
            ("[alerts.mail]\nserver = 'mail:25'\nfrom = 'a@b.example'", "alerts.mail.to"),
            (
                "[alerts.mail]\nserver = 'mail:25'\nto = ['a@b.example']\nfrom = 'a@b.example'\n\
                 encryption = 'none'",
                "alerts.mail.encryption",
            ),
            ("[alerts.webhook]\nurl = 'http://example/'", "alerts.webhook.url"),
            ("[connector]\nurl = 'http://service.example/'", "connector.url"),
            ("[connector]\nkey = '/etc/key.pem'", "connector.certificate"),
            ("[[records.rules]]\nname = 'survey'\ndataset = 'surveys'", "surveys"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
