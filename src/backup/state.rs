//! The states of a backup, and the only ways from one to the next.
//!
//! ```text
//! Arriving -> Arrived -> Claimed -> Storing -> Stored
//!                        Claimed -> Waiting
//!                        Claimed -> Rejected
//!                        Storing -> Waiting
//!                        Storing -> Rejected
//!                        Waiting -> Storing
//! ```
//!
//! `Arriving` and `Arrived` are read off the inbox and stored nowhere; the
//! others stand in the database. *Waiting* is our trouble (database away, disk
//! short) and is tried again for ever. *Rejected* is the sender's trouble and is
//! final for that upload; a good upload of the same job takes its place.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{Findings, Progress, Reason, RejectionCode, WaitCode};

/// Which state a backup is in, as it is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum State {
    /// The upload goes on, or was cut off and may be resumed.
    Arriving,
    /// The upload is complete and nobody has it open.
    Arrived,
    /// Out of the uploader's reach.
    Claimed,
    /// Being checked and stored.
    Storing,
    /// Complete in the database at majority, and visible.
    Stored,
    /// Held up by trouble of our own.
    Waiting,
    /// Refused for good, kept in quarantine.
    Rejected,
}

impl State {
    /// Every state, in the order in which a backup meets them.
    pub const ALL: [Self; 7] = [
        Self::Arriving,
        Self::Arrived,
        Self::Claimed,
        Self::Storing,
        Self::Stored,
        Self::Waiting,
        Self::Rejected,
    ];

    /// The states that may follow this one.
    pub fn next(self) -> &'static [State] {
        match self {
            Self::Arriving => &[Self::Arrived],
            Self::Arrived => &[Self::Claimed],
            Self::Claimed => &[Self::Storing, Self::Waiting, Self::Rejected],
            Self::Storing => &[Self::Stored, Self::Waiting, Self::Rejected],
            Self::Waiting => &[Self::Storing],
            Self::Stored | Self::Rejected => &[],
        }
    }

    /// Whether nothing will happen to the backup any more by itself.
    pub fn is_final(self) -> bool {
        self.next().is_empty()
    }

    /// The state as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Arriving => "Arriving",
            Self::Arrived => "Arrived",
            Self::Claimed => "Claimed",
            Self::Storing => "Storing",
            Self::Stored => "Stored",
            Self::Waiting => "Waiting",
            Self::Rejected => "Rejected",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A state that this version does not know: written by a newer one, or by hand.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is not a state of a backup")]
pub struct UnknownState(pub String);

impl FromStr for State {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| UnknownState(text.to_owned()))
    }
}

/// Out of the uploader's reach; nothing of it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Claimed;

/// Held up: why, and whether a part of it is in the database already.
#[derive(Clone, Debug, PartialEq)]
pub struct Waiting {
    /// Why it waits.
    pub reason: Reason<WaitCode>,
}

/// Being checked and stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Storing {
    /// How far it is.
    pub progress: Progress,
}

/// Complete.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// How much it was.
    pub progress: Progress,
    /// What was remarkable about it.
    pub findings: Findings,
}

/// Refused.
#[derive(Clone, Debug, PartialEq)]
pub struct Rejected {
    /// Why.
    pub reason: Reason<RejectionCode>,
}

impl Claimed {
    /// Work on it begins.
    pub fn begin(self) -> Storing {
        Storing { progress: Progress::default() }
    }

    /// It is refused before anything of it was stored.
    pub fn reject(self, reason: Reason<RejectionCode>) -> Rejected {
        Rejected { reason }
    }

    /// It has to wait before anything of it was stored.
    pub fn wait(self, reason: Reason<WaitCode>) -> Waiting {
        Waiting { reason }
    }
}

impl Waiting {
    /// Work on it begins again, from the start: storing is idempotent.
    pub fn resume(self) -> Storing {
        Storing { progress: Progress::default() }
    }
}

impl Storing {
    /// Everything is in the database.
    pub fn finish(self, progress: Progress, findings: Findings) -> Stored {
        Stored { progress, findings }
    }

    /// It is refused; what was stored of it has been taken out.
    pub fn reject(self, reason: Reason<RejectionCode>) -> Rejected {
        Rejected { reason }
    }

    /// It has to wait; what was stored of it stays where it is.
    pub fn wait(self, reason: Reason<WaitCode>) -> Waiting {
        Waiting { reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_diagram_says_what_the_code_does() {
        let diagram = include_str!("state.rs");
        let mut drawn: Vec<(State, State)> = Vec::new();
        for line in diagram.lines().take_while(|line| line.starts_with("//!")) {
            let states: Vec<State> = line
                .trim_start_matches("//!")
                .split("->")
                .filter_map(|s| s.trim().parse().ok())
                .collect();
            drawn.extend(states.windows(2).map(|pair| (pair[0], pair[1])));
        }
        let mut coded: Vec<(State, State)> = State::ALL
            .into_iter()
            .flat_map(|from| from.next().iter().map(move |to| (from, *to)))
            .collect();
        drawn.sort();
        coded.sort();
        assert_eq!(drawn, coded);
    }

    #[test]
    fn states_are_read_as_they_are_written() {
        for state in State::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
        }
        assert_eq!("Lost".parse::<State>(), Err(UnknownState("Lost".into())));
    }
}
