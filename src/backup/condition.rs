//! The condition of a backup's data here, in a word: what the Backup Log says beside
//! maaiiconnect's own status.
//!
//! It is computed from the state, the status and the verdict, and stored nowhere.

use super::{State, retention::Status};

/// The condition of the data here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Condition {
    /// Refused, and no other upload took its place.
    Rejected,
    /// It waits for us.
    Waiting,
    /// It is here, and work on it has not begun.
    Received,
    /// It is being checked and stored.
    Storing,
    /// Stored, and its data may not be deleted from maaiiconnect yet.
    NotYet,
    /// Stored, and its data may be deleted from maaiiconnect.
    Safe,
    /// maaiiconnect has deleted its data.
    OnlyCopy,
    /// Refused, and another upload took its place.
    Replaced,
    /// Refused, and an administrator has seen to it.
    Acknowledged,
}

/// Why nobody has to see to a backup any more that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Another upload took its place.
    Replaced,
    /// An administrator has seen to it.
    Acknowledged,
}

impl Condition {
    /// Every condition: what somebody has to see to comes first.
    pub const ALL: [Self; 9] = [
        Self::Rejected,
        Self::Waiting,
        Self::Received,
        Self::Storing,
        Self::NotYet,
        Self::Safe,
        Self::OnlyCopy,
        Self::Replaced,
        Self::Acknowledged,
    ];

    /// The condition of a backup. Whether it is `safe` is the verdict's answer, and counts only for
    /// one that is stored and not deleted elsewhere.
    pub fn of(state: State, settled: Option<Settled>, status: Status, safe: bool) -> Self {
        match state {
            State::Arriving | State::Arrived | State::Claimed => Self::Received,
            State::Storing => Self::Storing,
            State::Waiting => Self::Waiting,
            State::Rejected => match settled {
                Some(Settled::Replaced) => Self::Replaced,
                Some(Settled::Acknowledged) => Self::Acknowledged,
                None => Self::Rejected,
            },
            State::Stored if status == Status::Completed => Self::OnlyCopy,
            State::Stored if safe => Self::Safe,
            State::Stored => Self::NotYet,
        }
    }

    /// Whether it takes a verdict to tell it from others.
    pub fn is_judged(self) -> bool {
        matches!(self, Self::NotYet | Self::Safe)
    }

    /// Its name in addresses and in what is exported.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Waiting => "waiting",
            Self::Received => "received",
            Self::Storing => "storing",
            Self::NotYet => "not-yet",
            Self::Safe => "safe",
            Self::OnlyCopy => "only-copy",
            Self::Replaced => "replaced",
            Self::Acknowledged => "acknowledged",
        }
    }

    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Rejected => "Rejected",
            Self::Waiting => "Waiting",
            Self::Received => "Received",
            Self::Storing => "Being stored",
            Self::NotYet => "Not yet",
            Self::Safe => "Safe to delete",
            Self::OnlyCopy => "Only copy",
            Self::Replaced => "Rejected, replaced since",
            Self::Acknowledged => "Rejected, acknowledged",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_follows_from_state_status_and_verdict() {
        for (state, settled, status, safe, expected) in [
            (State::Claimed, None, Status::Uploaded, false, Condition::Received),
            (State::Storing, None, Status::Uploaded, false, Condition::Storing),
            (State::Waiting, None, Status::Uploaded, false, Condition::Waiting),
            (State::Rejected, None, Status::Uploaded, false, Condition::Rejected),
            (
                State::Rejected,
                Some(Settled::Replaced),
                Status::Uploaded,
                false,
                Condition::Replaced,
            ),
            (
                State::Rejected,
                Some(Settled::Acknowledged),
                Status::Uploaded,
                false,
                Condition::Acknowledged,
            ),
            (State::Stored, None, Status::Uploaded, false, Condition::NotYet),
            (State::Stored, None, Status::Uploaded, true, Condition::Safe),
            (State::Stored, None, Status::Deleting, true, Condition::Safe),
            (State::Stored, None, Status::Failed, false, Condition::NotYet),
            (State::Stored, None, Status::Completed, true, Condition::OnlyCopy),
            (State::Stored, None, Status::Completed, false, Condition::OnlyCopy),
        ] {
            assert_eq!(Condition::of(state, settled, status, safe), expected, "{state}");
        }
    }

    #[test]
    fn every_condition_has_a_name_and_words_of_its_own() {
        for (index, one) in Condition::ALL.iter().enumerate() {
            for other in &Condition::ALL[index + 1..] {
                assert!(one < other && one.as_str() != other.as_str());
                assert_ne!(one.words(), other.words());
            }
        }
    }
}
