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
