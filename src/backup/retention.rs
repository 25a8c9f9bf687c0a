//! The Retention Status: how far the data of a backup is on its way out of maaiiconnect.
//!
//! ```text
//! Uploading -> Uploaded -> Deleting -> Completed
//!                          Deleting -> Failed
//!                          Failed -> Deleting
//! ```
//!
//! The names are maaiiconnect's, and so is what each of them says to people. `Uploading` and
//! `Uploaded` follow from the state of the backup here and are stored nowhere; from `Deleting` on it
//! stands in the database. Nothing gets to `Deleting` from here without a [`Cleared`], which a verdict
//! alone can give.

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{State, verdict::Cleared};

/// Which status a backup has in maaiiconnect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Status {
    /// It is on its way to us.
    Uploading,
    /// It is here.
    Uploaded,
    /// maaiiconnect is removing what it held.
    Deleting,
    /// maaiiconnect could not remove it.
    Failed,
    /// maaiiconnect has removed it: ours is the only copy.
    Completed,
}

impl Status {
    /// Every status, in the order in which a backup meets them.
    pub const ALL: [Self; 5] =
        [Self::Uploading, Self::Uploaded, Self::Deleting, Self::Failed, Self::Completed];

    /// The status of a backup in this state, of which `deletion` is known.
    pub fn of(state: State, deletion: Option<&Deletion>) -> Self {
        match (deletion, state) {
            (Some(deletion), _) => deletion.step.status(),
            (None, State::Arriving) => Self::Uploading,
            (None, _) => Self::Uploaded,
        }
    }

    /// The statuses that may follow this one.
    pub fn next(self) -> &'static [Self] {
        match self {
            Self::Uploading => &[Self::Uploaded],
            Self::Uploaded | Self::Failed => &[Self::Deleting],
            Self::Deleting => &[Self::Completed, Self::Failed],
            Self::Completed => &[],
        }
    }

    /// As it is written down.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Uploading => "Uploading",
            Self::Uploaded => "Uploaded",
            Self::Deleting => "Deleting",
            Self::Failed => "Failed",
            Self::Completed => "Completed",
        }
    }

    /// The status that maaiiconnect shows with these words.
    pub fn from_words(words: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.words() == words)
    }

    /// As maaiiconnect shows it to people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Uploading => "Uploading backup...",
            Self::Uploaded => "Backup uploaded",
            Self::Deleting => "Deleting data...",
            Self::Failed => "Failed to delete data",
            Self::Completed => "Completed",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A status that this version does not know.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is not a Retention Status")]
pub struct UnknownStatus(pub String);

impl FromStr for Status {
    type Err = UnknownStatus;

    fn from_str(text: &str) -> Result<Self, UnknownStatus> {
        let mut all = Self::ALL.into_iter();
        all.find(|status| status.as_str() == text).ok_or_else(|| UnknownStatus(text.to_owned()))
    }
}

/// The deletion of a backup's data from maaiiconnect, as it is written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deletion {
    /// Who asked for it first, or again.
    pub by: String,
    /// When.
    pub asked: Timestamp,
    /// How far it is.
    pub step: Step,
    /// Since when.
    pub changed: Timestamp,
}

/// How far a deletion is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// It goes on.
    Deleting(Deleting),
    /// It ended with an error.
    Failed(Failed),
    /// It is done.
    Completed(Completed),
}

impl Step {
    /// Which status it is.
    pub fn status(&self) -> Status {
        match self {
            Self::Deleting(_) => Status::Deleting,
            Self::Failed(_) => Status::Failed,
            Self::Completed(_) => Status::Completed,
        }
    }
}

/// It goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deleting {
    asking: Asking,
}

/// Whether maaiiconnect has to be asked for a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asking {
    /// It is to be asked.
    ToBeDone,
    /// It was asked.
    Done,
    /// Never from here: it was begun in maaiiconnect itself, and no verdict was asked for.
    Elsewhere,
}

