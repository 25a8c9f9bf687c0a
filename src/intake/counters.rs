//! What was read and stored so far, counted from several threads.

use std::sync::{
    Mutex,
    atomic::{AtomicU64, Ordering},
};

use crate::{
    backup::{FindingKind, Findings, Progress},
    records::Dataset,
};

/// Running totals of one backup.
#[derive(Debug, Default)]
pub struct Counters {
    entries_done: AtomicU64,
    entries_total: AtomicU64,
    bytes_done: AtomicU64,
    bytes_total: AtomicU64,
    records: [AtomicU64; Dataset::ALL.len()],
    media: AtomicU64,
    media_bytes: AtomicU64,
    findings: Mutex<Findings>,
}

impl Counters {
    /// Sets what there is to do.
    pub fn expect(&self, entries: u64, bytes: u64) {
        self.entries_total.store(entries, Ordering::Relaxed);
        self.bytes_total.store(bytes, Ordering::Relaxed);
    }

    /// An entry is done.
    pub fn entry(&self) {
        self.entries_done.fetch_add(1, Ordering::Relaxed);
    }

    /// So many bytes of an entry are done.
    pub fn bytes(&self, bytes: u64) {
        self.bytes_done.fetch_add(bytes, Ordering::Relaxed);
    }

    /// So many records of a dataset are done.
    pub fn records(&self, dataset: Dataset, count: u64) {
        self.records[dataset as usize].fetch_add(count, Ordering::Relaxed);
    }

    /// A medium is done.
    pub fn medium(&self, bytes: u64) {
        self.media.fetch_add(1, Ordering::Relaxed);
        self.media_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Something is remarkable.
    pub fn find(&self, kind: FindingKind, example: impl std::fmt::Display) {
        self.findings.lock().unwrap_or_else(std::sync::PoisonError::into_inner).note(kind, example);
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let records = Dataset::ALL.into_iter().filter_map(|dataset| {
            let count = read(&self.records[dataset as usize]);
            (count > 0).then(|| (dataset.as_str().to_owned(), count))
        });
        Progress {
            entries_done: read(&self.entries_done),
            entries_total: read(&self.entries_total),
            bytes_done: read(&self.bytes_done),
            bytes_total: read(&self.bytes_total),
            records: records.collect(),
            media: read(&self.media),
            media_bytes: read(&self.media_bytes),
        }
    }

    /// What was remarkable.
    pub fn findings(&self) -> Findings {
        self.findings.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}
