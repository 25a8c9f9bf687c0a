//! An administrator's word for what does not hold: for all that was wrong then, and for nothing more.

use std::{collections::BTreeMap, fmt};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::point::Point;

/// An administrator's word that holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Word {
    /// What it is for, in a sentence.
    pub found: String,
    /// The account.
    pub by: String,
    /// Why it is all right.
    pub reason: String,
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} Accepted by {}: {}", self.found, self.by, self.reason)
    }
}

/// What does not hold at a point, counted by kind: what an administrator takes responsibility for,
/// and no more than that.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally(BTreeMap<String, u64>);

impl Tally {
    pub(super) fn of<K: Into<String>>(counts: impl IntoIterator<Item = (K, u64)>) -> Self {
        let counts = counts.into_iter().filter(|(_, count)| *count > 0);
        Self(counts.map(|(kind, count)| (kind.into(), count)).collect())
    }

    /// Whether all of another is in it.
    pub(super) fn covers(&self, other: &Self) -> bool {
        let count = |kind| self.0.get(kind).copied().unwrap_or(0);
        other.0.iter().all(|(kind, wrong)| count(kind) >= *wrong)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (kind, count)) in self.0.iter().enumerate() {
            let joint = if place == 0 { "" } else { ", " };
            write!(f, "{joint}{kind}: {count}")?;
        }
        Ok(())
    }
}

/// An administrator's word for a point that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// The point.
    pub point: Point,
    /// What was accepted; older versions did not note it.
    pub accepted: Option<Tally>,
    /// Why it is all right.
    pub reason: String,
    /// The account.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

impl Override {
    /// Whether it was given for all that does not hold now.
    pub(super) fn holds(&self, wrong: &Tally) -> bool {
        match &self.accepted {
            Some(accepted) => accepted.covers(wrong),
            // What was found while it was stored is today as it was then. Anything else may have
            // grown since.
            None => matches!(self.point, Point::Parsed | Point::Resolved),
        }
    }
}
