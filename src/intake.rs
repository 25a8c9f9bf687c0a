//! Carrying each backup from arrived to stored.
//!
//! ```text
//! inbox -> claim -> carry -----------------> receipt ---> archive kept or removed
//!                   |  open, check, read (both cores)     or quarantine
//!                   |  -> unpack -> store
//! ```
//!
//! One loop, woken by the inbox or by a timer, takes no orders: it looks at what is
//! on the disk and in the store, and does the next step of each backup. One backup
//! is stored at a time, in the order of arrival. Nothing is kept in memory that
//! could be lost, so a restart is nothing special.

mod carry;
pub mod counters;
mod media;
pub mod places;
mod pulse;
pub mod reading;
mod resting;
mod room;
mod unpack;

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use carry::{Carried, Carrier};
use places::{ClaimedFile, Places};
use pulse::Pulse;

use crate::{
    archive::Limits,
    backup::{DirectoryId, UploadId},
    cause::chain,
    config::Secrets,
    files,
    inbox::{self, Condition, Upload, Watch},
    receipt::Issuer,
    records::Rules,
    settings::{self, seal::Seal},
    sftp::keys::AuthorizedKeys,
    store::Store,
};

/// What is not a backup by its name is set aside when nobody has touched it for so long.
const ASIDE_AFTER: Duration = Duration::from_secs(600);

/// Pauses between attempts while something is in the way: the first, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(15));

/// What intake goes by.
#[derive(Debug)]
pub struct Settings {
    /// What an archive may be.
    pub limits: Limits,
    /// Which records belong where.
    pub rules: Rules,
    /// What holds where nothing was set in the portal.
    pub defaults: settings::Defaults,
    /// Where the Archive Keys of the configuration are; read anew for each backup.
    pub secrets: Secrets,
    /// Opens the Archive Keys that were set in the portal.
    pub seal: Option<Seal>,
    /// How long an interrupted upload is kept for the client to resume.
    pub grace: Duration,
    /// How often the inbox is looked through even if nothing woke us.
    pub rescan: Duration,
    /// Room that has to stay free on the disk, in bytes.
    pub reserve_bytes: u64,
    /// Which state directory this is.
    pub directory: DirectoryId,
    /// Who may upload.
    pub authorized_keys: AuthorizedKeys,
    /// Who gives receipts.
    pub issuer: Issuer,
    /// What time it is.
    pub clock: fn() -> Timestamp,
}

impl Settings {
    fn free_bytes(&self, places: &Places) -> Option<u64> {
        files::free_bytes(&places.inbox()).ok()
    }
}

/// Tells whether the loops still turn.
#[derive(Debug, Default)]
pub struct Alive {
    looked: AtomicBool,
    carrying: Arc<Pulse>,
}

impl Alive {
    fn looked(&self) {
        self.looked.store(true, Ordering::Relaxed);
    }

    /// Whether the inbox was looked through and the work on backups went on, if there
    /// was any, since this was last asked, `pause` ago.
    pub fn since_last_asked(&self, pause: Duration) -> bool {
        let looked = self.looked.swap(false, Ordering::Relaxed);
        self.carrying.goes_on(pause) && looked
    }
}

/// The loop.
pub struct Intake {
    carrier: Carrier,
    inbox: watch::Sender<Arc<Vec<Upload>>>,
    works: watch::Sender<bool>,
    wake: Arc<tokio::sync::Notify>,
    alive: Arc<Alive>,
}

impl Intake {
    /// Prepares the loop. `stop` ends it.
    pub fn new(settings: Settings, store: Store, places: Places, stop: CancellationToken) -> Self {
        let alive = Arc::<Alive>::default();
        let pulse = Arc::clone(&alive.carrying);
        let carrier = Carrier { settings: Arc::new(settings), store, places, stop, pulse };
        let (inbox, works) = (watch::Sender::default(), watch::Sender::default());
        Self { carrier, inbox, works, wake: Arc::default(), alive }
    }

    /// Whether backups are being carried. It turns false when there is nothing left to do, or
    /// when something is in the way.
    pub fn works(&self) -> watch::Receiver<bool> {
        self.works.subscribe()
    }

    /// What is in the inbox, as of the last look.
    pub fn inbox(&self) -> watch::Receiver<Arc<Vec<Upload>>> {
        self.inbox.subscribe()
    }

    /// Whether the loop still turns.
    pub fn alive(&self) -> Arc<Alive> {
        Arc::clone(&self.alive)
    }

    /// Runs until it is stopped.
    pub async fn run(self) -> Result<(), inbox::Error> {
        let inbox = self.carrier.places.inbox();
        let mut watch = Watch::new(&inbox)?;
        let looking = async {
            loop {
                self.alive.looked();
                // Claiming waits until the upload is on the disk.
                if let Err(error) = tokio::task::block_in_place(|| self.look()) {
                    tracing::error!("cannot look through the inbox: {}", chain(&error));
                }
                let pause = if self.inbox.borrow().is_empty() {
                    self.carrier.settings.rescan
                } else {
                    Duration::from_secs(1)
                };
                let pause = pause.min(self.carrier.settings.rescan);
                tokio::select! {
                    () = watch.changed() => {}
                    () = tokio::time::sleep(pause) => {}
                }
            }
        };
        let carrying = self.carry_all();
        tokio::select! {
            () = looking => {}
            () = carrying => {}
        }
        Ok(())
    }

