//! What is under way: uploads that come or are awaited, backups being stored, deletions. And what
//! should have come and has not.
//!
//! It tells of backups and not of people, so whoever is signed in may know it, and looking is not in
//! the audit log.

use jiff::{SignedDuration, Timestamp};

use super::{
    lock,
    permit::{Administrator, SignedIn},
};
use crate::{
    audit::Action,
    backup::{
        BackupName, JobId, State, UploadId,
        cloud::{CloudBackup, CloudLog, Missing, Presence},
        history::{Event, What},
        retention::Status,
        schedule,
        usual::{self, LIKE},
    },
    cause,
    portal::{Arriving, errors::Error, request::Request},
    store::backups::Backup,
};

/// How much later than a rejection maaiiconnect has to say that it uploads, to mean another upload.
const SAID_LATER: SignedDuration = SignedDuration::from_secs(3);

/// All that is under way.
pub(in crate::portal) struct UnderWay {
    /// Uploads that lie in the inbox.
    pub(in crate::portal) coming: Vec<OnItsWay>,
    /// Those that maaiiconnect has begun and of which nothing is here.
    pub(in crate::portal) awaited: Vec<CloudBackup>,
    /// Backups that are being taken in.
    pub(in crate::portal) unfinished: Vec<Backup>,
    /// Uploads whose data is being deleted from maaiiconnect.
    pub(in crate::portal) deletions: Vec<UploadId>,
}

/// An upload that is on its way.
pub(in crate::portal) struct OnItsWay {
    /// The upload.
    pub(in crate::portal) upload: Arriving,
    /// How large it will be, as maaiiconnect says.
    pub(in crate::portal) whole_bytes: Option<u64>,
    /// How large those before it were, if there were enough of them.
    pub(in crate::portal) usual_bytes: Option<u64>,
}

/// A backup that maaiiconnect says it has uploaded.
pub(in crate::portal) struct NotHere {
    /// As maaiiconnect's log has it.
    pub(in crate::portal) backup: CloudBackup,
    /// What is wrong.
    pub(in crate::portal) why: Missing,
}

/// When the next backup is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::portal) enum Next {
    /// At this time, as maaiiconnect says.
    Said(Timestamp),
    /// At this time, by the hour that is set.
    Reckoned(Timestamp),
    /// Retention is off in maaiiconnect, and on here.
    OffThere,
    /// Retention is off.
    Off,
    /// Nobody has said.
    Unknown,
}

/// What came of asking maaiiconnect for an upload.
pub(in crate::portal) enum AskedAgain {
    /// It will come.
    Yes,
    /// It will not, for this reason.
    No(String),
}

impl SignedIn {
    /// All that is under way.
    pub(in crate::portal) async fn under_way(&self) -> Result<UnderWay, Error> {
        let cloud = self.cloud().await?;
        let coming = self.coming(cloud.as_ref()).await?;
        let unfinished = self.gate.store.unfinished_backups().await?;
        let awaited = self.awaited(cloud, &coming, &unfinished).await?;
        let storing = unfinished.iter().filter(|backup| backup.state == State::Storing);
        let done = storing.map(|backup| (backup.upload.clone(), backup.progress.bytes_done));
        lock(&self.gate.paces).note(self.gate.now(), done);
        let deletions = self.gate.store.deletions().await?;
        let deletions = deletions.into_iter().map(|backup| backup.upload).collect();
        Ok(UnderWay { coming, awaited, unfinished, deletions })
    }

    /// How many bytes a second are being stored of a backup under way, as of the last looks.
    pub(in crate::portal) fn bytes_per_second(&self, upload: &UploadId) -> Option<u64> {
        lock(&self.gate.paces).bytes_per_second(upload)
    }

    /// What maaiiconnect's log says; nothing where there is no connector, or it was never read.
    async fn cloud(&self) -> Result<Option<CloudLog>, Error> {
        match self.has_connector() {
            true => Ok(self.gate.store.cloud_log().await?),
            false => Ok(None),
        }
    }

    async fn coming(&self, cloud: Option<&CloudLog>) -> Result<Vec<OnItsWay>, Error> {
        let mut all = Vec::new();
        for upload in self.gate.arriving().iter() {
            let name = upload.file.parse::<BackupName>().ok();
            let known = name.as_ref().and_then(|name| cloud?.of(&name.job));
            let whole_bytes = known.and_then(|known| known.archive_bytes);
            let usual_bytes = match name.filter(|_| !upload.interrupted && whole_bytes.is_none()) {
                Some(name) => self.usual_bytes(&name).await?,
                None => None,
            };
            all.push(OnItsWay { upload: upload.clone(), whole_bytes, usual_bytes });
        }
        Ok(all)
    }

    async fn usual_bytes(&self, name: &BackupName) -> Result<Option<u64>, Error> {
        let store = &self.gate.store;
        let before = store.stored_before(&name.service, name.taken, LIKE).await?;
        let sizes: Vec<u64> = before.iter().map(|backup| backup.size_bytes).collect();
        Ok(usual::usual(&sizes))
    }

