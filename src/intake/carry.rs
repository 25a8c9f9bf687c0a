//! One backup, from claimed to stored or rejected.
//!
//! Every step looks at what the store says and does what comes next. Whatever is
//! cut off is done again from here; there is no other way back.

use std::{fs::File, io, sync::Arc, time::Duration};

use sha2::{Digest, Sha256};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::{
    Settings,
    counters::Counters,
    places::{self, ClaimedFile, Places},
    reading::{Discard, Reading, Stop, Taker},
    unpack::Unpack,
};
use crate::{
    archive::{self, Archive, KeyRing},
    backup::{Progress, Reason, RejectionCode, State, WaitCode, state},
    cause::chain,
    inbox::lease,
    store::{
        self, Store,
        backups::{Backup, Change, NewBackup},
        document::Origin,
    },
};

/// How often progress is written down.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(500);

/// What went wrong while a backup was carried on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Our own disk.
    #[error(transparent)]
    Place(#[from] places::Error),
    /// A secret.
    #[error(transparent)]
    Secret(#[from] crate::config::secret::Error),
    /// The work was interrupted, and is taken up again.
    #[error("the work was interrupted")]
    Interrupted,
}

/// What became of a backup for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carried {
    /// Nothing more will happen to it.
    Done,
    /// It waits, and nothing of it is in the store. Others may go on.
    Waits,
}

/// Carries backups.
#[derive(Clone)]
pub(super) struct Carrier {
    pub(super) settings: Arc<Settings>,
    pub(super) store: Store,
    pub(super) places: Places,
    pub(super) stop: CancellationToken,
}

impl Carrier {
    /// Carries one backup as far as it goes.
    pub(super) async fn carry(&self, claimed: &ClaimedFile) -> Result<Carried, Error> {
        let backup = self.entered(claimed).await?;
        match backup.state {
            State::Stored => self.clear_away(claimed).await.map(|()| Carried::Done),
            State::Rejected => {
                let reason = backup.rejection.map(|reason| reason.sentence).unwrap_or_default();
                self.places.quarantine(claimed, &reason)?;
                Ok(Carried::Done)
            }
            _ => self.take_in(claimed, &backup).await,
        }
    }

    /// The line of the Backup Log, made if it is missing.
    async fn entered(&self, claimed: &ClaimedFile) -> Result<Backup, Error> {
        if let Some(backup) = self.store.backup(&claimed.upload).await? {
            return Ok(backup);
        }
        let size_bytes = std::fs::metadata(&claimed.path)
            .map_err(|source| self.unreadable(claimed, source))?
            .len();
        self.store
            .add_backup(&NewBackup {
                upload: claimed.upload.clone(),
                name: claimed.name.clone(),
                size_bytes,
                arrived: claimed.upload.made().unwrap_or_else(self.settings.clock),
            })
            .await?;
        let backup = self.store.backup(&claimed.upload).await?;
        backup.ok_or(Error::Interrupted)
    }

    async fn take_in(&self, claimed: &ClaimedFile, backup: &Backup) -> Result<Carried, Error> {
        if let Some(other) = self.stored_before(claimed).await? {
            return self.compare(claimed, backup, &other).await;
        }
        if let Some(reason) = self.no_room(backup) {
            return self.wait(claimed, backup, reason).await;
        }
        let storing = self.begin(claimed, backup).await?;
        tracing::info!(job = %backup.job, upload = %backup.upload, file = %backup.file, "storing");
        let counters = Arc::new(Counters::default());
        let outcome = self.read(claimed, &counters).await?;
        match outcome {
            Ok(sha256) => self.stored(claimed, backup, storing, &counters, sha256).await,
            Err(Stop::Cancelled) => Err(Error::Interrupted),
            Err(Stop::Store(error)) if error.is_away() => Err(error.into()),
            Err(Stop::Store(error)) => {
                let sentence =
                    format!("MongoDB refuses to store it ({}). It is tried again.", chain(&error));
                self.wait_begun(claimed, storing, Reason::new(WaitCode::DatabaseRefuses, sentence))
                    .await
            }
            Err(Stop::Archive(error)) => match error.rejection() {
                Some(reason) => self.reject(claimed, backup, storing, reason).await,
                None => {
                    tracing::error!(job = %backup.job, error = chain(&error), "cannot read the archive");
                    let sentence = "The archive cannot be read from the appliance's own disk. \
                                    Check the disk; it is tried again.";
                    let reason = Reason::new(WaitCode::ArchiveUnreadable, sentence);
                    self.wait_begun(claimed, storing, reason).await
                }
            },
        }
    }