/// It ended with an error; what was removed until then is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// What maaiiconnect says, or whoever tried it.
    pub why: String,
}

/// It is done. Ours is the only copy from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completed(());

impl Cleared {
    /// Somebody has pressed *Delete from maaiiconnect*.
    pub fn delete(self) -> Deleting {
        Deleting { asking: Asking::ToBeDone }
    }
}

impl Step {
    /// Somebody has pressed *Delete from maaiiconnect* there and not here: no verdict was asked for,
    /// and what goes on can only be followed.
    pub fn begun_elsewhere() -> Self {
        Self::Deleting(Deleting { asking: Asking::Elsewhere })
    }
}

impl Deleting {
    /// Whether maaiiconnect has to be asked for it.
    pub fn asking(&self) -> Asking {
        self.asking
    }

    /// maaiiconnect has removed everything.
    pub fn complete(self) -> Completed {
        Completed(())
    }

    /// maaiiconnect could not remove it.
    pub fn fail(self, why: impl Into<String>) -> Failed {
        Failed { why: why.into() }
    }
}

impl Failed {
    /// Somebody has pressed *Try again*. It has to be safe still.
    pub fn try_again(self, cleared: Cleared) -> Deleting {
        cleared.delete()
    }
}

/// What was written down, as it is read again.
impl Step {
    /// The step of a status, with whether maaiiconnect has to be asked and what went wrong. None of
    /// those that are stored nowhere.
    pub fn read(status: Status, asking: Asking, why: Option<String>) -> Option<Self> {
        match status {
            Status::Uploading | Status::Uploaded => None,
            Status::Deleting => Some(Self::Deleting(Deleting { asking })),
            Status::Failed => Some(Self::Failed(Failed { why: why.unwrap_or_default() })),
            Status::Completed => Some(Self::Completed(Completed(()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deleting() -> Deleting {
        Deleting { asking: Asking::ToBeDone }
    }

    #[test]
    fn the_diagram_says_what_the_code_does() {
        let diagram = include_str!("retention.rs");
        let mut drawn: Vec<(Status, Status)> = Vec::new();
        for line in diagram.lines().take_while(|line| line.starts_with("//!")) {
            let words = line.trim_start_matches("//!").split("->");
            let statuses: Vec<Status> = words.filter_map(|word| word.trim().parse().ok()).collect();
            drawn.extend(statuses.windows(2).map(|pair| (pair[0], pair[1])));
        }
        let each = |from: Status| from.next().iter().map(move |to| (from, *to));
        let mut coded: Vec<_> = Status::ALL.into_iter().flat_map(each).collect();
        drawn.sort();
        coded.sort();
        assert_eq!(drawn, coded);
    }

    #[test]
    fn what_maaiiconnect_shows_is_said_in_its_words() {
        let page = [
            "Uploading backup...",
            "Backup uploaded",
            "Deleting data...",
            "Failed to delete data",
            "Completed",
        ];
        assert_eq!(Status::ALL.map(Status::words), page);
        assert!(Status::ALL.iter().all(|status| status.as_str().parse() == Ok(*status)));
    }

    #[test]
    fn a_status_follows_from_the_state_until_something_is_deleted() {
        let at = Timestamp::UNIX_EPOCH;
        let deletion = |step| Deletion { by: "Admin".into(), asked: at, step, changed: at };
        let failed = || deleting().fail("away");
        for (state, step, status) in [
            (State::Arriving, None, Status::Uploading),
            (State::Arrived, None, Status::Uploaded),
            (State::Waiting, None, Status::Uploaded),
            (State::Stored, None, Status::Uploaded),
            (State::Stored, Some(Step::Deleting(deleting())), Status::Deleting),
            (State::Stored, Some(Step::Failed(failed())), Status::Failed),
            (State::Stored, Some(Step::Completed(deleting().complete())), Status::Completed),
        ] {
            let deletion = step.map(deletion);
            assert_eq!(Status::of(state, deletion.as_ref()), status, "{state} {deletion:?}");
        }
    }
}
