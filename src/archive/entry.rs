//! One entry as the directory describes it.

use super::derive::Strength;

/// Which entry of its archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId(pub(super) usize);

impl EntryId {
    /// Its place in the archive, from 0.
    pub fn index(self) -> usize {
        self.0
    }
}

/// How an entry is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// Not at all.
    None,
    /// Traditional encryption, with the byte that a right key yields.
    ZipCrypto {
        /// That byte.
        check: u8,
    },
    /// WinZip AES.
    Aes {
        /// How long the key is.
        strength: Strength,
        /// Whether the CRC counts too (AE-1), or only the authentication code (AE-2).
        with_crc: bool,
    },
}

impl Protection {
    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::ZipCrypto { .. } => "ZipCrypto",
            Self::Aes { strength: Strength::Aes128, .. } => "AES-128",
            Self::Aes { strength: Strength::Aes192, .. } => "AES-192",
            Self::Aes { strength: Strength::Aes256, .. } => "AES-256",
        }
    }
}

/// How an entry is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    Stored,
    Deflated,
}

/// Where in the text of all names one stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct NamePlace {
    pub(super) start: u32,
    pub(super) end: u32,
}

impl NamePlace {
    pub(super) fn of(self, names: &str) -> &str {
        &names[self.start as usize..self.end as usize]
    }
}

/// One entry that is a file. Small, because an archive may have very many.
#[derive(Clone, Debug)]
pub struct Entry {
    pub(super) name: NamePlace,
    pub(super) header_start: u64,
    pub(super) data_start: u64,
    pub(super) compressed_bytes: u64,
    pub(super) size_bytes: u64,
    pub(super) crc: u32,
    /// The CRC-32 of the name as its bytes stand in the directory.
    pub(super) name_crc: u32,
    /// DOS time and date, as they stand in the headers.
    pub(super) modified: (u16, u16),
    pub(super) flags: u16,
    pub(super) is_directory: bool,
    pub(super) compression: Compression,
    pub(super) protection: Protection,
}

impl Entry {
    /// Uncompressed bytes.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// How it is protected.
    pub fn protection(&self) -> Protection {
        self.protection
    }
}
