//! The archive: a ZIP that nobody has to trust.
//!
//! ```text
//! file -> ending -> directory -> Archive -> unlock -> Contents
//!         where is   entries,     checked    a key     bytes, checked
//!         the        names,       against    for each  to the last
//!         directory  limits       itself     entry
//! ```
//!
//! [`Archive::open`] reads the directory and every local header, and refuses what
//! contradicts itself before a byte of contents is read. Contents are then
//! read entry by entry, from as many threads as one likes; whatever the headers
//! claim, memory stays bounded. Nothing outside this module knows ZIP, and nothing
//! in it writes anywhere.

mod cipher;
mod contents;
pub mod derive;
mod digests;
mod directory;
pub mod document;
pub mod ending;
mod entry;
mod error;
mod extra;
mod keys;
mod local;
mod name;

use std::{fs::File, os::unix::fs::FileExt, sync::Arc};

pub use contents::Contents;
pub use digests::Digests;
pub use entry::{Entry, EntryId, Protection};
pub use error::Error;
pub use keys::{KeyRing, Unlocked};

use ending::Ending;

/// What an archive may be at most.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Entries.
    pub entries: u64,
    /// Uncompressed bytes of all entries.
    pub total_bytes: u64,
    /// Uncompressed bytes of one entry.
    pub entry_bytes: u64,
}

impl From<&crate::config::Archive> for Limits {
    fn from(section: &crate::config::Archive) -> Self {
        Self {
            entries: section.max_entries.into(),
            total_bytes: section.max_total_bytes,
            entry_bytes: section.max_entry_bytes,
        }
    }
}

/// An entry may be this many times larger than it is compressed,
const RATIO: u64 = 1000;

/// unless it is no larger than this, in bytes.
const RATIO_FREE_BYTES: u64 = 16 * 1024 * 1024;

/// An archive whose headers agree with each other.
#[derive(Debug)]
pub struct Archive {
    file: Arc<File>,
    entries: Vec<Entry>,
    names: String,
    total_bytes: u64,
}

impl Archive {
    /// Reads the directory of `file` and checks it against the local headers.
    pub fn open(file: File, limits: &Limits) -> Result<Self, Error> {
        let length = file.metadata().map_err(Error::Read)?.len();
        let ending = Ending::find(&file, length)?;
        if ending.entries > limits.entries {
            return Err(Error::TooManyEntries { entries: ending.entries, limit: limits.entries });
        }
        let file = Arc::new(file);
        let (mut entries, names) = directory::read(&file, &ending)?;
        let mut archive = Self { file, entries: Vec::new(), names, total_bytes: 0 };
        for entry in &entries {
            archive.total_bytes = archive.total_bytes.saturating_add(entry.size_bytes);
            within_limits(archive.name_of(entry), entry, limits)?;
        }
        if archive.total_bytes > limits.total_bytes {
            return Err(Error::TooLarge { bytes: archive.total_bytes, limit: limits.total_bytes });
        }
        entries.sort_unstable_by_key(|entry| entry.header_start);
        local::check(&archive.file, &mut entries, &archive.names, ending.directory_start)?;
        archive.entries = entries;
        archive.refuse_equal_names()?;
        Ok(archive)
    }

    /// The entries that are files, in the order in which they lie in the archive.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = (EntryId, &Entry)> {
        self.entries.iter().enumerate().map(|(index, entry)| (EntryId(index), entry))
    }

    /// One entry.
    pub fn entry(&self, id: EntryId) -> &Entry {
        &self.entries[id.0]
    }

    /// The name of an entry: its path with `/` between the parts and no `./` before them.
    pub fn name(&self, id: EntryId) -> &str {
        self.name_of(&self.entries[id.0])
    }

    /// Uncompressed bytes of all entries.
    pub fn total_bytes(&self) -> u64 {
        self.total_bytes
    }

    /// Finds a key for each of these entries.
    pub fn unlock(&self, ids: &[EntryId], keys: &KeyRing) -> Result<Vec<Unlocked>, Error> {
        keys.unlock(self, ids)
    }

    /// The contents of an entry, to be read once from beginning to end.
    pub fn contents(&self, id: EntryId, unlocked: &Unlocked) -> Contents {
        Contents::new(&self.file, self.entry(id), self.name(id), unlocked)
    }

    /// Reads an entry with `read`, and again with another key where one let itself
    /// in by chance: a wrong key passes the quick test of ZipCrypto once in 256.
    ///
    /// `read` has to read to the end, or to return the error that stopped it.
    pub fn check<T>(
        &self,
        id: EntryId,
        keys: &KeyRing,
        unlocked: &mut Unlocked,
        mut read: impl FnMut(&mut Contents) -> std::io::Result<T>,
    ) -> Result<T, Error> {
        loop {
            match read(&mut self.contents(id, unlocked)) {
                Ok(found) => {
                    keys.proved(unlocked);
                    return Ok(found);
                }
                Err(error) => {
                    let error = Error::from_io(error);
                    match keys.next_after(self, id, unlocked) {
                        Some(other) if matches!(error, Error::Damaged { .. }) => *unlocked = other,
                        _ => return Err(error),
                    }
                }
            }
        }
    }

    /// The archive itself, byte for byte.
    pub fn bytes(&self) -> impl std::io::Read + use<> {
        directory::At::new(Arc::clone(&self.file))
    }

    /// Reads a few bytes at a place of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), Error> {
        self.file.read_exact_at(buffer, offset).map_err(Error::Read)
    }

    fn name_of(&self, entry: &Entry) -> &str {
        entry.name.of(&self.names)
    }

    fn refuse_equal_names(&self) -> Result<(), Error> {
        let mut order: Vec<u32> = (0..).take(self.entries.len()).collect();
        let name = |index: &u32| self.name_of(&self.entries[*index as usize]);
        order.sort_unstable_by(|a, b| name(a).cmp(name(b)));
        match order.windows(2).find(|pair| name(&pair[0]) == name(&pair[1])) {
            Some(pair) => Err(Error::DuplicateName { entry: name(&pair[0]).to_owned() }),
            None => Ok(()),
        }
    }
}

fn within_limits(name: &str, entry: &Entry, limits: &Limits) -> Result<(), Error> {
    let bytes = entry.size_bytes;
    if bytes > limits.entry_bytes {
        return Err(Error::EntryTooLarge {
            entry: name.to_owned(),
            bytes,
            limit: limits.entry_bytes,
        });
    }
    if bytes > RATIO_FREE_BYTES && bytes / RATIO > entry.compressed_bytes {
        return Err(Error::Bomb {
            entry: name.to_owned(),
            bytes,
            compressed: entry.compressed_bytes,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
