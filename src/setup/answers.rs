//! What the administrator says: in a file, or asked for.
//!
//! Everything may be missing. What is missing stays as it is configured, or else as it
//! is by default. A file that holds a secret has to be closed to others; a secret may
//! also be in a file of its own, which has to be closed just the same.
//!
//! This module must never put a secret, or a line that may hold one, into a message.

use std::{
    collections::BTreeMap,
    fs, io,
    net::SocketAddr,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use nix::unistd::geteuid;
use serde::{Deserialize, Deserializer};

use crate::config::Secret;

/// What went wrong with the answers.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others can read a file that holds a secret.
    #[error("others can read {}, which holds a secret: run chmod 600 on it", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
    },
    /// Somebody else owns a file that holds a secret.
    #[error(
        "{} holds a secret and belongs to user {owner}; it has to belong to you or to root",
        path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The number of the user it belongs to.
        owner: u32,
    },
    /// The file does not say what answers can say. Never holds the line itself.
    #[error("{}, line {line}: {why}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong.
        why: String,
    },
    /// A secret is given twice.
    #[error("{name} and {name}_file are both given; keep one of the two")]
    Twice {
        /// Its name.
        name: String,
    },
    /// A secret is empty.
    #[error("{name} is empty")]
    Empty {
        /// Its name.
        name: String,
    },
}

/// All answers.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Answers {
    /// The version of this format: 1.
    pub version: Option<u32>,
    /// Where the appliance keeps its state.
    pub state_directory: Option<PathBuf>,
    /// Where secrets are kept.
    pub secrets_directory: Option<PathBuf>,
    /// Whether the services are enabled and started; they are, unless this says no.
    pub start: Option<bool>,
    /// Whether everything is tried out at the end; it is, unless this says no.
    pub test: Option<bool>,
    /// The endpoint.
    pub sftp: Sftp,
    /// Archives.
    pub archive: Archive,
    /// The database.
    pub mongodb: Mongodb,
    /// The Retention Portal.
    pub portal: Portal,
    /// What becomes of a backup.
    pub modes: Modes,
    /// Further secrets, by the name of their file in the secrets directory.
    pub secrets: BTreeMap<String, Given>,
    /// Anything else that the configuration file can say, as it is written there.
    pub configuration: toml::Table,
}

/// `[sftp]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sftp {
    /// Address and port to listen on.
    pub listen: Option<SocketAddr>,
    /// Host and port under which maaiiconnect reaches that, where it differs.
    pub address: Option<String>,
    /// The user who may upload.
    pub user: Option<String>,
    /// maaiiconnect's public keys, each as one line.
    pub keys: Vec<String>,
    /// Whether SHA-1 RSA signatures are accepted.
    pub sha1_rsa: Option<bool>,
}

/// `[archive]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Archive {
    /// The Archive Key.
    #[serde(deserialize_with = "secret")]
    pub key: Option<Secret>,
    /// A file that holds it.
    pub key_file: Option<PathBuf>,
}

/// `[mongodb]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mongodb {
    /// Host and port, or several with commas between them.
    pub host: Option<String>,
    /// The user that the appliance signs in as; made if it is missing. Empty for none.
    pub user: Option<String>,
    /// Its password.
    #[serde(deserialize_with = "secret")]
    pub password: Option<Secret>,
    /// A file that holds it.
    pub password_file: Option<PathBuf>,
    /// AuthDB.
    pub auth_db: Option<String>,
    /// TargetDB.
    pub target_db: Option<String>,
    /// The replica set's name.
    pub replica_set: Option<String>,
    /// Whether to speak TLS.
    pub tls: Option<bool>,
    /// The authority that signed the database's certificate.
    pub tls_ca_file: Option<PathBuf>,
    /// An administrator's address, `mongodb://USER:PASSWORD@HOST`. Used once, and not kept.
    #[serde(deserialize_with = "secret")]
    pub admin_uri: Option<Secret>,
    /// A file that holds it.
    pub admin_uri_file: Option<PathBuf>,
    /// Whether a replica set of one is made where none was initiated.
    pub initiate_replica_set: bool,
}

