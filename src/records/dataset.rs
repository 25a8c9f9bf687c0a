//! The kinds of record.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// What a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dataset {
    /// A call between two parties.
    Call,
    /// A call of several parties.
    Conference,
    /// A chat message.
    Message,
    /// A message left for somebody who did not answer.
    Voicemail,
    /// A recorded call or conference.
    Recording,
    /// A file shared in a room.
    File,
    /// The picture of a member of staff.
    Avatar,
    /// The picture of a tag.
    TagIcon,
    /// A member of staff.
    Staff,
    /// An external contact.
    Contact,
    /// A closed enquiry.
    Enquiry,
    /// What no rule knows. Kept and counted like the others.
    Other,
}

impl Dataset {
    /// Every dataset.
    pub const ALL: [Self; 12] = [
        Self::Call,
        Self::Conference,
        Self::Message,
        Self::Voicemail,
        Self::Recording,
        Self::File,
        Self::Avatar,
        Self::TagIcon,
        Self::Staff,
        Self::Contact,
        Self::Enquiry,
        Self::Other,
    ];

    /// What its records are called in front of people.
    pub fn title(self) -> &'static str {
        match self {
            Self::Call => "Calls",
            Self::Conference => "Conferences",
            Self::Message => "Messages",
            Self::Voicemail => "Voicemail",
            Self::Recording => "Recordings",
            Self::File => "Shared files",
            Self::Avatar => "Avatars",
            Self::TagIcon => "Tag icons",
            Self::Staff => "Staff",
            Self::Contact => "External contacts",
            Self::Enquiry => "Closed enquiries",
            Self::Other => "Other records",
        }
    }

    /// The name used in counts, documents and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Conference => "conference",
            Self::Message => "message",
            Self::Voicemail => "voicemail",
            Self::Recording => "recording",
            Self::File => "file",
            Self::Avatar => "avatar",
            Self::TagIcon => "tag-icon",
            Self::Staff => "staff",
            Self::Contact => "contact",
            Self::Enquiry => "enquiry",
            Self::Other => "other",
        }
    }

    /// The field that holds the id of such a record where it has neither `_id` nor `id`.
    pub fn own_id(self) -> Option<&'static str> {
        match self {
            Self::Call => Some("callID"),
            Self::Conference => Some("conferenceID"),
            Self::Message => Some("msgID"),
            Self::Voicemail => Some("voicemailID"),
            Self::Recording => Some("recordingID"),
            Self::File | Self::Avatar | Self::TagIcon => Some("fileID"),
            Self::Staff | Self::Contact | Self::Enquiry | Self::Other => None,
        }
    }

    /// Whether every backup brings the whole dataset anew.
    pub fn arrives_anew(self) -> bool {
        matches!(self, Self::Staff | Self::Contact)
    }
}

impl fmt::Display for Dataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name that is none of a dataset.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is not a dataset")]
pub struct UnknownDataset(pub String);

impl FromStr for Dataset {
    type Err = UnknownDataset;

    fn from_str(text: &str) -> Result<Self, UnknownDataset> {
        Self::ALL
            .into_iter()
            .find(|dataset| dataset.as_str() == text)
            .ok_or_else(|| UnknownDataset(text.to_owned()))
    }
}
