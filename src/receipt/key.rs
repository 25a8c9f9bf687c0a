//! The appliance's own key, which signs its receipts.
//!
//! ```text
//! receipts/signing_key       made once, 0600, never replaced
//! receipts/signing_key.pub   for people, and for checking without the other
//! ```
//!
//! Whose receipts are accepted, also once there is another key, [`super::signers`] knows.
//!
//! This module must never print the private half, and never replace a key that exists or did
//! exist: whoever checks receipts knows it.

use std::{
    fmt, fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use hmac::{Hmac, Mac};
use sha2::Sha256;
use signature::Signer;
use ssh_key::{Algorithm, HashAlg, LineEnding, PrivateKey, SshSig, rand_core::OsRng};
use zeroize::Zeroizing;

use super::signature::{Digests, IDENTITY, NAMESPACE, signed_data};
use crate::{config::Secret, files};

const FILE: &str = "signing_key";

/// What the secret that marks Archive Keys is derived for.
const MARKS: &[u8] = b"retention: marks of Archive Keys, 1";

/// How many bytes a mark has.
const MARK_BYTES: usize = 16;

/// What went wrong with the key.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be made.
    #[error("cannot make the signing key {}", path.display())]
    Make {
        /// The file it would have been in.
        path: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It is there and cannot be read.
    #[error("cannot read the signing key {}; restore it from a backup", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ssh_key::Error,
    },
    /// Only its public half is there.
    #[error(
        "the signing key {} is gone, and its public half is still there: restore it from a backup; \
         if there is none, rename {FILE}.pub to earlier.pub in the same directory, by which older \
         receipts stay accepted; a new key is made at the next start",
        path.display()
    )]
    Gone {
        /// The file that is missing.
        path: PathBuf,
    },
    /// Others can read the file.
    #[error("others can read the signing key {}: run chmod 600 on it", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
    },
    /// There is none yet.
    #[error("there is no signing key {} yet: the daemon makes it when it first starts", path.display())]
    NotYet {
        /// The file.
        path: PathBuf,
    },
    /// It cannot sign.
    #[error("cannot sign the receipt")]
    Sign(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The private half.
pub struct SigningKey(PrivateKey);

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public().fingerprint())
    }
}

impl SigningKey {
    /// The key in `directory`, made where there never was one.
    pub fn read_or_make(directory: &Path) -> Result<Self, Error> {
        let path = directory.join(FILE);
        let public = public_path(directory);
        let make = |source: Box<dyn std::error::Error + Send + Sync>| Error::Make {
            path: path.clone(),
            source,
        };
        match fs::metadata(&path) {
            Ok(found) if found.mode() & 0o077 != 0 => return Err(Error::Exposed { path }),
            Ok(_) => {}
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::Read { path, source: error.into() });
            }
            Err(_) if public.exists() => return Err(Error::Gone { path }),
            Err(_) => {
                let key = PrivateKey::random(&mut OsRng, Algorithm::Ed25519)
                    .and_then(|key| key.to_openssh(LineEnding::LF))
                    .map_err(|error| make(error.into()))?;
                fs::create_dir_all(directory).map_err(|error| make(error.into()))?;
                files::write_whole(&path, key.as_bytes(), 0o600)
                    .map_err(|error| make(error.into()))?;
            }
        }
        let key = PrivateKey::read_openssh_file(&path)
            .map_err(|source| Error::Read { path: path.clone(), source })?;
        if key.key_data().ed25519().is_none() {
            return Err(Error::Read { path, source: ssh_key::Error::AlgorithmUnknown });
        }
        let key = Self(key);
        // The public half can always be written again.
        let line = format!("{}\n", key.public().line());
        if fs::read_to_string(&public).ok().as_deref() != Some(&line) {
            files::write_whole(&public, line.as_bytes(), 0o644)
                .map_err(|error| make(error.into()))?;
        }
        Ok(key)
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.public_key().key_data().clone().into())
    }

    /// Signs the statement with these digests, in OpenSSH's armour.
    pub fn sign(&self, digests: &Digests) -> Result<String, Error> {
        let sign = || {
            let signature = self.0.try_sign(&signed_data(digests)?)?;
            let public = self.0.public_key().key_data().clone();
            SshSig::new(public, NAMESPACE, HashAlg::Sha512, signature)?.to_pem(LineEnding::LF)
        };
        sign().map_err(|error: ssh_key::Error| Error::Sign(error.into()))
    }

    /// By what an Archive Key is told from others, and never found out.
    ///
    /// The same key has the same mark on the same appliance. Who tries passwords needs the secret
    /// behind it, which is derived from the signing key and stands nowhere.
    pub fn mark(&self, archive_key: &Secret) -> String {
        let pair = self.0.key_data().ed25519().expect("no key of another kind was read");
        let seed = Zeroizing::new(pair.private.to_bytes());
        let secret = Zeroizing::new(keyed(&*seed, MARKS));
        hex::encode(&keyed(&*secret, archive_key.reveal().as_bytes())[..MARK_BYTES])
    }
}

