//! Learning from the service: its schedule, and what its own Backup Log says.
//!
//! The log is read from its newest backups on, and then only what changed. What was read is written to
//! the store, where every part of every node finds it.

use jiff::{SignedDuration, Timestamp};

use super::client::{self, Client};
use crate::{
    backup::cloud::{CloudBackup, CloudLog, KEPT},
    cause::chain,
    store::{self, Store},
};

/// How old what is in the store may become while nothing changes.
const FRESH: SignedDuration = SignedDuration::from_secs(25);

/// How often the service may have more to tell at once.
const PARTS: usize = 10;

/// What was learnt, and up to where the service's log was read.
#[derive(Debug, Default)]
pub(super) struct Learning {
    log: CloudLog,
    /// Nothing before the log was read.
    revision: Option<u64>,
    /// What changed when it was asked last, also of backups that are too old to be held.
    changed: Vec<CloudBackup>,
    /// As it was in the store when we looked last; nothing before that.
    noted: Option<CloudLog>,
}

impl Learning {
    /// What was learnt.
    pub(super) fn log(&self) -> &CloudLog {
        &self.log
    }

    /// Every backup that something is known of now: those that are held, and what has just changed.
    pub(super) fn backups(&self) -> impl Iterator<Item = &CloudBackup> {
        self.log.backups.iter().chain(&self.changed)
    }

    /// Asks what is new.
    pub(super) async fn ask(
        &mut self,
        client: &Client,
        now: Timestamp,
    ) -> Result<(), client::Error> {
        self.changed.clear();
        let service = client.service().await?;
        match self.revision {
            Some(since) if since <= service.revision => {
                if since < service.revision && !self.ask_changes(client, since, now).await? {
                    self.begin_anew(client, now).await?;
                }
            }
            _ => self.begin_anew(client, now).await?,
        }
        self.log.next_backup = service.next_backup;
        self.log.read = now;
        Ok(())
    }

    /// Returns false if the service has another log than it had.
    async fn ask_changes(
        &mut self,
        client: &Client,
        mut since: u64,
        now: Timestamp,
    ) -> Result<bool, client::Error> {
        for _ in 0..PARTS {
            let Some(changes) = client.changes(since).await? else { return Ok(false) };
            self.changed.extend(changes.backups.iter().cloned());
            self.log.take_in(changes.backups, now);
            since = changes.revision;
            self.revision = Some(since);
            if !changes.more {
                break;
            }
        }
        Ok(true)
    }

    async fn begin_anew(&mut self, client: &Client, now: Timestamp) -> Result<(), client::Error> {
        let newest = client.newest_backups(KEPT).await?;
        self.log.begin_anew(newest.backups, now);
        self.revision = Some(newest.revision);
        Ok(())
    }

    /// Writes down what was learnt, and why nothing could be, if so. Another node may have learnt more.
    pub(super) async fn note(
        &mut self,
        store: &Store,
        trouble: Option<String>,
    ) -> Result<(), store::Error> {
        self.log.trouble = trouble;
        // What is not known of before must not be written over.
        let Some(noted) = &self.noted else { return Ok(()) };
        if is_told(noted, &self.log) {
            return Ok(());
        }
        if let Some(there) = store.cloud_log().await? {
            self.log.agree_with(&there);
            if there.read > self.log.read {
                self.noted = Some(self.log.clone());
                return Ok(());
            }
        }
        store.note_cloud_log(&self.log).await?;
        self.noted = Some(self.log.clone());
        Ok(())
    }

    /// Takes up what was learnt before this program was started.
    pub(super) async fn take_up(&mut self, store: &Store) -> Result<(), store::Error> {
        if self.noted.is_some() {
            return Ok(());
        }
        let known = match store.cloud_log().await {
            Err(error @ store::Error::Unreadable { .. }) => {
                tracing::warn!("what maaiiconnect's log was is learnt anew: {}", chain(&error));
                None
            }
            known => known?,
        };
        self.log = known.unwrap_or_default();
        self.noted = Some(self.log.clone());
        Ok(())
    }
}

/// Whether the store tells all of it: what is new, or that nothing is.
fn is_told(noted: &CloudLog, log: &CloudLog) -> bool {
    let is_fresh = log.read.duration_since(noted.read) < FRESH;
    is_fresh && CloudLog { read: log.read, ..noted.clone() } == *log
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_new_is_written_down_and_that_nothing_is_now_and_then() {
        let at = Timestamp::from_second;
        let noted = CloudLog { read: at(100).expect("a time"), ..CloudLog::default() };
        for (seconds, trouble, told) in
            [(100, None, true), (124, None, true), (125, None, false), (101, Some("Away."), false)]
        {
            let read = at(seconds).expect("a time");
            let log = CloudLog { read, trouble: trouble.map(str::to_owned), ..noted.clone() };
            assert_eq!(is_told(&noted, &log), told, "{seconds} {trouble:?}");
        }
    }
}
