//! The key that the service signs in with, and the one before it for a while.
//!
//! The private half never leaves its file. A new key never takes the place of the old one at
//! once: both are offered until the new one has let us in, so that neither side has to be first.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use jiff::Timestamp;
use retention::files;
use serde::Serialize;
use ssh_key::{Algorithm, HashAlg, LineEnding, PrivateKey, rand_core::OsRng};

/// What went wrong with a key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// It cannot be made.
    #[error("cannot make an SFTP key")]
    Make(#[source] ssh_key::Error),
    /// Its file cannot be written or moved.
    #[error("cannot write the SFTP key {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its file cannot be read.
    #[error("cannot read the SFTP key {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ssh_key::Error,
    },
    /// It is not the one that is to be replaced.
    #[error("the service's key is {0}")]
    Another(String),
}

/// What may be seen of the keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Shown {
    /// One line for `authorized_keys`.
    pub(crate) public_key: String,
    /// `SHA256:…`.
    pub(crate) fingerprint: String,
    /// When it was made.
    pub(crate) made: Timestamp,
    /// The key before, while it is still offered.
    pub(crate) previous_fingerprint: Option<String>,
}

/// The directory with the keys: `key`, and `previous` while there is one.
#[derive(Debug)]
pub(crate) struct Keys {
    directory: PathBuf,
    one_at_a_time: Mutex<()>,
}

impl Keys {
    /// Opens it, and makes a key if there is none.
    pub(crate) fn open(directory: &Path, now: Timestamp) -> Result<Self, Error> {
        let keys = Self { directory: directory.to_owned(), one_at_a_time: Mutex::default() };
        if !keys.current().exists() {
            keys.make(now)?;
        }
        Ok(keys)
    }

    /// What may be seen.
    pub(crate) fn shown(&self) -> Result<Shown, Error> {
        let key = read(&self.current())?;
        let made = key.comment().split_whitespace().last().and_then(|made| made.parse().ok());
        let previous = self.previous();
        let previous = if previous.exists() { Some(read(&previous)?) } else { None };
        let mut public = key.public_key().clone();
        public.set_comment("maaiiconnect");
        Ok(Shown {
            public_key: public.to_openssh().map_err(Error::Make)?,
            fingerprint: key.fingerprint(HashAlg::Sha256).to_string(),
            made: made.unwrap_or(Timestamp::UNIX_EPOCH),
            previous_fingerprint: previous.map(|it| it.fingerprint(HashAlg::Sha256).to_string()),
        })
    }

    /// Makes a new key in the place of the one with this fingerprint.
    pub(crate) fn replace(&self, fingerprint: &str, now: Timestamp) -> Result<Shown, Error> {
        let one = self.one_at_a_time.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = self.shown()?;
        if shown.fingerprint != fingerprint {
            return Err(Error::Another(shown.fingerprint));
        }
        // A copy first: whenever this is cut off there is a key, and it is one that is known.
        let (current, previous) = (self.current(), self.previous());
        let write = |source| Error::Write { path: previous.clone(), source };
        let text = fs::read(&current).map(zeroize::Zeroizing::new).map_err(write)?;
        files::write_whole(&previous, &text, 0o600).map_err(write)?;
        self.make(now)?;
        drop(one);
        self.shown()
    }

    /// The files to offer, the newest first.
    pub(crate) fn offered(&self) -> Vec<PathBuf> {
        let previous = Some(self.previous()).filter(|path| path.exists());
        std::iter::once(self.current()).chain(previous).collect()
    }

    /// The newest has let us in, and the one before is not needed any more.
    pub(crate) fn let_in(&self, with: &Path) {
        if with == self.current() {
            let _ = fs::remove_file(self.previous());
        }
    }

    fn make(&self, now: Timestamp) -> Result<(), Error> {
        let mut key = PrivateKey::random(&mut OsRng, Algorithm::Ed25519).map_err(Error::Make)?;
        key.set_comment(format!("maaiiconnect {now}"));
        let text = key.to_openssh(LineEnding::LF).map_err(Error::Make)?;
        let path = self.current();
        files::write_whole(&path, text.as_bytes(), 0o600)
            .map_err(|source| Error::Write { path, source })
    }

    fn current(&self) -> PathBuf {
        self.directory.join("key")
    }

    fn previous(&self) -> PathBuf {
        self.directory.join("previous")
    }
}

fn read(path: &Path) -> Result<PrivateKey, Error> {
    PrivateKey::read_openssh_file(path)
        .map_err(|source| Error::Read { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_is_made_once_and_the_old_one_is_offered_until_it_has_let_us_in() {
        let scratch = tempfile::tempdir().expect("scratch");
        let now = "2026-11-24T02:00:00Z".parse().expect("a time");
        let keys = Keys::open(scratch.path(), now).expect("a key");
        let first = keys.shown().expect("shown");
        assert_eq!((first.made, &first.previous_fingerprint), (now, &None));
        let second = keys.replace(&first.fingerprint, now).expect("a second");
        assert_eq!(second.previous_fingerprint.as_ref(), Some(&first.fingerprint));
        let again = keys.replace(&first.fingerprint, now);
        assert!(matches!(again, Err(Error::Another(key)) if key == second.fingerprint));
        assert_eq!(keys.offered().len(), 2);
        keys.let_in(&keys.previous());
        assert_eq!(keys.offered().len(), 2);
        keys.let_in(&keys.current());
        assert_eq!(keys.offered(), [keys.current()]);
        assert!(second.public_key.ends_with(" maaiiconnect"), "{}", second.public_key);
        let reopened = Keys::open(scratch.path(), now).expect("open").shown().expect("shown");
        assert_eq!(reopened.fingerprint, second.fingerprint);
    }
}
