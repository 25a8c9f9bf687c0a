//! Secrets: read from files that only their owner can read, never printed.

use std::{
    fmt, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

/// What went wrong with a secret. Never says what the secret is.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such secret.
    #[error("the secret {name} is missing: write it to {}", path.display())]
    Missing {
        /// Its name.
        name: &'static str,
        /// Where it was looked for last.
        path: PathBuf,
    },
    /// The file is there and cannot be read.
    #[error("cannot read the secret {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others can read the file.
    #[error("others can read the secret {}: run chmod 600 on it", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
    },
    /// The file is empty or not text.
    #[error("the secret {} is empty or not text in UTF-8", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
    },
}

/// A secret text. It cannot be printed, and its memory is wiped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a text into safe keeping.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text of a file that its owner alone can read.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let secret = read_file(path)?;
        refuse_exposed(path).map(|()| secret)
    }

    /// The text, for the one place that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The places where secrets are found.
#[derive(Clone, Debug)]
pub struct Secrets {
    credentials: Option<PathBuf>,
    directory: PathBuf,
}

impl Secrets {
    /// Secrets from systemd's `credentials` directory first, then from `directory`.
    pub fn new(credentials: Option<PathBuf>, directory: PathBuf) -> Self {
        Self { credentials, directory }
    }

