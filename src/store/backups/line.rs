//! A backup's document: how it is written and read.

use bson::{Bson, DateTime, Document, doc};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Backup, Change, Error, Opened, date, from_document, to_bson};
use crate::backup::{
    Acknowledged, DirectoryId, Findings, JobId, Progress, Readability, Reason, RejectionCode,
    Senders, State, UploadId, WaitCode,
    examined::RULES,
    history::{Event, What},
    retention::{Asking, Deletion, Status, Step},
    verdict::{Override, Point, Tally},
    verified::{Differs, Verified},
};
use crate::{config::Modes, settings::seal::Mark};

pub(super) fn written(change: Change) -> Result<(State, Document), Error> {
    Ok(match change {
        Change::Storing(storing) => (
            State::Storing,
            doc! { "progress": to_bson(&storing.progress)?, "waiting": Bson::Null },
        ),
        Change::Stored(stored, Opened { sha256, modes, archive_keys }) => (
            State::Stored,
            doc! {
                "progress": to_bson(&stored.progress)?,
                "findings": to_bson(&stored.findings)?,
                "sha256": hex::encode(sha256),
                "modes": { "online": modes.online, "offline": modes.offline },
                "archive_keys": to_bson(&archive_keys)?,
            },
        ),
        Change::Waiting(waiting) => (State::Waiting, doc! { "waiting": to_bson(&waiting.reason)? }),
        Change::Rejected(rejected, sha256) => (
            State::Rejected,
            doc! {
                "rejection": to_bson(&rejected.reason)?,
                "progress": to_bson(&Progress::default())?,
                "sha256": sha256.map(hex::encode),
            },
        ),
    })
}

/// A backup's document as serde reads it.
#[derive(Serialize, Deserialize)]
struct Line {
    _id: UploadId,
    job: JobId,
    #[serde(default)]
    service: String,
    file: String,
    taken: DateTime,
    arrived: DateTime,
    size_bytes: i64,
    state: String,
    #[serde(default)]
    progress: Progress,
    #[serde(default)]
    findings: Findings,
    rejection: Option<Reason<RejectionCode>>,
    waiting: Option<Reason<WaitCode>>,
    begun: Option<DateTime>,
    changed: DateTime,
    sha256: Option<String>,
    #[serde(default)]
    repeats: u32,
    #[serde(default)]
    superseded: bool,
    acknowledged: Option<AcknowledgedLine>,
    directory: Option<DirectoryId>,
    senders: Option<Senders>,
    archive_kept: Option<bool>,
    modes: Option<ModesLine>,
    readability: Option<ReadabilityLine>,
    #[serde(default)]
    archive_keys: Vec<Mark>,
    verified: Option<VerifiedLine>,
    #[serde(default)]
    history: Vec<EventLine>,
    #[serde(default)]
    overrides: Vec<OverrideLine>,
    deletion: Option<DeletionLine>,
}

/// How readable the media of a backup are in its archive, as it is written.
#[derive(Serialize, Deserialize)]
struct ReadabilityLine {
    rules: i32,
    found: Readability,
}

/// Modes as they are written.
#[derive(Serialize, Deserialize)]
pub(in crate::store) struct ModesLine {
    online: bool,
    offline: bool,
}

impl From<Modes> for ModesLine {
    fn from(Modes { online, offline }: Modes) -> Self {
        Self { online, offline }
    }
}

impl From<ModesLine> for Modes {
    fn from(ModesLine { online, offline }: ModesLine) -> Self {
        Self { online, offline }
    }
}

/// An event as it is written.
#[derive(Serialize, Deserialize)]
struct EventLine {
    at: DateTime,
    what: What,
    by: Option<String>,
    said: Option<String>,
}

/// An administrator's word as it is written.
#[derive(Serialize, Deserialize)]
struct OverrideLine {
    point: Point,
    accepted: Option<Tally>,
    reason: String,
    by: String,
    at: DateTime,
}

/// The acknowledgement of a rejection as it is written.
#[derive(Serialize, Deserialize)]
struct AcknowledgedLine {
    reason: String,
    by: String,
    at: DateTime,
}

/// What came of a check as it is written.
#[derive(Serialize, Deserialize)]
struct VerifiedLine {
    at: DateTime,
    ok: bool,
    #[serde(default)]
    differences: i64,
    #[serde(default)]
    findings: Vec<Differs>,
}

/// A deletion as it is written.
#[derive(Serialize, Deserialize)]
struct DeletionLine {
    status: Status,
    by: String,
    asked: DateTime,
    changed: DateTime,
    #[serde(default)]
    passed_on: bool,
    /// It was begun in maaiiconnect itself.
    #[serde(default)]
    elsewhere: bool,
    why: Option<String>,
}

/// What is pushed to the history.
pub(in crate::store) fn event(event: &Event) -> Result<Bson, Error> {
    let Event { at, what, by, said } = event.clone();
    to_bson(&EventLine { at: date(at), what, by, said })
}

