//! What was read and stored so far, counted from several threads. Whatever is counted
//! is a sign of life, too.

use std::{
    io::Read,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use super::pulse::{Beating, Pulse};
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
    pulse: Arc<Pulse>,
}

impl Counters {
    /// Nothing so far. Whatever is counted makes `pulse` beat.
    pub fn new(pulse: Arc<Pulse>) -> Self {
        Self { pulse, ..Self::default() }
    }

    /// Something was done that is counted later.
    pub fn beat(&self) {
        self.pulse.beat();
    }

    /// What is read from `reader` is a sign of life.
    pub fn beating<R: Read>(&self, reader: R) -> Beating<'_, R> {
        Beating::new(&self.pulse, reader)
    }

    /// Sets what there is to do.
    pub fn expect(&self, entries: u64, bytes: u64) {
        self.entries_total.store(entries, Ordering::Relaxed);
        self.bytes_total.store(bytes, Ordering::Relaxed);
    }

    /// An entry is done.
    pub fn entry(&self) {
        self.beat();
        self.entries_done.fetch_add(1, Ordering::Relaxed);
    }

    /// So many bytes of an entry are done.
    pub fn bytes(&self, bytes: u64) {
        self.beat();
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
