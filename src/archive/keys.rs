//! Finding out which of the known Archive Keys opens an entry.
//!
//! Keys are tried in the order given, the newest first; the one that last proved
//! right goes before all. Deriving an AES key is dear, so it is done once for each
//! entry and key, and for many entries at a time.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use super::{
    Archive, EntryId, Error,
    cipher::{Cipher, ZIP_CRYPTO_HEADER_BYTES, ZipCrypto},
    derive::{self, DerivedKey, Request},
    entry::Protection,
};
use crate::config::Secret;

/// The keys that may open an archive.
#[derive(Debug)]
pub struct KeyRing {
    keys: Vec<Secret>,
    proved: AtomicUsize,
    opened: Vec<AtomicBool>,
}

/// How to decrypt one entry. Can be used any number of times.
#[derive(Clone)]
pub struct Unlocked {
    key: Option<usize>,
    /// Which key was tried before all others for this entry.
    first: usize,
    secret: Material,
}

#[derive(Clone)]
enum Material {
    None,
    ZipCrypto(ZipCrypto),
    Aes(Arc<DerivedKey>),
}

impl fmt::Debug for Unlocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unlocked").field("key", &self.key).finish_non_exhaustive()
    }
}

impl Unlocked {
    pub(super) fn cipher(&self, protection: Protection) -> Cipher {
        match (&self.secret, protection) {
            (Material::ZipCrypto(keys), _) => Cipher::ZipCrypto(keys.clone()),
            (Material::Aes(key), Protection::Aes { strength, .. }) => Cipher::aes(strength, key),
            _ => Cipher::None,
        }
    }
}

impl KeyRing {
    /// Keys to try, the newest first.
    pub fn new(keys: Vec<Secret>) -> Self {
        let opened = keys.iter().map(|_| AtomicBool::default()).collect();
        Self { keys, proved: AtomicUsize::new(0), opened }
    }

    /// The keys that opened entries whose contents were right.
    pub fn opened(&self) -> impl Iterator<Item = &Secret> {
        let keys = self.keys.iter().zip(&self.opened);
        keys.filter(|(_, opened)| opened.load(Ordering::Relaxed)).map(|(key, _)| key)
    }

    /// Remembers that this key opened an entry whose contents were right.
    pub(super) fn proved(&self, unlocked: &Unlocked) {
        if let Some(key) = unlocked.key {
            self.proved.store(key, Ordering::Relaxed);
            self.opened[key].store(true, Ordering::Relaxed);
        }
    }

    /// The keys in the order in which they are tried.
    fn order(&self, first: usize) -> impl Iterator<Item = usize> + use<> {
        let count = self.keys.len();
        std::iter::once(first)
            .chain((0..count).filter(move |key| *key != first))
            .filter(move |key| *key < count)
    }

    pub(super) fn unlock(
        &self,
        archive: &Archive,
        ids: &[EntryId],
    ) -> Result<Vec<Unlocked>, Error> {
        let mut heads =
            ids.iter().map(|id| Head::read(archive, *id)).collect::<Result<Vec<_>, _>>()?;
        let first = self.proved.load(Ordering::Relaxed);
        for key in self.order(first) {
            self.try_key(key, first, &mut heads);
            if heads.iter().all(|head| head.found.is_some()) {
                break;
            }
        }
        heads
            .into_iter()
            .map(|head| {
                head.found
                    .ok_or_else(|| Error::NoKnownKey { entry: archive.name(head.id).to_owned() })
            })
            .collect()
    }

    /// Another key that seems to fit, after the one that turned out not to.
    pub(super) fn next_after(
        &self,
        archive: &Archive,
        id: EntryId,
        failed: &Unlocked,
    ) -> Option<Unlocked> {
        // Another key may have proved right since this entry was unlocked. The order is the
        // one of then, or the right key would be taken for tried.
        let (first, failed) = (failed.first, failed.key?);
        self.order(first).skip_while(|key| *key != failed).skip(1).find_map(|key| {
            let mut heads = [Head::read(archive, id).ok()?];
            self.try_key(key, first, &mut heads);
            let [head] = heads;
            head.found
        })
    }

    /// Tries one key on all entries that none was found for yet.
    fn try_key(&self, key: usize, first: usize, heads: &mut [Head]) {
        let password = self.keys[key].reveal().as_bytes();
        let requests: Vec<Request<'_>> =
            heads.iter().filter(|head| head.found.is_none()).filter_map(Head::request).collect();
        let mut derived = derive::derive(password, &requests).into_iter();
        for head in heads.iter_mut().filter(|head| head.found.is_none()) {
            let secret = match head.protection {
                Protection::None => None,
                Protection::ZipCrypto { check } => {
                    let mut keys = ZipCrypto::new(password);
                    let mut bytes = head.bytes.clone();
                    keys.decrypt(&mut bytes);
                    (bytes.last() == Some(&check)).then_some(Material::ZipCrypto(keys))
                }
                Protection::Aes { .. } => derived
                    .next()
                    .filter(|key| head.bytes.ends_with(key.verifier()))
                    .map(|key| Material::Aes(Arc::new(key))),
            };
            head.found = secret.map(|secret| Unlocked { key: Some(key), first, secret });
        }
    }
}

/// The first bytes of an entry, by which a key is recognised.
struct Head {
    id: EntryId,
    protection: Protection,
    bytes: Vec<u8>,
    found: Option<Unlocked>,
}

impl Head {
    fn read(archive: &Archive, id: EntryId) -> Result<Self, Error> {
        let entry = archive.entry(id);
        let length = match entry.protection {
            Protection::None => 0,
            Protection::ZipCrypto { .. } => ZIP_CRYPTO_HEADER_BYTES,
            Protection::Aes { strength, .. } => strength.salt_bytes() + 2,
        };
        let mut bytes = vec![0; length];
        if (length as u64) > entry.compressed_bytes {
            let why = "it is too short to be encrypted";
            return Err(Error::Damaged { entry: archive.name(id).to_owned(), why });
        }
        archive.read_at(&mut bytes, entry.data_start)?;
        let open = entry.protection == Protection::None;
        let found = open.then_some(Unlocked { key: None, first: 0, secret: Material::None });
        Ok(Self { id, protection: entry.protection, bytes, found })
    }

    fn request(&self) -> Option<Request<'_>> {
        let Protection::Aes { strength, .. } = self.protection else { return None };
        Some(Request { salt: self.bytes.get(..strength.salt_bytes())?, strength })
    }
}
