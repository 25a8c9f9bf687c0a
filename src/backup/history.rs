//! What happened to a backup, as its page tells it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::State;

/// How many events of one backup are kept; the oldest go first.
pub const KEPT: i32 = 200;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// What.
    pub what: What,
    /// The account that did it; nobody where it happened by itself.
    pub by: Option<String>,
    /// What there is to say about it.
    pub said: Option<String>,
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// The upload was complete and was taken out of the inbox.
    Claimed,
    /// It was begun to be checked and stored.
    Storing,
    /// It was stored.
    Stored,
    /// It had to wait.
    Waiting,
    /// It was rejected.
    Rejected,
    /// The very same file was uploaded again.
    Repeated,
    /// maaiiconnect was asked to upload it once more.
    AskedAgain,
    /// Somebody said that a rejection is known.
    Acknowledged,
    /// It was checked again, and was not as it was received.
    Differs,
    /// It was checked again, and was as it was received once more.
    AsReceived,
    /// Somebody took responsibility for a finding.
    Responsibility,
    /// Somebody pressed *Delete from maaiiconnect*, or *Try again*.
    Deleting,
    /// maaiiconnect could not delete its data.
    Failed,
    /// maaiiconnect has deleted its data.
    Completed,
}

impl What {
    /// For people.
    pub fn title(self) -> &'static str {
        match self {
            Self::Claimed => "Upload complete",
            Self::Storing => "Storing begun",
            Self::Stored => "Stored",
            Self::Waiting => "Waiting",
            Self::Rejected => "Rejected",
            Self::Repeated => "Same file uploaded again",
            Self::AskedAgain => "Asked maaiiconnect to upload it again",
            Self::Acknowledged => "Rejection acknowledged",
            Self::Differs => "Not as it was received",
            Self::AsReceived => "As it was received again",
            Self::Responsibility => "Responsibility taken",
            Self::Deleting => "Deletion from maaiiconnect begun",
            Self::Failed => "Deletion failed",
            Self::Completed => "Deleted from maaiiconnect",
        }
    }

    /// That a backup came into a state. None for those that are not written down.
    pub fn of(state: State) -> Option<Self> {
        match state {
            State::Arriving | State::Arrived => None,
            State::Claimed => Some(Self::Claimed),
            State::Storing => Some(Self::Storing),
            State::Stored => Some(Self::Stored),
            State::Waiting => Some(Self::Waiting),
            State::Rejected => Some(Self::Rejected),
        }
    }
}

impl Event {
    /// Something that happened by itself.
    pub fn new(at: Timestamp, what: What, said: Option<String>) -> Self {
        Self { at, what, by: None, said }
    }

    /// Something that somebody did.
    pub fn by(account: &str, at: Timestamp, what: What, said: Option<String>) -> Self {
        Self { at, what, by: Some(account.to_owned()), said }
    }
}
