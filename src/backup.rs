//! What a backup is: its name, its states, what was found in it.
//!
//! Everything here is pure: no file, no network, no clock. A state is a type
//! and a transition consumes one state and returns the next, so a step that the
//! diagram in [`state`] does not allow does not compile.

pub mod cloud;
pub mod condition;
pub mod examined;
pub mod findings;
pub mod history;
pub mod id;
pub mod name;
pub mod pace;
pub mod progress;
pub mod reason;
pub mod retention;
pub mod schedule;
pub mod senders;
pub mod state;
pub mod usual;
pub mod verdict;
pub mod verified;

pub use condition::{Condition, Settled};
pub use examined::{Examined, Readability};
pub use findings::{Finding, FindingKind, Findings};
pub use id::{DirectoryId, JobId, MediumId, ReceiptId, UploadId};
pub use name::BackupName;
pub use progress::Progress;
pub use reason::{Acknowledged, Reason, RejectionCode, WaitCode};
pub use senders::Senders;
pub use state::State;
pub use verdict::Verdict;
pub use verified::Verified;
