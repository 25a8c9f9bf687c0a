//! One backup, from claimed to stored or rejected.
//!
//! Every step looks at what the store says and does what comes next. Whatever is
//! cut off is done again from here; there is no other way back.

mod gone;
mod read;
mod receipt;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use read::{Known, Purpose};

use super::{
    Settings,
    counters::Counters,
    places::{self, ClaimedFile, Places},
    pulse::Pulse,
    reading::Stop,
    room::{self, Disk},
};
use crate::{
    archive,
    backup::{Progress, Reason, RejectionCode, Senders, State, WaitCode, state},
    cause::chain,
    config::Modes,
    settings::{KnownKeys, seal},
    store::{
        self, Election, Store,
        backups::{Backup, Change, NewBackup, Opened},
    },
};

/// What went wrong while a backup was carried on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Our own disk.
    #[error(transparent)]
    Place(#[from] places::Error),
    /// What was read of the database before may have been undone.
    #[error("another server became MongoDB's primary meanwhile; this step is taken anew")]
    PrimaryChanged,
    /// The receipt cannot be signed.
    #[error(transparent)]
    Sign(#[from] crate::receipt::key::Error),
    /// The statement of the receipt cannot be written.
    #[error("cannot write the statement of the receipt")]
    Statement(#[source] std::io::Error),
    /// Others gave receipts all the while.
    #[error("others took each number for a receipt; this step is taken anew")]
    NumbersTaken,
    /// The work was interrupted, and is taken up again.
    #[error("the work was interrupted")]
    Interrupted,
}

/// What became of a backup for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carried {
    /// Nothing more will happen to it.
    Done,
    /// It waits, and holds up no others: nothing of it is in the store, or all of it.
    Waits,
}

/// What is set while one backup is carried: what is set meanwhile counts for the next.
struct Set {
    modes: Modes,
    /// The Archive Keys, or why they cannot be used.
    keys: Result<KnownKeys, String>,
}

/// Carries backups.
#[derive(Clone)]
pub(super) struct Carrier {
    pub(super) settings: Arc<Settings>,
    pub(super) store: Store,
    pub(super) places: Places,
    pub(super) stop: CancellationToken,
    pub(super) pulse: Arc<Pulse>,
}

impl Carrier {
    /// Carries one backup as far as it goes.
    pub(super) async fn carry(&self, claimed: &ClaimedFile) -> Result<Carried, Error> {
        let election = self.store.election().await?;
        let backup = self.entered(claimed).await?;
        match backup.state {
            State::Stored => self.complete(claimed, &backup, &election).await,
            State::Rejected => {
                self.confirm(claimed, &election).await?;
                let reason = backup.rejection.map(|reason| reason.sentence).unwrap_or_default();
                self.quarantine(claimed, &reason)?;
                Ok(Carried::Done)
            }
            _ => {
                let set = self.set().await?;
                self.take_in(claimed, &backup, &election, &set).await
            }
        }
    }

    /// What is set now.
    async fn set(&self) -> Result<Set, Error> {
        let (settings, Settings { defaults, secrets, seal, .. }) =
            (self.store.settings().await?, &*self.settings);
        let configured = secrets.archive_keys().map_err(|error| chain(&error));
        let keys = configured.map(|configured| settings.known_keys(seal.as_ref(), configured));
        Ok(Set { modes: settings.modes(defaults), keys })
    }

    /// Makes sure that what was read since `election` is held by most members.
    async fn confirm(&self, claimed: &ClaimedFile, election: &Election) -> Result<(), Error> {
        let held = self.store.confirm_since(&claimed.upload, election).await?;
        if held { Ok(()) } else { Err(Error::PrimaryChanged) }
    }

    /// The line of the Backup Log, made if it is missing.
    async fn entered(&self, claimed: &ClaimedFile) -> Result<Backup, Error> {
        let directory = &self.settings.directory;
        if let Some(backup) = self.store.backup(&claimed.upload).await? {
            // Its file is here, whatever its line says.
            if backup.directory.as_ref() != Some(directory) {
                self.store.note_directory(&claimed.upload, directory).await?;
            }
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
                directory: directory.clone(),
                senders: self.senders(),
            })
            .await?;
        let backup = self.store.backup(&claimed.upload).await?;
        backup.ok_or(Error::Interrupted)
    }

    /// Who may have sent what is taken in now.
    fn senders(&self) -> Option<Senders> {
        match self.settings.authorized_keys.list() {
            Ok(listing) => Some(Senders {
                authorized_keys: listing.keys.into_iter().map(|key| key.fingerprint).collect(),
                lines_by_hand: listing.foreign.len() as u64,
            }),
            Err(error) => {
                tracing::warn!("it is not known who may have sent a backup: {}", chain(&error));
                None
            }
        }
    }

    async fn take_in(
        &self,
        claimed: &ClaimedFile,
        backup: &Backup,
        election: &Election,
        set: &Set,
    ) -> Result<Carried, Error> {
        if let Some(other) = self.stored_before(claimed).await? {
            return self.compare(claimed, backup, &other, election, set.modes).await;
        }
        let keys = match &set.keys {
            Ok(keys) => keys,
            Err(why) => {
                let sentence = format!(
                    "The Archive Keys cannot be used: {why}. Once they can, the backup is stored by itself."
                );
                let reason = Reason::new(WaitCode::KeysUnusable, sentence);
                return self.wait(claimed, backup, reason).await;
            }
        };
        if let Some(why) = &keys.closed
            && let Err(archive::Error::NoKnownKey { .. }) = self.opens(claimed, &keys.open).await?
        {
            return self.wait(claimed, backup, closed(why)).await;
        }
        if let Some(reason) = self.no_room(backup, set.modes).await? {
            return self.wait(claimed, backup, reason).await;
        }
        let is_new = self.store.count_brought(&backup.job).await?.is_empty();
        let storing = self.begin(claimed, backup).await?;
        tracing::info!(job = %backup.job, upload = %backup.upload, "storing {}", backup.file);
        let counters = Arc::new(Counters::new(Arc::clone(&self.pulse)));
        let purpose = if set.modes.online { Purpose::Unpack } else { Purpose::Check };
        let outcome = self.read(claimed, &keys.open, &counters, purpose).await?;
        match outcome {
            Ok(mut known) => {
                // What was cut off before, here or elsewhere, may have brought a part of it.
                known.brought = known.brought.filter(|_| is_new);
                // What was known already and therefore not stored has to be there for good.
                self.confirm(claimed, election).await?;
                let stored = storing.finish(counters.progress(), counters.findings());
                self.stored(claimed, backup, stored, known, election, set.modes).await
            }
            Err(Stop::Cancelled) => Err(Error::Interrupted),
            Err(Stop::Store(error)) if error.is_away() => Err(error.into()),
            Err(Stop::Store(error)) => {
                let sentence =
                    format!("MongoDB refuses to store it ({}). It is tried again.", chain(&error));
                self.wait_begun(claimed, storing, Reason::new(WaitCode::DatabaseRefuses, sentence))
                    .await
            }
            Err(Stop::Archive(error)) => match (error.rejection(), &keys.closed) {
                // It may be one of those that cannot be used now.
                (Some(reason), Some(why)) if reason.code == RejectionCode::NoKnownKey => {
                    self.wait_begun(claimed, storing, closed(why)).await
                }
                (Some(reason), _) => self.reject(claimed, backup, storing, reason).await,
                (None, _) => {
                    tracing::error!(job = %backup.job, "cannot read {}: {}", backup.file, chain(&error));
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
        election: &Election,
        modes: Modes,
    ) -> Result<Carried, Error> {
        let sha256 = self.digest(claimed).await?;
        if stored.sha256.as_deref() == Some(hex::encode(sha256).as_str()) {
            tracing::info!(job = %backup.job, upload = %backup.upload, "{} was stored before with the same bytes", backup.file);
            self.store.merge_repeat(&stored.upload, &claimed.upload, self.now()).await?;
            // The sender says once more which bytes are right.
            self.store.supersede(&claimed.name.job, &claimed.upload).await?;
            self.confirm(claimed, election).await?;
            let _work = self.pulse.work();
            if modes.offline && !self.places.has(stored) {
                tracing::warn!(job = %stored.job, "the archive {} was gone, and is back", stored.file);
                self.places.keep(claimed)?;
            } else {
                self.places.remove(claimed)?;
            }
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

    async fn stored(
        &self,
        claimed: &ClaimedFile,
        backup: &Backup,
        stored: state::Stored,
        known: Known,
        election: &Election,
        modes: Modes,
    ) -> Result<Carried, Error> {
        let (records, media) = (stored.progress.records_total(), stored.progress.media);
        let (sha256, archive_keys) = (known.digested.archive, known.opened_with.clone());
        let opened = Opened { sha256, modes, archive_keys };
        self.store
            .change_backup(
                &claimed.upload,
                State::Storing,
                Change::Stored(stored, opened),
                self.now(),
            )
            .await?;
        tracing::info!(job = %backup.job, upload = %backup.upload, "stored {}: {records} records, {media} media", backup.file);
        self.give_receipt(claimed, known, election, modes).await?;
        self.clear_away(claimed, election, modes).await?;
        Ok(Carried::Done)
    }

    /// What follows once there is a receipt. May be repeated until the archive is gone.
    async fn clear_away(
        &self,
        claimed: &ClaimedFile,
        election: &Election,
        modes: Modes,
    ) -> Result<(), Error> {
        self.store.supersede(&claimed.name.job, &claimed.upload).await?;
        self.store.note_archive(&claimed.upload, modes.offline).await?;
        self.confirm(claimed, election).await?;
        let _work = self.pulse.work();
        if modes.offline {
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
        tracing::warn!(job = %backup.job, upload = %backup.upload, "rejected {}: {sentence}", backup.file);
        let change = Change::Rejected(rejected, Some(sha256));
        self.store.change_backup(&claimed.upload, from, change, self.now()).await?;
        self.quarantine(claimed, &sentence)?;
        Ok(Carried::Done)
    }

    fn quarantine(&self, claimed: &ClaimedFile, sentence: &str) -> Result<(), Error> {
        let _work = self.pulse.work();
        Ok(self.places.quarantine(claimed, sentence)?)
    }

    /// It has to wait. What was stored of it is taken out, so that others may go on.
    async fn wait_begun(
        &self,
        claimed: &ClaimedFile,
        storing: state::Storing,
        reason: Reason<WaitCode>,
    ) -> Result<Carried, Error> {
        tracing::warn!(job = %claimed.name.job, upload = %claimed.upload, "{} waits: {}", claimed.name, reason.sentence);
        self.withdraw(claimed).await?;
        let change = Change::Waiting(storing.wait(reason));
        self.store.change_backup(&claimed.upload, State::Storing, change, self.now()).await?;
        Ok(Carried::Waits)
    }

    /// Why there is no room for the backup once it is unpacked, if so.
    async fn no_room(
        &self,
        backup: &Backup,
        modes: Modes,
    ) -> Result<Option<Reason<WaitCode>>, Error> {
        if !modes.online {
            return Ok(None);
        }
        let own = self.settings.free_bytes(&self.places);
        let mongodb = match self.store.free_bytes().await {
            Err(error) if error.is_away() => return Err(error.into()),
            Err(error) => {
                tracing::debug!(error = chain(&error), "MongoDB does not say how full its disk is");
                None
            }
            Ok(free) => free,
        };
        let needed = room::needed_bytes(backup, self.settings.reserve_bytes);
        Ok(room::short(needed, [(Disk::Own, own), (Disk::Mongodb, mongodb)]))
    }

    async fn wait(
        &self,
        claimed: &ClaimedFile,
        backup: &Backup,
        reason: Reason<WaitCode>,
    ) -> Result<Carried, Error> {
        match backup.state {
            State::Waiting if backup.waiting.as_ref() == Some(&reason) => {}
            State::Waiting => self.store.note_reason(&claimed.upload, &reason).await?,
            State::Storing => {
                let storing = state::Storing { progress: Progress::default() };
                return self.wait_begun(claimed, storing, reason).await;
            }
            _ => {
                tracing::warn!(job = %backup.job, upload = %backup.upload, "{} waits: {}", backup.file, reason.sentence);
                let change = Change::Waiting(state::Claimed.wait(reason));
                self.store.change_backup(&claimed.upload, backup.state, change, self.now()).await?;
            }
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

/// Why an archive waits that may be of a key that cannot be used.
fn closed(why: &seal::Error) -> Reason<WaitCode> {
    let sentence = format!(
        "No Archive Key that can be used opens it, and others cannot be used: {}. Bring the \
         settings-key back, or set its Archive Key again in the portal; it is then stored by itself.",
        chain(why)
    );
    Reason::new(WaitCode::KeysUnusable, sentence)
}
