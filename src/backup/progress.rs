//! How far a backup is, and how much it was in the end.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What was read and stored of a backup so far.
///
/// Counts are of what the archive delivered: a record that an earlier backup
/// had brought already counts here too, though it is stored only once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Entries of the archive that are done, directories excepted.
    pub entries_done: u64,
    /// Entries of the archive, directories excepted.
    pub entries_total: u64,
    /// Uncompressed bytes that are done.
    pub bytes_done: u64,
    /// Uncompressed bytes in the archive.
    pub bytes_total: u64,
    /// Records by the name of their dataset.
    pub records: BTreeMap<String, u64>,
    /// Media.
    pub media: u64,
    /// Bytes of media.
    pub media_bytes: u64,
}

impl Progress {
    /// How much is done, from 0 to 100.
    pub fn percent(&self) -> u8 {
        match self.bytes_total {
            0 => 0,
            total => u8::try_from(self.bytes_done.min(total) * 100 / total).unwrap_or(100),
        }
    }

    /// Records of all datasets.
    pub fn records_total(&self) -> u64 {
        self.records.values().sum()
    }
}