    async fn awaited(
        &self,
        cloud: Option<CloudLog>,
        coming: &[OnItsWay],
        unfinished: &[Backup],
    ) -> Result<Vec<CloudBackup>, Error> {
        let CloudLog { read, backups: mut awaited, .. } = cloud.unwrap_or_default();
        let is_coming = |file: &str| coming.iter().any(|coming| coming.upload.file == file);
        let is_here = |job: &JobId| unfinished.iter().any(|backup| backup.job == *job);
        awaited.retain(|backup| backup.status == Status::Uploading);
        awaited.retain(|backup| !is_coming(&backup.file) && !is_here(&backup.job));
        let here = self.gate.store.jobs_here(awaited.iter().map(|backup| &backup.job)).await?;
        let mut found = Vec::new();
        for backup in awaited {
            let is_awaited = match here.get(&backup.job) {
                None => true,
                Some(Presence::Stored) => false,
                // What was rejected here is sent again under the same name, unless that maaiiconnect
                // sends it is of before it came.
                Some(Presence::Known) => {
                    let uploads = self.gate.store.backups_of_job(&backup.job).await?;
                    let settled = uploads.iter().map(|upload| upload.changed).max();
                    settled.is_none_or(|settled| read.duration_since(settled) > SAID_LATER)
                }
            };
            if is_awaited {
                found.push(backup);
            }
        }
        Ok(found)
    }

    /// Whether maaiiconnect's log, as far as it is held, tells what becomes of a backup.
    pub(in crate::portal) async fn is_told_by_maaiiconnect(
        &self,
        backup: &Backup,
    ) -> Result<bool, Error> {
        Ok(self.cloud().await?.is_some_and(|cloud| cloud.of(&backup.job).is_some()))
    }

    /// What should be here and is not, as far as maaiiconnect tells.
    pub(in crate::portal) async fn missing(&self) -> Result<Vec<NotHere>, Error> {
        let Some(cloud) = self.cloud().await? else { return Ok(Vec::new()) };
        let here =
            self.gate.store.jobs_here(cloud.backups.iter().map(|backup| &backup.job)).await?;
        let missing = cloud.missing(&here, self.gate.now()).into_iter();
        Ok(missing.map(|(backup, why)| NotHere { backup: backup.clone(), why }).collect())
    }

    /// When the next backup is made.
    pub(in crate::portal) async fn next_backup(&self) -> Result<Next, Error> {
        let settings = self.gate.store.settings().await?;
        if settings.off {
            return Ok(Next::Off);
        }
        if let Some(cloud) = self.cloud().await?.filter(|cloud| cloud.trouble.is_none()) {
            return Ok(cloud.next_backup.map_or(Next::OffThere, Next::Said));
        }
        let configured = self.gate.watched.setting.defaults.schedule_hour;
        let hour = settings.awaited_hour(configured);
        let next = hour.and_then(|hour| schedule::next_due(hour, self.gate.now()));
        Ok(next.map_or(Next::Unknown, Next::Reckoned))
    }
}

impl Administrator {
    /// A backup that can be had once more: maaiiconnect's log has it, and it is not stored here. With
    /// the reason that there is to ask for it.
    pub(in crate::portal) async fn to_be_uploaded_again(
        &self,
        job: &str,
    ) -> Result<(CloudBackup, String), Error> {
        let job: JobId = job.parse().map_err(|_| Error::NotFound)?;
        let cloud = self.who.cloud().await?.ok_or(Error::NotFound)?;
        let Some(backup) = cloud.of(&job).cloned() else {
            return Err(Error::Input("maaiiconnect's log no longer tells of this backup.".into()));
        };
        let uploads = self.who.gate.store.backups_of_job(&job).await?;
        if uploads.iter().any(|upload| upload.state == State::Stored) {
            return Err(Error::Input("This backup is stored here.".into()));
        }
        if uploads.iter().any(|upload| upload.state != State::Rejected) {
            return Err(Error::Input("This backup is here, and is being taken in.".into()));
        }
        let rejected = uploads.into_iter().rev().find_map(|upload| upload.rejection);
        let why = rejected
            .map_or_else(|| Missing::NeverArrived.sentence().to_owned(), |reason| reason.sentence);
        Ok((backup, why))
    }

    /// Has maaiiconnect upload a backup once more.
    pub(in crate::portal) async fn upload_again(
        &self,
        request: &Request,
        job: &str,
        reason: String,
    ) -> Result<AskedAgain, Error> {
        let (backup, _) = self.to_be_uploaded_again(job).await?;
        let Some(connection) = &self.who.gate.watched.connector else {
            return Err(Error::NotFound);
        };
        let (action, said) = (Action::UploadRequested, format!("{}: {reason}", backup.file));
        self.who.write_down(request, action, request.path(), Some(said)).await?;
        let refusal = match connection.client.upload_again(&backup.job, &reason).await {
            Ok(refusal) => refusal,
            Err(error) => Some(format!("maaiiconnect cannot be asked: {}.", cause::chain(&error))),
        };
        if let Some(why) = refusal {
            return Ok(AskedAgain::No(why));
        }
        let by = self.who.account().name.clone();
        let event = Event::by(&by, request.now(), What::AskedAgain, Some(reason));
        self.who.gate.store.note_asked_again(&backup.job, &event).await?;
        connection.wake.notify_one();
        Ok(AskedAgain::Yes)
    }
}
