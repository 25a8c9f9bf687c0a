//! Secrets at rest: sealed with a key that systemd hands over and the database never sees. Whoever has
//! it can vouch for what is no secret, too.
//!
//! XChaCha20-Poly1305, with a random nonce each time and the name of the secret as associated data, so
//! that one sealed secret cannot be put in another one's place. The key is derived from the secret
//! `settings-key`, which has to be the same on every node of a site.
//!
//! This module must never print a secret, nor return one that was not sealed by the same key.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use chacha20poly1305::{
    Key, KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use hmac::{Hmac, Mac};
use rand::{TryRngCore, rngs::OsRng};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::config::Secret;

/// How long a nonce is, in bytes.
const NONCE_BYTES: usize = 24;

/// How much of an HMAC a mark has, in bytes: enough to tell all keys of a site apart.
const MARK_BYTES: usize = 8;

/// Why a secret cannot be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is nothing to seal with.
    #[error(
        "the secret settings-key is missing: run `sudo retention setup`, which makes it, or copy it from the other node"
    )]
    NoKey,
    /// It was sealed with another key, or is damaged.
    #[error(
        "the {what} in the database was sealed with another settings-key than this node has: copy that of the node where it was set"
    )]
    Open {
        /// Which secret.
        what: &'static str,
    },
    /// The system gives no random numbers, or the text is beyond all bounds.
    #[error("cannot seal the {what}")]
    Close {
        /// Which secret.
        what: &'static str,
    },
}

/// A sealed secret, as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sealed(String);

/// Tells one Archive Key from another and says nothing about it: without the seal nobody can try keys
/// against it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mark(String);

impl Mark {
    /// The mark as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Seals and opens.
#[derive(Clone)]
pub struct Seal {
    cipher: XChaCha20Poly1305,
    marks: Zeroizing<[u8; 32]>,
    vouchers: Zeroizing<[u8; 32]>,
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal(…)")
    }
}

impl Seal {
    /// What is sealed with `key`.
    pub fn new(key: &Secret) -> Self {
        let derived = |purpose: &str| -> Zeroizing<[u8; 32]> {
            Zeroizing::new(keyed(key.reveal().trim().as_bytes(), purpose.as_bytes()))
        };
        let key = Key::from(*derived("retention: settings, 1"));
        let cipher = XChaCha20Poly1305::new(&key);
        let marks = derived("retention: marks in settings, 1");
        Self { cipher, marks, vouchers: derived("retention: vouchers, 1") }
    }

    /// Seals a secret as `what`.
    pub fn close(&self, secret: &Secret, what: &'static str) -> Result<Sealed, Error> {
        let mut nonce = [0; NONCE_BYTES];
        OsRng.try_fill_bytes(&mut nonce).map_err(|_| Error::Close { what })?;
        let payload = Payload { msg: secret.reveal().as_bytes(), aad: what.as_bytes() };
        let closed = self.cipher.encrypt(&XNonce::from(nonce), payload);
        let closed = closed.map_err(|_| Error::Close { what })?;
        Ok(Sealed(STANDARD_NO_PAD.encode([nonce.as_slice(), &closed].concat())))
    }

    /// Opens what was sealed as `what`.
    pub fn open(&self, sealed: &Sealed, what: &'static str) -> Result<Secret, Error> {
        let failed = || Error::Open { what };
        let bytes = STANDARD_NO_PAD.decode(&sealed.0).map_err(|_| failed())?;
        let (nonce, closed) = bytes.split_first_chunk::<NONCE_BYTES>().ok_or_else(failed)?;
        let payload = Payload { msg: closed, aad: what.as_bytes() };
        let opened = self.cipher.decrypt(&XNonce::from(*nonce), payload);
        let opened = Zeroizing::new(opened.map_err(|_| failed())?);
        let text = std::str::from_utf8(&opened).map_err(|_| failed())?;
        Ok(Secret::new(text.to_owned()))
    }

    /// The mark of an Archive Key.
    pub fn mark(&self, key: &Secret) -> Mark {
        let whole = keyed(&*self.marks, key.reveal().as_bytes());
        Mark(hex::encode(&whole[..MARK_BYTES]))
    }

    /// What shows everybody who has the same key that one of them has said this.
    pub fn vouch(&self, text: &str) -> String {
        hex::encode(keyed(&*self.vouchers, text.as_bytes()))
    }

    /// Whether somebody who has the same key has said this.
    pub fn vouches(&self, text: &str, voucher: &str) -> bool {
        let mut mac = begun(&*self.vouchers);
        mac.update(text.as_bytes());
        hex::decode(voucher).is_ok_and(|voucher| mac.verify_slice(&voucher).is_ok())
    }
}

/// Opens what was sealed as `what`, where there is something to open it with.
pub fn open(seal: Option<&Seal>, sealed: &Sealed, what: &'static str) -> Result<Secret, Error> {
    seal.ok_or(Error::NoKey)?.open(sealed, what)
}

fn begun(key: &[u8]) -> Hmac<Sha256> {
    <Hmac<Sha256> as Mac>::new_from_slice(key).expect("HMAC takes keys of any length")
}

fn keyed(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut mac = begun(key);
    mac.update(text);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text.into())
    }

    #[test]
    fn what_is_sealed_opens_with_the_same_key_and_name_alone() {
        let (seal, other) = (Seal::new(&secret("one")), Seal::new(&secret("two")));
        let sealed = seal.close(&secret("Str0ng!Key"), "archive key").expect("sealed");
        assert!(!sealed.0.contains("Str0ng"));
        let opened = seal.open(&sealed, "archive key").expect("opened");
        assert_eq!(opened.reveal(), "Str0ng!Key");
        assert!(matches!(other.open(&sealed, "archive key"), Err(Error::Open { .. })));
        assert!(matches!(seal.open(&sealed, "mongodb password"), Err(Error::Open { .. })));
        for damaged in ["", "AAAA", "nonsense!"] {
            let damaged = Sealed(damaged.into());
            assert!(matches!(seal.open(&damaged, "archive key"), Err(Error::Open { .. })));
        }
        // The same secret never looks the same twice.
        assert_ne!(seal.close(&secret("Str0ng!Key"), "archive key").expect("sealed"), sealed);
    }

    #[test]
    fn a_voucher_holds_for_its_text_and_its_key_alone() {
        let (seal, other) = (Seal::new(&secret("one")), Seal::new(&secret("two")));
        let voucher = seal.vouch("said");
        assert!(seal.vouches("said", &voucher));
        assert!(!seal.vouches("said so", &voucher) && !other.vouches("said", &voucher));
        for damaged in ["", "00", "nonsense!", &voucher[2..]] {
            assert!(!seal.vouches("said", damaged), "{damaged}");
        }
    }

    #[test]
    fn a_line_end_after_the_key_of_the_seal_makes_no_other_one() {
        let (one, same) = (Seal::new(&secret("key")), Seal::new(&secret("key\n")));
        assert_eq!(one.mark(&secret("a")), same.mark(&secret("a")));
        assert_ne!(one.mark(&secret("a")), one.mark(&secret("b")));
        assert_ne!(one.mark(&secret("a")), Seal::new(&secret("other")).mark(&secret("a")));
    }
}
