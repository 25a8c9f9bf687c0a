//! The retention cycle: a backup at its hour, its archive, its upload, its deletion.
//!
//! Two loops look at the Backup Log and do the next step of what they find there; they take no
//! input, so that a restart at any moment needs no code of its own. A backup begins with its line
//! in the log, under the job id that it keeps. Its archive is made under the name that it keeps,
//! and nothing is sent before the log says that it is whole; from then on the same bytes are sent
//! as often as it takes. An archive is kept until what it held is deleted.
//!
//! It must never delete on its own account: only a line that somebody asked to delete, with the
//! digest of what was sent, gets that far.

mod build;
mod upload;

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use jiff::Timestamp;
use retention::{
    backup::{BackupName, JobId},
    cause,
};
use tokio::{sync::Notify, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    archive,
    client::{self, Client},
    clock::{self, Clock},
    job::{Backup, Refusal, Stage},
    keys::Keys,
    live::{
        self, Live,
        log::{Log, Unchanged},
    },
    mischief::Mischief,
    settings::SettingsFile,
};

/// How long a loop rests if nothing wakes it.
const REST: Duration = Duration::from_secs(1);

/// How long the first and any further pause after a failure is at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));

/// Why a step was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The database.
    #[error(transparent)]
    Live(#[from] live::Error),
    /// The log.
    #[error(transparent)]
    Log(#[from] Unchanged),
    /// The archive.
    #[error(transparent)]
    Archive(#[from] archive::Error),
    /// The upload.
    #[error(transparent)]
    Client(#[from] client::Error),
    /// There is nowhere to send it to.
    #[error("the settings do not say where to upload, or with which Archive Key")]
    Unset,
    /// Retention was switched off, or this program ends.
    #[error("it was stopped")]
    Stopped,
    /// A thread of ours is gone.
    #[error("a thread ended before its work")]
    Thread(#[from] tokio::task::JoinError),
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Log(refusal.into())
    }
}

/// What the cycle works with.
#[derive(Debug)]
pub(crate) struct Cycle {
    pub(crate) service: String,
    pub(crate) live: Arc<Live>,
    pub(crate) log: Arc<Log>,
    pub(crate) settings: Arc<SettingsFile>,
    pub(crate) keys: Arc<Keys>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) mischief: Arc<Mischief>,
    /// Where archives are.
    pub(crate) archives: PathBuf,
    /// Where the client has its files.
    pub(crate) client: PathBuf,
    pub(crate) woken: Woken,
}

/// What wakes the two loops.
#[derive(Debug, Default)]
pub(crate) struct Woken {
    sending: Notify,
    deleting: Notify,
}

impl Woken {
    /// Something has changed: settings, time, or a line of the log.
    pub(crate) fn wake(&self) {
        self.sending.notify_one();
        self.deleting.notify_one();
    }
}

impl Cycle {
    /// Begins the backup that is due, if one is and it was not begun before.
    pub(crate) async fn begin_due(&self) -> Result<Option<Backup>, Error> {
        let settings = self.settings.get();
        let Some(since) = settings.since.filter(|_| settings.enabled) else { return Ok(None) };
        let due = clock::last_due(self.clock.now(), settings.schedule_hour_utc);
        let newest = self.log.newest().await?.map(|backup| backup.created);
        if due < since || newest.is_some_and(|newest| newest >= due) {
            return Ok(None);
        }
        let backup = Backup::begin(&self.service, new_job(), due, settings.days_retained);
        let backup = self.log.begin(backup).await?;
        tracing::info!(job = %backup.job, before = %backup.before, "began a backup");
        self.woken.wake();
        Ok(Some(backup))
    }

    /// When the next backup is due.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        let settings = self.settings.get();
        let hour = settings.schedule_hour_utc;
        settings.enabled.then(|| clock::next_due(self.clock.now(), hour))
    }

    /// Begins, makes and sends backups until `stop`.
    pub(crate) async fn send_all(&self, stop: CancellationToken) {
        let mut pause = PAUSES.0;
        while !stop.is_cancelled() {
            let rest = match self.send_next(&stop).await {
                Ok(true) => Duration::ZERO,
                Ok(false) | Err(Error::Stopped) => REST,
                Err(error) => {
                    tracing::warn!(error = cause::chain(&error), "a backup does not get on");
                    let rest = pause;
                    pause = (pause * 2).min(PAUSES.1);
                    rested(&self.woken.sending, rest, &stop).await;
                    continue;
                }
            };
            pause = PAUSES.0;
            rested(&self.woken.sending, rest, &stop).await;
        }
    }

    /// Deletes what is to be deleted until `stop`.
    pub(crate) async fn delete_all(&self, stop: CancellationToken) {
        if let Err(error) = self.tidy().await {
            tracing::warn!(error = cause::chain(&error), "old archives were not removed");
        }
        while !stop.is_cancelled() {
            if self.mischief.planned().hold_deletion {
                rested(&self.woken.deleting, PAUSES.0, &stop).await;
                continue;
            }
            let rest = match self.delete_next().await {
                Ok(true) => Duration::ZERO,
                Ok(false) => REST,
                Err(error) => {
                    tracing::warn!(error = cause::chain(&error), "a deletion does not get on");
                    REST
                }
            };
            rested(&self.woken.deleting, rest, &stop).await;
        }
    }

    /// Does a step of the oldest backup that is not uploaded. Says whether there was one.
    async fn send_next(&self, stop: &CancellationToken) -> Result<bool, Error> {
        self.begin_due().await?;
        if !self.settings.get().enabled {
            return Ok(false);
        }
        let stages = [Stage::Building, Stage::Uploading];
        let Some(backup) = self.log.oldest_at(&stages).await? else { return Ok(false) };
        let job = backup.job.clone();
        let outcome = match backup.stage {
            Stage::Building => self.build(&backup).await,
            _ => self.upload(&backup, stop).await,
        };
        match outcome {
            Ok(()) => Ok(true),
            Err(Error::Stopped) => Err(Error::Stopped),
            Err(error) => {
                let why = trouble(&error);
                self.log.change(&job, |backup| backup.hindered(why)).await?;
                Err(error)
            }
        }
    }

    async fn delete_next(&self) -> Result<bool, Error> {
        let Some(backup) = self.log.oldest_at(&[Stage::Deleting]).await? else { return Ok(false) };
        let job = backup.job;
        let outcome = self.delete(&job).await;
        let failed = outcome.as_ref().err().map(trouble);
        if let Err(error) = outcome {
            tracing::warn!(%job, error = cause::chain(&error), "could not delete what it held");
        }
        let now = self.clock.now();
        let completed = failed.is_none();
        self.log.change(&job, |backup| backup.ended(failed, now)).await?;
        if completed {
            tracing::info!(%job, "deleted what it held");
            self.tidy().await?;
        }
        Ok(true)
    }

    async fn delete(&self, job: &JobId) -> Result<(), Error> {
        let marked = self.live.deletion(job).await?;
        let takes = marked.takes().clone();
        self.log.change(job, |backup| backup.counted(takes)).await?;
        let fail = self.mischief.take(|misdeeds| &mut misdeeds.fail_deletion);
        Ok(marked.remove(fail).await?)
    }

    /// Removes the archives of what was deleted: there is only one copy now, and it is not ours.
    async fn tidy(&self) -> Result<(), Error> {
        for entry in fs::read_dir(&self.archives).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Ok(name) = name.parse::<BackupName>() else { continue };
            let line = self.log.get(&name.job).await?;
            if line.is_some_and(|line| line.stage == Stage::Completed) {
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(())
    }

    /// A client of the server that is configured.
    pub(crate) fn client(&self) -> Option<Client> {
        let server = self.settings.get().sftp?;
        Some(Client::new(server, self.keys.clone(), self.client.clone()))
    }
}

/// What people are told of an error.
fn trouble(error: &Error) -> String {
    let again = "It is tried again.";
    match error {
        Error::Client(client::Error::Broke { .. } | client::Error::Slow) => {
            format!("The connection to the SFTP server broke. {again}")
        }
        Error::Client(client::Error::Silent(_)) => {
            format!("The SFTP server does not answer. {again}")
        }
        Error::Client(client::Error::Refused) => {
            format!("The SFTP server refuses the SFTP public key. {again}")
        }
        Error::Client(client::Error::HostKey { .. }) => {
            format!("The SFTP server shows another host key than was configured. {again}")
        }
        Error::Unset => "The settings do not say where to upload.".to_owned(),
        Error::Live(live::Error::ToldToFail) => {
            "The database could not remove all of the data.".to_owned()
        }
        Error::Live(_) | Error::Log(_) => format!("The database does not answer. {again}"),
        _ => format!("The archive could not be made or read. {again}"),
    }
}

fn new_job() -> JobId {
    let text = uuid::Builder::from_random_bytes(rand::random()).into_uuid().to_string();
    text.parse().expect("a UUID has 36 characters")
}

/// Waits for a time, until something wakes it, or until the end.
async fn rested(wake: &Notify, rest: Duration, stop: &CancellationToken) {
    tokio::select! {
        _ = timeout(rest, wake.notified()) => {}
        () = stop.cancelled() => {}
    }
}
