//! Passwords: hashed with Argon2id, compared in a time that tells nothing.
//!
//! Each hash takes [`MEMORY_KIB`] of memory, so there is only one at a time. A
//! password is never kept, logged or put into an error.

use std::sync::{Arc, LazyLock};

use argon2::{
    Algorithm, Argon2, Block, Params, Version,
    password_hash::{self, Output, ParamsString, Salt, SaltString},
};
use rand::{TryRngCore, rngs::OsRng};
use tokio::sync::Semaphore;

use crate::{accounts::PASSWORD_MIN_CHARS, config::Secret, store::accounts::PasswordHash};

/// Memory of one hash in KiB: OWASP's first recommendation for Argon2id.
pub const MEMORY_KIB: u32 = 19_456;
/// Passes over that memory.
pub const PASSES: u32 = 2;
/// Longer passwords are refused, so that nobody makes us hash a novel.
pub const MAX_BYTES: usize = 1024;

/// From 32 MiB on, the allocator always maps a piece of memory by itself.
const MAPPED_BLOCKS: usize = 33 * 1024;

/// What went wrong with a password.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody gave us random numbers.
    #[error("the system gives no random numbers")]
    Random(#[source] rand::rand_core::OsError),
    /// The hash cannot be computed.
    #[error("cannot hash a password")]
    Hash(password_hash::Error),
    /// The task that hashes was lost.
    #[error("the hashing of a password was cut off")]
    Lost(#[source] tokio::task::JoinError),
}

/// Hashes and compares passwords, one at a time. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Passwords {
    turn: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self { turn: Arc::new(Semaphore::new(1)) }
    }
}

impl Passwords {
    /// Hashes a password for keeping.
    pub async fn hash(&self, password: Secret) -> Result<PasswordHash, Error> {
        self.alone(move || hash(&password)).await?
    }

    /// Whether `password` is the one behind `known`.
    ///
    /// Where there is no account, a hash of nobody's password is compared all the
    /// same, so that the time it takes does not tell which accounts exist.
    pub(super) async fn verify(
        &self,
        password: Secret,
        known: Option<PasswordHash>,
    ) -> Result<bool, Error> {
        let compare = move || {
            let hash = known.as_ref().map_or(NOBODY.as_str(), |known| known.0.as_str());
            verify(&password, hash) && known.is_some()
        };
        self.alone(compare).await
    }

    async fn alone<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let turn = self.turn.clone().acquire_owned().await;
        let hashing = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        hashing.await.map_err(Error::Lost)
    }
}

/// What is wrong with a new password, as a sentence; nothing where it will do.
pub fn objection(password: &str) -> Option<String> {
    if password.chars().count() < PASSWORD_MIN_CHARS {
        return Some(format!("The password needs at least {PASSWORD_MIN_CHARS} characters."));
    }
    if password.len() > MAX_BYTES {
        return Some(format!("The password is longer than {MAX_BYTES} bytes."));
    }
    let first = password.chars().next();
    if password.chars().all(|c| Some(c) == first) {
        return Some("The password is one character over and over.".to_owned());
    }
    None
}

/// A hash that no password has: its digest is not the outcome of any hashing.
static NOBODY: LazyLock<String> = LazyLock::new(|| {
    let (salt, digest) = ("A".repeat(22), "A".repeat(43));
    format!("$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p=1${salt}${digest}")
});

fn hash(password: &Secret) -> Result<PasswordHash, Error> {
    let mut salt = [0; 16];
    OsRng.try_fill_bytes(&mut salt).map_err(Error::Random)?;
    let salt = SaltString::encode_b64(&salt).map_err(Error::Hash)?;
    let refuse = |error: argon2::Error| Error::Hash(error.into());
    let parameters = Params::new(MEMORY_KIB, PASSES, 1, None).map_err(refuse)?;
    let output = compute(password, &parameters, salt.as_salt()).map_err(Error::Hash)?;
    let hash = password_hash::PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(&parameters).map_err(Error::Hash)?,
        salt: Some(salt.as_salt()),
        hash: Some(output),
    };
    Ok(PasswordHash(hash.to_string()))
}

/// The parameters are those in the hash, so that old hashes go on working.
fn verify(password: &Secret, known: &str) -> bool {
    let Ok(known) = password_hash::PasswordHash::new(known) else {
        return false;
    };
    let is_ours = known.algorithm == Algorithm::Argon2id.ident()
        && known.version == Some(Version::V0x13.into());
    let (Ok(parameters), Some(salt), true) = (Params::try_from(&known), known.salt, is_ours) else {
        return false;
    };
    // `Output` compares in a time that does not depend on where the two differ.
    compute(password, &parameters, salt).ok().is_some_and(|output| known.hash == Some(output))
}

fn compute(
    password: &Secret,
    parameters: &Params,
    salt: Salt<'_>,
) -> Result<Output, password_hash::Error> {
    let mut room = [0; 64];
    let salt = salt.decode_b64(&mut room)?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters.clone());
    // So large a piece is mapped by itself and given back to the system at once;
    // a smaller one would stay with the thread for ever. Only what is used counts.
    let mut memory = Vec::with_capacity(parameters.block_count().max(MAPPED_BLOCKS));
    memory.resize(parameters.block_count(), Block::default());
    Output::init_with(parameters.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN), |output| {
        let password = password.reveal().as_bytes();
        Ok(argon2.hash_password_into_with_memory(password, salt, output, &mut memory)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by the reference implementation: `argon2 somesalt -id -t 2 -m 16 -p 1`.
    const KNOWN: &str = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ\
        $CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";

    #[tokio::test]
    async fn only_the_right_password_fits() {
        let passwords = Passwords::default();
        let secret = |text: &str| Secret::new(text.to_owned());
        let hash = passwords.hash(secret("correct horse 電池")).await.expect("hashed");
        assert!(hash.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.0);
        for (password, known, expected) in [
            ("correct horse 電池", Some(hash.clone()), true),
            ("correct horse 电池", Some(hash.clone()), false),
            ("", Some(hash), false),
            ("correct horse 電池", Some(PasswordHash(NOBODY.clone())), false),
            ("anything", Some(PasswordHash("nonsense".into())), false),
            ("password", Some(PasswordHash(KNOWN.into())), true),
            ("passwort", Some(PasswordHash(KNOWN.into())), false),
            ("anything", None, false),
        ] {
            let fits = passwords.verify(secret(password), known).await.expect("compared");
            assert_eq!(fits, expected, "{password}");
        }
    }

    #[test]
    fn the_hash_of_nobody_costs_as_much_as_any() {
        let hash = password_hash::PasswordHash::new(&NOBODY).expect("well-formed");
        let parameters = Params::try_from(&hash).expect("parameters");
        assert_eq!((parameters.m_cost(), parameters.t_cost()), (MEMORY_KIB, PASSES));
    }

    #[test]
    fn weak_passwords_are_objected_to() {
        for (password, fine) in [
            ("", false),
            ("short", false),
            ("123456789", false),
            ("aaaaaaaaaaaa", false),
            ("0123456789", true),
            ("密碼密碼密碼密碼密碼", true),
            (&"x1".repeat(600), false),
        ] {
            assert_eq!(objection(password).is_none(), fine, "{password}");
        }
    }
}
