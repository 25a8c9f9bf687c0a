//! The connector: maaiiconnect's side of the cycle, as far as it can be asked.
//!
//! ```text
//! portal -> store (Deleting) -> follow -> client -> the service: delete what this backup held
//!              ^                   |
//!              +-- Completed, Failed
//! ```
//!
//! It also tells the service what was [set](telling) in the portal.
//!
//! One loop, woken when somebody presses *Delete from maaiiconnect* and by a timer. It looks at which
//! deletions go on, passes on those that the service has not been asked for yet, and writes down what
//! the service says of the others. All of it may be done again after a kill.
//!
//! This module must never ask for a deletion that does not stand in the store, and never without the
//! SHA-256 of the archive that was received: by that the service knows that we hold what it sent.

pub mod client;
pub mod telling;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    backup::{
        history::{Event, What},
        retention::{Deletion, Status, Step},
    },
    cause::chain,
    store::{self, Store, backups::Backup},
};
use client::{Asked, Client};
use telling::Site;

/// How often the service is asked while a deletion goes on, and how often the store otherwise.
const PAUSES: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(30));

/// What wakes the loop, and what holds it up.
#[derive(Clone, Debug)]
pub struct Connection {
    /// To be told that a deletion was asked for, or that something was set.
    pub wake: Arc<Notify>,
    /// To ask the service what only it knows.
    pub client: Client,
    /// Why the service cannot be asked, in a sentence; nothing while it can.
    pub trouble: watch::Receiver<Option<String>>,
}

/// The loop.
pub struct Follower {
    client: Client,
    site: Site,
    store: Store,
    wake: Arc<Notify>,
    trouble: watch::Sender<Option<String>>,
    clock: fn() -> Timestamp,
}

impl Follower {
    /// Prepares the loop.
    pub fn new(client: Client, site: Site, store: Store, clock: fn() -> Timestamp) -> Self {
        let (trouble, _) = watch::channel(None);
        Self { client, site, store, wake: Arc::default(), trouble, clock }
    }

    /// What wakes it, and what holds it up.
    pub fn connection(&self) -> Connection {
        Connection {
            wake: Arc::clone(&self.wake),
            client: self.client.clone(),
            trouble: self.trouble.subscribe(),
        }
    }

    /// Runs until it is stopped.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            let turn = async {
                let goes_on = self.turn().await;
                let pause = if goes_on { PAUSES.0 } else { PAUSES.1 };
                tokio::select! {
                    () = self.wake.notified() => {}
                    () = tokio::time::sleep(pause) => {}
                }
            };
            tokio::select! {
                () = turn => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Does what can be done now. Returns whether a deletion goes on.
    async fn turn(&self) -> bool {
        let deletions = match self.store.deletions().await {
            Ok(deletions) => deletions,
            Err(error) => {
                tracing::debug!("cannot look for deletions: {}", chain(&error));
                return false;
            }
        };
        let mut trouble = self.tell().await;
        for backup in &deletions {
            match self.follow(backup).await {
                Ok(()) => {}
                Err(Error::Client(error)) => trouble = Some(chain(&error)),
                Err(Error::Store(error)) => {
                    tracing::warn!("cannot write down a deletion: {}", chain(&error));
                }
            }
        }
        self.trouble.send_if_modified(|known| {
            let changed = *known != trouble;
            if let Some(why) = trouble.as_ref().filter(|_| changed) {
                tracing::warn!("maaiiconnect cannot be asked: {why}");
            }
            known.clone_from(&trouble);
            changed
        });
        !deletions.is_empty()
    }

    /// Brings one deletion a step further.
    async fn follow(&self, backup: &Backup) -> Result<(), Error> {
        let Some(deletion) = &backup.deletion else { return Ok(()) };
        let Step::Deleting(deleting) = &deletion.step else { return Ok(()) };
        let asked = if deleting.is_passed_on() {
            self.client.status(&backup.job).await?
        } else {
            self.pass_on(backup).await?
        };
        match asked {
            Asked::Is(Status::Completed) => {
                tracing::info!(job = %backup.job, "maaiiconnect has deleted what {} held", backup.file);
                let step = Step::Completed(deleting.clone().complete());
                self.end(backup, deletion, step, What::Completed, None).await
            }
            Asked::Refused(why) => {
                tracing::warn!(job = %backup.job, "maaiiconnect did not delete what {} held: {why}", backup.file);
                let step = Step::Failed(deleting.clone().fail(&*why));
                self.end(backup, deletion, step, What::Failed, Some(why)).await
            }
            // The service has another memory than it had: it is asked once more.
            Asked::Is(Status::Uploaded) if deleting.is_passed_on() => {
                self.pass_on(backup).await.map(drop)
            }
            Asked::Is(_) => Ok(()),
        }
    }

    /// Asks for a deletion, and writes down that it was asked for.
    async fn pass_on(&self, backup: &Backup) -> Result<Asked, Error> {
        let Some(sha256) = &backup.sha256 else {
            return Ok(Asked::Refused("It is not known which bytes were received.".into()));
        };
        let asked = self.client.delete(&backup.job, sha256, backup.size_bytes).await?;
        if matches!(asked, Asked::Is(_)) {
            tracing::info!(job = %backup.job, "maaiiconnect was asked to delete what {} held", backup.file);
            self.store.note_passed_on(&backup.upload).await?;
        }
        Ok(asked)
    }

    async fn end(
        &self,
        backup: &Backup,
        deletion: &Deletion,
        step: Step,
        what: What,
        said: Option<String>,
    ) -> Result<(), Error> {
        let now = (self.clock)();
        let ended = Deletion { step, changed: now, ..deletion.clone() };
        let event = Event::new(now, what, said);
        self.store.change_deletion(&backup.upload, Status::Deleting, &ended, &event).await?;
        Ok(())
    }
}

/// What went wrong with one deletion.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Client(#[from] client::Error),
}
