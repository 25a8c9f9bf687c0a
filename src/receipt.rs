//! The receipt: what was received, checked and stored for one backup, signed.
//!
//! ```text
//! archive, its digests ─┐
//! line of the log ──────┼─▶ statement ─▶ digests ─▶ signature ─▶ store
//! receipt before it ────┘   (JSON)       SHA-256    (SSH, our own key)
//! ```
//!
//! Each statement names the one before it by its SHA-256, so that none can be taken out of the
//! chain or put into it. Anybody can check a signature with stock `ssh-keygen -Y verify`.
//! [`examine`] holds a receipt against the data as it is now, and [`signers`] knows whose are accepted.
//!
//! Nothing in here may hold a statement in memory as it is made, for it names every entry of its
//! archive; nor print or store a secret, or anything that one could be guessed from.

pub mod examine;
pub mod key;
pub mod listing;
pub mod signature;
pub mod signers;
pub mod statement;

use std::{io, sync::Arc};

pub use key::{PublicKey, SigningKey};
pub use signature::{Digesting, Digests, IDENTITY, NAMESPACE, Signature};
pub use signers::Signer;
pub use statement::Statement;

/// Who gives receipts: this appliance.
#[derive(Clone, Debug)]
pub struct Issuer {
    /// The name of the host.
    pub host: String,
    /// What it signs with.
    pub key: Arc<SigningKey>,
}

/// Reads the digests of a statement off its bytes.
pub fn digest(write: impl FnOnce(&mut Digesting) -> io::Result<()>) -> io::Result<Digests> {
    let mut digesting = Digesting::default();
    write(&mut digesting)?;
    Ok(digesting.finish())
}
