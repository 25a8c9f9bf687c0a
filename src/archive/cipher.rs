//! The two ciphers of ZIP, each from the point where its key is known.

use aes::{Aes128, Aes192, Aes256};
use ctr::{
    Ctr128LE,
    cipher::{KeyIvInit, StreamCipher},
};
use hmac::{Hmac, Mac};
use sha1::Sha1;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::derive::{DerivedKey, Strength};

/// The header that ZipCrypto puts before the data, in bytes.
pub(super) const ZIP_CRYPTO_HEADER_BYTES: usize = 12;

/// The authentication code behind AES data, in bytes.
pub(super) const MAC_BYTES: usize = 10;

/// Decrypts the data of one entry from its beginning to its end.
pub(super) enum Cipher {
    None,
    ZipCrypto(ZipCrypto),
    Aes { stream: Box<dyn StreamCipher + Send>, mac: Box<Hmac<Sha1>> },
}

impl Cipher {
    /// WinZip AES with a derived key.
    pub(super) fn aes(strength: Strength, key: &DerivedKey) -> Self {
        // The counter is little-endian and begins at 1.
        let mut counter = [0; 16];
        counter[0] = 1;
        let bad = "a derived key has the length of its strength";
        let secret = key.encryption();
        let stream: Box<dyn StreamCipher + Send> = match strength {
            Strength::Aes128 => {
                Box::new(Ctr128LE::<Aes128>::new_from_slices(secret, &counter).expect(bad))
            }
            Strength::Aes192 => {
                Box::new(Ctr128LE::<Aes192>::new_from_slices(secret, &counter).expect(bad))
            }
            Strength::Aes256 => {
                Box::new(Ctr128LE::<Aes256>::new_from_slices(secret, &counter).expect(bad))
            }
        };
        let mac = Hmac::new_from_slice(key.authentication()).expect("a key of any length will do");
        Self::Aes { stream, mac: Box::new(mac) }
    }

    /// Decrypts what comes next, in place.
    pub(super) fn apply(&mut self, data: &mut [u8]) {
        match self {
            Self::None => {}
            Self::ZipCrypto(keys) => keys.decrypt(data),
            Self::Aes { stream, mac } => {
                mac.update(data);
                stream.apply_keystream(data);
            }
        }
    }

    /// Whether this is the authentication code of all that was decrypted.
    pub(super) fn verify(&self, code: &[u8]) -> bool {
        match self {
            Self::Aes { mac, .. } => Mac::verify_truncated_left(mac.as_ref().clone(), code).is_ok(),
            Self::None | Self::ZipCrypto(_) => true,
        }
    }
}

/// The three running keys of traditional encryption.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(super) struct ZipCrypto(u32, u32, u32);

impl ZipCrypto {
    /// The keys that a password yields.
    pub(super) fn new(password: &[u8]) -> Self {
        let mut keys = Self(0x1234_5678, 0x2345_6789, 0x3456_7890);
        password.iter().for_each(|byte| keys.update(*byte));
        keys
    }

    fn update(&mut self, byte: u8) {
        self.0 = crc(self.0, byte);
        self.1 = self.1.wrapping_add(self.0 & 0xff).wrapping_mul(134_775_813).wrapping_add(1);
        self.2 = crc(self.2, self.1.to_be_bytes()[0]);
    }

    /// Decrypts what comes next, in place.
    pub(super) fn decrypt(&mut self, data: &mut [u8]) {
        for byte in data {
            let mask = (self.2 & 0xffff) | 2;
            let [_, key, ..] = mask.wrapping_mul(mask ^ 1).to_le_bytes();
            *byte ^= key;
            self.update(*byte);
        }
    }
}

/// One step of the CRC-32 without its inversions.
fn crc(crc: u32, byte: u8) -> u32 {
    (crc >> 8) ^ TABLE[usize::from(crc.to_le_bytes()[0] ^ byte)]
}

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut index = 0_u32;
    while index < 256 {
        let mut value = index;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 { (value >> 1) ^ 0xedb8_8320 } else { value >> 1 };
            bit += 1;
        }
        table[index as usize] = value;
        index += 1;
    }
    table
};
