//! Makes this node be as the settings say.
//!
//! Settings are in the database, for all nodes. Most are read where they are needed. What has to be on
//! a node itself is brought about here: whether the endpoint refuses uploads because Retention is off,
//! and which keys may upload. Keys that were added or removed on the command line of one node go the
//! other way, into the settings, and so to the others.
//!
//! One loop, woken by a change in the portal and by a timer, that looks at what is and does the next
//! step. While MongoDB is away everything stays as it is. This module must never lock a sender out
//! because the database is older than the node: see [`keys`].

pub mod keys;

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{
    cause::chain,
    settings::{Change, Settings},
    sftp::{
        door,
        keys::{self as authorised, AuthorizedKeys},
    },
    store::{self, Store},
};
use keys::{Plan, Shared};

/// How often the settings are looked at when nobody wakes us.
const PAUSE: Duration = Duration::from_secs(5);

/// Who changed a key that was changed on the command line.
const COMMAND_LINE: &str = "command line";

/// Why a node is not as the settings say.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// The database.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The authorised keys.
    #[error(transparent)]
    Keys(#[from] authorised::Error),
    /// The door cannot be shut or opened.
    #[error("cannot {operation}")]
    Door {
        /// What was to be done.
        operation: &'static str,
        /// Why.
        source: io::Error,
    },
    /// It cannot be noted which keys are shared.
    #[error("cannot use {}", path.display())]
    Shared {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The loop.
#[derive(Debug)]
pub struct Steward {
    store: Store,
    keys: AuthorizedKeys,
    wake: Arc<Notify>,
    clock: fn() -> Timestamp,
}

impl Steward {
    /// Prepares the loop for the endpoint with these keys.
    pub fn new(store: Store, keys: AuthorizedKeys, clock: fn() -> Timestamp) -> Self {
        Self { store, keys, wake: Arc::default(), clock }
    }

    /// To be told that something was set.
    pub fn wake(&self) -> Arc<Notify> {
        Arc::clone(&self.wake)
    }

    /// Runs until it is stopped.
    pub async fn run(self, stop: CancellationToken) {
        let mut trouble = None;
        loop {
            let said = self.turn().await.err().map(|error| match &error {
                // Said by others already.
                Error::Store(error) if error.is_away() => String::new(),
                error => chain(error),
            });
            if let Some(why) =
                said.as_ref().filter(|_| said != trouble).filter(|why| !why.is_empty())
            {
                tracing::warn!("this node is not as the settings say: {why}");
            }
            trouble = said;
            tokio::select! {
                () = self.wake.notified() => {}
                () = tokio::time::sleep(PAUSE) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    async fn turn(&self) -> Result<(), Error> {
        let settings = self.store.settings().await?;
        self.switch(settings.off)?;
        self.share(settings).await
    }

    /// Shuts the endpoint's door, or opens it.
    fn switch(&self, off: bool) -> Result<(), Error> {
        let operation = if off { "refuse uploads" } else { "let uploads in" };
        let failed = |source| Error::Door { operation, source };
        if door::switch(&self.keys, off).map_err(failed)? {
            let said = if off {
                "Retention is off: the endpoint refuses uploads"
            } else {
                "Retention is on: the endpoint takes uploads"
            };
            tracing::info!("{said}");
        }
        Ok(())
    }

    /// Brings the authorised keys of this node and those of all together.
    async fn share(&self, settings: Settings) -> Result<(), Error> {
        let now = (self.clock)();
        let path = self.keys.path().with_file_name("shared-keys");
        let failed = |source| Error::Shared { path: path.clone(), source };
        let shared = Shared::read(&path).map_err(failed)?;
        let here = self.keys.list()?.keys;
        let plan = Plan::new(&shared.known_by(&settings), &here, &settings.sftp_keys, now);
        for key in &plan.add_here {
            self.keys.add(&key.line)?;
            tracing::info!("{} may upload now; it was added by {}", key.fingerprint, key.added.by);
        }
        for fingerprint in &plan.remove_here {
            self.keys.remove(fingerprint)?;
            tracing::info!("{fingerprint} may not upload any more");
        }
        let mut revision = settings.revision;
        if plan.changes_all() {
            let by = Change { at: now, by: COMMAND_LINE.to_owned() };
            let next = plan.applied(settings, &by);
            revision = next.revision;
            if !self.store.change_settings(&next).await? {
                // Somebody else was quicker. What they say is looked at in a moment.
                self.wake.notify_one();
                return Ok(());
            }
        }
        let now_here = self.keys.list()?.keys;
        let fingerprints = now_here.into_iter().filter(|key| !key.is_trial());
        let next = Shared { revision, keys: fingerprints.map(|key| key.fingerprint).collect() };
        if next != shared {
            next.write(&path).map_err(failed)?;
        }
        Ok(())
    }
}
