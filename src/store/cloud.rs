//! maaiiconnect's log as it was read last: one document, the same for every node, so that each can show
//! it and judge what is missing here. Whoever reads maaiiconnect's log writes it anew.

use std::collections::HashMap;

use bson::{Bson, DateTime, doc};
use futures_util::TryStreamExt;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Error, Store,
    backups::{date, from_document, to_bson},
    schema,
    settings::whole,
};
use crate::backup::{
    JobId, State,
    cloud::{CloudBackup, CloudLog, Presence},
    retention::Status,
};

/// The one document.
const ID: &str = "log";

#[derive(Serialize, Deserialize)]
struct LogLine {
    read: DateTime,
    trouble: Option<String>,
    next_backup: Option<DateTime>,
    backups: Vec<BackupLine>,
}

#[derive(Serialize, Deserialize)]
struct BackupLine {
    job: JobId,
    file: String,
    created: DateTime,
    status: Status,
    archive_bytes: Option<i64>,
    sent_bytes: i64,
    trouble: Option<String>,
    uploaded_seen: Option<DateTime>,
    #[serde(default)]
    before_our_time: bool,
}

impl Store {
    /// maaiiconnect's log as it was read last; nothing where it never was.
    pub async fn cloud_log(&self) -> Result<Option<CloudLog>, Error> {
        let found = self
            .collection(schema::CLOUD)
            .find_one(doc! { "_id": ID })
            .await
            .map_err(Error::database("read what maaiiconnect's log was"))?;
        let Some(document) = found else { return Ok(None) };
        let line: Result<LogLine, String> = from_document(document);
        line.and_then(read).map(Some).map_err(|why| Error::Unreadable {
            what: "copy of maaiiconnect's",
            id: ID.to_owned(),
            why,
        })
    }

    /// Writes down maaiiconnect's log as it was read.
    pub async fn note_cloud_log(&self, log: &CloudLog) -> Result<(), Error> {
        let Bson::Document(document) = to_bson(&written(log))? else { return Ok(()) };
        self.collection(schema::CLOUD)
            .replace_one(doc! { "_id": ID }, document)
            .upsert(true)
            .await
            .map_err(Error::database("note what maaiiconnect's log is"))?;
        Ok(())
    }

    /// How far each of some jobs has got here; those that have no line in the log are left out.
    pub async fn jobs_here<'a>(
        &self,
        jobs: impl IntoIterator<Item = &'a JobId>,
    ) -> Result<HashMap<JobId, Presence>, Error> {
        let failed = "look which jobs are here";
        let jobs: Vec<&str> = jobs.into_iter().map(JobId::as_str).collect();
        if jobs.is_empty() {
            return Ok(HashMap::new());
        }
        let mut lines = self
            .collection(schema::BACKUPS)
            .find(doc! { "job": { "$in": jobs } })
            .projection(doc! { "job": 1, "state": 1 })
            .await
            .map_err(Error::database(failed))?;
        let mut here = HashMap::new();
        while let Some(line) = lines.try_next().await.map_err(Error::database(failed))? {
            let Some(job) = line.get_str("job").ok().and_then(|job| job.parse().ok()) else {
                continue;
            };
            let found = match line.get_str("state") {
                Ok(state) if state == State::Stored.as_str() => Presence::Stored,
                _ => Presence::Known,
            };
            let known = here.entry(job).or_insert(found);
            *known = found.max(*known);
        }
        Ok(here)
    }
}

fn written(log: &CloudLog) -> LogLine {
    let backup = |backup: &CloudBackup| BackupLine {
        job: backup.job.clone(),
        file: backup.file.clone(),
        created: date(backup.created),
        status: backup.status,
        archive_bytes: backup.archive_bytes.map(whole),
        sent_bytes: whole(backup.sent_bytes),
        trouble: backup.trouble.clone(),
        uploaded_seen: backup.uploaded_seen.map(date),
        before_our_time: backup.before_our_time,
    };
    LogLine {
        read: date(log.read),
        trouble: log.trouble.clone(),
        next_backup: log.next_backup.map(date),
        backups: log.backups.iter().map(backup).collect(),
    }
}

fn read(line: LogLine) -> Result<CloudLog, String> {
    let time = |date: DateTime| {
        Timestamp::from_millisecond(date.timestamp_millis()).map_err(|error| error.to_string())
    };
    let backup = |line: BackupLine| {
        Ok::<_, String>(CloudBackup {
            job: line.job,
            file: line.file,
            created: time(line.created)?,
            status: line.status,
            archive_bytes: line.archive_bytes.map(i64::unsigned_abs),
            sent_bytes: line.sent_bytes.unsigned_abs(),
            trouble: line.trouble,
            uploaded_seen: line.uploaded_seen.map(time).transpose()?,
            before_our_time: line.before_our_time,
        })
    };
    Ok(CloudLog {
        read: time(line.read)?,
        trouble: line.trouble,
        next_backup: line.next_backup.map(time).transpose()?,
        backups: line.backups.into_iter().map(backup).collect::<Result<_, _>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_read_as_it_was_written() {
        let at = Timestamp::UNIX_EPOCH;
        let backup = CloudBackup {
            job: "2ed1076d-f512-4316-be8f-e6d1a3a6ae52".parse().expect("an id"),
            file: "backup.zip".into(),
            created: at,
            status: Status::Failed,
            archive_bytes: Some(1 << 40),
            sent_bytes: 7,
            trouble: Some("No room.".into()),
            uploaded_seen: Some(at),
            before_our_time: false,
        };
        let bare = CloudBackup {
            archive_bytes: None,
            uploaded_seen: None,
            before_our_time: true,
            ..backup.clone()
        };
        let log = CloudLog {
            read: at,
            trouble: Some("Away.".into()),
            next_backup: Some(at),
            backups: vec![backup, bare],
        };
        assert_eq!(read(written(&log)), Ok(log));
    }
}
