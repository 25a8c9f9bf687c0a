//! Sends the archive of a backup, and goes on where an earlier session broke off.
//!
//! How much of it the server has is asked of the server, never remembered: what was sent and what
//! arrived differ when a session breaks. A server that has none of it may have taken it in
//! already; then it is sent once more, which it takes for what it is, the same backup again.

use std::{fs, path::PathBuf, time::Duration};

use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;

use super::{Cycle, Error};
use crate::{
    archive,
    client::{Client, Manner},
    job::{Backup, Made},
};

/// How often progress is written into the log.
const PROGRESS: Duration = Duration::from_millis(500);

/// An upload that is to break off half-way takes about so many seconds for the whole.
const ABORTED_SECONDS: u64 = 4;

impl Cycle {
    pub(super) async fn upload(
        &self,
        backup: &Backup,
        stop: &CancellationToken,
    ) -> Result<(), Error> {
        let made = backup.made.clone().ok_or(Error::Unset)?;
        let client = self.client().ok_or(Error::Unset)?;
        let archive = self.archives.join(&backup.file);
        let job = &backup.job;
        let first = backup.attempts == 0 || backup.uploaded.is_some() && backup.sent_bytes == 0;
        self.log.change(job, Backup::attempt).await?;
        client.pin().await?;
        let there = if first { None } else { client.size_of(&backup.file).await? };
        if there != Some(made.size_bytes) {
            // More than there is to send cannot be a part of it.
            let part = there.filter(|there| *there < made.size_bytes);
            self.send(&client, backup, &made, part, stop).await?;
        }
        if self.mischief.take(|misdeeds| &mut misdeeds.upload_twice) {
            let sent = watch::Sender::new(0);
            client.put(&archive, &backup.file, Manner::default(), &sent).await?;
        }
        let now = self.clock.now();
        self.log.change(job, |backup| backup.arrived(now)).await?;
        tracing::info!(%job, "uploaded it");
        Ok(())
    }

    /// Sends it, from behind the `part` that is there; tells the log how far it is, and breaks off
    /// when it has to.
    async fn send(
        &self,
        client: &Client,
        backup: &Backup,
        made: &Made,
        part: Option<u64>,
        stop: &CancellationToken,
    ) -> Result<(), Error> {
        let (source, manner) = self.misled(backup, made, part.is_some())?;
        let begins_at = part.unwrap_or(0);
        self.log.change(&backup.job, |backup| backup.sent(begins_at)).await?;
        if begins_at > 0 {
            tracing::info!(job = %backup.job, at_byte = begins_at, "goes on where it broke off");
        }
        let (sent, mut progress) = watch::channel(0);
        let ended = CancellationToken::new();
        let sending = async {
            let outcome = tokio::select! {
                outcome = client.put(&source, &backup.file, manner, &sent) => outcome.map_err(Error::from),
                () = self.must_stop(stop) => Err(Error::Stopped),
            };
            ended.cancel();
            outcome
        };
        let following = async {
            // What is being written into the log is never dropped half-way.
            while !ended.is_cancelled() {
                tokio::select! {
                    _ = progress.changed() => {}
                    () = ended.cancelled() => break,
                }
                let bytes = (*progress.borrow_and_update()).max(begins_at);
                if let Err(error) = self.log.change(&backup.job, |backup| backup.sent(bytes)).await
                {
                    tracing::debug!(%error, "progress was not noted");
                }
                tokio::select! {
                    () = sleep(PROGRESS) => {}
                    () = ended.cancelled() => {}
                }
            }
        };
        let (outcome, ()) = tokio::join!(sending, following);
        if source != self.archives.join(&backup.file) {
            let _ = fs::remove_file(&source);
        }
        outcome
    }

    /// What is sent and how: the archive as fast as it goes, unless a misdeed is planned.
    fn misled(
        &self,
        backup: &Backup,
        made: &Made,
        resume: bool,
    ) -> Result<(PathBuf, Manner), Error> {
        let archive = self.archives.join(&backup.file);
        let kbit_per_second = self.mischief.planned().slow_kbit_per_second;
        let mut manner = Manner { resume, kbit_per_second, break_off_at: None };
        if self.mischief.take(|misdeeds| &mut misdeeds.abort_upload) {
            let kbit = (made.size_bytes / 125 / ABORTED_SECONDS).max(64);
            manner.kbit_per_second = u32::try_from(kbit).ok().or(kbit_per_second);
            manner.break_off_at = Some(made.size_bytes / 2);
        }
        if self.mischief.take(|misdeeds| &mut misdeeds.corrupt_upload) {
            let copy = archive.with_extension("corrupt");
            archive::corrupt_copy(&archive, &copy)?;
            return Ok((copy, manner));
        }
        Ok((archive, manner))
    }

    /// Returns when what is being sent has to wait: at the end, and when retention is off.
    async fn must_stop(&self, stop: &CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(PROGRESS) => {}
            }
            if !self.settings.get().enabled {
                return;
            }
        }
    }
}
