//! The endpoint's own host keys, by which a client knows that it speaks to us.
//!
//! Clients remember them, so this module must never replace a key that exists, not
//! even one that it cannot read: that is an error for the administrator.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::Command,
};

use serde::Serialize;
use ssh_key::{Algorithm, HashAlg, LineEnding, PrivateKey, PublicKey, rand_core::OsRng};

use crate::files;

/// The size of the RSA host key, which serves clients that know no Ed25519.
const RSA_BITS: &str = "3072";

const ED25519_NAME: &str = "host_key_ed25519";
const RSA_NAME: &str = "host_key_rsa";

/// What went wrong with a host key.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A key cannot be made or written.
    #[error("cannot make the host key {}", path.display())]
    Make {
        /// The file it would have been in.
        path: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A key exists and cannot be read.
    #[error(
        "cannot read the host key {}; restore it from a backup, or remove it to have a new one made \
         and give its fingerprint to the senders",
        path.display()
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ssh_key::Error,
    },
}

/// The public half of a host key.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct HostKey {
    /// Its type: `ssh-ed25519` or `ssh-rsa`.
    pub algorithm: String,
    /// `SHA256:…`, as a client shows it at its first connection.
    pub fingerprint: String,
    /// The type and the key as one line, for a `known_hosts` file.
    pub public_key: String,
    /// The file that holds the private half.
    #[serde(skip)]
    pub(super) path: PathBuf,
}

impl HostKey {
    fn new(path: PathBuf, key: &PublicKey) -> Result<Self, Error> {
        match key.to_openssh() {
            Ok(public_key) => Ok(Self {
                algorithm: key.algorithm().to_string(),
                fingerprint: key.fingerprint(HashAlg::Sha256).to_string(),
                public_key,
                path,
            }),
            Err(source) => Err(Error::Read { path, source }),
        }
    }
}

/// The host keys in `directory`, each made if it is missing.
pub(super) fn ensure(directory: &Path, keygen: &Path) -> Result<Vec<HostKey>, Error> {
    let mut keys = Vec::new();
    for name in [ED25519_NAME, RSA_NAME] {
        let path = directory.join(name);
        if fs::symlink_metadata(&path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            let made = if name == RSA_NAME { make_rsa(&path, keygen) } else { make_ed25519(&path) };
            made.map_err(|source| Error::Make { path: path.clone(), source })?;
        }
        let key = PrivateKey::read_openssh_file(&path)
            .map_err(|source| Error::Read { path: path.clone(), source })?;
        let host_key =
            HostKey::new(path.clone(), &PublicKey::from(key.public_key().key_data().clone()))?;
        // The public half is for people and for `read`, and can always be written again.
        let public = public_half(&path);
        let line = format!("{}\n", host_key.public_key);
        if fs::read_to_string(&public).ok().as_deref() != Some(&line) {
            super::write_readable(&public, &line)
                .map_err(|source| Error::Make { path: public, source: source.into() })?;
        }
        keys.push(host_key);
    }
    Ok(keys)
}

/// The host keys that were made in `directory`, from their public halves.
pub(super) fn read(directory: &Path) -> Result<Vec<HostKey>, Error> {
    let mut keys = Vec::new();
    for name in [ED25519_NAME, RSA_NAME] {
        let path = directory.join(name);
        let public = public_half(&path);
        match PublicKey::read_openssh_file(&public) {
            Ok(key) => keys.push(HostKey::new(path, &key)?),
            Err(ssh_key::Error::Io(io::ErrorKind::NotFound)) => {}
            Err(source) => return Err(Error::Read { path: public, source }),
        }
    }
    Ok(keys)
}

fn public_half(path: &Path) -> PathBuf {
    path.with_extension("pub")
}

fn make_ed25519(path: &Path) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let key = PrivateKey::random(&mut OsRng, Algorithm::Ed25519)?;
    files::write_whole(path, key.to_openssh(LineEnding::LF)?.as_bytes(), 0o600)?;
    Ok(())
}

/// `ssh-keygen` finds the primes some four times as fast as the crates do, and
/// comes with every sshd.
fn make_rsa(path: &Path, keygen: &Path) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let new = path.with_file_name(format!("{RSA_NAME}_new"));
    for left_over in [new.clone(), public_half(&new)] {
        let _ = fs::remove_file(left_over);
    }
    let output = Command::new(keygen)
        .args(["-q", "-t", "rsa", "-b", RSA_BITS, "-N", "", "-C", "", "-f"])
        .arg(&new)
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned().into());
    }
    File::open(&new)?.sync_all()?;
    fs::rename(&new, path)?;
    fs::remove_file(public_half(&new))?;
    files::sync_parent(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYGEN: &str = "/usr/bin/ssh-keygen";

    #[test]
    fn host_keys_are_made_once_and_stay() {
        let scratch = tempfile::tempdir().expect("scratch");
        assert_eq!(read(scratch.path()).expect("nothing yet"), []);
        let made = ensure(scratch.path(), Path::new(KEYGEN)).expect("make");
        let kinds: Vec<_> = made.iter().map(|key| key.algorithm.as_str()).collect();
        assert_eq!(kinds, ["ssh-ed25519", "ssh-rsa"]);
        fs::remove_file(public_half(&made[1].path)).expect("lose a public half");
        assert_eq!(ensure(scratch.path(), Path::new(KEYGEN)).expect("again"), made);
        assert_eq!(read(scratch.path()).expect("read"), made);
        let left: Vec<_> = fs::read_dir(scratch.path()).expect("list").collect();
        assert_eq!(left.len(), 4, "two keys and their public halves: {left:?}");
    }

    #[test]
    fn a_host_key_that_cannot_be_read_is_not_replaced() {
        let scratch = tempfile::tempdir().expect("scratch");
        let path = scratch.path().join(ED25519_NAME);
        fs::write(&path, "damaged").expect("write");
        let error = ensure(scratch.path(), Path::new(KEYGEN)).expect_err("damaged");
        assert!(error.to_string().contains("restore it"), "{error}");
        assert_eq!(fs::read_to_string(&path).expect("read"), "damaged");
    }
}