    /// The Archive Keys, newest first: the lines of `archive-keys`.
    ///
    /// No file means no key, so that only unencrypted archives can be opened.
    pub fn archive_keys(&self) -> Result<Vec<Secret>, Error> {
        match self.read("archive-keys") {
            Ok(text) => Ok(text
                .reveal()
                .lines()
                .filter(|line| !line.is_empty())
                .map(|line| Secret::new(line.to_owned()))
                .collect()),
            Err(Error::Missing { .. }) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// The password of the MongoDB user: the first line of `mongodb-password`.
    pub fn mongodb_password(&self) -> Result<Secret, Error> {
        self.first_line("mongodb-password")
    }

    /// The first password of the portal's `Admin`, if one was laid down: `admin-password`.
    pub fn admin_password(&self) -> Result<Option<Secret>, Error> {
        match self.first_line("admin-password") {
            Ok(secret) => Ok(Some(secret)),
            Err(Error::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The password of the SMTP user: the first line of `smtp-password`.
    pub fn smtp_password(&self) -> Result<Secret, Error> {
        self.first_line("smtp-password")
    }

    /// The key that alerts to a webhook are signed with: the first line of `webhook-key`.
    pub fn webhook_key(&self) -> Result<Secret, Error> {
        self.first_line("webhook-key")
    }

    /// The bearer token for the connector: the first line of `connector-token`.
    pub fn connector_token(&self) -> Result<Secret, Error> {
        self.first_line("connector-token")
    }

    /// What settings that are secret are sealed with, if there is any: the first line of
    /// `settings-key`.
    pub fn settings_key(&self) -> Result<Option<Secret>, Error> {
        match self.first_line("settings-key") {
            Ok(secret) => Ok(Some(secret)),
            Err(Error::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn first_line(&self, name: &'static str) -> Result<Secret, Error> {
        let text = self.read(name)?;
        Ok(Secret::new(text.reveal().lines().next().unwrap_or_default().to_owned()))
    }

    fn read(&self, name: &'static str) -> Result<Secret, Error> {
        if let Some(directory) = &self.credentials {
            let path = directory.join(name);
            match read_file(&path) {
                Err(Error::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                // The unit has to name one that is blank where nobody laid down another.
                Err(Error::Unusable { .. }) if is_blank(&path) => {}
                other => return other,
            }
        }
        let path = self.directory.join(name);
        match read_file(&path) {
            Err(Error::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Err(Error::Missing { name, path })
            }
            Ok(secret) => refuse_exposed(&path).map(|()| secret),
            other => other,
        }
    }
}

fn read_file(path: &Path) -> Result<Secret, Error> {
    let bytes = std::fs::read(path)
        .map_err(|source| Error::Read { path: path.to_owned(), source })
        .map(Zeroizing::new)?;
    match std::str::from_utf8(&bytes) {
        Ok(text) if !text.trim().is_empty() => Ok(Secret::new(text.to_owned())),
        _ => Err(Error::Unusable { path: path.to_owned() }),
    }
}

/// Whether there is nothing in a file but white space.
fn is_blank(path: &Path) -> bool {
    std::fs::read(path).map(Zeroizing::new).is_ok_and(|bytes| bytes.trim_ascii().is_empty())
}

/// Credentials from systemd are guarded by it; other files have to be 0600 or tighter.
fn refuse_exposed(path: &Path) -> Result<(), Error> {
    let metadata =
        std::fs::metadata(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    if metadata.mode() & 0o077 != 0 {
        return Err(Error::Exposed { path: path.to_owned() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn secrets_are_read_only_from_files_that_others_cannot_read() {
        let directory = tempfile::tempdir().expect("scratch");
        let path = directory.path().join("archive-keys");
        let secrets = Secrets::new(None, directory.path().to_owned());
        assert_eq!(secrets.archive_keys().expect("no file, no key"), []);

        std::fs::write(&path, "new\nold key\n\n").expect("write");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).expect("chmod");
        assert!(matches!(secrets.archive_keys(), Err(Error::Exposed { .. })));

        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("chmod");
        let keys = secrets.archive_keys().expect("keys");
        assert_eq!(keys, [Secret::new("new".into()), Secret::new("old key".into())]);
        assert_eq!(format!("{:?}", keys[0]), "Secret(…)");
    }

    #[test]
    fn credentials_of_systemd_go_first() {
        let (credentials, own) =
            (tempfile::tempdir().expect("scratch"), tempfile::tempdir().expect("scratch"));
        std::fs::write(credentials.path().join("mongodb-password"), "first\n").expect("write");
        let secrets = Secrets::new(Some(credentials.path().into()), own.path().into());
        assert_eq!(secrets.mongodb_password().expect("found").reveal(), "first");
        assert!(matches!(secrets.admin_password(), Ok(None)));
    }

    #[test]
    fn a_blank_credential_is_none() {
        let (credentials, own) =
            (tempfile::tempdir().expect("scratch"), tempfile::tempdir().expect("scratch"));
        let secrets = Secrets::new(Some(credentials.path().into()), own.path().into());
        for blank in ["", "\n"] {
            std::fs::write(credentials.path().join("admin-password"), blank).expect("write");
            assert!(matches!(secrets.admin_password(), Ok(None)), "{blank:?}");
        }
        let path = own.path().join("admin-password");
        std::fs::write(&path, "own\n").expect("write");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("chmod");
        let found = secrets.admin_password().expect("readable").expect("found");
        assert_eq!(found.reveal(), "own");
        std::fs::write(credentials.path().join("admin-password"), [0xff]).expect("write");
        assert!(matches!(secrets.admin_password(), Err(Error::Unusable { .. })));
    }

    #[test]
    fn the_unit_hands_over_each_secret_and_has_a_blank_in_its_place() {
        let unit = include_str!("../../systemd/retention.service");
        let of = |key: &str| -> Vec<&str> {
            let lines = unit.lines().filter_map(|line| line.strip_prefix(key));
            lines.map(|line| line.split(':').next().unwrap_or_default()).collect()
        };
        let loaded = of("LoadCredential=");
        // Whatever is asked for above, by its name.
        let source = include_str!("secret.rs");
        let (source, _) = source.split_once("#[cfg(test)]").expect("tests come last");
        let asked: Vec<_> = source
            .lines()
            .filter(|line| line.contains("self.read(\"") || line.contains("self.first_line(\""))
            .filter_map(|line| line.split('"').nth(1))
            .collect();
        assert!(asked.len() > 4, "{asked:?}");
        assert_eq!(loaded, asked);
        assert_eq!(loaded, of("SetCredential="));
    }
}
