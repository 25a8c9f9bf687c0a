//! Who may sign in to the portal, and what each may see.
//!
//! The rules only: accounts are kept by the store, and passwords are checked by
//! the portal. `Admin` has everything. A member of staff is given all or
//! selected data types, seeing and downloading apart.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::records::Dataset;

/// The name of the account that always exists.
pub const ADMIN: &str = "Admin";

/// The shortest password that is accepted, in characters.
pub const PASSWORD_MIN_CHARS: usize = 10;

/// What can be allowed or not: maaiiconnect's views, and what is kept beside them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DataType {
    /// Call History.
    Calls,
    /// Conference Call History.
    Conferences,
    /// File, with avatars and tag icons.
    Files,
    /// Voicemail.
    Voicemails,
    /// Call Recording.
    Recordings,
    /// Text Message.
    Messages,
    /// Staff.
    Staff,
    /// External Contacts.
    Contacts,
    /// Closed enquiries.
    Enquiries,
    /// Records of no known dataset.
    Other,
}

impl DataType {
    /// Every data type, in the order of the portal's menu.
    pub const ALL: [Self; 10] = [
        Self::Calls,
        Self::Conferences,
        Self::Files,
        Self::Voicemails,
        Self::Recordings,
        Self::Messages,
        Self::Staff,
        Self::Contacts,
        Self::Enquiries,
        Self::Other,
    ];

    /// The name as it is written in addresses and in accounts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Calls => "calls",
            Self::Conferences => "conferences",
            Self::Files => "files",
            Self::Voicemails => "voicemails",
            Self::Recordings => "recordings",
            Self::Messages => "messages",
            Self::Staff => "staff",
            Self::Contacts => "contacts",
            Self::Enquiries => "enquiries",
            Self::Other => "other",
        }
    }

    /// The name as maaiiconnect shows it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Calls => "Call History",
            Self::Conferences => "Conference Call History",
            Self::Files => "File",
            Self::Voicemails => "Voicemail",
            Self::Recordings => "Call Recording",
            Self::Messages => "Text Message",
            Self::Staff => "Staff",
            Self::Contacts => "External Contacts",
            Self::Enquiries => "Closed Enquiries",
            Self::Other => "Other Records",
        }
    }

    /// The data type under which a dataset is shown.
    pub fn of(dataset: Dataset) -> Self {
        match dataset {
            Dataset::Call => Self::Calls,
            Dataset::Conference => Self::Conferences,
            Dataset::Message => Self::Messages,
            Dataset::Voicemail => Self::Voicemails,
            Dataset::Recording => Self::Recordings,
            Dataset::File | Dataset::Avatar | Dataset::TagIcon => Self::Files,
            Dataset::Staff => Self::Staff,
            Dataset::Contact => Self::Contacts,
            Dataset::Enquiry => Self::Enquiries,
            Dataset::Other => Self::Other,
        }
    }
}

/// What an account may do with one data type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// List it, open it, play it in the portal.
    pub see: bool,
    /// Take it away as a file. Means nothing without `see`.
    pub download: bool,
}

/// What an account may do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permissions(BTreeMap<DataType, Access>);

impl Permissions {
    /// Everything.
    pub fn all() -> Self {
        let all = Access { see: true, download: true };
        Self(DataType::ALL.into_iter().map(|data_type| (data_type, all)).collect())
    }

    /// Exactly these.
    pub fn new(each: impl IntoIterator<Item = (DataType, Access)>) -> Self {
        Self(each.into_iter().filter(|(_, access)| access.see).collect())
    }

    /// What is allowed with one data type.
    pub fn access(&self, data_type: DataType) -> Access {
        self.0.get(&data_type).copied().unwrap_or_default()
    }
}

/// Whose account it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// May do everything, manage accounts included.
    Admin,
    /// Sees what was permitted.
    Staff,
}

/// One account of the portal.
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    /// What is typed in to sign in: `Admin`, or the e-mail address of a member of staff.
    pub name: String,
    /// How the person is called.
    pub display_name: String,
    /// The id of the member of staff, if it belongs to one.
    pub staff_eid: Option<String>,
    /// Whose account it is.
    pub role: Role,
    /// What a `Staff` account may do; `Admin` may do everything.
    pub permissions: Permissions,
    /// Whether signing in is possible.
    pub active: bool,
    /// When the account was made.
    pub created: Timestamp,
    /// When its password was last set. Sessions from before it end.
    pub password_set: Timestamp,
}

impl Account {
    /// What the account may do with one data type.
    pub fn access(&self, data_type: DataType) -> Access {
        match self.role {
            Role::Admin => Access { see: true, download: true },
            Role::Staff => self.permissions.access(data_type),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn downloading_needs_seeing() {
        let permissions =
            Permissions::new([(DataType::Files, Access { see: false, download: true })]);
        assert_eq!(permissions.access(DataType::Files), Access::default());
        assert_eq!(permissions.access(DataType::Calls), Access::default());
        for data_type in DataType::ALL {
            assert!(Permissions::all().access(data_type).download);
        }
    }
}