/// What is pushed to the overrides.
pub(in crate::store) fn word(word: &Override) -> Result<Bson, Error> {
    let Override { point, accepted, reason, by, at } = word.clone();
    to_bson(&OverrideLine { point, accepted, reason, by, at: date(at) })
}

/// What is set as the acknowledgement.
pub(in crate::store) fn acknowledged(word: &Acknowledged) -> Result<Bson, Error> {
    let Acknowledged { reason, by, at } = word.clone();
    to_bson(&AcknowledgedLine { reason, by, at: date(at) })
}

/// What is set as the result of a check.
pub(in crate::store) fn verified(found: &Verified) -> Result<Bson, Error> {
    to_bson(&VerifiedLine {
        at: date(found.at),
        ok: found.is_ok(),
        differences: i64::try_from(found.differences).unwrap_or(i64::MAX),
        findings: found.findings.clone(),
    })
}

/// What is set as the deletion.
pub(in crate::store) fn deletion(deletion: &Deletion) -> Result<Bson, Error> {
    let (asking, why) = match &deletion.step {
        Step::Deleting(deleting) => (deleting.asking(), None),
        Step::Failed(failed) => (Asking::ToBeDone, Some(failed.why.clone())),
        Step::Completed(_) => (Asking::ToBeDone, None),
    };
    to_bson(&DeletionLine {
        status: deletion.step.status(),
        by: deletion.by.clone(),
        asked: date(deletion.asked),
        changed: date(deletion.changed),
        passed_on: asking == Asking::Done,
        elsewhere: asking == Asking::Elsewhere,
        why,
    })
}

pub(in crate::store) fn read(document: Document) -> Result<Backup, Error> {
    let id = document.get_str("_id").unwrap_or("without an id").to_owned();
    let unreadable = |why: String| Error::Unreadable { what: "backup", id: id.clone(), why };
    let line: Line = from_document(document).map_err(&unreadable)?;
    let time = |date: DateTime| {
        Timestamp::from_millisecond(date.timestamp_millis())
            .map_err(|error| unreadable(error.to_string()))
    };
    Ok(Backup {
        upload: line._id,
        job: line.job,
        service: line.service,
        file: line.file,
        taken: time(line.taken)?,
        arrived: time(line.arrived)?,
        size_bytes: line.size_bytes.try_into().unwrap_or(0),
        state: line
            .state
            .parse()
            .map_err(|error: crate::backup::state::UnknownState| unreadable(error.to_string()))?,
        progress: line.progress,
        findings: line.findings,
        rejection: line.rejection,
        waiting: line.waiting,
        begun: line.begun.map(time).transpose()?,
        changed: time(line.changed)?,
        sha256: line.sha256,
        repeats: line.repeats,
        superseded: line.superseded,
        acknowledged: line
            .acknowledged
            .map(|AcknowledgedLine { reason, by, at }| {
                Ok::<_, Error>(Acknowledged { reason, by, at: time(at)? })
            })
            .transpose()?,
        directory: line.directory,
        senders: line.senders,
        archive_kept: line.archive_kept,
        modes: line.modes.map(Modes::from),
        readability: line.readability.filter(|known| known.rules >= RULES).map(|known| known.found),
        archive_keys: line.archive_keys,
        verified: line
            .verified
            .map(|VerifiedLine { at, ok, differences, findings }| {
                // Not less than one where it says that it is not well.
                let differences = differences.try_into().unwrap_or(0).max(u64::from(!ok));
                Ok::<_, Error>(Verified { at: time(at)?, differences, findings })
            })
            .transpose()?,
        history: line
            .history
            .into_iter()
            .map(|EventLine { at, what, by, said }| Ok(Event { at: time(at)?, what, by, said }))
            .collect::<Result<_, Error>>()?,
        overrides: line
            .overrides
            .into_iter()
            .map(|OverrideLine { point, accepted, reason, by, at }| {
                Ok(Override { point, accepted, reason, by, at: time(at)? })
            })
            .collect::<Result<_, Error>>()?,
        deletion: line.deletion.map(read_deletion).transpose().map_err(&unreadable)?,
    })
}

fn read_deletion(line: DeletionLine) -> Result<Deletion, String> {
    let time = |date: DateTime| {
        Timestamp::from_millisecond(date.timestamp_millis()).map_err(|error| error.to_string())
    };
    let status = line.status;
    let asking = match (line.elsewhere, line.passed_on) {
        (true, _) => Asking::Elsewhere,
        (false, true) => Asking::Done,
        (false, false) => Asking::ToBeDone,
    };
    let step = Step::read(status, asking, line.why)
        .ok_or_else(|| format!("{status} is stored nowhere"))?;
    Ok(Deletion { by: line.by, asked: time(line.asked)?, step, changed: time(line.changed)? })
}
