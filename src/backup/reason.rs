//! Why a backup was refused or has to wait, for programs and for people.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A stable code and a sentence for the administrator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason<Code> {
    /// What programs go by.
    pub code: Code,
    /// What people read. It names the entry where one is to blame.
    pub sentence: String,
}

impl<Code> Reason<Code> {
    /// A reason with its sentence.
    pub fn new(code: Code, sentence: impl Into<String>) -> Self {
        Self { code, sentence: sentence.into() }
    }
}

/// An administrator's word that a rejection is known, and that no good upload is awaited any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// Why that is all right.
    pub reason: String,
    /// The account.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// What was wrong with an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RejectionCode {
    /// Empty, not a ZIP, cut off, or its directory is broken.
    BrokenDirectory,
    /// A local header says something else than the directory.
    HeaderMismatch,
    /// Two entries claim the same bytes.
    Overlap,
    /// An entry's contents fail their checksum or authentication code, or cannot be inflated.
    Damaged,
    /// A name that leaves the archive's folder.
    UnsafeName,
    /// A link, a device or another special file.
    SpecialFile,
    /// Two entries of one name.
    DuplicateName,
    /// More entries, bytes or compression than allowed.
    OverLimit,
    /// None of the known Archive Keys opens it.
    NoKnownKey,
    /// A method of compression or encryption that the contract does not name.
    Unsupported,
    /// The same job was stored before, with other bytes.
    Conflict,
    /// The file is not where it was taken to any more. No fault of the sender's, but only another
    /// upload can mend it.
    FileGone,
}

/// What holds a backup up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WaitCode {
    /// MongoDB answers with an error.
    DatabaseRefuses,
    /// There is no room for it.
    DiskShort,
    /// The archive cannot be read from our own disk.
    ArchiveUnreadable,
    /// The Archive Keys cannot be read, or others can read them.
    KeysUnusable,
}
