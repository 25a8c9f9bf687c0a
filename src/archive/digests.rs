//! What is in the entries of an archive, each as its SHA-256.

use std::sync::OnceLock;

use super::{Archive, EntryId};
use crate::backup::MediumId;

/// The SHA-256 of the contents of each entry, as far as they were read. Noted from any thread.
///
/// It costs 36 bytes an entry.
#[derive(Debug)]
pub struct Digests(Vec<OnceLock<MediumId>>);

impl Digests {
    /// Of an archive of which nothing was read so far.
    pub fn new(archive: &Archive) -> Self {
        Self(std::iter::repeat_with(OnceLock::new).take(archive.entries().len()).collect())
    }

    /// Notes what an entry holds. The first note counts.
    pub fn note(&self, id: EntryId, contents: MediumId) {
        let _ = self.0[id.index()].set(contents);
    }

    /// What an entry holds, if it was read.
    pub fn get(&self, id: EntryId) -> Option<MediumId> {
        self.0[id.index()].get().copied()
    }
}
