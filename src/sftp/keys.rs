//! The keys that may upload: the endpoint's `authorized_keys` file.
//!
//! Each line is checked before sshd can see it, and a refusal says what the
//! administrator has to do instead. Lines that this program did not write are kept
//! as they are, and are reported. sshd reads the file at every sign-in, so a change
//! needs no restart, and two keys side by side are how a key is rotated.
//!
//! This module must never write a line that [`AuthorizedKey::parse`] did not accept,
//! and never drop a line that it was not asked to remove.

mod key;

use std::{
    collections::HashSet,
    fmt::Write as _,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use nix::unistd::geteuid;

use super::directories;

pub use key::{AuthorizedKey, KeyRefusal, MIN_RSA_BITS, TRIAL};

const HEADER: &str =
    "# The keys that may upload to this appliance. Change them with: retention key\n";

/// What went wrong with the authorised keys.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read the authorised keys {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file cannot be written, and is as it was.
    #[error("cannot write the authorised keys {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The directory of the file cannot be made.
    #[error(transparent)]
    Prepare(#[from] directories::Error),
    /// The offered key is not accepted.
    #[error("the key is refused: {0}")]
    Refuse(KeyRefusal),
    /// No key has the fingerprint or comment that was asked for.
    #[error("no authorised key has the fingerprint or comment {wanted:?}")]
    Find {
        /// What was asked for.
        wanted: String,
    },
    /// More than one key has the comment that was asked for.
    #[error("{count} authorised keys have the comment {wanted:?}; name the one by its fingerprint")]
    Choose {
        /// What was asked for.
        wanted: String,
        /// How many keys have it.
        count: usize,
    },
}

/// A line that sshd reads and that this program would not have written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ForeignLine {
    /// Its number in the file, from 1.
    pub number: usize,
    /// What is wrong with it.
    pub refusal: KeyRefusal,
}

/// What the file holds.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Listing {
    /// The keys, in the order of the file.
    pub keys: Vec<AuthorizedKey>,
    /// Lines that somebody wrote by hand, to be mended by hand. sshd may honour them.
    pub foreign: Vec<ForeignLine>,
}

/// The `authorized_keys` file of the endpoint.
#[derive(Clone, Debug)]
pub struct AuthorizedKeys {
    path: PathBuf,
}

impl AuthorizedKeys {
    /// The file at `path`, which need not exist yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads what is authorised. A file that does not exist authorises nobody.
    pub fn list(&self) -> Result<Listing, Error> {
        let mut listing = Listing::default();
        let mut seen = HashSet::new();
        for (number, line) in (1..).zip(self.read()?.lines()) {
            if key::is_remark(line) {
                continue;
            }
            match AuthorizedKey::parse(line) {
                Ok(key) if !seen.insert(key.fingerprint.clone()) => {
                    let refusal = KeyRefusal::Duplicate {
                        fingerprint: key.fingerprint,
                        comment: key.comment,
                    };
                    listing.foreign.push(ForeignLine { number, refusal });
                }
                Ok(key) => listing.keys.push(key),
                Err(refusal) => listing.foreign.push(ForeignLine { number, refusal }),
            }
        }
        Ok(listing)
    }

    /// Authorises the one public key that `text` holds.
    pub fn add(&self, text: &str) -> Result<AuthorizedKey, Error> {
        let key = AuthorizedKey::parse(text).map_err(Error::Refuse)?;
        directories::make(self.directory())?;
        let _lock = self.lock()?;
        if let Some(old) =
            self.list()?.keys.into_iter().find(|old| old.fingerprint == key.fingerprint)
        {
            let (fingerprint, comment) = (old.fingerprint, old.comment);
            return Err(Error::Refuse(KeyRefusal::Duplicate { fingerprint, comment }));
        }
        let mut contents = self.read()?;
        if contents.is_empty() {
            contents.push_str(HEADER);
        }
        if !contents.ends_with('\n') {
            contents.push('\n');
        }
        contents.push_str(&key.line);
        contents.push('\n');
        self.write(&contents)?;
        Ok(key)
    }

    /// Withdraws the key that has `wanted` as its fingerprint, or else as its comment.
    ///
    /// Every line of that key goes, should someone have written it twice.
    pub fn remove(&self, wanted: &str) -> Result<AuthorizedKey, Error> {
        let wanted = wanted.trim();
        let _lock = self.lock()?;
        let keys = self.list()?.keys;
        let by_fingerprint = keys.iter().find(|key| key.has_fingerprint(wanted));
        let by_comment: Vec<_> =
            keys.iter().filter(|key| !wanted.is_empty() && key.comment == wanted).collect();
        let gone = match (by_fingerprint, by_comment.as_slice()) {
            (Some(key), _) => key,
            (None, [key]) => *key,
            (None, []) => return Err(Error::Find { wanted: wanted.to_owned() }),
            (None, several) => {
                return Err(Error::Choose { wanted: wanted.to_owned(), count: several.len() });
            }
        };
        let mut contents = String::new();
        for line in self.read()?.lines() {
            let same = AuthorizedKey::parse(line)
                .is_ok_and(|key| !key::is_remark(line) && key.fingerprint == gone.fingerprint);
            if !same {
                let _ = writeln!(contents, "{line}");
            }
        }
        self.write(&contents)?;
        Ok(gone.clone())
    }

