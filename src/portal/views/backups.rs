//! The Backup Log, a page for each backup, and how far those under way are.

use std::collections::BTreeMap;

use askama::Template;
use serde::Serialize;
use warp::reply::Response;

use super::{
    ask, backup_line,
    deletion::{self, Standing},
    receipt,
    rejection::Known,
};
use crate::{
    accounts::DataType,
    backup::{Readability, State, examined::DamagedMedium, retention::Status},
    portal::{
        answer,
        cells::{Pager, Table, count, counted, size},
        errors::Error,
        gate::{Looked, SignedIn},
        request::Request,
        shell::{Here, Shell},
        zone::{When, Zone},
    },
    records::Dataset,
    store::backups::Backup,
};

/// How many backups a page of the log has.
const SIZE: u16 = 30;
/// How often browsers without scripts load a page again while something is under way.
const REFRESH_SECONDS: u32 = 5;

#[derive(Template)]
#[template(path = "backups.html", config = "src/portal/askama.toml")]
struct LogPage {
    shell: Shell,
    table: Table,
    pager: Pager,
    /// Watched by the script; empty where nothing is under way.
    signature: String,
}

#[derive(Template)]
#[template(path = "backup.html", config = "src/portal/askama.toml")]
struct BackupPage {
    shell: Shell,
    file: String,
    job: String,
    service: String,
    cloud_status: &'static str,
    path: String,
    about: String,
    standing: Standing,
    known: Known,
    tone: &'static str,
    condition: String,
    verdict: deletion::Shown,
    reason: String,
    percent: Option<u8>,
    progress_text: String,
    upload: String,
    signature: String,
    taken: When,
    arrived: When,
    changed: When,
    state: State,
    size: String,
    entries: String,
    sha256: String,
    repeats: u32,
    counts: Vec<Count>,
    media: String,
    media_size: String,
    findings: Vec<Found>,
    receipt: Option<receipt::Shown>,
    checked: Option<receipt::Checked>,
    history: Vec<Happened>,
    readable: String,
    damaged: Vec<DamagedMedium>,
    damaged_more: u64,
    siblings: Table,
    has_siblings: bool,
}

/// How many records of a dataset a backup held.
struct Count {
    name: &'static str,
    delivered: String,
    new: String,
    /// The view, filtered by this backup, where the account may see it.
    href: Option<String>,
}

/// Something that happened to a backup.
struct Happened {
    at: When,
    what: &'static str,
    by: String,
    said: String,
}

/// What was found of one kind.
struct Found {
    sentence: String,
    examples: Vec<String>,
    more: u64,
}

#[derive(Serialize)]
struct Progress<'a> {
    signature: String,
    bars: Vec<Bar<'a>>,
}

#[derive(Serialize)]
struct Bar<'a> {
    id: &'a str,
    /// Nothing where the whole is not known, as of an upload on its way.
    percent: Option<u8>,
    text: String,
}

/// The Backup Log.
pub(in crate::portal) async fn log(who: SignedIn, request: Request) -> Result<Response, Error> {
    let zone = Zone::of(&request);
    let position = ask::position(&request)?;
    let page = who.backup_log(&request, &position, SIZE).await?;
    let (arriving, unfinished) = (who.arriving(), who.unfinished().await?);
    let (previous, next) = (page.previous.as_ref(), page.next.as_ref());
    let is_first = previous.is_none();
    let shown = if is_first { &arriving[..] } else { &[] };
    let path = "/retention/backups";
    let mut shell = Shell::new(&who, &request, Here::Backups, "Backup Log");
    shell.refresh_seconds = refresh(&arriving, &unfinished);
    answer::page(&LogPage {
        table: backup_line::table(shown, &page.lines, &zone),
        pager: ask::pager(previous, next, |place| ask::address(path, [], place)),
        signature: watched(&arriving, &unfinished),
        shell,
    })
}

