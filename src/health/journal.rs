//! What the loop notes, and what others read: since when each check is as it is, and the last report.
//!
//! Below `STATE/health`: `since.json`, `report.json`, and the files of [`super::history`]. Each is
//! written whole and has the version of its format in it. A file that cannot be read, or is of a
//! later version, is as good as none: nothing depends on these notes but the comfort of people.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    Report,
    check::{Check, State},
};
use crate::files;

pub use crate::files::Failed as Error;

/// The version of the files.
const VERSION: u32 = 1;

/// Permissions of the files: they name backups, and are for root.
const MODE: u32 = 0o600;

/// Since when each check is as it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Since {
    /// Since when the appliance is watched.
    pub watching: Option<Timestamp>,
    checks: BTreeMap<String, (State, Timestamp)>,
}

#[derive(Serialize, Deserialize)]
struct Noted<T> {
    version: u32,
    #[serde(flatten)]
    noted: T,
}

#[derive(Serialize, Deserialize)]
struct Last {
    report: Report,
}

/// Where the notes are, below the appliance's state.
pub fn directory(state: &Path) -> PathBuf {
    state.join("health")
}

impl Since {
    /// Reads what was noted.
    pub fn read(directory: &Path) -> Self {
        read(&directory.join("since.json")).unwrap_or_default()
    }

    /// Notes it.
    pub fn write(&self, directory: &Path) -> Result<(), Error> {
        write(&directory.join("since.json"), self)
    }

    /// Sets of each check since when it is so, and forgets the checks that are gone. Returns
    /// whether anything is new.
    pub fn apply(&mut self, checks: &mut [Check], now: Timestamp) -> bool {
        let before = std::mem::take(&mut self.checks);
        for check in checks {
            let key = check.key();
            // A clock that was set back has made the future the past.
            let since =
                before.get(&key).filter(|(state, since)| *state == check.state && *since <= now);
            check.since = since.map_or(now, |(_, since)| *since);
            self.checks.insert(key, (check.state, check.since));
        }
        self.checks != before
    }
}

/// Notes the last report.
pub fn write_report(directory: &Path, report: &Report) -> Result<(), Error> {
    write(&directory.join("report.json"), &Last { report: report.clone() })
}

/// The last report, if there is one.
pub fn read_report(directory: &Path) -> Option<Report> {
    read::<Last>(&directory.join("report.json")).map(|last| last.report)
}

fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    let text = fs::read(path).ok()?;
    match serde_json::from_slice::<Noted<T>>(&text) {
        Ok(Noted { version: VERSION, noted }) => Some(noted),
        Ok(Noted { version, .. }) => {
            tracing::debug!(path = %path.display(), version, "a note of a later version");
            None
        }
        Err(error) => {
            tracing::warn!(path = %path.display(), "{} cannot be read and is made anew: {error}", path.display());
            None
        }
    }
}

fn write<T: Serialize>(path: &Path, noted: &T) -> Result<(), Error> {
    let failed = |source| Error { operation: "write", path: path.to_owned(), source };
    let text = serde_json::to_vec(&Noted { version: VERSION, noted })
        .map_err(|error| failed(error.into()))?;
    files::write_whole(path, &text, MODE).map_err(failed)
}

/// Makes the directory of the notes.
pub fn prepare(directory: &Path) -> Result<(), Error> {
    use std::os::unix::fs::DirBuilderExt;
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
    made.map_err(|source| Error { operation: "make", path: directory.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::{
        super::check::{Kind, Verdict},
        *,
    };

    #[test]
    fn a_check_is_as_it_is_since_it_changed_also_after_a_restart() {
        let scratch = tempfile::tempdir().expect("scratch");
        let at = |second| Timestamp::from_second(second).expect("a time");
        let mut since = Since::default();
        for (now, verdict, expected) in [
            (10, Verdict::ok("a"), 10),
            (20, Verdict::ok("b"), 10),
            (30, Verdict::warning("c", "d"), 30),
            (40, Verdict::warning("e", "f"), 30),
            (25, Verdict::warning("the clock was set back", ""), 25),
            (50, Verdict::ok("a"), 50),
        ] {
            let mut checks = vec![verdict.of(Kind::DiskSpace, "/", at(now))];
            since.apply(&mut checks, at(now));
            assert_eq!(checks[0].since, at(expected), "{now}");
            since.write(scratch.path()).expect("written");
            since = Since::read(scratch.path());
        }
        fs::write(scratch.path().join("since.json"), "{\"version\":2,\"checks\":{}}")
            .expect("written");
        assert_eq!(Since::read(scratch.path()), Since::default());
    }
}
