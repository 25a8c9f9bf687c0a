//! The points of a verdict, and how each can be answered.

use serde::{Deserialize, Serialize};

/// Something that has to hold before data may be deleted from maaiiconnect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Point {
    /// The archive came complete and intact, no other upload contradicts it, and it is kept where it
    /// has to be.
    Intact,
    /// Every entry was opened with a known key.
    Opened,
    /// Every record was read and counted.
    Parsed,
    /// Every reference to a medium has its medium.
    Resolved,
    /// Every medium can be played or shown.
    Readable,
    /// Every data node has it.
    Copied,
    /// There is a signed receipt.
    Receipt,
}

impl Point {
    /// Every point, in the order in which they are shown.
    pub const ALL: [Self; 7] = [
        Self::Intact,
        Self::Opened,
        Self::Parsed,
        Self::Resolved,
        Self::Readable,
        Self::Copied,
        Self::Receipt,
    ];

    /// As it is written down.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Intact => "intact",
            Self::Opened => "opened",
            Self::Parsed => "parsed",
            Self::Resolved => "resolved",
            Self::Readable => "readable",
            Self::Copied => "copied",
            Self::Receipt => "receipt",
        }
    }

    /// What has to hold, for people.
    pub fn title(self) -> &'static str {
        match self {
            Self::Intact => "The archive is complete and intact",
            Self::Opened => "Every entry was opened with a known key",
            Self::Parsed => "Every record was read and counted",
            Self::Resolved => "Every reference has its file",
            Self::Readable => "Every file can be played or shown",
            Self::Copied => "Every data node has it",
            Self::Receipt => "There is a signed receipt",
        }
    }
}

/// Whether a point holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// It does.
    Yes,
    /// It does not, and an administrator takes responsibility for that.
    Overridden,
    /// Not yet: it is being seen to.
    Pending,
    /// It does not.
    No,
}
