//! Where checked contents go in Online mode: into the store, a few batches at a time.

use std::{
    collections::HashSet,
    io::Read,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};

use super::reading::{CheckedMedium, Stop, Taker};
use crate::{
    backup::{JobId, MediumId},
    records::Dataset,
    store::{
        Store,
        brought::Brought,
        document::{NewRecord, Origin},
        media::{CHUNK_BYTES, Chunk, Medium},
        readability::Repeated,
    },
};

/// Batches on their way to the database at once. Each is a few megabytes.
const IN_FLIGHT: usize = 3;

/// Chunks of a large medium that go together.
const CHUNKS_TOGETHER: usize = 2;

/// Stores what is taken.
pub struct Unpack {
    store: Store,
    runtime: Handle,
    origin: Arc<Origin>,
    clock: fn() -> jiff::Timestamp,
    brought: Arc<Mutex<Brought>>,
    room: Arc<Semaphore>,
    tasks: Mutex<JoinSet<Result<(), Stop>>>,
}

impl Unpack {
    /// Stores what `origin` brings, and counts in `brought` what it was the first to bring. To be used
    /// from threads that may block.
    pub fn new(
        store: Store,
        runtime: Handle,
        origin: Origin,
        clock: fn() -> jiff::Timestamp,
        brought: Arc<Mutex<Brought>>,
    ) -> Self {
        Self {
            store,
            runtime,
            origin: Arc::new(origin),
            clock,
            brought,
            room: Arc::new(Semaphore::new(IN_FLIGHT)),
            tasks: Mutex::default(),
        }
    }

    /// Starts `task` once there is room for it. Reports what went wrong with earlier ones.
    fn start<F>(&self, task: F) -> Result<(), Stop>
    where
        F: Future<Output = Result<(), Stop>> + Send + 'static,
    {
        let permit = self.permit()?;
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(ended) = tasks.try_join_next() {
            flatten(ended)?;
        }
        tasks.spawn_on(
            async move {
                let _permit = permit;
                task.await
            },
            &self.runtime,
        );
        Ok(())
    }

    fn permit(&self) -> Result<OwnedSemaphorePermit, Stop> {
        self.runtime.block_on(Arc::clone(&self.room).acquire_owned()).map_err(|_| Stop::Cancelled)
    }

    /// Waits for everything that was started; the first error is reported.
    fn drain(&self) -> Result<(), Stop> {
        let mut tasks =
            std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        let mut outcome = Ok(());
        while let Some(ended) = self.runtime.block_on(tasks.join_next()) {
            outcome = outcome.and(flatten(ended));
        }
        outcome
    }

    fn medium(&self, id: MediumId, entry: &str, length_bytes: u64) -> Medium {
        let backup: Option<JobId> = Some(self.origin.job.clone());
        Medium { id, length_bytes, entry: entry.to_owned(), backup }
    }
}

impl Drop for Unpack {
    /// A driver's future that is dropped half-way may harm its connection.
    fn drop(&mut self) {
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        self.runtime.spawn(tasks.join_all());
    }
}

fn flatten(ended: Result<Result<(), Stop>, tokio::task::JoinError>) -> Result<(), Stop> {
    ended.unwrap_or(Err(Stop::Cancelled))
}

impl Taker for Unpack {
    const KEEPS: bool = true;

    fn take_media(&self, media: Vec<CheckedMedium>) -> Result<(), Stop> {
        let store = self.store.clone();
        let described: Vec<Medium> = media
            .iter()
            .map(|one| self.medium(one.id, &one.entry, one.bytes.len() as u64))
            .collect();
        let (clock, origin) = (self.clock, Arc::clone(&self.origin));
        self.start(async move {
            let ids: Vec<MediumId> = media.iter().map(|one| one.id).collect();
            let known = store.known_media(&ids).await?;
            let mut seen: HashSet<MediumId> = HashSet::new();
            let (mut fresh, mut repeated, mut chunks) = (Vec::new(), Vec::new(), Vec::new());
            for (one, described) in media.into_iter().zip(described) {
                if !seen.insert(one.id) {
                    continue;
                }
                if known.contains(&one.id) {
                    repeated.push(Repeated { id: one.id, entry: one.entry });
                } else {
                    let parts = one.bytes.chunks(CHUNK_BYTES).zip(0..);
                    chunks.extend(parts.map(|(part, number)| Chunk::new(&one.id, number, part)));
                    fresh.push(described);
                }
            }
            if !chunks.is_empty() {
                store.insert_chunks(chunks).await?;
            }
            store.insert_media(&fresh, clock()).await?;
            store.insert_repeated(&origin.job, &repeated).await?;
            Ok(())
        })
    }

    fn wants(&self, id: &MediumId, entry: &str) -> Result<bool, Stop> {
        if self.runtime.block_on(self.store.known_media(&[*id]))?.is_empty() {
            return Ok(true);
        }
        let repeated = [Repeated { id: *id, entry: entry.to_owned() }];
        self.runtime.block_on(self.store.insert_repeated(&self.origin.job, &repeated))?;
        Ok(false)
    }

    fn take_large(&self, id: MediumId, entry: &str, contents: &mut dyn Read) -> Result<(), Stop> {
        let mut length_bytes = 0;
        let mut number = 0;
        let mut sending: JoinSet<Result<(), Stop>> = JoinSet::new();
        let mut ended = false;
        while !ended {
            let mut chunks = Vec::with_capacity(CHUNKS_TOGETHER);
            while chunks.len() < CHUNKS_TOGETHER && !ended {
                let mut part = Vec::with_capacity(CHUNK_BYTES);
                contents
                    .take(CHUNK_BYTES as u64)
                    .read_to_end(&mut part)
                    .map_err(crate::archive::Error::from_io)?;
                ended = part.len() < CHUNK_BYTES;
                length_bytes += part.len() as u64;
                if !part.is_empty() {
                    chunks.push(Chunk::new(&id, number, &part));
                    number += 1;
                }
            }
            if chunks.is_empty() {
                break;
            }
            let permit = self.permit()?;
            while let Some(sent) = sending.try_join_next() {
                flatten(sent)?;
            }
            let store = self.store.clone();
            sending.spawn_on(
                async move {
                    let _permit = permit;
                    Ok(store.insert_chunks(chunks).await?)
                },
                &self.runtime,
            );
        }
        let mut outcome = Ok(());
        while let Some(sent) = self.runtime.block_on(sending.join_next()) {
            outcome = outcome.and(flatten(sent));
        }
        outcome?;
        let medium = self.medium(id, entry, length_bytes);
        self.runtime.block_on(self.store.insert_media(&[medium], (self.clock)()))?;
        Ok(())
    }

    fn take_records(&self, dataset: Dataset, records: Vec<NewRecord>) -> Result<(), Stop> {
        if records.is_empty() {
            return Ok(());
        }
        let store = self.store.clone();
        let (origin, brought) = (Arc::clone(&self.origin), Arc::clone(&self.brought));
        self.start(async move {
            let inserted = store.insert_records(dataset, &origin, records).await?;
            brought.lock().unwrap_or_else(PoisonError::into_inner).merge(&inserted.brought);
            Ok(())
        })
    }

    fn finish(&self) -> Result<(), Stop> {
        self.drain()
    }
}
