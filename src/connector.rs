//! The connector: maaiiconnect's side of the cycle, as far as it can be asked.
//!
//! ```text
//! portal -> store (Deleting) -> follow -> client -> the service: delete what this backup held
//!              ^                   |
//!              +-- Completed, Failed
//! ```
//!
//! It also tells the service what was [set](telling) in the portal, and [learns](learning) its schedule
//! and what its own log says.
//!
//! One loop, woken when somebody presses *Delete from maaiiconnect* or something arrives, and by a timer.
//! It looks at which deletions go on, passes on those that the service has not been asked for yet, and
//! writes down what the service says of the others. One that was begun there and not here is followed as
//! well. All of it may be done again after a kill.
//!
//! This module must never ask for a deletion that does not stand in the store, and never without the
//! SHA-256 of the archive that was received: by that the service knows that we hold what it sent.

pub mod client;
mod learning;
pub mod telling;

use std::{collections::HashMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    audit::{self, Action},
    backup::{
        JobId,
        history::{Event, What},
        retention::{Asking, Deletion, Status, Step},
    },
    cause::chain,
    inbox::Upload,
    store::{self, Store, backups::Backup},
};
use client::{Asked, Client};
use learning::Learning;
use telling::Site;

/// How often the service is asked while an upload or a deletion goes on, and how often otherwise.
const PAUSES: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(10));

/// Whose doing it is in the audit log.
const MAAIICONNECT: &str = "maaiiconnect";

/// Who asked for a deletion that was not asked for here.
const ELSEWHERE: &str = "somebody in maaiiconnect";

/// What there is to say about it.
const WITHOUT_VERDICT: &str = "It was begun in maaiiconnect itself. No verdict was asked for.";

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
    learning: Learning,
    inbox: watch::Receiver<Arc<Vec<Upload>>>,
    clock: fn() -> Timestamp,
}