/// `[portal]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Portal {
    /// Address and port to listen on.
    pub listen: Option<SocketAddr>,
    /// Names and addresses under which browsers reach the portal.
    pub names: Option<Vec<String>>,
    /// A certificate of your own, in PEM.
    pub certificate: Option<PathBuf>,
    /// Its key, in PEM.
    pub key: Option<PathBuf>,
    /// The password of the account `Admin`.
    #[serde(deserialize_with = "secret")]
    pub admin_password: Option<Secret>,
    /// A file that holds it.
    pub admin_password_file: Option<PathBuf>,
}

/// `[modes]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Modes {
    /// Unpack records and media into MongoDB.
    pub online: Option<bool>,
    /// Keep the archive as it was delivered.
    pub offline: Option<bool>,
}

/// A secret: the text itself, or a file that holds it.
#[derive(Clone, Debug)]
pub enum Given {
    /// The text.
    Text(Secret),
    /// The file.
    File(PathBuf),
}

impl<'de> Deserialize<'de> for Given {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Text(String),
            File { file: PathBuf },
        }
        // What is wrong is said without what was given.
        let either = Either::deserialize(deserializer)
            .map_err(|_| serde::de::Error::custom("write a text, or { file = \"…\" }"))?;
        Ok(match either {
            Either::Text(text) => Self::Text(Secret::new(text)),
            Either::File { file } => Self::File(file),
        })
    }
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Secret>, D::Error> {
    // A number or a date would be named in the message.
    let text = String::deserialize(deserializer)
        .map_err(|_| serde::de::Error::custom("a secret is a text in quotes"))?;
    Ok(Some(Secret::new(text)))
}

impl Answers {
    /// Reads answers from a file, and the secrets from the files that it names.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = fs::read_to_string(path)
            .map_err(|source| Error::Read { path: path.to_owned(), source })?;
        let text = zeroize::Zeroizing::new(text);
        let answers: Self = toml::from_str(&text).map_err(|error| Error::Parse {
            path: path.to_owned(),
            line: line_of(&text, error.span()),
            why: error.message().to_owned(),
        })?;
        if answers.version.is_some_and(|version| version != 1) {
            let (path, why) = (path.to_owned(), "this program reads version 1".to_owned());
            return Err(Error::Parse { path, line: 1, why });
        }
        if answers.holds_a_secret() {
            refuse_exposed(path)?;
        }
        answers.with_files()
    }

    fn holds_a_secret(&self) -> bool {
        let Self { archive, mongodb, portal, secrets, .. } = self;
        [&archive.key, &mongodb.password, &mongodb.admin_uri, &portal.admin_password]
            .iter()
            .any(|secret| secret.is_some())
            || secrets.values().any(|given| matches!(given, Given::Text(_)))
    }

    /// Takes the secrets out of the files that are named.
    fn with_files(mut self) -> Result<Self, Error> {
        let Self { archive, mongodb, portal, secrets, .. } = &mut self;
        for (name, secret, file) in [
            ("archive.key", &mut archive.key, &archive.key_file),
            ("mongodb.password", &mut mongodb.password, &mongodb.password_file),
            ("mongodb.admin_uri", &mut mongodb.admin_uri, &mongodb.admin_uri_file),
            ("portal.admin_password", &mut portal.admin_password, &portal.admin_password_file),
        ] {
            if let Some(file) = file {
                if secret.is_some() {
                    return Err(Error::Twice { name: name.to_owned() });
                }
                *secret = Some(read_secret(file)?);
            }
            if secret.as_ref().is_some_and(|secret| secret.reveal().trim().is_empty()) {
                return Err(Error::Empty { name: name.to_owned() });
            }
        }
        for (name, given) in secrets {
            if let Given::File(file) = given {
                *given = Given::Text(read_secret(file)?);
            }
            if matches!(given, Given::Text(secret) if secret.reveal().trim().is_empty()) {
                return Err(Error::Empty { name: format!("secrets.{name}") });
            }
        }
        Ok(self)
    }
}

