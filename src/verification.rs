//! Is what is stored still what was received? Held against its receipt again and again, for years.
//!
//! ```text
//! Verification (a loop) ─▶ retention receipt verify UPLOAD     a process of its own, lowest priority
//!        │                          │
//!        ▼                          ▼
//!      store: what is due?       reads archive, media and receipt; writes down what came of it
//! ```
//!
//! One loop, at work while intake is [idle](crate::idle), looks which stored backup is due and was
//! checked longest ago, and has that one checked. A backup of which ours is the only copy is due more
//! often. When intake is at work again, the process stands still. Killed at any point, the same backup
//! is due still.
//!
//! A statement names every entry of a backup, and is too large for the daemon's own memory: that is
//! why a process does it, the very command that an administrator has. This module must never change
//! a backup, and never take trouble of our own for data that was changed.

use std::{io, path::PathBuf, pin::pin, process::Stdio};

use jiff::{SignedDuration, Timestamp};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::process::Command;

use crate::{
    backup::{DirectoryId, UploadId},
    cause::chain,
    idle::{self, Idle, Work},
    store::{self, Store, backups::Backup, verification::Due},
};

/// After how long a backup is checked again that was not as it was received. An administrator who
/// has mended it need not wait for that: `retention receipt verify` writes down the same.
const DIFFERING: SignedDuration = SignedDuration::from_hours(24);

/// How many missed checks make a backup overdue.
const OVERDUE: u16 = 2;

/// How the command is called, before the upload.
const COMMAND: [&str; 4] = ["receipt", "verify", "--alone", "--idle"];

/// How the process ends when it could check: all is well, or something differs.
const CHECKED: [i32; 2] = [0, 1];

/// Why a backup was not checked. None of it is about the backup.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The process could not be started, or waited for.
    #[error("cannot run the process that checks")]
    Run(#[source] io::Error),
    /// It ended without having checked.
    #[error("the process that checks gave up: {said}")]
    GaveUp {
        /// What it said.
        said: String,
    },
    /// The work is to end.
    #[error(transparent)]
    Stopped(#[from] idle::Stopped),
}

impl idle::Trouble for Error {
    fn is_stopped(&self) -> bool {
        matches!(self, Self::Stopped(_))
    }

    fn is_away(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_away())
    }
}

/// What the loop goes by.
#[derive(Clone, Debug)]
pub struct Settings {
    /// This program.
    pub program: PathBuf,
    /// Its configuration.
    pub config: PathBuf,
    /// Which state directory this is: files in others cannot be looked at.
    pub directory: DirectoryId,
    /// How often backups are checked.
    pub periods: Periods,
    /// What time it is.
    pub clock: fn() -> Timestamp,
}

/// How often stored backups are checked again, in days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Periods {
    /// Those of which ours is the only copy.
    pub only_copies_days: u16,
    /// All others.
    pub others_days: u16,
}

impl Periods {
    /// What is due at a time.
    pub fn due(self, now: Timestamp) -> Due {
        Due {
            only_copy: now - days(self.only_copies_days),
            other: now - days(self.others_days),
            differing: now - DIFFERING,
        }
    }

    /// What should have been checked long before a time.
    pub fn overdue(self, now: Timestamp) -> Due {
        Due {
            only_copy: now - days(self.only_copies_days * OVERDUE),
            other: now - days(self.others_days * OVERDUE),
            differing: now - days(self.only_copies_days * OVERDUE),
        }
    }
}

fn days(days: u16) -> SignedDuration {
    SignedDuration::from_hours(24 * i64::from(days))
}

/// The loop.
pub struct Verification {
    settings: Settings,
    store: Store,
    idle: Idle,
}

impl Verification {
    /// Prepares the loop.
    pub fn new(settings: Settings, store: Store, idle: Idle) -> Self {
        Self { settings, store, idle }
    }

    /// Runs until it is stopped.
    pub async fn run(self) {
        self.idle.clone().run(&self).await;
    }