impl Follower {
    /// Prepares the loop. What comes into the `inbox` wakes it.
    pub fn new(
        client: Client,
        site: Site,
        store: Store,
        inbox: watch::Receiver<Arc<Vec<Upload>>>,
        clock: fn() -> Timestamp,
    ) -> Self {
        let (trouble, _) = watch::channel(None);
        let learning = Learning::default();
        Self { client, site, store, wake: Arc::default(), trouble, learning, inbox, clock }
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
    pub async fn run(mut self, stop: CancellationToken) {
        let (wake, mut inbox) = (Arc::clone(&self.wake), self.inbox.clone());
        loop {
            let turn = async {
                let is_empty = inbox.borrow_and_update().is_empty();
                let goes_on = self.turn().await || !is_empty;
                let pause = if goes_on { PAUSES.0 } else { PAUSES.1 };
                tokio::select! {
                    () = wake.notified() => {}
                    _ = inbox.wait_for(|uploads| !uploads.is_empty()), if is_empty => {}
                    () = tokio::time::sleep(pause) => {}
                }
            };
            tokio::select! {
                () = turn => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Does what can be done now. Returns whether an upload or a deletion goes on.
    async fn turn(&mut self) -> bool {
        let mut trouble = self.tell().await;
        let mut goes_on = false;
        match self.learn().await {
            Ok(is_busy) => goes_on = is_busy,
            Err(Error::Client(error)) => trouble = Some(chain(&error)),
            Err(Error::Store(error)) => {
                tracing::debug!("cannot look at what is known of maaiiconnect: {}", chain(&error));
            }
        }
        match self.store.deletions().await {
            Ok(deletions) => {
                goes_on |= !deletions.is_empty();
                for backup in &deletions {
                    match self.follow(backup).await {
                        Ok(()) => {}
                        Err(Error::Client(error)) => trouble = Some(chain(&error)),
                        Err(Error::Store(error)) => {
                            tracing::warn!("cannot write down a deletion: {}", chain(&error));
                        }
                    }
                }
            }
            Err(error) => tracing::debug!("cannot look for deletions: {}", chain(&error)),
        }
        if let Err(error) = self.learning.note(&self.store, trouble.clone()).await {
            tracing::debug!("cannot write down what maaiiconnect says: {}", chain(&error));
        }
        self.trouble.send_if_modified(|known| {
            let changed = *known != trouble;
            if let Some(why) = trouble.as_ref().filter(|_| changed) {
                tracing::warn!("maaiiconnect cannot be asked: {why}");
            }
            known.clone_from(&trouble);
            changed
        });
        goes_on
    }

    /// Learns what is new there, and follows what was begun there. Returns whether something goes on.
    async fn learn(&mut self) -> Result<bool, Error> {
        self.learning.take_up(&self.store).await?;
        self.learning.ask(&self.client, (self.clock)()).await?;
        let statuses: HashMap<&JobId, Status> =
            self.learning.backups().map(|backup| (&backup.job, backup.status)).collect();
        let is_deleted = |status: &Status| {
            matches!(status, Status::Deleting | Status::Failed | Status::Completed)
        };
        let jobs = statuses.iter().filter(|(_, status)| is_deleted(status)).map(|(job, _)| *job);
        let mut outcome = Ok(self.learning.log().is_busy());
        for backup in self.store.stored_and_kept(jobs).await? {
            if statuses.get(&backup.job) == Some(&backup.retention_status()) {
                continue;
            }
            // One that the service says nothing sensible of holds up no other.
            if let Err(error) = self.follow_from_here(&backup).await {
                outcome = Err(error);
            }
        }
        outcome
    }

    /// Writes down that maaiiconnect deletes what a backup held, if so, though nobody has asked for it
    /// here.
    async fn follow_from_here(&self, backup: &Backup) -> Result<(), Error> {
        let from = backup.retention_status();
        match (from, self.client.status(&backup.job).await?) {
            (_, Asked::Is(Status::Deleting | Status::Completed)) => {}
            (Status::Uploaded, Asked::Refused(_)) => {}
            _ => return Ok(()),
        }
        let now = (self.clock)();
        let (by, step) = (ELSEWHERE.to_owned(), Step::begun_elsewhere());
        let deletion = Deletion { by, asked: now, step, changed: now };
        let said = Some(WITHOUT_VERDICT.to_owned());
        let event = Event::new(now, What::Deleting, said.clone());
        // Another node may have noticed it as well, or somebody has pressed it here meanwhile.
        if !self.store.change_deletion(&backup.upload, from, &deletion, &event).await? {
            return Ok(());
        }
        tracing::warn!(
            job = %backup.job,
            "what {} held is deleted from maaiiconnect, which was not asked for here",
            backup.file
        );
        self.write_down(backup, Action::DeletionBegun, said).await?;
        Ok(())
    }

    /// Brings one deletion a step further.
    async fn follow(&self, backup: &Backup) -> Result<(), Error> {
        let Some(deletion) = &backup.deletion else { return Ok(()) };
        let Step::Deleting(deleting) = &deletion.step else { return Ok(()) };
        let asked = match deleting.asking() {
            Asking::ToBeDone => self.pass_on(backup).await?,
            Asking::Done | Asking::Elsewhere => self.client.status(&backup.job).await?,
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
            // The service has another memory than it had: it is asked once more, if it was asked at all.
            Asked::Is(Status::Uploaded) => match deleting.asking() {
                Asking::ToBeDone => Ok(()),
                Asking::Done => self.pass_on(backup).await.map(drop),
                Asking::Elsewhere => {
                    let why = "maaiiconnect no longer says that it deletes it.".to_owned();
                    let step = Step::Failed(deleting.clone().fail(&*why));
                    self.end(backup, deletion, step, What::Failed, Some(why)).await
                }
            },
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
        let action = match what {
            What::Completed => Action::DeletionCompleted,
            _ => Action::DeletionFailed,
        };
        self.write_down(backup, action, said.clone()).await?;
        let event = Event::new(now, what, said);
        self.store.change_deletion(&backup.upload, Status::Deleting, &ended, &event).await?;
        Ok(())
    }

    /// Into the audit log: what maaiiconnect did or says.
    async fn write_down(
        &self,
        backup: &Backup,
        action: Action,
        detail: Option<String>,
    ) -> Result<(), store::Error> {
        let event = audit::Event {
            at: (self.clock)(),
            account: MAAIICONNECT.to_owned(),
            peer: String::new(),
            action,
            subject: format!("/retention/backups/{}", backup.upload),
            detail,
        };
        self.store.audit(&event).await
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
