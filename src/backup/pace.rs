//! How fast bytes come, by what was seen over the last seconds.
//!
//! Whoever looks says when it looked; nothing here knows the time by itself. What has not been seen
//! often enough has no pace, and none is made up.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
};

use jiff::Timestamp;

/// Over how long a pace is measured, in milliseconds.
const WINDOW_MILLIS: i64 = 10_000;
/// What was seen longer ago says nothing of now, even if nothing was seen since.
const FORGOTTEN_MILLIS: i64 = 60_000;
/// Looks that follow each other faster count as one.
const SPACING_MILLIS: i64 = 800;
/// Over less than this nothing is measured.
const SHORTEST_MILLIS: i64 = 800;

/// The paces of several things, by name.
#[derive(Debug)]
pub struct Paces<K>(HashMap<K, Pace>);

/// The pace of one thing that grows.
#[derive(Debug, Default)]
pub struct Pace {
    seen: VecDeque<(Timestamp, u64)>,
}

impl<K> Default for Paces<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash> Paces<K> {
    /// Notes how many bytes there are of each thing now. Things that are not named are forgotten.
    pub fn note(&mut self, at: Timestamp, things: impl IntoIterator<Item = (K, u64)>) {
        let mut known = std::mem::take(&mut self.0);
        for (name, bytes) in things {
            let mut pace = known.remove(&name).unwrap_or_default();
            pace.note(at, bytes);
            self.0.insert(name, pace);
        }
    }

    /// How many bytes a second come of a thing; nothing while that is not known.
    pub fn bytes_per_second(&self, name: &K) -> Option<u64> {
        self.0.get(name)?.bytes_per_second()
    }
}

impl Pace {
    /// Notes how many bytes there are now.
    pub fn note(&mut self, at: Timestamp, bytes: u64) {
        // Fewer bytes than before: it was begun anew. An earlier time: the clock was set.
        if self.seen.back().is_some_and(|(last, most)| *most > bytes || *last > at) {
            self.seen.clear();
        }
        let before = self.seen.len().checked_sub(2).and_then(|index| self.seen.get(index));
        if before.is_some_and(|(before, _)| millis(*before, at) < SPACING_MILLIS) {
            self.seen.pop_back();
        }
        self.seen.push_back((at, bytes));
        while self.seen.get(1).is_some_and(|(next, _)| millis(*next, at) >= WINDOW_MILLIS)
            || self.seen.front().is_some_and(|(first, _)| millis(*first, at) > FORGOTTEN_MILLIS)
        {
            self.seen.pop_front();
        }
    }

    /// How many bytes a second came; nothing while that is not known.
    pub fn bytes_per_second(&self) -> Option<u64> {
        let ((first, from), (last, to)) = (self.seen.front()?, self.seen.back()?);
        let millis = millis(*first, *last);
        if millis < SHORTEST_MILLIS {
            return None;
        }
        let per_second = u128::from(to - from) * 1000 / u128::try_from(millis).ok()?;
        u64::try_from(per_second).ok()
    }
}

/// How many seconds the rest takes at this pace; nothing if it does not end.
pub fn seconds_left(bytes_left: u64, bytes_per_second: u64) -> Option<u64> {
    (bytes_per_second > 0).then(|| bytes_left.div_ceil(bytes_per_second))
}

fn millis(from: Timestamp, to: Timestamp) -> i64 {
    to.as_millisecond() - from.as_millisecond()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(millis).expect("a time")
    }

    #[test]
    fn a_pace_is_that_of_the_last_seconds() {
        for (what, seen, expected) in [
            ("nothing was seen", &[][..], None),
            ("one look says nothing", &[(0, 500)], None),
            ("two at once say nothing", &[(0, 0), (300, 900)], None),
            ("a second", &[(0, 0), (1000, 2000)], Some(2000)),
            ("it stands still", &[(0, 700), (1000, 700), (2000, 700)], Some(0)),
            ("it was begun anew", &[(0, 9000), (1000, 100)], None),
            ("it was begun anew and goes on", &[(0, 9000), (1000, 0), (2000, 50)], Some(50)),
            ("the clock was set back", &[(5000, 0), (1000, 100)], None),
            ("nobody looked for minutes", &[(0, 0), (300_000, 9_000_000)], None),
            (
                "what was fast long ago is not fast now",
                &[(0, 0), (1000, 90_000), (12_000, 90_000), (22_000, 90_000)],
                Some(0),
            ),
            (
                "many who look at once change nothing",
                &[(0, 0), (100, 10), (200, 20), (300, 30), (900, 90), (1000, 100)],
                Some(100),
            ),
        ] {
            let mut pace = Pace::default();
            for (millis, bytes) in seen {
                pace.note(at(*millis), *bytes);
            }
            assert_eq!(pace.bytes_per_second(), expected, "{what}");
        }
    }

    #[test]
    fn what_is_gone_is_forgotten() {
        let mut paces = Paces::default();
        paces.note(at(0), [("a", 0), ("b", 0)]);
        paces.note(at(1000), [("a", 10)]);
        paces.note(at(2000), [("a", 20), ("b", 20)]);
        assert_eq!(paces.bytes_per_second(&"a"), Some(10));
        assert_eq!(paces.bytes_per_second(&"b"), None);
        assert_eq!(paces.0.len(), 2);
    }

    #[test]
    fn however_often_somebody_looks_little_is_kept() {
        let mut pace = Pace::default();
        for n in 0..100_000 {
            pace.note(at(n * 10), u64::try_from(n).expect("a count"));
        }
        assert!(pace.seen.len() < 60, "{}", pace.seen.len());
        assert_eq!(pace.bytes_per_second(), Some(100));
    }

    #[test]
    fn the_rest_takes_as_long_as_it_takes() {
        for (left, rate, expected) in
            [(100, 0, None), (0, 5, Some(0)), (100, 50, Some(2)), (101, 50, Some(3))]
        {
            assert_eq!(seconds_left(left, rate), expected);
        }
    }
}