/// How far backups under way are, for the script. It names no person and is asked
/// every second, so it is not in the audit log.
pub(in crate::portal) async fn progress(
    who: SignedIn,
    _request: Request,
) -> Result<Response, Error> {
    let (arriving, unfinished) = (who.arriving(), who.unfinished().await?);
    let stored = unfinished.iter().map(|backup| Bar {
        id: backup.upload.as_str(),
        percent: Some(backup.progress.percent()),
        text: backup_line::progress_text(&backup.progress),
    });
    let uploads = arriving.iter().filter(|upload| !upload.interrupted);
    let uploads = uploads.map(|upload| Bar {
        id: &upload.file,
        percent: None,
        text: backup_line::so_far(upload),
    });
    let progress = Progress {
        signature: watched(&arriving, &unfinished),
        bars: stored.chain(uploads).collect(),
    };
    let json = serde_json::to_string(&progress).map_err(|error| Error::Input(error.to_string()))?;
    Ok(answer::json(json))
}

/// The page of one backup.
pub(in crate::portal) async fn page(who: SignedIn, request: Request) -> Result<Response, Error> {
    let zone = Zone::of(&request);
    let backup = who.backup(&request, request.capture(0)).await?;
    let siblings = who.siblings(&backup).await?;
    let is_stored = backup.state == State::Stored;
    let Looked { verdict, readability, receipt } = who.judge(&backup).await?;
    let brought = if is_stored { who.brought(&backup).await? } else { BTreeMap::new() };
    // Names of files may tell of people, so only administrators see them.
    let damaged = if who.is_administrator() { readability.examples.clone() } else { Vec::new() };
    let (tone, condition) = backup_line::condition(&backup);
    let busy = !backup.state.is_final();
    let unfinished = if busy { std::slice::from_ref(&backup) } else { &[] };
    let mut shell = Shell::new(&who, &request, Here::Backups, backup.file.clone());
    shell.refresh_seconds = busy.then_some(REFRESH_SECONDS);
    answer::page(&BackupPage {
        shell,
        cloud_status: backup.retention_status().words(),
        path: format!("/retention/backups/{}", backup.upload),
        about: about(&backup),
        standing: Standing::new(&who, &backup, &verdict, &zone),
        known: Known::new(&who, &backup, &zone),
        tone,
        condition,
        verdict: deletion::Shown::new(&verdict, who.is_administrator()),
        reason: reason(&backup),
        percent: (backup.state == State::Storing).then(|| backup.progress.percent()),
        progress_text: backup_line::progress_text(&backup.progress),
        signature: watched(&who.arriving(), &who.unfinished().await?)
            .chars()
            .filter(|_| !unfinished.is_empty())
            .collect(),
        taken: zone.show(backup.taken),
        arrived: zone.show(backup.arrived),
        changed: zone.show(backup.changed),
        state: backup.state,
        size: size(backup.size_bytes),
        entries: match backup.progress.entries_total {
            0 => String::new(),
            entries => count(entries),
        },
        sha256: backup.sha256.clone().unwrap_or_default(),
        repeats: backup.repeats,
        counts: if is_stored { counts(&who, &backup, &brought) } else { Vec::new() },
        media: counted(backup.progress.media, "file", "files"),
        media_size: size(backup.progress.media_bytes),
        findings: findings(&who, &backup),
        receipt: receipt.map(|receipt| receipt::Shown::new(&receipt, &who, &zone)),
        checked: backup.verified.as_ref().map(|found| receipt::Checked::new(found, &who, &zone)),
        history: history(&backup, &zone),
        readable: readable(&readability),
        damaged_more: match damaged.len() {
            0 => 0,
            named => readability.damaged.saturating_sub(named as u64),
        },
        damaged,
        has_siblings: !siblings.is_empty(),
        siblings: backup_line::table(&[], &siblings, &zone),
        upload: backup.upload.to_string(),
        job: backup.job.to_string(),
        service: backup.service.clone(),
        file: backup.file,
    })
}

/// After how many seconds a page is loaded again where there are no scripts.
pub(super) fn refresh(arriving: &[crate::portal::Arriving], unfinished: &[Backup]) -> Option<u32> {
    (!watched(arriving, unfinished).is_empty()).then_some(REFRESH_SECONDS)
}

/// What the script watches; empty where nothing is under way.
pub(super) fn watched(arriving: &[crate::portal::Arriving], unfinished: &[Backup]) -> String {
    if arriving.is_empty() && unfinished.is_empty() {
        return String::new();
    }
    backup_line::signature(arriving, unfinished)
}

