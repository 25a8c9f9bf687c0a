//! Why an archive is refused, each time with the entry that is to blame.

use std::io;

use crate::backup::{Reason, RejectionCode};

/// What is wrong with an archive. Only [`Error::Read`] is not the sender's fault.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file itself cannot be read.
    #[error("cannot read the archive")]
    Read(#[source] io::Error),
    /// There is no usable directory.
    #[error("{why}")]
    Directory {
        /// What is wrong, as a clause.
        why: String,
    },
    /// A local header and the directory disagree.
    #[error("the local header of {entry} contradicts the directory in its {field}")]
    Mismatch {
        /// The entry.
        entry: String,
        /// Where they differ.
        field: &'static str,
    },
    /// Two entries share bytes of the file.
    #[error("{entry} overlaps with another entry or with the directory")]
    Overlap {
        /// The entry.
        entry: String,
    },
    /// The contents are not what the checksums say.
    #[error("{entry} is damaged: {why}")]
    Damaged {
        /// The entry.
        entry: String,
        /// What failed.
        why: &'static str,
    },
    /// A name that leads out of the archive's folder.
    #[error("{entry} has a name that leaves the folder")]
    UnsafeName {
        /// The entry.
        entry: String,
    },
    /// A link, a device or the like.
    #[error("{entry} is a link or a device")]
    SpecialFile {
        /// The entry.
        entry: String,
    },
    /// Two entries of one name.
    #[error("there are two entries named {entry}")]
    DuplicateName {
        /// The name.
        entry: String,
    },
    /// Too many entries.
    #[error("it holds {entries} entries, and {limit} are allowed")]
    TooManyEntries {
        /// So many.
        entries: u64,
        /// At most so many.
        limit: u64,
    },
    /// Too much in one entry.
    #[error("{entry} holds {bytes} bytes, and {limit} are allowed")]
    EntryTooLarge {
        /// The entry.
        entry: String,
        /// So much.
        bytes: u64,
        /// At most so much.
        limit: u64,
    },
    /// Too much altogether.
    #[error("it holds {bytes} bytes, and {limit} are allowed")]
    TooLarge {
        /// So much.
        bytes: u64,
        /// At most so much.
        limit: u64,
    },
    /// Far too much out of far too little.
    #[error("{entry} would grow from {compressed} to {bytes} bytes, more than 1000 times")]
    Bomb {
        /// The entry.
        entry: String,
        /// What would come out.
        bytes: u64,
        /// What is there.
        compressed: u64,
    },
    /// No key fits.
    #[error("none of the known Archive Keys opens {entry}")]
    NoKnownKey {
        /// The entry.
        entry: String,
    },
    /// A method that the contract does not name.
    #[error("{entry} uses {method}, which is not supported")]
    Unsupported {
        /// The entry.
        entry: String,
        /// The method.
        method: String,
    },
}

impl Error {
    /// The reason to give for rejecting the backup; none if the archive is not to blame.
    pub fn rejection(&self) -> Option<Reason<RejectionCode>> {
        let code = match self {
            Self::Read(_) => return None,
            Self::Directory { .. } => RejectionCode::BrokenDirectory,
            Self::Mismatch { .. } => RejectionCode::HeaderMismatch,
            Self::Overlap { .. } => RejectionCode::Overlap,
            Self::Damaged { .. } => RejectionCode::Damaged,
            Self::UnsafeName { .. } => RejectionCode::UnsafeName,
            Self::SpecialFile { .. } => RejectionCode::SpecialFile,
            Self::DuplicateName { .. } => RejectionCode::DuplicateName,
            Self::TooManyEntries { .. }
            | Self::EntryTooLarge { .. }
            | Self::TooLarge { .. }
            | Self::Bomb { .. } => RejectionCode::OverLimit,
            Self::NoKnownKey { .. } => RejectionCode::NoKnownKey,
            Self::Unsupported { .. } => RejectionCode::Unsupported,
        };
        let advice = match self {
            Self::NoKnownKey { .. } => " Add the key it was made with, and upload it again.",
            Self::TooManyEntries { .. } | Self::EntryTooLarge { .. } | Self::TooLarge { .. } => {
                " Raise the limit in the configuration if this is expected."
            }
            _ => " Let maaiiconnect upload this backup again.",
        };
        Some(Reason::new(code, format!("The archive was refused: {self}.{advice}")))
    }

    /// Wraps the error so that it can pass through [`io::Read`].
    pub(super) fn into_io(self) -> io::Error {
        match self {
            Self::Read(error) => error,
            other => io::Error::new(io::ErrorKind::InvalidData, other),
        }
    }

    /// Finds the error again that passed through [`io::Read`].
    pub fn from_io(error: io::Error) -> Self {
        error.downcast::<Self>().unwrap_or_else(Self::Read)
    }
}
