//! Backups that the log has on their way, and whose files are not here any more.
//!
//! That is so after a restore in which the database is newer than the state directory. Nobody would
//! ever go on with such a backup, and what it had brought so far would stay hidden. So it is
//! rejected. Only lines that name this very directory are touched: another appliance may store in
//! the same database, and has files of its own.
//!
//! This comes before all other work on backups: nothing is stored meanwhile that counts on what is
//! taken out here. Where something was, it stays.

use std::collections::HashSet;

use super::{Carrier, Error};
use crate::{
    backup::{Reason, RejectionCode, State, UploadId, state},
    intake::places::ClaimedFile,
    store::backups::{Backup, Change},
};

impl Carrier {
    /// Sees to each of the `unfinished` backups whose file is not among those that were claimed.
    /// Returns whether a file was found elsewhere and brought back.
    pub(in crate::intake) async fn see_to_what_is_gone(
        &self,
        unfinished: &[Backup],
        claimed: &[ClaimedFile],
    ) -> Result<bool, Error> {
        let here: HashSet<&UploadId> = claimed.iter().map(|file| &file.upload).collect();
        let own = Some(&self.settings.directory);
        let mut found = false;
        for backup in unfinished {
            if backup.directory.as_ref() == own && !here.contains(&backup.upload) {
                found |= self.gone(backup).await?;
            }
        }
        Ok(found)
    }

    async fn gone(&self, backup: &Backup) -> Result<bool, Error> {
        let Ok(name) = backup.file.parse() else {
            tracing::warn!(job = %backup.job, upload = %backup.upload, "{} is the file of no backup; its line is left alone", backup.file);
            return Ok(false);
        };
        let path = self.places.claimed(&backup.upload).join(&backup.file);
        let claimed = ClaimedFile { upload: backup.upload.clone(), name, path };
        let stored = self.stored_before(&claimed).await?;
        if stored.is_none() && self.places.bring_back(&claimed)? {
            tracing::warn!(job = %backup.job, upload = %backup.upload, "{} had gone further than MongoDB knows, and is taken in again", backup.file);
            return Ok(true);
        }
        let is_counted_on = match (backup.begun, &stored) {
            // What was brought belongs to the upload that is stored.
            (_, Some(_)) => true,
            (Some(begun), None) => self.store.is_counted_on(&backup.upload, begun).await?,
            (None, None) => false,
        };
        let reason = Reason::new(RejectionCode::FileGone, sentence(is_counted_on));
        let (from, rejected) = match backup.state {
            State::Claimed => (State::Claimed, state::Claimed.reject(reason)),
            _ => (State::Storing, self.begin(&claimed, backup).await?.reject(reason)),
        };
        if !is_counted_on {
            self.withdraw(&claimed).await?;
        }
        let said = rejected.reason.sentence.clone();
        tracing::warn!(job = %backup.job, upload = %backup.upload, "rejected {}: {said}", backup.file);
        let change = Change::Rejected(rejected, None);
        self.store.change_backup(&backup.upload, from, change, self.now()).await?;
        if let Some(stored) = stored {
            self.store.supersede(&backup.job, &stored.upload).await?;
        }
        Ok(false)
    }
}

/// Why it is rejected, and what to do.
fn sentence(something_stays: bool) -> String {
    let stays = if something_stays {
        "What was stored of it stays, for other backups may hold the same."
    } else {
        "Nothing of it is stored."
    };
    format!(
        "Its file is gone from the state directory that it was taken into, as after a restore from \
         an older copy. {stays} Let maaiiconnect upload it again, or put the file into the inbox \
         from another copy, and delete none of its data before that."
    )
}
