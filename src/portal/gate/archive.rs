//! What is in an archive that is kept, as it was delivered: Offline mode's raw JSON and files.
//!
//! For administrators alone, since an archive knows no data types and no permissions. What is taken out
//! is in the audit log before the archive is opened.

use std::{
    fs::File,
    io::{Seek, SeekFrom},
};

use super::permit::{Administrator, SignedIn};
use crate::{
    audit::Action,
    cause,
    portal::{errors::Error, request::Request},
    records::rules::Holds,
    shelf,
    store::backups::Backup,
};

/// An entry that was taken out of an archive.
pub(in crate::portal) struct Entry {
    /// Its contents.
    pub(in crate::portal) file: File,
    /// How many bytes it has.
    pub(in crate::portal) length_bytes: u64,
}

impl SignedIn {
    /// Whether the archive of a backup is on this node.
    pub(in crate::portal) fn has_archive(&self, backup: &Backup) -> bool {
        (self.gate.watched.shelf.find)(backup).is_some()
    }
}

impl Administrator {
    /// Whether an entry of this name is a record file.
    pub(in crate::portal) fn is_record_file(&self, name: &str) -> bool {
        matches!(self.who.gate.watched.shelf.holds(name), Holds::Records(_))
    }

    /// Takes an entry out of the archive of a backup. `action` is what it is for.
    pub(in crate::portal) async fn archived_entry(
        &self,
        request: &Request,
        id: &str,
        name: &str,
        action: Action,
    ) -> Result<Entry, Error> {
        let gate = &self.who.gate;
        let backup = self.who.found(id).await?;
        let shelf = &gate.watched.shelf;
        let Some(path) = (shelf.find)(&backup) else {
            return Err(Error::Input(
                "The archive of this backup is not kept on this node.".into(),
            ));
        };
        let Ok(_turn) = gate.taking_out.try_acquire() else {
            let sentence = "Others are taking files out of archives. Try again in a moment.";
            return Err(Error::Input(sentence.into()));
        };
        self.who.write_down(request, action, request.path(), Some(name.to_owned())).await?;
        let opened = shelf.open(&gate.store, path).await.map_err(told)?;
        let entry = opened.entry(name).ok_or(Error::NotFound)?;
        let mut taken = shelf.take_out(&opened, entry).await.map_err(told)?;
        taken.file.seek(SeekFrom::Start(0)).map_err(|error| told(shelf::Error::File(error)))?;
        Ok(Entry { file: taken.file, length_bytes: taken.length_bytes })
    }
}

/// Why an entry cannot be had, for an administrator.
fn told(error: shelf::Error) -> Error {
    match error {
        shelf::Error::Store(error) => error.into(),
        error => {
            tracing::warn!("an entry cannot be taken out: {}", cause::chain(&error));
            Error::Input(format!("It cannot be shown: {}.", cause::chain(&error)))
        }
    }
}
