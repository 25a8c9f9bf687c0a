//! Silences: what nobody wants to hear of for a while. Each has an end.

use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Error;
use crate::health::check::{Check, Kind, UnknownKind};

/// How long a silence may be at most, in days.
const LONGEST_DAYS: i64 = 90;

/// A silence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// A check (`disk-space:/`), or all of a kind (`disk-space`).
    pub what: String,
    /// When it ends.
    pub until: Timestamp,
}

/// What is wrong with a silence that was asked for.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such check.
    #[error(transparent)]
    Kind(#[from] UnknownKind),
    /// The length makes no sense.
    #[error("{0:?} is no length of time; write 30m, 2h, 3d or 1w, and at most 90d")]
    Length(String),
}

#[derive(Default, Serialize, Deserialize)]
struct Silences {
    silences: Vec<Silence>,
}

/// Whether a silence covers the check now.
pub fn covers(silences: &[Silence], check: &Check, now: Timestamp) -> bool {
    let named = |what: &str| what == check.key() || what == check.kind.as_str();
    silences.iter().any(|silence| silence.until > now && named(&silence.what))
}

/// The silences that were laid down, those that have ended among them.
pub fn read(directory: &Path) -> Result<Vec<Silence>, Error> {
    Ok(super::read::<Silences>(&path(directory))?.unwrap_or_default().silences)
}

/// Lays down a silence, in place of one of the same name.
pub fn add(directory: &Path, silence: Silence, now: Timestamp) -> Result<(), Error> {
    let mut silences = read(directory)?;
    silences.retain(|old| old.until > now && old.what != silence.what);
    silences.push(silence);
    super::make(directory)?;
    super::write(&path(directory), &Silences { silences })
}

/// Ends a silence. Returns whether there was one.
pub fn remove(directory: &Path, what: &str) -> Result<bool, Error> {
    let mut silences = read(directory)?;
    let before = silences.len();
    silences.retain(|silence| silence.what != what);
    let found = silences.len() < before;
    if found {
        super::write(&path(directory), &Silences { silences })?;
    }
    Ok(found)
}

impl Silence {
    /// A silence as somebody asks for it: of `what`, for `length`, from `now` on.
    pub fn parse(what: &str, length: &str, now: Timestamp) -> Result<Self, Refusal> {
        let kind = what.split(':').next().unwrap_or_default();
        kind.parse::<Kind>()?;
        let wrong = || Refusal::Length(length.to_owned());
        let lasting = parse_length(length).ok_or_else(wrong)?;
        let until = now.checked_add(lasting).map_err(|_| wrong())?;
        Ok(Self { what: what.to_owned(), until })
    }
}

fn parse_length(text: &str) -> Option<SignedDuration> {
    let text = text.trim();
    let unit = text.chars().last()?;
    let number: i64 = text.strip_suffix(unit)?.parse().ok()?;
    let minutes = match unit {
        'm' => 1,
        'h' => 60,
        'd' => 24 * 60,
        'w' => 7 * 24 * 60,
        _ => return None,
    };
    let minutes = number.checked_mul(minutes)?;
    (1..=LONGEST_DAYS * 24 * 60).contains(&minutes).then(|| SignedDuration::from_mins(minutes))
}

fn path(directory: &Path) -> PathBuf {
    directory.join("silences.json")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::check::Verdict;

    #[test]
    fn a_silence_covers_a_check_or_a_kind_until_it_ends() {
        let at = |second| Timestamp::from_second(second).expect("a time");
        let check = Verdict::warning("", "").of(Kind::DiskSpace, "/", at(0));
        for (what, now, covered) in [
            ("disk-space", 50, true),
            ("disk-space:/", 50, true),
            ("disk-space:/var", 50, false),
            ("disk-inodes", 50, false),
            ("disk-space", 100, false),
        ] {
            let silence = Silence { what: what.into(), until: at(100) };
            assert_eq!(covers(&[silence], &check, at(now)), covered, "{what} {now}");
        }
    }

    #[test]
    fn silences_are_asked_for_in_words_and_kept() {
        let now = Timestamp::from_second(0).expect("a time");
        for (what, length, seconds) in [
            ("mongodb", "30m", Some(1800)),
            ("disk-space:/srv/x", "2h", Some(7200)),
            ("mongodb", "1w", Some(604_800)),
            ("mongodb", "91d", None),
            ("mongodb", "0h", None),
            ("mongodb", "2", None),
            ("mongo", "2h", None),
        ] {
            let silence = Silence::parse(what, length, now).ok();
            let until = silence.map(|silence| silence.until.as_second());
            assert_eq!(until, seconds, "{what} {length}");
        }
        let scratch = tempfile::tempdir().expect("scratch");
        let directory = scratch.path().join("alerts");
        for length in ["2h", "3h"] {
            let silence = Silence::parse("mongodb", length, now).expect("a silence");
            add(&directory, silence, now).expect("kept");
        }
        assert_eq!(read(&directory).expect("read").len(), 1);
        assert!(remove(&directory, "mongodb").expect("removed"));
        assert!(!remove(&directory, "mongodb").expect("gone"));
    }
}
