//! Reading the archive of a backup, on threads of its own.

use std::{
    fs::File,
    io::{self, Read},
    sync::{Arc, PoisonError},
    time::Duration,
};

use sha2::{Digest, Sha256};
use tokio::runtime::Handle;

use super::{Carrier, Error};
use crate::{
    archive::{self, Archive, KeyRing},
    cause::chain,
    inbox::lease,
    intake::{
        counters::Counters,
        places::ClaimedFile,
        pulse::Beating,
        reading::{Digested, Discard, Reading, Stop, Taker},
        resting::Resting,
        unpack::Unpack,
    },
    settings::{KnownKey, seal::Mark},
    store::{brought::Brought, document::Origin},
};

/// How often progress is written down.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(500);

/// How much of an archive is digested at a time.
const DIGEST_BUFFER_BYTES: usize = 128 * 1024;

/// What an archive is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To check it and to store what is in it.
    Unpack,
    /// To check it: nothing is unpacked, or all of it is already.
    Check,
}

/// An archive that was read whole, and what its receipt says of it.
#[derive(Debug)]
pub(super) struct Known {
    /// The archive.
    pub(super) archive: Archive,
    /// What is in it.
    pub(super) digested: Digested,
    /// The marks of the Archive Keys that opened it, as receipts have them.
    pub(super) marks: Vec<String>,
    /// The marks of the same keys, as the settings have them.
    pub(super) opened_with: Vec<Mark>,
    /// What was written to the store of it; nothing where that may not be all that it brought.
    pub(super) brought: Option<Brought>,
}

impl Carrier {
    /// Reads the archive on threads of its own, and writes down how far it is.
    pub(super) async fn read(
        &self,
        claimed: &ClaimedFile,
        keys: &[KnownKey],
        counters: &Arc<Counters>,
        purpose: Purpose,
    ) -> Result<Result<Known, Stop>, Error> {
        let (this, claimed_too, counted) = (self.clone(), claimed.clone(), Arc::clone(counters));
        let (runtime, keys) = (Handle::current(), keys.to_vec());
        let mut reading = tokio::task::spawn_blocking(move || {
            let _work = this.pulse.work();
            let origin = Origin::of(&claimed_too.name);
            if purpose == Purpose::Unpack {
                let (store, clock) = (this.store.clone(), this.settings.clock);
                let brought = Arc::default();
                let taker =
                    Unpack::new(store, runtime, origin.clone(), clock, Arc::clone(&brought));
                let taker = Resting::new(taker, &this.pulse);
                let known = this.read_to(&claimed_too, &keys, &origin, &taker, &counted);
                if !matches!(known, Ok(_) | Err(Stop::Cancelled)) {
                    // What is on its way must have arrived before it can be taken out again. That it
                    // failed is known already.
                    let _ = taker.finish();
                }
                let known = known?;
                let brought = brought.lock().unwrap_or_else(PoisonError::into_inner).clone();
                Ok(Known { brought: Some(brought), ..known })
            } else {
                this.read_to(&claimed_too, &keys, &origin, &Discard, &counted)
            }
        });
        loop {
            tokio::select! {
                ended = &mut reading => return ended.map_err(|_| Error::Interrupted),
                () = tokio::time::sleep(PROGRESS_INTERVAL) => {}
            }
            if let Err(error) =
                self.store.note_progress(&claimed.upload, &counters.progress()).await
            {
                tracing::debug!(error = chain(&error), "cannot note the progress");
            }
        }
    }

    /// Whether one of these keys opens the first entry: asked where some keys cannot be used, so that an
    /// archive of theirs is not read whole each time it is tried.
    pub(super) async fn opens(
        &self,
        claimed: &ClaimedFile,
        keys: &[KnownKey],
    ) -> Result<Result<(), archive::Error>, Error> {
        let (this, path, keys) = (self.clone(), claimed.path.clone(), keys.to_vec());
        let trying = tokio::task::spawn_blocking(move || {
            let _work = this.pulse.slow_step();
            let file = File::open(path).map_err(archive::Error::Read)?;
            let archive = Archive::open(file, &this.settings.limits)?;
            let keys = KeyRing::new(keys.into_iter().map(|known| known.key).collect());
            let first: Vec<_> = archive.entries().map(|(id, _)| id).take(1).collect();
            archive.unlock(&first, &keys).map(drop)
        });
        trying.await.map_err(|_| Error::Interrupted)
    }

    /// Reads the archive and hands its contents to `taker`. Takes its time.
    fn read_to<T: Taker>(
        &self,
        claimed: &ClaimedFile,
        known: &[KnownKey],
        origin: &Origin,
        taker: &T,
        counters: &Counters,
    ) -> Result<Known, Stop> {
        let file = File::open(&claimed.path).map_err(archive::Error::Read)?;
        // The daemon may have been killed between claiming it and looking whether
        // somebody had opened it at the last moment.
        if !lease::nobody_writes(&file).map_err(archive::Error::Read)? {
            return Err(archive::Error::Read(io::ErrorKind::ResourceBusy.into()).into());
        }
        let opening = self.pulse.slow_step();
        let archive = Archive::open(file, &self.settings.limits)?;
        drop(opening);
        let (rules, stop) = (&self.settings.rules, &self.stop);
        let (opened, digest) = (&archive, true);
        let keys = &KeyRing::new(known.iter().map(|known| known.key.clone()).collect());
        let reading =
            Reading { archive: opened, keys, rules, origin, taker, counters, digest, stop };
        let digested = reading.run()?.ok_or(Stop::Cancelled)?;
        let marks = keys.opened().map(|key| self.settings.issuer.key.mark(key)).collect();
        let did_open = |known: &&KnownKey| keys.opened().any(|key| *key == known.key);
        let opened_with = known.iter().filter(did_open).filter_map(|known| known.mark.clone());
        Ok(Known { archive, digested, marks, opened_with: opened_with.collect(), brought: None })
    }

    /// The SHA-256 of an archive that is not read.
    pub(super) async fn digest(&self, claimed: &ClaimedFile) -> Result<[u8; 32], Error> {
        let (path, pulse) = (claimed.path.clone(), Arc::clone(&self.pulse));
        let stop = self.stop.clone();
        let digest = tokio::task::spawn_blocking(move || {
            let _work = pulse.work();
            let mut hash = Sha256::new();
            let mut file = Beating::new(&pulse, File::open(path)?);
            let mut buffer = vec![0; DIGEST_BUFFER_BYTES];
            loop {
                let read = file.read(&mut buffer)?;
                if read == 0 || stop.is_cancelled() {
                    return Ok((!stop.is_cancelled()).then(|| hash.finalize().into()));
                }
                hash.update(&buffer[..read]);
            }
        });
        digest
            .await
            .map_err(|_| Error::Interrupted)?
            .map_err(|source| self.unreadable(claimed, source))?
            .ok_or(Error::Interrupted)
    }
}