fn about(backup: &Backup) -> String {
    match backup.state {
        State::Stored if backup.findings.is_empty() => {
            "Every file was checked and every record is in the database.".into()
        }
        State::Stored => {
            "Every file was checked and every record is in the database. Some things were \
             remarkable; they are listed below."
                .into()
        }
        State::Rejected if backup.superseded => {
            "This upload was refused; a later upload of the same backup took its place.".into()
        }
        State::Rejected if backup.is_gone() => {
            "Do not delete the data from maaiiconnect: let it upload this backup again.".into()
        }
        State::Rejected => {
            "Nothing of it is shown. The file is kept in quarantine. Do not delete the data from \
             maaiiconnect: let it upload this backup again."
                .into()
        }
        State::Waiting => {
            "The file is safe here. It is tried again by itself until it is stored.".into()
        }
        State::Arriving | State::Arrived | State::Claimed | State::Storing => {
            "The file is here and is being checked and stored. Nothing of it is shown before all \
             of it is stored."
                .into()
        }
    }
}

fn reason(backup: &Backup) -> String {
    let rejection = backup.rejection.as_ref().map(|reason| reason.sentence.clone());
    let waiting = backup.waiting.as_ref().map(|reason| reason.sentence.clone());
    match backup.state {
        State::Rejected => rejection.unwrap_or_default(),
        State::Waiting => waiting.unwrap_or_default(),
        _ => String::new(),
    }
}

/// How readable media are, in one line; nothing where there are none.
fn readable(found: &Readability) -> String {
    let parts = [
        (found.readable, "readable"),
        (found.readable_in_part, "readable as far as can be decoded here"),
        (found.damaged, "damaged"),
        (found.not_examined, "not examined"),
        (found.waiting, "still being examined"),
    ];
    let parts = parts.iter().filter(|(media, _)| *media > 0);
    parts.map(|(media, words)| format!("{} {words}", count(*media))).collect::<Vec<_>>().join(", ")
}

fn counts(who: &SignedIn, backup: &Backup, brought: &BTreeMap<String, u64>) -> Vec<Count> {
    let delivered = |dataset: Dataset| backup.progress.records.get(dataset.as_str()).copied();
    let each = Dataset::ALL.into_iter().filter_map(|dataset| {
        let delivered = delivered(dataset)?;
        let data_type = DataType::of(dataset);
        let new = brought.get(dataset.as_str()).copied().unwrap_or(0);
        let may = who.account().access(data_type).see && new > 0;
        Some(Count {
            name: dataset_title(dataset),
            delivered: count(delivered),
            new: count(new),
            href: may.then(|| format!("/records/{}?backup={}", data_type.as_str(), backup.job)),
        })
    });
    each.collect()
}

/// What happened to it, the newest first. Who, and why, only as far as everybody may know.
fn history(backup: &Backup, zone: &Zone) -> Vec<Happened> {
    let happened = backup.history.iter().rev().map(|event| Happened {
        at: zone.show(event.at),
        what: event.what.title(),
        by: event.by.clone().unwrap_or_default(),
        said: event.said.clone().unwrap_or_default(),
    });
    happened.collect()
}

/// What records of a dataset are called.
pub(super) fn dataset_title(dataset: Dataset) -> &'static str {
    match dataset {
        Dataset::Call => "Calls",
        Dataset::Conference => "Conferences",
        Dataset::Message => "Messages",
        Dataset::Voicemail => "Voicemail",
        Dataset::Recording => "Recordings",
        Dataset::File => "Shared files",
        Dataset::Avatar => "Avatars",
        Dataset::TagIcon => "Tag icons",
        Dataset::Staff => "Staff",
        Dataset::Contact => "External contacts",
        Dataset::Enquiry => "Closed enquiries",
        Dataset::Other => "Other records",
    }
}

/// Examples name files and records, so only administrators see them.
fn findings(who: &SignedIn, backup: &Backup) -> Vec<Found> {
    let found = |(kind, finding): (crate::backup::FindingKind, &crate::backup::Finding)| {
        let examples = if who.is_administrator() { finding.examples.clone() } else { Vec::new() };
        let shown = u64::try_from(examples.len()).unwrap_or(u64::MAX);
        let more = if examples.is_empty() { 0 } else { finding.count.saturating_sub(shown) };
        Found { sentence: kind.sentence(finding.count), examples, more }
    };
    backup.findings.iter().map(found).collect()
}
