//! Reading an archive whole, on both cores, and handing over what was checked.
//!
//! Media come first, so that each record can be told the medium it means. An
//! entry is handed over only after its own check passed: what fits into memory is
//! read once and kept until then, what does not is read a second time.

mod media;
mod records;

use std::{
    io::Read,
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::{counters::Counters, media::Catalogue};
use crate::{
    archive::{self, Archive, Digests, EntryId, KeyRing, Protection},
    backup::{FindingKind, MediumId},
    records::{Dataset, Rules, rules::Holds},
    store::{
        self,
        document::{NewRecord, Origin},
    },
};

/// What is larger than this is not kept in memory, in bytes.
const IN_MEMORY_BYTES: u64 = 4 * 1024 * 1024;

/// Small media are handed over together, so many at most,
const BATCH_MEDIA: usize = 256;

/// and with so many bytes at most.
const BATCH_BYTES: u64 = 4 * 1024 * 1024;

/// Records are handed over so many at a time at most.
const BATCH_RECORDS: usize = 1000;

/// How many threads read.
const WORKERS: usize = 2;

/// Why reading ended before the archive did.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    /// The archive is to blame.
    #[error("the archive cannot be taken in")]
    Archive(#[from] archive::Error),
    /// The store is to blame.
    #[error("the backup cannot be stored")]
    Store(#[from] store::Error),
    /// Somebody asked for it.
    #[error("the work was interrupted")]
    Cancelled,
}

/// A medium that was checked and is in memory.
#[derive(Debug)]
pub struct CheckedMedium {
    /// What its bytes are.
    pub id: MediumId,
    /// The name of its entry.
    pub entry: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Where checked contents go. Called from several threads.
pub trait Taker: Sync {
    /// Whether anything is kept: media are named by their digests then, and records become
    /// documents.
    const KEEPS: bool;

    /// Takes small media.
    fn take_media(&self, media: Vec<CheckedMedium>) -> Result<(), Stop>;

    /// Whether a large medium, which `entry` holds, is wanted, or there already.
    fn wants(&self, id: &MediumId, entry: &str) -> Result<bool, Stop>;

    /// Takes a large medium out of `contents`, which were checked before.
    fn take_large(&self, id: MediumId, entry: &str, contents: &mut dyn Read) -> Result<(), Stop>;

    /// Takes records of one dataset.
    fn take_records(&self, dataset: Dataset, records: Vec<NewRecord>) -> Result<(), Stop>;

    /// Returns once everything that was taken is where it belongs.
    fn finish(&self) -> Result<(), Stop>;
}

/// Takes nothing: for checking alone.
#[derive(Debug)]
pub struct Discard;

impl Taker for Discard {
    const KEEPS: bool = false;

    fn take_media(&self, _: Vec<CheckedMedium>) -> Result<(), Stop> {
        Ok(())
    }

    fn wants(&self, _: &MediumId, _: &str) -> Result<bool, Stop> {
        Ok(false)
    }

    fn take_large(&self, _: MediumId, _: &str, _: &mut dyn Read) -> Result<(), Stop> {
        Ok(())
    }

    fn take_records(&self, _: Dataset, _: Vec<NewRecord>) -> Result<(), Stop> {
        Ok(())
    }

    fn finish(&self) -> Result<(), Stop> {
        Ok(())
    }
}

/// Everything that reading one archive needs.
pub struct Reading<'a, T> {
    /// The archive.
    pub archive: &'a Archive,
    /// The keys that may open it.
    pub keys: &'a KeyRing,
    /// Which records belong where.
    pub rules: &'a Rules,
    /// What each record is told of where it came from.
    pub origin: &'a Origin,
    /// Where the contents go.
    pub taker: &'a T,
    /// Where they are counted.
    pub counters: &'a Counters,
    /// Whether to digest the archive itself and each of its entries, too, as a receipt wants it.
    pub digest: bool,
    /// Whether to stop.
    pub stop: &'a CancellationToken,
}

/// A piece of work for one thread.
#[derive(Debug)]
enum Job {
    /// The digest of the archive itself.
    Digest,
    /// Small media.
    Media(Vec<EntryId>),
    /// A medium that does not fit into memory.
    Large(EntryId),
    /// A record file, and the dataset that its place suggests.
    Records(EntryId, Option<Dataset>),
}

/// What was read, as digests.
#[derive(Debug)]
pub struct Digested {
    /// The SHA-256 of the archive itself.
    pub archive: [u8; 32],
    /// What each entry holds.
    pub entries: Digests,
}

impl<T: Taker> Reading<'_, T> {
    /// Reads everything; returns the digests of it, if they were asked for.
    pub fn run(&self) -> Result<Option<Digested>, Stop> {
        self.counters.expect(self.archive.entries().len() as u64, self.archive.total_bytes());
        for (id, entry) in self.archive.entries() {
            if entry.protection() == Protection::None {
                self.counters.find(FindingKind::Unencrypted, self.archive.name(id));
            }
        }
        let (media, files, records) = self.plan();
        let catalogue = Catalogue::new(self.archive);
        let digest = OnceLock::new();
        // Records of files go before others: they say which file id stands for which path.
        for jobs in [media, files, records] {
            self.work(&jobs, |job| match job {
                Job::Digest => {
                    self.digest().map(|digested| digest.get_or_init(|| digested)).map(|_| ())
                }
                Job::Large(id) => self.large_medium(*id, &catalogue),
                Job::Media(ids) => self.small_media(ids, &catalogue),
                Job::Records(id, hint) => self.record_file(*id, *hint, &catalogue),
            })?;
        }
        self.unnamed_media(&catalogue)?;
        self.taker.finish()?;
        let entries = catalogue.into_contents();
        Ok(digest.into_inner().map(|archive| Digested { archive, entries }))
    }

    /// What there is to do: media, records of files, other records.
    fn plan(&self) -> (Vec<Job>, Vec<Job>, Vec<Job>) {
        let (mut media, mut files, mut records) = (Vec::new(), Vec::new(), Vec::new());
        if self.digest {
            media.push(Job::Digest);
        }
        let (mut batch, mut bytes) = (Vec::new(), 0);
        for (id, entry) in self.archive.entries() {
            match self.rules.entry(self.archive.name(id)) {
                Holds::Records(hint @ Some(Dataset::File)) => files.push(Job::Records(id, hint)),
                Holds::Records(hint) => records.push(Job::Records(id, hint)),
                Holds::Unsure => records.push(Job::Records(id, None)),
                Holds::Medium if entry.size_bytes() > IN_MEMORY_BYTES => media.push(Job::Large(id)),
                Holds::Medium => {
                    if batch.len() == BATCH_MEDIA || bytes + entry.size_bytes() > BATCH_BYTES {
                        media.push(Job::Media(std::mem::take(&mut batch)));
                        bytes = 0;
                    }
                    bytes += entry.size_bytes();
                    batch.push(id);
                }
            }
        }
        if !batch.is_empty() {
            media.push(Job::Media(batch));
        }
        (media, files, records)
    }

    /// Does all jobs on all threads. The first error stops them.
    fn work(
        &self,
        jobs: &[Job],
        run: impl Fn(&Job) -> Result<(), Stop> + Sync,
    ) -> Result<(), Stop> {
        let next = AtomicUsize::new(0);
        let outcome = Mutex::new(Ok(()));
        let worker = || {
            while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                let done = if self.stop.is_cancelled() { Err(Stop::Cancelled) } else { run(job) };
                if let Err(stop) = done {
                    next.store(jobs.len(), Ordering::Relaxed);
                    let mut outcome = outcome.lock().unwrap_or_else(PoisonError::into_inner);
                    if outcome.is_ok() {
                        *outcome = Err(stop);
                    }
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..WORKERS {
                scope.spawn(worker);
            }
            worker();
        });
        outcome.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether anybody wants to know the digest of an entry.
    fn digests(&self) -> bool {
        T::KEEPS || self.digest
    }

    fn digest(&self) -> Result<[u8; 32], Stop> {
        let mut hash = Sha256::new();
        let mut reader = self.archive.bytes();
        self.pump(&mut reader, |part| {
            hash.update(part);
            Ok(())
        })
        .map_err(archive::Error::from_io)?;
        self.interrupted()?;
        Ok(hash.finalize().into())
    }

    /// Reads to the end in pieces, until asked to stop.
    fn pump(
        &self,
        reader: &mut dyn Read,
        mut each: impl FnMut(&[u8]) -> std::io::Result<()>,
    ) -> std::io::Result<()> {
        let mut buffer = vec![0; 128 * 1024];
        loop {
            let read = reader.read(&mut buffer)?;
            if read == 0 || self.stop.is_cancelled() {
                return Ok(());
            }
            self.counters.beat();
            each(&buffer[..read])?;
        }
    }

    /// Has to be asked after [`Self::pump`], which ends quietly when asked to stop.
    fn interrupted(&self) -> Result<(), Stop> {
        if self.stop.is_cancelled() { Err(Stop::Cancelled) } else { Ok(()) }
    }
}
