//! Placeholder until the lanes arrive.
#![expect(missing_docs, reason = "placeholder")]
use hmac::{Hmac, Mac};
use sha1::Sha1;
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strength {
    Aes128,
    Aes192,
    Aes256,
}
impl Strength {
    pub fn key_bytes(self) -> usize {
        match self {
            Self::Aes128 => 16,
            Self::Aes192 => 24,
            Self::Aes256 => 32,
        }
    }
    pub fn salt_bytes(self) -> usize {
        self.key_bytes() / 2
    }
    pub fn from_code(c: u8) -> Option<Self> {
        match c {
            1 => Some(Self::Aes128),
            2 => Some(Self::Aes192),
            3 => Some(Self::Aes256),
            _ => None,
        }
    }
    pub fn code(self) -> u8 {
        match self {
            Self::Aes128 => 1,
            Self::Aes192 => 2,
            Self::Aes256 => 3,
        }
    }
}
pub struct Request<'a> {
    pub salt: &'a [u8],
    pub strength: Strength,
}
pub struct DerivedKey {
    bytes: Vec<u8>,
    n: usize,
}
impl DerivedKey {
    pub fn encryption(&self) -> &[u8] {
        &self.bytes[..self.n]
    }
    pub fn authentication(&self) -> &[u8] {
        &self.bytes[self.n..2 * self.n]
    }
    pub fn verifier(&self) -> &[u8] {
        &self.bytes[2 * self.n..2 * self.n + 2]
    }
}
pub fn derive(password: &[u8], requests: &[Request<'_>]) -> Vec<DerivedKey> {
    requests
        .iter()
        .map(|r| {
            let n = r.strength.key_bytes();
            let mut bytes = Vec::new();
            let prf = Hmac::<Sha1>::new_from_slice(password).expect("any");
            for block in 1_u32.. {
                if bytes.len() >= 2 * n + 2 {
                    break;
                }
                let mut mac = prf.clone();
                mac.update(r.salt);
                mac.update(&block.to_be_bytes());
                let mut u = mac.finalize().into_bytes();
                let mut t = u;
                for _ in 1..1000 {
                    let mut mac = prf.clone();
                    mac.update(&u);
                    u = mac.finalize().into_bytes();
                    t.iter_mut().zip(u).for_each(|(a, b)| *a ^= b);
                }
                bytes.extend_from_slice(&t);
            }
            DerivedKey { bytes, n }
        })
        .collect()
}
