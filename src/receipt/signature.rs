//! Signatures of statements: SSH signatures, as `ssh-keygen -Y` makes and checks them.
//!
//! What is signed is the SHA-512 of the statement, so that it can be taken of a statement that is
//! never in memory as a whole. The form is that of OpenSSH's `PROTOCOL.sshsig`.

use std::io;

use sha2::{Digest, Sha256, Sha512};
use signature::Verifier;
use ssh_key::{HashAlg, SshSig};

use super::key::PublicKey;
use crate::backup::ReceiptId;

/// What receipts are signed for, so that no other signature of the same key can pass for one.
pub const NAMESPACE: &str = "retention-receipt";

/// Under which name the key stands in an `allowed_signers` file.
pub const IDENTITY: &str = "retention-appliance";

/// Why a signature is not one of a statement.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// It is no SSH signature.
    #[error("it is not an SSH signature")]
    Form,
    /// It was made for something else.
    #[error("it was made for {namespace:?}, and not for a receipt")]
    Purpose {
        /// What for.
        namespace: String,
    },
    /// It is not one of SHA-512.
    #[error("it was made in a way that receipts are not signed in")]
    Way,
    /// It is of other bytes, or by another key.
    #[error("it does not belong to this statement")]
    Mismatch,
}

/// The digests of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digests {
    /// Its SHA-256, by which it is named.
    pub id: ReceiptId,
    /// How many bytes it has.
    pub length_bytes: u64,
    sha512: [u8; 64],
}

/// Digests what is written to it.
#[derive(Clone, Debug, Default)]
pub struct Digesting {
    sha256: Sha256,
    sha512: Sha512,
    length_bytes: u64,
}

impl Digesting {
    /// The digests of all that was written.
    pub fn finish(self) -> Digests {
        Digests {
            id: ReceiptId::new(self.sha256.finalize().into()),
            length_bytes: self.length_bytes,
            sha512: self.sha512.finalize().into(),
        }
    }
}

impl io::Write for Digesting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.sha256.update(bytes);
        self.sha512.update(bytes);
        self.length_bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The bytes that the key signs.
///
/// They end with the digest, whose place does not depend on what it is of: so it is put there in
/// the stead of the one of an empty statement.
pub(super) fn signed_data(digests: &Digests) -> Result<Vec<u8>, ssh_key::Error> {
    let mut data = SshSig::signed_data(NAMESPACE, HashAlg::Sha512, b"")?;
    let start = data.len() - digests.sha512.len();
    data[start..].copy_from_slice(&digests.sha512);
    Ok(data)
}

/// The signature of a statement.
#[derive(Clone, Debug)]
pub struct Signature(SshSig);

impl Signature {
    /// Reads it out of OpenSSH's armour.
    pub fn parse(armoured: &str) -> Result<Self, Error> {
        let signature = SshSig::from_pem(armoured).map_err(|_| Error::Form)?;
        match (signature.namespace(), signature.hash_alg()) {
            (NAMESPACE, HashAlg::Sha512) => Ok(Self(signature)),
            (NAMESPACE, _) => Err(Error::Way),
            (other, _) => Err(Error::Purpose { namespace: other.to_owned() }),
        }
    }

    /// Whose signature it says it is. Whether it is, [`Self::verify`] tells.
    pub fn signer(&self) -> PublicKey {
        PublicKey::of(self.0.public_key().clone())
    }

    /// Checks that the signer signed the statement with these digests.
    pub fn verify(&self, digests: &Digests) -> Result<(), Error> {
        let data = signed_data(digests).map_err(|_| Error::Form)?;
        let key = self.0.public_key();
        key.verify(&data, self.0.signature()).map_err(|_| Error::Mismatch)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use ssh_key::{Algorithm, LineEnding, PrivateKey, rand_core::OsRng};

    use super::*;
    use crate::receipt::SigningKey;

    fn digests(text: &[u8]) -> Digests {
        let mut digesting = Digesting::default();
        for part in text.chunks(3) {
            digesting.write_all(part).expect("digested");
        }
        digesting.finish()
    }

    #[test]
    fn a_statement_in_parts_is_signed_as_the_crate_signs_one_in_memory() {
        let scratch = tempfile::tempdir().expect("scratch");
        let ours = SigningKey::read_or_make(scratch.path()).expect("made");
        let path = scratch.path().join("signing_key");
        let theirs = PrivateKey::read_openssh_file(&path).expect("read");
        for text in [&b""[..], b"{}", &[7; 1000]] {
            let whole = theirs.sign(NAMESPACE, HashAlg::Sha512, text).expect("signed");
            let whole = whole.to_pem(LineEnding::LF).expect("armoured");
            assert_eq!(ours.sign(&digests(text)).expect("signed"), whole);
        }
    }

    #[test]
    fn a_signature_holds_for_its_statement_its_key_and_its_purpose_alone() {
        let key = PrivateKey::random(&mut OsRng, Algorithm::Ed25519).expect("made");
        let sign = |namespace, algorithm| {
            let signature = key.sign(namespace, algorithm, b"statement").expect("signed");
            signature.to_pem(LineEnding::LF).expect("armoured")
        };
        let good = Signature::parse(&sign(NAMESPACE, HashAlg::Sha512)).expect("a signature");
        assert_eq!(good.verify(&digests(b"statement")), Ok(()));
        assert_eq!(good.verify(&digests(b"statements")), Err(Error::Mismatch));
        assert_eq!(good.signer(), PublicKey::of(key.public_key().key_data().clone()));
        for (text, expected) in [
            (String::new(), Error::Form),
            (sign(NAMESPACE, HashAlg::Sha512).replace("SSH SIG", "PGP SIG"), Error::Form),
            (sign(NAMESPACE, HashAlg::Sha256), Error::Way),
            (sign("file", HashAlg::Sha512), Error::Purpose { namespace: "file".into() }),
        ] {
            assert_eq!(Signature::parse(&text).expect_err(&text), expected);
        }
    }
}
