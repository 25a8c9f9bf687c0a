//! The page of a backup.

use std::collections::BTreeMap;

use askama::Template;
use warp::reply::Response;

use super::{
    backup_line,
    deletion::{self, Standing},
    progress, receipt,
    rejection::Known,
};
use crate::{
    accounts::DataType,
    backup::{
        Progress, Readability, State,
        examined::DamagedMedium,
        retention::Status,
        usual::{self, Compared, Off},
    },
    portal::{
        answer,
        cells::{Table, count, size},
        errors::Error,
        gate::{Looked, SignedIn},
        request::Request,
        shell::{Here, Shell},
        zone::{When, Zone},
    },
    records::Dataset,
    store::backups::Backup,
};

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
    is_storing: bool,
    percent: Option<u8>,
    progress_text: String,
    upload: String,
    signature: String,
    taken: When,
    arrived: When,
    changed: When,
    state: State,
    total_size: String,
    archive_size: String,
    entries: String,
    sha256: String,
    repeats: u32,
    counts: Vec<Count>,
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

/// How many records of a dataset a backup held, and those before it.
struct Count {
    name: &'static str,
    delivered: String,
    before: String,
    median: String,
    /// Whether that is far off, in words.
    off: &'static str,
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

/// The page of one backup.
pub(in crate::portal) async fn page(who: SignedIn, request: Request) -> Result<Response, Error> {
    let zone = Zone::of(&request);
    let backup = who.backup(&request, request.capture(0)).await?;
    let siblings = who.judge_all(who.siblings(&backup).await?).await?;
    let Looked { verdict, readability, receipt, .. } = who.judge(&backup).await?;
    let counts = counts(&who, &backup).await?;
    // Names of files may tell of people, so only administrators see them.
    let damaged = if who.is_administrator() { readability.examples.clone() } else { Vec::new() };
    let (tone, condition) = backup_line::outcome(&backup);
    let status = backup.retention_status();
    let busy = !backup.state.is_final() || status == Status::Deleting;
    let signature = match busy {
        true => progress::watched(&who.under_way().await?),
        false => String::new(),
    };
    let mut shell = Shell::new(&who, &request, Here::Backups, backup.file.clone());
    shell.refresh_seconds = busy.then_some(progress::REFRESH_SECONDS);
    answer::page(&BackupPage {
        shell,
        cloud_status: status.words(),
        path: backup_line::path(&backup),
        about: about(&backup),
        standing: Standing::new(&who, &backup, &verdict, &zone).await?,
        known: Known::new(&who, &backup, &zone),
        tone,
        condition,
        verdict: deletion::Shown::new(&verdict, who.is_administrator()),
        reason: reason(&backup),
        is_storing: backup.state == State::Storing,
        percent: Some(backup.progress.percent()),
        progress_text: progress::storing(&backup.progress, who.bytes_per_second(&backup.upload)),
        signature,
        taken: zone.show(backup.taken),
        arrived: zone.show(backup.arrived),
        changed: zone.show(backup.changed),
        state: backup.state,
        total_size: backup.total_data_bytes().map(size).unwrap_or_default(),
        archive_size: size(backup.size_bytes),
        entries: match backup.progress.entries_total {
            0 => String::new(),
            entries => count(entries),
        },
        sha256: backup.sha256.clone().unwrap_or_default(),
        repeats: backup.repeats,
        counts,
        media_size: size(backup.progress.media_bytes),
        findings: findings(&who, &backup),
        receipt: receipt.map(|receipt| receipt::Shown::new(&receipt, &who, &zone)),
        checked: backup.verified.as_ref().map(|found| receipt::Checked::new(found, &who, &zone)),
        history: history(&backup, &zone),
        readable: readable(&readability),
        damaged_more: match damaged.len() {
            0 => 0,
            named => {
                let all = readability.damaged + readability.not_decoded();
                all.saturating_sub(named as u64)
            }
        },
        damaged,
        has_siblings: !siblings.is_empty(),
        siblings: backup_line::table(&who, [], &siblings, &zone),
        upload: backup.upload.to_string(),
        job: backup.job.to_string(),
        service: backup.service.clone(),
        file: backup.file,
    })
}

fn about(backup: &Backup) -> String {
    match backup.state {
        State::Stored => {
            let stored = stored(backup.is_unpacked());
            match backup.findings.is_empty() {
                true => stored.into(),
                false => format!("{stored} Some things were remarkable; they are listed below."),
            }
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

/// What is true of everything in a backup that is stored, by whether it was unpacked.
fn stored(unpacked: Option<bool>) -> &'static str {
    match unpacked {
        Some(true) => "Every file was checked and every record is in the database.",
        Some(false) => {
            "Every file and every record was checked. They are in the archive, which is kept as it was \
             delivered, and not in the database."
        }
        None => "Every file was checked. In which modes it was stored is not known.",
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
        (found.not_decoded(), "not decoded"),
        (found.not_examined, "not examined"),
        (found.waiting, "still being examined"),
    ];
    let parts = parts.iter().filter(|(media, _)| *media > 0);
    parts.map(|(media, words)| format!("{} {words}", count(*media))).collect::<Vec<_>>().join(", ")
}

/// What a stored backup held, beside those before it.
async fn counts(who: &SignedIn, backup: &Backup) -> Result<Vec<Count>, Error> {
    if backup.state != State::Stored {
        return Ok(Vec::new());
    }
    let (brought, before) = (who.brought(backup).await?, who.before(backup).await?);
    let before: Vec<Progress> = before.into_iter().map(|backup| backup.progress).collect();
    let compared: BTreeMap<_, _> = usual::records(&backup.progress, &before).into_iter().collect();
    let each = Dataset::ALL.into_iter().filter_map(|dataset| {
        let compared = compared.get(dataset.as_str())?;
        let data_type = DataType::of(dataset);
        let new = brought.get(dataset.as_str()).copied().unwrap_or(0);
        let may = who.account().access(data_type).see && new > 0;
        let href = may.then(|| format!("/records/{}?backup={}", data_type.as_str(), backup.job));
        Some(Count { new: count(new), href, ..Count::new(dataset.title(), *compared) })
    });
    let mut counts: Vec<Count> = each.collect();
    let media: Vec<u64> = before.iter().map(|progress| progress.media).collect();
    counts.push(Count::new("Media", Compared::new(backup.progress.media, &media)));
    Ok(counts)
}

impl Count {
    fn new(name: &'static str, compared: Compared) -> Self {
        let number = |number: Option<u64>| number.map_or_else(String::new, count);
        Self {
            name,
            delivered: count(compared.here),
            before: number(compared.before),
            median: number(compared.median),
            off: compared.off.map_or("", Off::words),
            new: String::new(),
            href: None,
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_unpacked_is_not_said_to_be_in_the_database() {
        for (unpacked, is_there) in [(Some(true), true), (Some(false), false), (None, false)] {
            let said = stored(unpacked);
            assert_eq!(said.contains("every record is in the database"), is_there, "{said}");
        }
    }
}
