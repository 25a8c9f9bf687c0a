//! Makes the archive of a backup, and notes what it holds.
//!
//! The order is what makes it safe to be cut off: the archive is whole and on the disk, then the
//! note is in the database, and only then does the log say that it can be sent. Until then all of
//! it is made again, under the same job.

use tokio::sync::mpsc;

use super::{Cycle, Error};
use crate::{archive, job::Backup};

/// How many pieces of an archive may wait to be written.
const PIECES: usize = 64;

impl Cycle {
    pub(super) async fn build(&self, backup: &Backup) -> Result<(), Error> {
        let settings = self.settings.get();
        let key = settings.archive_key.ok_or(Error::Unset)?.value;
        let (path, taken) = (self.archives.join(&backup.file), backup.created);
        let (to, pieces) = mpsc::channel(PIECES);
        let writing =
            tokio::task::spawn_blocking(move || archive::write(&path, &key, taken, pieces));
        let chosen = self.live.choose(backup.before, &to).await;
        // Without its last piece the archive is given up.
        drop(to);
        let made = writing.await?;
        let held = match (chosen, made.as_ref()) {
            // Why nobody takes anything any more, the writer knows.
            (Err(crate::live::Error::NoTaker), Err(_)) => {
                return made.map(drop).map_err(Into::into);
            }
            (chosen, _) => chosen?,
        };
        let made = made?;
        self.live.hold(&backup.job, held).await?;
        tracing::info!(job = %backup.job, files = made.files, bytes = made.size_bytes, "made its archive");
        self.log.change(&backup.job, |backup| backup.built(made)).await?;
        Ok(())
    }
}
