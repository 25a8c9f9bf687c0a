//! How the appliance is: one report that everybody who asks is given.
//!
//! ```text
//! look (I/O)  -> judge (numbers in, state and sentence out) -> check -> report
//!                                                                        |
//!   `retention status`, the portal's page, /healthz, /readyz, /metrics, alerts
//! ```
//!
//! Each module below looks at one thing and judges it; [`check`] says what a check is, [`watch`]
//! repeats the look, [`history`] and [`journal`] keep what has to be known later. Looks, and
//! changes nothing but its own notes. A part that cannot be asked is reported as such, and never
//! left out. What is asked of a part has a limit in time.

pub mod backups;
pub mod certificates;
pub mod check;
pub mod cloud;
pub mod database;
pub mod disk;
pub mod endpoint;
mod examine;
pub mod history;
pub mod journal;
pub mod machine;
pub mod metrics;
pub mod storage;
pub mod tunnel;
pub mod uploads;
mod vitals;
pub mod watch;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    backup::{BackupName, DirectoryId, UploadId},
    cause::chain,
    verification::Periods,
};
use check::{Check, Kind, State};

pub use endpoint::Endpoint;
pub use examine::Examiner;
pub use machine::Memory;
pub use uploads::Arriving;

/// What is looked after, and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the appliance keeps its state.
    pub state_directory: PathBuf,
    /// Where the endpoint listens.
    pub sftp: SocketAddr,
    /// The endpoint as it was prepared, whose host keys are read anew for each look.
    pub endpoint: crate::sftp::Endpoint,
    /// What was taken in and is neither stored nor rejected, read anew for each look, or why it
    /// cannot be read.
    pub claimed: fn(&Path) -> Result<Vec<Claimed>, String>,
    /// Which state directory it is, read anew for each look; nothing before the daemon has run.
    pub directory: fn(&Path) -> Option<DirectoryId>,
    /// Certificates by the names under which they are shown, with what to do about each.
    pub certificates: Vec<Watched>,
    /// How often stored backups are held against their receipts.
    pub periods: Periods,
    /// Whether there is a connector to maaiiconnect.
    pub connector: bool,
    /// `[health]`.
    pub health: crate::config::Health,
}

/// A certificate to be watched.
#[derive(Clone, Debug)]
pub struct Watched {
    /// `portal`, `mongodb`.
    pub name: &'static str,
    /// The file.
    pub path: PathBuf,
    /// What to do when it runs out.
    pub advice: &'static str,
}

/// The state of the whole appliance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// When it was asked.
    pub at: Timestamp,
    /// Whether nothing is wrong: no check is a warning or critical.
    pub ok: bool,
    /// The checks, in the order of their kinds.
    pub checks: Vec<Check>,
    /// The SFTP endpoint.
    pub sftp: Part<Endpoint>,
    /// The database.
    pub mongodb: Part<crate::store::Server>,
    /// The file system with inbox and archives.
    pub disk: Part<Disk>,
    /// The machine's memory.
    pub memory: Part<Memory>,
    /// What lies in the inbox.
    pub inbox: Part<Vec<Arriving>>,
    /// The newest backups.
    pub backups: Part<Vec<Line>>,
    /// Backups that wait, or were rejected and not uploaded again. While the log cannot
    /// be read, whatever was taken in and lies on the disk.
    pub unresolved: Part<Vec<Line>>,
}

/// An archive that was taken in and lies on our disk.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The upload.
    pub upload: UploadId,
    /// What its file name says.
    pub name: BackupName,
}

/// What a part answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part<T> {
    /// It is there.
    Ok(T),
    /// It is not, and this is why.
    Error(String),
}

impl<T> Part<T> {
    fn new<E: std::error::Error>(answer: Result<T, E>) -> Self {
        match answer {
            Ok(answer) => Self::Ok(answer),
            Err(error) => Self::Error(chain(&error)),
        }
    }

    /// Whether it is there.
    pub fn is_ok(&self) -> bool {
        matches!(self, Self::Ok(_))
    }

    /// The answer, or why there is none.
    pub fn answer(&self) -> Result<&T, &str> {
        match self {
            Self::Ok(answer) => Ok(answer),
            Self::Error(why) => Err(why),
        }
    }
}

/// A file system.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Disk {
    /// How many bytes it has.
    pub total_bytes: u64,
    /// How many of them are free for us.
    pub free_bytes: u64,
}

/// A backup in the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// The job.
    pub job_id: String,
    /// The archive's file name.
    pub file: String,
    /// Its state.
    pub state: String,
    /// Why it was rejected or waits.
    pub reason: Option<String>,
    /// Who has acknowledged its rejection.
    #[serde(default)]
    pub acknowledged_by: Option<String>,
    /// How much is done, from 0 to 100.
    pub percent: u8,
    /// When it became what it is now.
    pub changed: Timestamp,
}

impl Report {
    /// The weightiest state of all checks.
    pub fn worst(&self) -> State {
        check::worst(&self.checks)
    }

    /// The first check of a kind.
    pub fn check(&self, kind: Kind) -> Option<&Check> {
        self.checks.iter().find(|check| check.kind == kind)
    }

    /// Whether backups are taken in and stored, or the sentence of what is in the way.
    pub fn takes_in(&self) -> Result<(), &str> {
        let needed = [Kind::Endpoint, Kind::UploadRoom, Kind::Mongodb];
        let in_the_way =
            |check: &&Check| needed.contains(&check.kind) && check.state == State::Critical;
        match self.checks.iter().find(in_the_way) {
            Some(check) => Err(&check.sentence),
            None => Ok(()),
        }
    }

    /// The same with a further check.
    pub fn with(mut self, check: Check) -> Self {
        self.checks.push(check);
        self.settle();
        self
    }

    /// Puts the checks in order and says whether all is well: a warning is for a quiet hour, unless
    /// a backup is meant, of which nothing must be deleted before it is stored.
    fn settle(&mut self) {
        let place = |kind| Kind::ALL.iter().position(|known| *known == kind);
        self.checks.sort_by(|a, b| (place(a.kind), &a.subject).cmp(&(place(b.kind), &b.subject)));
        let of_a_backup = |kind| matches!(kind, Kind::BackupsRejected | Kind::BackupsWaiting);
        let bad = |check: &Check| match check.state {
            State::Critical => true,
            State::Warning => of_a_backup(check.kind),
            State::Ok | State::Unknown => false,
        };
        self.ok = !self.checks.iter().any(bad);
    }
}