    /// Checks one backup, in a process that writes down what it finds.
    async fn verify(&self, backup: &Backup) -> Result<(), Error> {
        let child = Command::new(&self.settings.program)
            .arg0("retention")
            .arg("--config")
            .arg(&self.settings.config)
            .args(COMMAND)
            .arg(backup.upload.as_str())
            .env_remove("NOTIFY_SOCKET")
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(Error::Run)?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw);
        let mut intake_works = self.idle.intake_works();
        let mut ending = pin!(child.wait_with_output());
        let ended = loop {
            // Intake goes first. Where the process has ended meanwhile, nobody is signalled: until it
            // is waited for, its number is nobody else's.
            let signal = match *intake_works.borrow_and_update() {
                true => Signal::SIGSTOP,
                false => Signal::SIGCONT,
            };
            if let Some(pid) = pid {
                let _ = kill(pid, signal);
            }
            tokio::select! {
                ended = &mut ending => break ended.map_err(Error::Run)?,
                woken = intake_works.changed() => if woken.is_err() { return Err(idle::Stopped.into()) },
                () = self.idle.stop().cancelled() => return Err(idle::Stopped.into()),
            }
        };
        if ended.status.code().is_some_and(|code| CHECKED.contains(&code)) {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&ended.stderr);
        let last = said.lines().rfind(|line| !line.trim().is_empty());
        let said = last.map_or_else(|| ended.status.to_string(), str::to_owned);
        Err(Error::GaveUp { said })
    }

    /// Says what was written down.
    async fn say(&self, before: &Backup) -> Result<(), Error> {
        let Some(backup) = self.store.backup(&before.upload).await? else { return Ok(()) };
        let found = backup.verified.filter(|found| Some(found) != before.verified.as_ref());
        let Some(found) = found else {
            return Err(Error::GaveUp { said: "it wrote nothing down".to_owned() });
        };
        let (job, upload, said) = (&backup.job, &backup.upload, found.sentence());
        if found.is_ok() {
            tracing::info!(%job, %upload, "{} was checked again, and is as it was received", backup.file);
        } else {
            tracing::error!(%job, %upload, "{}: {said}", backup.file);
        }
        Ok(())
    }
}

impl Work for Verification {
    type Error = Error;
    const WHAT: &'static str = "look which backups are to be checked again";

    /// Has whatever is due checked, one after the other.
    async fn look(&self) -> Result<(), Error> {
        // One that cannot be checked must not hold up the others; it is tried at the next look.
        let mut given_up: Vec<UploadId> = Vec::new();
        loop {
            self.idle.rest().await?;
            let due = self.settings.periods.due((self.settings.clock)());
            let own = &self.settings.directory;
            let Some(backup) = self.store.backup_to_verify(own, due, &given_up).await? else {
                return Ok(());
            };
            match self.verify(&backup).await {
                Ok(()) => self.say(&backup).await?,
                Err(Error::Stopped(stopped)) => return Err(stopped.into()),
                Err(error) => {
                    tracing::warn!(job = %backup.job, upload = %backup.upload, "cannot check {} again; trying later: {}", backup.file, chain(&error));
                    given_up.push(backup.upload);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_copies_are_due_sooner_and_what_differs_the_next_day() {
        let now: Timestamp = "2026-05-31T00:00:00Z".parse().expect("a time");
        let periods = Periods { only_copies_days: 7, others_days: 30 };
        let day = |time: Timestamp| time.to_string()[..10].to_owned();
        let due = periods.due(now);
        assert_eq!(
            [due.differing, due.only_copy, due.other].map(day),
            ["2026-05-30", "2026-05-24", "2026-05-01"]
        );
        let overdue = periods.overdue(now);
        assert_eq!(
            [overdue.differing, overdue.only_copy, overdue.other].map(day),
            ["2026-05-17", "2026-05-17", "2026-04-01"]
        );
    }
}