    /// Looks through the inbox, claims what is complete and sets aside what will never be.
    fn look(&self) -> Result<(), inbox::Error> {
        let now = (self.carrier.settings.clock)();
        let mut left = Vec::new();
        for upload in inbox::list(&self.carrier.places.inbox())? {
            match upload.and_then(|upload| Ok((self.moved_on(&upload, now)?, upload))) {
                Ok((true, _)) => {}
                Ok((false, upload)) => left.push(upload),
                // One file must not hold up the others.
                Err(error) => tracing::error!("cannot take in an upload: {}", chain(&error)),
            }
        }
        self.inbox.send_replace(Arc::new(left));
        Ok(())
    }

    /// Takes the upload out of the inbox if it is time; returns whether it did.
    fn moved_on(&self, upload: &Upload, now: Timestamp) -> Result<bool, inbox::Error> {
        let grace = self.carrier.settings.grace;
        let idle = upload.idle(now);
        let nanos = u32::try_from(now.subsec_nanosecond()).unwrap_or(0);
        let id = UploadId::new(u64::try_from(now.as_second()).unwrap_or(0), nanos);
        let to = match (&upload.name, upload.condition) {
            (_, Condition::Arriving) => return Ok(false),
            (Some(_), Condition::Arrived) => self.carrier.places.claimed(&id),
            // It will not be resumed any more: claimed, so that it is rejected and shown.
            (Some(_), Condition::Interrupted) if idle >= grace => self.carrier.places.claimed(&id),
            (None, _) if upload.is_temporary() && idle >= grace => self.carrier.places.aside(&id),
            (None, _) if !upload.is_temporary() && idle >= grace.min(ASIDE_AFTER) => {
                self.carrier.places.aside(&id)
            }
            _ => return Ok(false),
        };
        let moved = inbox::claim(upload, &to)?;
        if moved {
            let is_backup = upload.name.is_some();
            tracing::info!(upload = %id, is_backup, "taken out of the inbox: {}", upload.file);
            self.wake.notify_one();
        }
        Ok(moved)
    }

    /// Carries what was claimed, again and again, until stopped.
    async fn carry_all(&self) {
        let mut pause = PAUSE.0;
        loop {
            let trouble = self.carry_once().await;
            self.works.send_if_modified(std::mem::take);
            if self.carrier.stop.is_cancelled() {
                return;
            }
            pause = if trouble { (pause * 2).min(PAUSE.1) } else { PAUSE.0 };
            let rest = if trouble { pause } else { self.carrier.settings.rescan };
            tokio::select! {
                () = self.wake.notified(), if !trouble => {}
                () = tokio::time::sleep(rest) => {}
                () = self.carrier.stop.cancelled() => return,
            }
        }
    }

    /// Carries each claimed backup as far as it goes; returns whether something was in the way.
    async fn carry_once(&self) -> bool {
        let mut claimed = match self.carrier.places.claimed_files() {
            Ok(claimed) => claimed,
            Err(error) => {
                tracing::error!("cannot list what was claimed: {}", chain(&error));
                return true;
            }
        };
        match self.prepare(&mut claimed).await {
            Ok(false) => {}
            // It is among those that were claimed at the next look.
            Ok(true) => return true,
            // Nobody waits for it.
            Err(carry::Error::Store(error)) if claimed.is_empty() && error.is_away() => {
                return false;
            }
            Err(error) => {
                tracing::warn!("MongoDB is in the way; trying again: {}", chain(&error));
                return true;
            }
        }
        if !claimed.is_empty() {
            self.works.send_replace(true);
        }
        let mut trouble = false;
        for one in &claimed {
            match self.carrier.carry(one).await {
                Ok(Carried::Done) => {}
                Ok(Carried::Waits) => trouble = true,
                Err(carry::Error::Interrupted) => return true,
                Err(error) => {
                    tracing::warn!(job = %one.name.job, upload = %one.upload, "cannot go on with {}; trying again: {}", one.name, chain(&error));
                    let away = matches!(&error, carry::Error::Store(error) if error.is_away());
                    if away || self.is_begun(one).await {
                        return true;
                    }
                    trouble = true;
                }
            }
            if self.carrier.stop.is_cancelled() {
                return true;
            }
        }
        trouble
    }

    /// Sees to what comes before any backup is carried, and puts them in order. Returns whether a
    /// file was brought back to those that were claimed.
    ///
    /// A backup of which a part may be stored goes before all others: what it brought
    /// is not visible, and must not be taken for something that is kept.
    async fn prepare(&self, claimed: &mut [ClaimedFile]) -> Result<bool, carry::Error> {
        if !claimed.is_empty() {
            // Indexes are built before any data arrives.
            self.carrier.store.prepare().await?;
        }
        let unfinished = self.carrier.store.unfinished_backups().await?;
        if self.carrier.see_to_what_is_gone(&unfinished, claimed).await? {
            return Ok(true);
        }
        let begun = unfinished.into_iter().filter(|backup| backup.begun.is_some());
        let begun: HashSet<UploadId> = begun.map(|backup| backup.upload).collect();
        claimed.sort_by_key(|file| (!begun.contains(&file.upload), file.upload.clone()));
        Ok(false)
    }

    /// Whether a part of a backup may be in the store. In doubt it is.
    async fn is_begun(&self, claimed: &ClaimedFile) -> bool {
        let backup = self.carrier.store.backup(&claimed.upload).await;
        backup.map_or(true, |backup| {
            backup.is_some_and(|backup| backup.begun.is_some() && !backup.state.is_final())
        })
    }
}