    /// Another upload of the same job that is stored.
    async fn stored_before(&self, claimed: &ClaimedFile) -> Result<Option<Backup>, Error> {
        let others = self.store.backups_of_job(&claimed.name.job).await?;
        Ok(others
            .into_iter()
            .find(|other| other.state == State::Stored && other.upload != claimed.upload))
    }

    /// The same bytes are the same backup; other bytes are a conflict.
    async fn compare(
        &self,
        claimed: &ClaimedFile,
        backup: &Backup,
        stored: &Backup,
    ) -> Result<Carried, Error> {
        let sha256 = self.digest(claimed).await?;
        if stored.sha256.as_deref() == Some(hex::encode(sha256).as_str()) {
            tracing::info!(job = %backup.job, upload = %backup.upload, "the same bytes were stored before");
            self.store.merge_repeat(&stored.upload, &claimed.upload).await?;
            self.places.remove(claimed)?;
            return Ok(Carried::Done);
        }
        let sentence = format!(
            "This job was stored before with other contents ({}, received {}). Both files are kept. Find out which one is right.",
            stored.file, stored.arrived
        );
        let reason = Reason::new(RejectionCode::Conflict, sentence);
        match backup.state {
            State::Claimed => {
                let rejected = state::Claimed.reject(reason);
                self.refuse(claimed, backup, State::Claimed, rejected, sha256).await
            }
            _ => {
                let rejected = self.begin(claimed, backup).await?.reject(reason);
                self.refuse(claimed, backup, State::Storing, rejected, sha256).await
            }
        }
    }

    async fn digest(&self, claimed: &ClaimedFile) -> Result<[u8; 32], Error> {
        let path = claimed.path.clone();
        let digest = tokio::task::spawn_blocking(move || {
            let mut hash = Sha256::new();
            std::io::copy(&mut File::open(path)?, &mut hash)?;
            Ok(hash.finalize().into())
        });
        digest
            .await
            .map_err(|_| Error::Interrupted)?
            .map_err(|source| self.unreadable(claimed, source))
    }

    async fn begin(&self, claimed: &ClaimedFile, backup: &Backup) -> Result<state::Storing, Error> {
        let storing = match backup.state {
            State::Claimed => state::Claimed.begin(),
            State::Waiting => match &backup.waiting {
                Some(reason) => state::Waiting { reason: reason.clone() }.resume(),
                None => state::Claimed.begin(),
            },
            // Taken up again after the work was cut off.
            _ => return Ok(state::Storing { progress: Progress::default() }),
        };
        let change = Change::Storing(storing.clone());
        self.store.change_backup(&claimed.upload, backup.state, change, self.now()).await?;
        Ok(storing)
    }

