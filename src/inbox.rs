//! The inbox: which uploads are there, and which of them are complete.
//!
//! An upload is complete when nobody has it open for writing and it ends as a ZIP
//! ends. Its size is not watched: a slow client and a dead one look alike. Nothing
//! in the inbox is read further than its end, and nothing is deleted here.

pub mod lease;
mod watch;

use std::{
    fs::{self, File},
    io,
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;

use crate::{archive::ending::Ending, backup::BackupName, files};

pub use watch::Watch;

/// Endings of names under which clients write what is not complete yet.
const TEMPORARY: [&str; 3] = [".part", ".filepart", ".tmp"];

/// What went wrong with the inbox.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be listed.
    #[error("cannot list the inbox {}", path.display())]
    List {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file in it cannot be looked at or moved.
    #[error("cannot {operation} {}", path.display())]
    File {
        /// What was to be done.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It cannot be watched.
    #[error("cannot watch the inbox {}", path.display())]
    Watch {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What an upload is at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Somebody is writing to it.
    Arriving,
    /// Nobody is writing to it, and it is not complete.
    Interrupted,
    /// Complete; or no ZIP from its first byte on, so that resuming cannot mend it.
    Arrived,
}

/// One file in the inbox.
#[derive(Clone, Debug)]
pub struct Upload {
    /// Where it is.
    pub path: PathBuf,
    /// Its name, as far as it is text.
    pub file: String,
    /// What its name says, unless it is not that of a backup.
    pub name: Option<BackupName>,
    /// How many bytes of it are there.
    pub size_bytes: u64,
    /// When it was last written to.
    pub modified: Timestamp,
    /// What it is at this moment.
    pub condition: Condition,
}

impl Upload {
    /// For how long nobody has written to it.
    pub fn idle(&self, now: Timestamp) -> Duration {
        Duration::try_from(now.duration_since(self.modified)).unwrap_or_default()
    }

    /// Whether its name says that it is not complete yet.
    pub fn is_temporary(&self) -> bool {
        TEMPORARY.iter().any(|ending| self.file.ends_with(ending))
    }
}

/// The files in the inbox, by name, each with what went wrong with it alone.
/// Directories and special files are passed over.
pub fn list(inbox: &Path) -> Result<Vec<Result<Upload, Error>>, Error> {
    let failed = |source| Error::List { path: inbox.to_owned(), source };
    let mut paths = Vec::new();
    for entry in fs::read_dir(inbox).map_err(failed)? {
        paths.push(entry.map_err(failed)?.path());
    }
    paths.sort();
    let looked = paths.iter().filter_map(|path| match look(path) {
        // It went away between being listed and being looked at.
        Err(Error::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => None,
        other => other.transpose(),
    });
    Ok(looked.collect())
}

fn look(path: &Path) -> Result<Option<Upload>, Error> {
    let failed = |source| Error::File { operation: "look at", path: path.to_owned(), source };
    let metadata = fs::symlink_metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        return Ok(None);
    }
    let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let modified = Timestamp::new(metadata.mtime(), 0).unwrap_or(Timestamp::UNIX_EPOCH);
    Ok(Some(Upload {
        path: path.to_owned(),
        name: file.parse().ok(),
        file,
        size_bytes: metadata.len(),
        modified,
        condition: condition(path).map_err(failed)?,
    }))
}

fn condition(path: &Path) -> io::Result<Condition> {
    let file = match lease::open_quietly(path) {
        // Somebody holds a lease of their own: not settled.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Condition::Arriving),
        other => other?,
    };
    Ok(if !lease::nobody_writes(&file)? {
        Condition::Arriving
    } else if ends_well(&file) || !begins_well(&file) {
        Condition::Arrived
    } else {
        Condition::Interrupted
    })
}

/// Whether this could become a ZIP. Nothing is known of an empty file.
fn begins_well(file: &File) -> bool {
    let mut first = [0; 4];
    let read = file.read_at(&mut first, 0).unwrap_or(0);
    let first = &first[..read];
    b"PK\x03\x04".starts_with(first) || b"PK\x05\x06".starts_with(first)
}

fn ends_well(file: &File) -> bool {
    file.metadata().is_ok_and(|metadata| Ending::find(file, metadata.len()).is_ok())
}

/// Moves an upload out of the uploader's reach, into the new directory `to`.
///
/// Returns false, and leaves everything as it was, if somebody began to write to it.
pub fn claim(upload: &Upload, to: &Path) -> Result<bool, Error> {
    let failed = |operation| {
        let path = upload.path.clone();
        move |source| Error::File { operation, path, source }
    };
    fs::create_dir_all(to).map_err(failed("make a directory for"))?;
    let target = to.join(upload.path.file_name().unwrap_or_default());
    files::move_new(&upload.path, &target).map_err(failed("claim"))?;
    // Whoever opened it just before the move can write to it still.
    if condition(&target).map_err(failed("look again at"))? == Condition::Arriving {
        files::move_new(&target, &upload.path).map_err(failed("give back"))?;
        fs::remove_dir(to).map_err(failed("give back"))?;
        return Ok(false);
    }
    // The uploader was told that all went well, so a power cut must not undo it.
    let synced = File::open(&target).and_then(|file| file.sync_all());
    synced.map_err(failed("write to the disk"))?;
    Ok(true)
}