/// The first line of a file that nobody else can read.
fn read_secret(path: &Path) -> Result<Secret, Error> {
    let text =
        fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    let text = zeroize::Zeroizing::new(text);
    refuse_exposed(path)?;
    Ok(Secret::new(text.lines().next().unwrap_or_default().to_owned()))
}

fn refuse_exposed(path: &Path) -> Result<(), Error> {
    let found =
        fs::metadata(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    if found.mode() & 0o077 != 0 {
        return Err(Error::Exposed { path: path.to_owned() });
    }
    let owner = found.uid();
    if owner != 0 && owner != geteuid().as_raw() {
        return Err(Error::Foreign { path: path.to_owned(), owner });
    }
    Ok(())
}

/// The line in which something begins, counted from 1.
pub(super) fn line_of(text: &str, span: Option<std::ops::Range<usize>>) -> usize {
    let start = span.map_or(0, |span| span.start).min(text.len());
    1 + text.as_bytes()[..start].iter().filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn read(text: &str, mode: u32) -> Result<Answers, String> {
        let directory = tempfile::tempdir().expect("scratch");
        let file = |name: &str, text: &str, mode| {
            let path = directory.path().join(name);
            fs::write(&path, text).expect("write");
            fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("chmod");
            path
        };
        file("closed", "Str0ng!Key\nsecond line\n", 0o600);
        file("open", "Str0ng!Key\n", 0o644);
        file("empty", "\n", 0o600);
        let text = text.replace("HERE", &directory.path().display().to_string());
        Answers::read(&file("answers.toml", &text, mode)).map_err(|error| error.to_string())
    }

    #[test]
    fn secrets_come_from_the_file_or_from_files_that_it_names() {
        for text in ["[archive]\nkey = 'Str0ng!Key'", "[archive]\nkey_file = 'HERE/closed'"] {
            let answers = read(text, 0o600).expect(text);
            let key = answers.archive.key.expect("a key");
            assert_eq!(key.reveal(), "Str0ng!Key");
        }
        let answers = read("[secrets]\nsmtp-password.file = 'HERE/closed'", 0o644).expect("read");
        assert!(matches!(&answers.secrets["smtp-password"], Given::Text(_)));
        assert!(!format!("{answers:?}").contains("Str0ng"));
    }

    #[test]
    fn what_is_wrong_is_said_without_what_it_says() {
        let key = "[archive]\nkey = 'Str0ng!Key'";
        for (text, mode, part) in [
            (key, 0o644, "chmod 600"),
            ("[archive]\nkey_file = 'HERE/open'", 0o644, "chmod 600"),
            ("[archive]\nkey_file = 'HERE/none'", 0o644, "cannot read"),
            ("[archive]\nkey_file = 'HERE/empty'", 0o644, "archive.key is empty"),
            ("[archive]\nkey_file = 'HERE/closed'\nkey = 'Str0ng!Key'", 0o600, "both given"),
            ("[archive]\nkey = Str0ng!Key", 0o600, "line 2"),
            ("[archive]\nkey = 'Str0ng!Key", 0o600, "line 2"),
            ("[archive]\nkey = 57012345", 0o600, "a secret is a text in quotes"),
            ("[secrets]\nsmtp-password = ['Str0ng!Key']", 0o600, "write a text"),
            ("[sftp]\nlisten = 'Str0ng'", 0o600, "line 2"),
            ("\n[archives]\nkey = 'x'", 0o600, "archives"),
            ("version = 2", 0o600, "version 1"),
        ] {
            let said = read(text, mode).expect_err(text);
            assert!(said.contains(part), "{text}: {said}");
            assert!(!said.contains("Str0ng") && !said.contains("57012345"), "{text}: {said}");
        }
    }
}