fn keyed(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(key).expect("a key may have any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// The file of the public half.
pub(super) fn public_path(directory: &Path) -> PathBuf {
    directory.join(FILE).with_extension("pub")
}

/// The public half of a key that signs receipts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey(ssh_key::PublicKey);

impl PublicKey {
    pub(super) fn of(data: ssh_key::public::KeyData) -> Self {
        Self(data.into())
    }

    /// The public half of the key in `directory`.
    pub fn read(directory: &Path) -> Result<Self, Error> {
        let path = public_path(directory);
        match ssh_key::PublicKey::read_openssh_file(&path) {
            Ok(key) => Ok(Self::of(key.key_data().clone())),
            Err(ssh_key::Error::Io(io::ErrorKind::NotFound)) => Err(Error::NotYet { path }),
            Err(source) => Err(Error::Read { path, source }),
        }
    }

    /// The Ed25519 keys in the text of an `allowed_signers` file, or of `.pub` files.
    pub fn all_in(text: &str) -> Vec<Self> {
        let key = |line: &str| {
            let mut words = line.split_whitespace().skip_while(|word| *word != "ssh-ed25519");
            let (kind, body) = (words.next()?, words.next()?);
            let key = ssh_key::PublicKey::from_openssh(&format!("{kind} {body}")).ok()?;
            Some(Self::of(key.key_data().clone()))
        };
        text.lines().filter(|line| !line.trim_start().starts_with('#')).filter_map(key).collect()
    }

    /// `SHA256:…`, as `ssh-keygen -l` prints it.
    pub fn fingerprint(&self) -> String {
        self.0.fingerprint(HashAlg::Sha256).to_string()
    }

    /// The line of an `allowed_signers` file that accepts receipts by this key, and nothing else.
    pub fn allowed_signer(&self) -> String {
        format!("{IDENTITY} namespaces=\"{NAMESPACE}\" {}", self.line())
    }

    /// The key as a line.
    pub fn line(&self) -> String {
        self.0.to_openssh().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn key() -> (tempfile::TempDir, SigningKey) {
        let scratch = tempfile::tempdir().expect("scratch");
        let key = SigningKey::read_or_make(&scratch.path().join("receipts")).expect("made");
        (scratch, key)
    }

    #[test]
    fn the_key_is_made_once_for_its_owner_alone_and_stays() {
        let (scratch, made) = key();
        let directory = scratch.path().join("receipts");
        let path = directory.join(FILE);
        assert_eq!(fs::metadata(&path).expect("there").mode() & 0o777, 0o600);
        let public = PublicKey::read(&directory).expect("public half");
        assert_eq!(public, made.public());
        fs::remove_file(path.with_extension("pub")).expect("remove");
        let again = SigningKey::read_or_make(&directory).expect("read");
        assert_eq!(again.public(), public);
        assert_eq!(PublicKey::read(&directory).expect("written again"), public);
        assert!(!format!("{again:?}").contains("PRIVATE") && format!("{again:?}").len() < 80);

        fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).expect("chmod");
        assert!(matches!(SigningKey::read_or_make(&directory), Err(Error::Exposed { .. })));
        fs::remove_file(&path).expect("remove");
        assert!(matches!(SigningKey::read_or_make(&directory), Err(Error::Gone { .. })));
        assert!(!path.exists(), "another key took its place");
        fs::write(&path, "no key").expect("write");
        fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("chmod");
        assert!(matches!(SigningKey::read_or_make(&directory), Err(Error::Read { .. })));
        assert_eq!(fs::read_to_string(&path).expect("there"), "no key");
        let nowhere = scratch.path().join("nowhere");
        assert!(matches!(PublicKey::read(&nowhere), Err(Error::NotYet { .. })));
    }

    #[test]
    fn a_mark_tells_archive_keys_apart_and_depends_on_the_appliance() {
        let ((_one, one), (_other, other)) = (key(), key());
        let [new, old] = ["Str0ng!Key#2021", "0lder?Key#2019"].map(|key| Secret::new(key.into()));
        assert_eq!(one.mark(&new), one.mark(&new));
        assert_ne!(one.mark(&new), one.mark(&old));
        assert_ne!(one.mark(&new), other.mark(&new));
        assert_eq!(one.mark(&new).len(), 2 * MARK_BYTES);
    }

    #[test]
    fn keys_are_found_in_allowed_signers_and_public_halves() {
        let ((_one, one), (_other, other)) = (key(), key());
        let (one, other) = (one.public(), other.public());
        let text = format!(
            "# of both nodes\n{}\n\n{} node b\n#{}\nssh-ed25519 AAAA\nssh-rsa AAAA x\n",
            one.allowed_signer(),
            other.line(),
            other.line()
        );
        assert_eq!(PublicKey::all_in(&text), [one, other]);
    }
}