    /// Makes the file if it is missing, and anew where sshd would refuse it for its
    /// owner or permissions.
    pub(super) fn ensure(&self) -> Result<(), Error> {
        let _lock = self.lock()?;
        match fs::metadata(&self.path) {
            Ok(found)
                if found.mode() & 0o7777 == super::READABLE
                    && found.uid() == geteuid().as_raw() =>
            {
                Ok(())
            }
            Ok(_) => self.write(&self.read()?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.write(HEADER),
            Err(source) => Err(Error::Read { path: self.path.clone(), source }),
        }
    }

    fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }

    fn read(&self) -> Result<String, Error> {
        match fs::read_to_string(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            other => other.map_err(|source| Error::Read { path: self.path.clone(), source }),
        }
    }

    fn write(&self, contents: &str) -> Result<(), Error> {
        super::write_readable(&self.path, contents)
            .map_err(|source| Error::Write { path: self.path.clone(), source })
    }

    /// Keeps a second `retention key` from losing what this one writes.
    fn lock(&self) -> Result<impl Drop, Error> {
        super::lock(self.directory())
            .map_err(|source| Error::Write { path: self.path.clone(), source })
    }
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::PermissionsExt, thread};

    use ssh_key::{PublicKey, public::Ed25519PublicKey};

    use super::*;

    fn key(number: u8, comment: &str) -> String {
        let key = PublicKey::new(Ed25519PublicKey([number; 32]).into(), comment);
        key.to_openssh().expect("encode")
    }

    fn comments(keys: &AuthorizedKeys) -> Vec<String> {
        keys.list().expect("list").keys.into_iter().map(|key| key.comment).collect()
    }

    #[test]
    fn keys_are_added_listed_and_removed_by_fingerprint_or_comment() {
        let scratch = tempfile::tempdir().expect("scratch");
        let keys = AuthorizedKeys::new(scratch.path().join("made/authorized_keys"));
        assert_eq!(keys.list().expect("no file"), Listing::default());
        let old = keys.add(&key(1, "old")).expect("add");
        keys.add(&key(2, "new one")).expect("add");
        let again = keys.add(&key(1, "other comment")).expect_err("it is there");
        assert!(
            matches!(&again, Error::Refuse(KeyRefusal::Duplicate { comment, .. }) if comment == "old")
        );
        assert_eq!(comments(&keys), ["old", "new one"]);
        assert_eq!(keys.remove(&old.fingerprint).expect("remove"), old);
        assert!(matches!(keys.remove("old"), Err(Error::Find { .. })));
        assert!(matches!(keys.remove(""), Err(Error::Find { .. })));
        keys.remove("new one").expect("remove");
        assert_eq!(fs::read_to_string(keys.path()).expect("read"), HEADER);
    }

    #[test]
    fn a_comment_of_two_keys_does_not_choose_between_them() {
        let scratch = tempfile::tempdir().expect("scratch");
        let keys = AuthorizedKeys::new(scratch.path().join("authorized_keys"));
        keys.add(&key(1, "same")).expect("add");
        keys.add(&key(2, "same")).expect("add");
        assert!(matches!(keys.remove("same"), Err(Error::Choose { count: 2, .. })));
        assert_eq!(comments(&keys).len(), 2);
    }

    #[test]
    fn what_others_wrote_is_kept_and_reported() {
        let scratch = tempfile::tempdir().expect("scratch");
        let keys = AuthorizedKeys::new(scratch.path().join("authorized_keys"));
        let (a, b) = (key(1, "a"), key(2, "b"));
        let foreign = "# by hand\n\nno-pty ssh-rsa AAAA\n";
        fs::write(keys.path(), format!("{foreign}{a}\n{a}\n{b}")).expect("write");
        let reported: Vec<_> =
            keys.list().expect("list").foreign.into_iter().map(|line| line.number).collect();
        assert_eq!(reported, [3, 5], "the options, and the second of two");
        keys.add(&key(3, "c")).expect("add");
        keys.remove("a").expect("remove both");
        let expected = format!("{foreign}{b}\n{}\n", key(3, "c"));
        assert_eq!(fs::read_to_string(keys.path()).expect("read"), expected);
    }

    #[test]
    fn keys_that_are_added_at_once_are_all_there() {
        let scratch = tempfile::tempdir().expect("scratch");
        let keys = AuthorizedKeys::new(scratch.path().join("authorized_keys"));
        thread::scope(|scope| {
            for number in 0..16 {
                let keys = &keys;
                scope.spawn(move || keys.add(&key(number, "k")).expect("add"));
            }
        });
        assert_eq!(comments(&keys).len(), 16);
    }

    #[test]
    fn a_file_that_sshd_would_refuse_is_made_anew() {
        let scratch = tempfile::tempdir().expect("scratch");
        let keys = AuthorizedKeys::new(scratch.path().join("authorized_keys"));
        fs::write(keys.path(), key(1, "a")).expect("write");
        fs::set_permissions(keys.path(), PermissionsExt::from_mode(0o666)).expect("loosen");
        keys.ensure().expect("ensure");
        assert_eq!(fs::metadata(keys.path()).expect("look").mode() & 0o7777, 0o644);
        assert_eq!(comments(&keys), ["a"]);
    }
}