    /// Reads the archive on threads of its own, and writes down how far it is.
    async fn read(
        &self,
        claimed: &ClaimedFile,
        counters: &Arc<Counters>,
    ) -> Result<Result<[u8; 32], Stop>, Error> {
        let keys = self.settings.keys()?;
        let (this, claimed_too, counted) = (self.clone(), claimed.clone(), Arc::clone(counters));
        let runtime = Handle::current();
        let mut reading = tokio::task::spawn_blocking(move || {
            let origin = Origin::of(&claimed_too.name);
            if this.settings.modes.online {
                let (store, clock) = (this.store.clone(), this.settings.clock);
                let taker = Unpack::new(store, runtime, origin.clone(), clock);
                this.read_to(&claimed_too, &keys, &origin, &taker, &counted)
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

    /// Reads the archive and hands its contents to `taker`. Takes its time.
    fn read_to<T: Taker>(
        &self,
        claimed: &ClaimedFile,
        keys: &KeyRing,
        origin: &Origin,
        taker: &T,
        counters: &Counters,
    ) -> Result<[u8; 32], Stop> {
        let file = File::open(&claimed.path).map_err(archive::Error::Read)?;
        // The daemon may have been killed between claiming it and looking whether
        // somebody had opened it at the last moment.
        if !lease::nobody_writes(&file).map_err(archive::Error::Read)? {
            return Err(archive::Error::Read(io::ErrorKind::ResourceBusy.into()).into());
        }
        let archive = &Archive::open(file, &self.settings.limits)?;
        let (rules, stop) = (&self.settings.rules, &self.stop);
        let digest = true;
        let reading = Reading { archive, keys, rules, origin, taker, counters, digest, stop };
        reading.run()?.ok_or(Stop::Cancelled)
    }

    async fn stored(
        &self,
        claimed: &ClaimedFile,
        backup: &Backup,
        storing: state::Storing,
        counters: &Counters,
        sha256: [u8; 32],
    ) -> Result<Carried, Error> {
        let stored = storing.finish(counters.progress(), counters.findings());
        let (records, media) = (stored.progress.records_total(), stored.progress.media);
        self.store
            .change_backup(
                &claimed.upload,
                State::Storing,
                Change::Stored(stored, sha256),
                self.now(),
            )
            .await?;
        tracing::info!(job = %backup.job, upload = %backup.upload, records, media, "stored");
        self.clear_away(claimed).await?;
        Ok(Carried::Done)
    }

    /// What follows once the backup is stored. May be repeated until the archive is gone.
    async fn clear_away(&self, claimed: &ClaimedFile) -> Result<(), Error> {
        self.store.supersede(&claimed.name.job, &claimed.upload).await?;
        if self.settings.modes.offline {
            self.places.keep(claimed)?;
        } else {
            self.places.remove(claimed)?;
        }
        Ok(())
    }

    async fn reject(
        &self,
        claimed: &ClaimedFile,
        backup: &Backup,
        storing: state::Storing,
        reason: Reason<RejectionCode>,
    ) -> Result<Carried, Error> {
        // Only what nobody can see any more may be called rejected.
        self.withdraw(claimed).await?;
        let sha256 = self.digest(claimed).await?;
        self.refuse(claimed, backup, State::Storing, storing.reject(reason), sha256).await
    }

    /// Takes out what was stored of a backup.
    async fn withdraw(&self, claimed: &ClaimedFile) -> Result<(), Error> {
        let job = &claimed.name.job;
        self.store.take_out(job).await?;
        let begun = self.store.backup(&claimed.upload).await?.and_then(|backup| backup.begun);
        if let Some(begun) = begun {
            self.store.take_media_out(job, begun).await?;
        }
        Ok(())
    }

    async fn refuse(
        &self,
        claimed: &ClaimedFile,
        backup: &Backup,
        from: State,
        rejected: state::Rejected,
        sha256: [u8; 32],
    ) -> Result<Carried, Error> {
        let sentence = rejected.reason.sentence.clone();
        tracing::warn!(job = %backup.job, upload = %backup.upload, file = backup.file, reason = sentence, "rejected");
        let change = Change::Rejected(rejected, sha256);
        self.store.change_backup(&claimed.upload, from, change, self.now()).await?;
        self.places.quarantine(claimed, &sentence)?;
        Ok(Carried::Done)
    }

    /// It has to wait. What was stored of it is taken out, so that others may go on.
    async fn wait_begun(
        &self,
        claimed: &ClaimedFile,
        storing: state::Storing,
        reason: Reason<WaitCode>,
    ) -> Result<Carried, Error> {
        tracing::warn!(job = %claimed.name.job, upload = %claimed.upload, reason = reason.sentence, "waiting");
        self.withdraw(claimed).await?;
        let change = Change::Waiting(storing.wait(reason));
        self.store.change_backup(&claimed.upload, State::Storing, change, self.now()).await?;
        Ok(Carried::Waits)
    }

    /// Why there is no room for the backup once it is unpacked, if so.
    fn no_room(&self, backup: &Backup) -> Option<Reason<WaitCode>> {
        let free = self.settings.free_bytes(&self.places)?;
        let needed =
            backup.size_bytes.saturating_mul(2).saturating_add(self.settings.reserve_bytes);
        (self.settings.modes.online && free < needed).then(|| {
            let sentence = format!(
                "There is not enough room: about {} MB are needed and {} MB are free. Make room on the disk; the backup is then stored by itself.",
                needed.div_ceil(1_000_000), free / 1_000_000
            );
            Reason::new(WaitCode::DiskShort, sentence)
        })
    }

    async fn wait(
        &self,
        claimed: &ClaimedFile,
        backup: &Backup,
        reason: Reason<WaitCode>,
    ) -> Result<Carried, Error> {
        if backup.state != State::Waiting {
            tracing::warn!(job = %backup.job, upload = %backup.upload, reason = reason.sentence, "waiting");
            let waiting = match backup.state {
                State::Claimed => state::Claimed.wait(reason),
                _ => state::Storing { progress: Progress::default() }.wait(reason),
            };
            self.store
                .change_backup(&claimed.upload, backup.state, Change::Waiting(waiting), self.now())
                .await?;
        }
        Ok(Carried::Waits)
    }

    fn now(&self) -> jiff::Timestamp {
        (self.settings.clock)()
    }

    fn unreadable(&self, claimed: &ClaimedFile, source: std::io::Error) -> Error {
        Error::Place(places::Error {
            operation: "read the archive",
            path: claimed.path.clone(),
            source,
        })
    }
}
