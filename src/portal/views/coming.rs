//! Lines of the Backup Log for what is not in our log: uploads on their way, those that are awaited,
//! and those that should be here and are not.

use askama::Template;
use jiff::Timestamp;
use warp::reply::Response;

use super::{progress, word};
use crate::{
    backup::{
        BackupName, JobId,
        cloud::{CloudBackup, Missing},
        retention::Status,
    },
    portal::{
        answer,
        cells::{Cell, Line, size},
        errors::Error,
        gate::{Administrator, AskedAgain, NotHere, OnItsWay, Permit, SignedIn, UnderWay},
        request::{Form, Request},
        shell::{Here, Shell},
        zone::{When, Zone},
    },
};

/// What stands on the way to the question.
pub(super) const LABEL: &str = "Have it uploaded again";

#[derive(Template)]
#[template(path = "upload_again.html", config = "src/portal/askama.toml")]
struct Question {
    shell: Shell,
    objection: String,
    file: String,
    created: When,
    status: &'static str,
    path: String,
    why: String,
}

/// A backup that has no line in our log, before it becomes a line of a page.
pub(super) enum Coming<'a> {
    /// It lies in the inbox.
    OnItsWay(&'a OnItsWay),
    /// maaiiconnect has begun it.
    Awaited(&'a CloudBackup),
    /// It should be here.
    NotHere(&'a NotHere),
}

/// All that comes before what is in our log, what is missing first.
pub(super) fn all<'a>(
    missing: &'a [NotHere],
    under_way: &'a UnderWay,
) -> impl Iterator<Item = Coming<'a>> {
    let missing = missing.iter().map(Coming::NotHere);
    let coming = under_way.coming.iter().map(Coming::OnItsWay);
    missing.chain(coming).chain(under_way.awaited.iter().map(Coming::Awaited))
}

impl Coming<'_> {
    /// The archive's file name.
    pub(super) fn file(&self) -> &str {
        match self {
            Self::OnItsWay(coming) => &coming.upload.file,
            Self::Awaited(backup) => &backup.file,
            Self::NotHere(missing) => &missing.backup.file,
        }
    }

    /// When maaiiconnect made it; when its upload began, if its name does not say.
    pub(super) fn made(&self) -> Timestamp {
        match self {
            Self::OnItsWay(coming) => {
                let name = coming.upload.file.parse::<BackupName>().ok();
                name.map_or(coming.upload.since, |name| name.taken)
            }
            Self::Awaited(backup) => backup.created,
            Self::NotHere(missing) => missing.backup.created,
        }
    }

    /// Its Retention Status.
    pub(super) fn status(&self) -> Status {
        match self {
            Self::OnItsWay(_) | Self::Awaited(_) => Status::Uploading,
            Self::NotHere(missing) => missing.backup.status,
        }
    }

    /// How it is here, in a word.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::OnItsWay(coming) if coming.upload.interrupted => "Interrupted",
            Self::OnItsWay(_) => "On its way",
            Self::Awaited(_) => "Not here yet",
            Self::NotHere(_) => "Missing",
        }
    }

    /// What there is to say about that.
    pub(super) fn note(&self) -> Option<String> {
        match self {
            Self::OnItsWay(_) => None,
            Self::Awaited(backup) => Some(awaited(backup)),
            Self::NotHere(missing) => Some(missing.why.sentence().to_owned()),
        }
    }

    /// The line.
    pub(super) fn line(&self, who: &SignedIn, zone: &Zone) -> Line {
        let text = self.status().words().to_owned();
        let status = match self {
            Self::NotHere(NotHere { backup, why: Missing::NeverArrived })
                if who.is_administrator() =>
            {
                Cell::Press { text, href: path(&backup.job), label: LABEL }
            }
            _ => Cell::Text(text),
        };
        Line {
            href: String::new(),
            cells: vec![
                Cell::When(zone.show(self.made())),
                Cell::Text(self.file().to_owned()),
                Cell::Empty,
                Cell::Empty,
                status,
                self.here(),
            ],
        }
    }

    fn here(&self) -> Cell {
        let judged = |tone| Cell::Judged {
            tone,
            text: self.word().to_owned(),
            notes: self.note().into_iter().collect(),
        };
        match self {
            Self::OnItsWay(OnItsWay { upload, .. }) if upload.interrupted => {
                let text = format!("Interrupted at {}", size(upload.size_bytes));
                Cell::Badge { tone: "fair", text }
            }
            Self::OnItsWay(coming) => Cell::Bar {
                id: coming.upload.file.clone(),
                what: "On its way",
                percent: progress::percent(coming),
                text: progress::uploading(coming),
            },
            Self::Awaited(backup) if backup.trouble.is_some() => judged("fair"),
            Self::Awaited(_) => judged("busy"),
            Self::NotHere(_) => judged("bad"),
        }
    }
}

/// Where the question is.
pub(super) fn path(job: &JobId) -> String {
    format!("/retention/cloud/{job}/upload")
}

/// How far maaiiconnect is with a backup of which nothing is here.
fn awaited(backup: &CloudBackup) -> String {
    match (&backup.trouble, backup.archive_bytes) {
        (Some(trouble), _) => trouble.clone(),
        (None, None) => "maaiiconnect is building the archive.".to_owned(),
        (None, Some(bytes)) => format!("maaiiconnect is about to send {}.", size(bytes)),
    }
}

/// Whether maaiiconnect is to upload a backup once more.
pub(in crate::portal) async fn page(
    administrator: Administrator,
    request: Request,
) -> Result<Response, Error> {
    show(&administrator, &request, String::new()).await
}

/// It is.
pub(in crate::portal) async fn press(
    administrator: Administrator,
    request: Request,
    form: Form,
) -> Result<Response, Error> {
    let reason = word::reason(&form, "reason")?;
    match administrator.upload_again(&request, request.capture(0), reason).await? {
        AskedAgain::Yes => Ok(answer::redirect("/retention/backups?done=upload-requested")),
        AskedAgain::No(why) => show(&administrator, &request, why).await,
    }
}

async fn show(
    administrator: &Administrator,
    request: &Request,
    objection: String,
) -> Result<Response, Error> {
    let (backup, why) = administrator.to_be_uploaded_again(request.capture(0)).await?;
    answer::page(&Question {
        shell: Shell::new(administrator.signed_in(), request, Here::Backups, LABEL),
        objection,
        created: Zone::of(request).show(backup.created),
        status: backup.status.words(),
        path: path(&backup.job),
        why,
        file: backup.file,
    })
}
