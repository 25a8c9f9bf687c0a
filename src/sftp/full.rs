//! The note that MongoDB's own disk is short, by which the door is shut.
//!
//! Only MongoDB knows how full its disk is, and only the daemon asks it. So the daemon leaves a note
//! beside the authorised keys, and renews it with each look:
//!
//! ```text
//! sftp-server/full      2026-05-01T02:04:00Z      until when it counts
//! ```
//!
//! This module must never let a note shut anybody out for longer than [`LONGEST`]: a daemon that has
//! ended renews nothing, and removes nothing either.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use jiff::{SignedDuration, Timestamp};

use crate::files::Failed;

/// Beside the authorised keys.
const FILE: &str = "full";

/// How long a note counts beyond the next two looks.
const MARGIN: SignedDuration = SignedDuration::from_secs(120);

/// How far ahead of now a note may reach and still be believed: what reaches further was written by
/// a clock that has been set back since.
const LONGEST: SignedDuration = SignedDuration::from_secs(3 * 3600);

/// Notes that MongoDB's disk is short, if it is looked at each `interval_seconds`.
pub(super) fn note(directory: &Path, now: Timestamp, interval_seconds: u64) -> Result<(), Failed> {
    let path = directory.join(FILE);
    let looks = SignedDuration::from_secs(i64::try_from(interval_seconds).unwrap_or(i64::MAX));
    let until = now + (looks.saturating_mul(2).saturating_add(MARGIN)).min(LONGEST);
    super::write_readable(&path, &format!("{until}\n")).map_err(failed("write", path))
}

/// Removes the note, if there is one.
pub(super) fn remove(directory: &Path) -> Result<(), Failed> {
    let path = directory.join(FILE);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Whether there is a note that counts. One that cannot be read does not.
pub(super) fn counts(directory: &Path, now: Timestamp) -> bool {
    let read = fs::read_to_string(directory.join(FILE));
    let until = read.ok().and_then(|text| text.trim().parse::<Timestamp>().ok());
    until.is_some_and(|until| now <= until && until.duration_since(now) <= LONGEST)
}

fn failed(operation: &'static str, path: PathBuf) -> impl FnOnce(io::Error) -> Failed {
    move |source| Failed { operation, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_counts_until_its_time_and_no_stale_one_shuts_anybody_out() {
        let scratch = tempfile::tempdir().expect("scratch");
        let directory = scratch.path();
        let at = |second: i64| Timestamp::from_second(1_800_000_000 + second).expect("a time");
        assert!(!counts(directory, at(0)), "there is none");
        for (interval, later, expected) in [
            (60, 0, true),
            (60, 240, true),
            (60, 241, false),
            (3600, 7320, true),
            (3600, 7321, false),
            // The clock was set back by a day.
            (60, -86_400, false),
            (60, -600, true),
        ] {
            note(directory, at(0), interval).expect("written");
            assert_eq!(counts(directory, at(later)), expected, "{interval} {later}");
        }
        fs::write(directory.join(FILE), "soon").expect("written");
        assert!(!counts(directory, at(0)), "it says no time");
        note(directory, at(0), 60).expect("written");
        remove(directory).expect("removed");
        remove(directory).expect("nothing is left to remove");
        assert!(!counts(directory, at(0)));
    }
}
