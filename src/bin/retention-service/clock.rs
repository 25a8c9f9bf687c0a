//! What time it is: the machine's, or a simulated time that stands still until it is set.
//!
//! Only this module reads the clock. A simulated time survives a restart, and never goes back:
//! what was done at a later hour would be done again.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Mutex,
};

use jiff::{SignedDuration, Timestamp, Unit, tz::TimeZone};
use retention::files;

/// What went wrong with the clock.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The simulated time is kept in a file.
    #[error("cannot keep the simulated time in {}", path.display())]
    Keep {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is only the machine's time.
    #[error("the time is not simulated")]
    NotSimulated,
    /// Time goes on.
    #[error("it is {now} already")]
    Past {
        /// What time it is.
        now: Timestamp,
    },
}

/// A clock.
#[derive(Debug)]
pub(crate) struct Clock {
    simulated: Option<(PathBuf, Mutex<Timestamp>)>,
}

impl Clock {
    /// The machine's.
    pub(crate) fn machine() -> Self {
        Self { simulated: None }
    }

    /// A simulated one, that goes on with the time that is kept in `path`, else begins now.
    pub(crate) fn simulated(path: &Path) -> Result<Self, Error> {
        let kept = fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok());
        let second = Timestamp::now().round(Unit::Second).unwrap_or(Timestamp::UNIX_EPOCH);
        let now = kept.unwrap_or(second);
        keep(path, now)?;
        Ok(Self { simulated: Some((path.to_owned(), Mutex::new(now))) })
    }

    /// What time it is.
    pub(crate) fn now(&self) -> Timestamp {
        match &self.simulated {
            Some((_, now)) => *now.lock().unwrap_or_else(std::sync::PoisonError::into_inner),
            None => Timestamp::now(),
        }
    }

    /// Whether it is set from outside.
    pub(crate) fn is_simulated(&self) -> bool {
        self.simulated.is_some()
    }

    /// Sets a simulated time.
    pub(crate) fn set(&self, time: Timestamp) -> Result<(), Error> {
        let (path, now) = self.simulated.as_ref().ok_or(Error::NotSimulated)?;
        let mut now = now.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if time < *now {
            return Err(Error::Past { now: *now });
        }
        keep(path, time)?;
        *now = time;
        Ok(())
    }
}

fn keep(path: &Path, time: Timestamp) -> Result<(), Error> {
    files::write_whole(path, time.to_string().as_bytes(), 0o600)
        .map_err(|source| Error::Keep { path: path.to_owned(), source })
}

/// The last time at or before `now` that is this hour of a day in UTC.
pub(crate) fn last_due(now: Timestamp, hour: u8) -> Timestamp {
    let hour = i8::try_from(hour.min(23)).unwrap_or(0);
    let today = now.to_zoned(TimeZone::UTC).date().at(hour, 0, 0, 0);
    let today = today.to_zoned(TimeZone::UTC).map_or(now, |due| due.timestamp());
    if today <= now { today } else { today - SignedDuration::from_hours(24) }
}

/// The next time after `now` that is this hour of a day in UTC.
pub(crate) fn next_due(now: Timestamp, hour: u8) -> Timestamp {
    last_due(now, hour) + SignedDuration::from_hours(24)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn the_hour_of_a_day_is_found_before_and_after() {
        for (now, hour, last, next) in [
            ("2026-11-24T02:00:00Z", 2, "2026-11-24T02:00:00Z", "2026-11-25T02:00:00Z"),
            ("2026-11-24T01:59:59.9Z", 2, "2026-11-23T02:00:00Z", "2026-11-24T02:00:00Z"),
            ("2026-11-24T02:00:01Z", 2, "2026-11-24T02:00:00Z", "2026-11-25T02:00:00Z"),
            ("2024-02-29T00:30:00Z", 23, "2024-02-28T23:00:00Z", "2024-02-29T23:00:00Z"),
            ("2026-12-31T23:10:00Z", 0, "2026-12-31T00:00:00Z", "2027-01-01T00:00:00Z"),
        ] {
            assert_eq!(last_due(time(now), hour), time(last), "{now} {hour}");
            assert_eq!(next_due(time(now), hour), time(next), "{now} {hour}");
        }
    }

    #[test]
    fn a_simulated_time_stands_still_is_kept_and_never_goes_back() {
        let scratch = tempfile::tempdir().expect("scratch");
        let path = scratch.path().join("clock");
        let clock = Clock::simulated(&path).expect("a clock");
        let later = clock.now() + SignedDuration::from_hours(48);
        clock.set(later).expect("later");
        assert!(matches!(clock.set(later - SignedDuration::from_secs(1)), Err(Error::Past { .. })));
        assert_eq!(Clock::simulated(&path).expect("again").now(), later);
        assert!(matches!(Clock::machine().set(later), Err(Error::NotSimulated)));
    }
}
