//! What is written down about who did what.
//!
//! An event is in the store before the data it speaks of is sent. It names the
//! record or file, never its contents.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What somebody did, or tried to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Signed in.
    SignIn,
    /// Tried to sign in and was refused.
    SignInRefused,
    /// Signed out.
    SignOut,
    /// Looked at a list.
    List,
    /// Looked at one record.
    View,
    /// Opened or played a medium in the browser.
    Play,
    /// Took a medium or a record away as a file.
    Download,
    /// Asked for something that the account may not see.
    Refused,
    /// Activated an account.
    AccountActivated,
    /// Changed an account's password.
    PasswordChanged,
    /// Changed what an account may do.
    PermissionsChanged,
    /// Deactivated an account.
    AccountDeactivated,
    /// Acknowledged that a backup was rejected.
    RejectionAcknowledged,
    /// Asked maaiiconnect to upload a backup once more.
    UploadRequested,
    /// Took responsibility for a finding of a backup.
    ResponsibilityTaken,
    /// Pressed *Delete from maaiiconnect*, or *Try again*.
    DeletionBegun,
    /// Said that maaiiconnect could not delete a backup's data.
    DeletionFailed,
    /// Said that maaiiconnect has deleted a backup's data.
    DeletionCompleted,
    /// Set about changing the settings. What came of it has a line of its own; where there is none,
    /// the work was cut off, and the settings say what is so.
    SettingsAttempted,
    /// Changed the settings.
    SettingsChanged,
    /// Could not change the settings.
    SettingsNotChanged,
    /// Tried a configuration out.
    ConfigurationTested,
}

impl Action {
    /// All actions, in the order of the enum.
    pub const ALL: [Self; 22] = [
        Self::SignIn,
        Self::SignInRefused,
        Self::SignOut,
        Self::List,
        Self::View,
        Self::Play,
        Self::Download,
        Self::Refused,
        Self::AccountActivated,
        Self::PasswordChanged,
        Self::PermissionsChanged,
        Self::AccountDeactivated,
        Self::RejectionAcknowledged,
        Self::UploadRequested,
        Self::ResponsibilityTaken,
        Self::DeletionBegun,
        Self::DeletionFailed,
        Self::DeletionCompleted,
        Self::SettingsAttempted,
        Self::SettingsChanged,
        Self::SettingsNotChanged,
        Self::ConfigurationTested,
    ];

    /// Its name in the log and in addresses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SignIn => "sign-in",
            Self::SignInRefused => "sign-in-refused",
            Self::SignOut => "sign-out",
            Self::List => "list",
            Self::View => "view",
            Self::Play => "play",
            Self::Download => "download",
            Self::Refused => "refused",
            Self::AccountActivated => "account-activated",
            Self::PasswordChanged => "password-changed",
            Self::PermissionsChanged => "permissions-changed",
            Self::AccountDeactivated => "account-deactivated",
            Self::RejectionAcknowledged => "rejection-acknowledged",
            Self::UploadRequested => "upload-requested",
            Self::ResponsibilityTaken => "responsibility-taken",
            Self::DeletionBegun => "deletion-begun",
            Self::DeletionFailed => "deletion-failed",
            Self::DeletionCompleted => "deletion-completed",
            Self::SettingsAttempted => "settings-attempted",
            Self::SettingsChanged => "settings-changed",
            Self::SettingsNotChanged => "settings-not-changed",
            Self::ConfigurationTested => "configuration-tested",
        }
    }
}

/// One line of the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// Which account; what was typed in, where signing in was refused.
    pub account: String,
    /// From which address.
    pub peer: String,
    /// What was done.
    pub action: Action,
    /// What it was done to: a path of the portal, without its filter texts.
    pub subject: String,
    /// What else there is to say, such as the filter of a list.
    pub detail: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_has_one_name_wherever_it_stands() {
        for (index, action) in Action::ALL.into_iter().enumerate() {
            assert_eq!(action as usize, index, "{action:?}");
            let stored = serde_json::to_value(action).expect("a name");
            assert_eq!(stored, action.as_str(), "{action:?}");
        }
    }
}
