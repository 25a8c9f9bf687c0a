//! How a backup compares with those before it: far fewer of something than usual is worth a look
//! before anything is deleted.
//!
//! What is usual is computed from backups that are stored; where there are too few of them, nothing
//! is said to be unusual.

use std::collections::BTreeSet;

use super::Progress;

/// How many earlier backups say what is usual.
pub const LIKE: usize = 10;
/// Fewer of them say nothing.
const FEWEST: usize = 3;
/// What is so many times less than the least, or more than the most, is far off.
const FAR: u64 = 2;
/// A difference of fewer than so many is no difference.
const SLIGHT: u64 = 10;

/// How far something is from what is usual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Off {
    /// There is none, and each of the backups before had some.
    None,
    /// Less than half of the least that those before had.
    FarFewer,
    /// More than twice the most that those before had.
    FarMore,
}

impl Off {
    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            Self::None => "none, and there always were some",
            Self::FarFewer => "far fewer than usual",
            Self::FarMore => "far more than usual",
        }
    }
}

/// A number beside those of the backups before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compared {
    /// That of this backup.
    pub here: u64,
    /// That of the one before it.
    pub before: Option<u64>,
    /// The median of those before it.
    pub median: Option<u64>,
    /// Whether it is far off.
    pub off: Option<Off>,
}

impl Compared {
    /// Compares a number with those before it, the newest first.
    pub fn new(here: u64, before: &[u64]) -> Self {
        let before = &before[..before.len().min(LIKE)];
        Self {
            here,
            before: before.first().copied(),
            median: median(before),
            off: off(here, before),
        }
    }
}

/// The names of all datasets of which this backup or one of those before it has records, with their
/// numbers compared.
pub fn records<'a>(here: &'a Progress, before: &'a [Progress]) -> Vec<(&'a str, Compared)> {
    let all = before.iter().chain([here]);
    let names: BTreeSet<&str> =
        all.flat_map(|progress| progress.records.keys().map(String::as_str)).collect();
    let of = |progress: &Progress, name: &str| progress.records.get(name).copied().unwrap_or(0);
    let compared = names.into_iter().map(|name| {
        let earlier: Vec<u64> = before.iter().map(|progress| of(progress, name)).collect();
        (name, Compared::new(of(here, name), &earlier))
    });
    compared.collect()
}

/// What is usual of some numbers; nothing where there are too few of them.
pub fn usual(numbers: &[u64]) -> Option<u64> {
    median(numbers).filter(|_| numbers.len() >= FEWEST)
}

fn off(here: u64, before: &[u64]) -> Option<Off> {
    if before.len() < FEWEST {
        return None;
    }
    let (least, most) = (*before.iter().min()?, *before.iter().max()?);
    if here == 0 && least > 0 {
        Some(Off::None)
    } else if here < least / FAR && least - here >= SLIGHT {
        Some(Off::FarFewer)
    } else if here > most.saturating_mul(FAR) && here - most >= SLIGHT {
        Some(Off::FarMore)
    } else {
        None
    }
}

/// The middle one; of an even number, the mean of the middle two.
fn median(numbers: &[u64]) -> Option<u64> {
    let mut numbers = numbers.to_vec();
    numbers.sort_unstable();
    let upper = *numbers.get(numbers.len() / 2)?;
    if !numbers.len().is_multiple_of(2) {
        return Some(upper);
    }
    let lower = numbers[numbers.len() / 2 - 1];
    Some(lower + (upper - lower) / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_far_off_is_told_from_what_comes_and_goes() {
        for (here, before, off, median) in [
            (0, &[][..], None, None),
            (0, &[500, 500], None, Some(500)),
            (0, &[500, 400, 300], Some(Off::None), Some(400)),
            (0, &[5, 4, 0], None, Some(4)),
            (149, &[500, 300, 400], Some(Off::FarFewer), Some(400)),
            (150, &[500, 300, 400], None, Some(400)),
            // A weekend among those before: another one is nothing remarkable.
            (40, &[500, 60, 70, 500, 500, 500], None, Some(500)),
            (1001, &[500, 300, 400, 100], Some(Off::FarMore), Some(350)),
            (1000, &[500, 300, 400, 100], None, Some(350)),
            // Of a few, one more or less is much, and says nothing.
            (1, &[8, 6, 7], None, Some(7)),
            (9, &[0, 0, 0], None, Some(0)),
            (10, &[0, 0, 0], Some(Off::FarMore), Some(0)),
        ] {
            let compared = Compared::new(here, before);
            assert_eq!((compared.off, compared.median), (off, median), "{here} {before:?}");
            assert_eq!(compared.before, before.first().copied());
        }
    }

    #[test]
    fn only_the_last_ten_say_what_is_usual() {
        let mut before = vec![100; LIKE];
        before.extend([1; 50]);
        assert_eq!(Compared::new(30, &before).off, Some(Off::FarFewer));
        assert_eq!(Compared::new(30, &before).median, Some(100));
        assert_eq!((usual(&[7, 9]), usual(&[7, 9, 8])), (None, Some(8)));
    }

    #[test]
    fn a_dataset_that_is_missing_is_named_all_the_same() {
        let progress = |records: &[(&str, u64)]| Progress {
            records: records.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect(),
            ..Progress::default()
        };
        let here = progress(&[("call", 20)]);
        let before = [progress(&[("call", 20), ("message", 7)]), progress(&[("message", 8)])];
        let compared = records(&here, &before);
        let found: Vec<_> = compared.iter().map(|(name, c)| (*name, c.here, c.before)).collect();
        assert_eq!(found, [("call", 20, Some(20)), ("message", 0, Some(7))]);
    }
}
