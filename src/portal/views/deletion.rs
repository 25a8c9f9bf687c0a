//! *Delete from maaiiconnect*: the verdict, the question, and what came of it.

use askama::Template;
use warp::reply::Response;

use super::{backup_line, sign_in, word};
use crate::{
    backup::{
        Verdict,
        retention::{Deletion, Status, Step},
        verdict::{Answer, Point, Tally},
    },
    config::Secret,
    portal::{
        answer,
        cells::{count, counted, size},
        errors::Error,
        gate::{Administrator, Outcome, Permit, Pressed, SignedIn},
        password as passwords,
        request::{Form, Request},
        shell::{Here, Shell},
        zone::{When, Zone},
    },
    records::Dataset,
    store::backups::Backup,
};

#[derive(Template)]
#[template(path = "delete.html", config = "src/portal/askama.toml")]
struct DeletePage {
    shell: Shell,
    objection: String,
    file: String,
    path: String,
    taken: When,
    verdict: Shown,
    deleted: Vec<Held>,
    media: String,
    media_size: String,
    kept: Vec<Held>,
    by_hand: bool,
    again: bool,
    open: bool,
}

/// How many records of a dataset a backup holds.
struct Held {
    name: &'static str,
    count: String,
}

/// The verdict as pages show it.
pub(super) struct Shown {
    pub(super) safe: bool,
    pub(super) words: &'static str,
    pub(super) points: Vec<ShownPoint>,
}

/// A point of the verdict.
pub(super) struct ShownPoint {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) tone: &'static str,
    pub(super) answer: &'static str,
    pub(super) sentence: String,
    /// What the viewer may take responsibility for, as it is sent back with the word.
    pub(super) acceptable: Option<String>,
}

/// How the deletion stands, and what the viewer can do next.
pub(super) struct Standing {
    pub(super) status: Status,
    /// Who asked, and when; nothing before.
    pub(super) asked: Option<(String, When)>,
    /// What went wrong, or holds it up.
    pub(super) why: String,
    /// The button, if the viewer may press it.
    pub(super) button: Option<&'static str>,
    /// Whether the viewer has to say what came of it.
    pub(super) by_hand: bool,
    /// Whether the viewer may say that it was deleted in maaiiconnect already.
    pub(super) elsewhere: bool,
}

impl Shown {
    /// A verdict for whoever is signed in.
    pub(super) fn new(verdict: &Verdict, may_override: bool) -> Self {
        let points = verdict.points().iter().map(|judged| {
            let (tone, answer) = match judged.answer {
                Answer::Yes => ("good", "Yes"),
                Answer::Overridden => ("fair", "Accepted"),
                Answer::Pending => ("busy", "Not yet"),
                Answer::No => ("bad", "No"),
            };
            ShownPoint {
                name: judged.point.as_str(),
                title: judged.point.title(),
                tone,
                answer,
                sentence: judged.sentence.clone(),
                acceptable: judged
                    .acceptable
                    .as_ref()
                    .filter(|_| may_override)
                    .map(Tally::to_string),
            }
        });
        Self { safe: verdict.is_safe(), words: verdict.words(), points: points.collect() }
    }
}

impl Standing {
    /// How the deletion of a backup stands.
    pub(super) async fn new(
        who: &SignedIn,
        backup: &Backup,
        verdict: &Verdict,
        zone: &Zone,
    ) -> Result<Self, Error> {
        let status = backup.retention_status();
        let asked = |deletion: &Deletion| (deletion.by.clone(), zone.show(deletion.asked));
        let why = backup.deletion.as_ref().and_then(|deletion| match &deletion.step {
            Step::Failed(failed) => Some(failed.why.clone()),
            Step::Deleting(_) | Step::Completed(_) => None,
        });
        let by_hand = who.is_administrator() && !who.has_connector();
        let may_be_elsewhere =
            who.is_administrator() && matches!(status, Status::Uploaded | Status::Failed);
        let held_up = || who.connector_trouble().filter(|_| status == Status::Deleting);
        let why = why.or_else(held_up);
        Ok(Self {
            status,
            asked: backup.deletion.as_ref().map(asked),
            why: why.unwrap_or_default(),
            button: backup_line::button(who, status, verdict.is_safe()),
            by_hand: by_hand && status == Status::Deleting,
            elsewhere: may_be_elsewhere && !who.is_told_by_maaiiconnect(backup).await?,
        })
    }
}

/// The question.
pub(in crate::portal) async fn page(
    administrator: Administrator,
    request: Request,
) -> Result<Response, Error> {
    show(&administrator, &request, String::new()).await
}

/// The answer to it, with the password.
pub(in crate::portal) async fn press(
    administrator: Administrator,
    request: Request,
    form: Form,
) -> Result<Response, Error> {
    if form.get("password").len() > passwords::MAX_BYTES {
        return Err(Error::TooLarge);
    }
    let password = Secret::new(form.get("password").to_owned());
    let id = request.capture(0);
    let objection = match administrator.delete_from_maaiiconnect(&request, id, password).await? {
        Pressed::Begun => return Ok(word::back(&request, "deletion-begun")),
        Pressed::Already => return Ok(word::back(&request, "deletion-known")),
        Pressed::NotSafe => "It is not safe to delete this backup's data: see below.".to_owned(),
        Pressed::Refused => "The password is not the right one.".to_owned(),
        Pressed::Wait(seconds) => sign_in::wait(seconds),
    };
    show(&administrator, &request, objection).await
}

/// What came of a deletion that was done by hand.
pub(in crate::portal) async fn outcome(
    administrator: Administrator,
    request: Request,
    form: Form,
) -> Result<Response, Error> {
    let outcome = match form.get("outcome") {
        "completed" => Outcome::Completed,
        "failed" => Outcome::Failed(word::reason(&form, "why")?),
        _ => return Err(Error::Input("Say whether it was completed or failed.".into())),
    };
    let noted = administrator.note_outcome(&request, request.capture(0), outcome).await?;
    Ok(word::back(&request, if noted { "deletion-noted" } else { "deletion-known" }))
}

/// That it was deleted in maaiiconnect already, whatever the verdict is.
pub(in crate::portal) async fn elsewhere(
    administrator: Administrator,
    request: Request,
    form: Form,
) -> Result<Response, Error> {
    if form.get("password").len() > passwords::MAX_BYTES {
        return Err(Error::TooLarge);
    }
    let reason = word::reason(&form, "reason")?;
    let (password, id) = (Secret::new(form.get("password").to_owned()), request.capture(0));
    match administrator.note_deleted_elsewhere(&request, id, reason, password).await? {
        Pressed::Begun => Ok(word::back(&request, "deletion-elsewhere")),
        Pressed::Already | Pressed::NotSafe => Ok(word::back(&request, "deletion-known")),
        Pressed::Refused => Err(Error::Input("The password is not the right one.".into())),
        Pressed::Wait(seconds) => Err(Error::Input(sign_in::wait(seconds))),
    }
}

/// Responsibility for a finding.
pub(in crate::portal) async fn responsibility(
    administrator: Administrator,
    request: Request,
    form: Form,
) -> Result<Response, Error> {
    let mut all = Point::ALL.into_iter();
    let point = all.find(|point| point.as_str() == form.get("point"));
    let point = point.ok_or_else(|| Error::Input("There is no such point.".into()))?;
    let reason = word::reason(&form, "reason")?;
    let (id, seen) = (request.capture(0), form.get("seen"));
    administrator.take_responsibility(&request, id, point, seen, reason).await?;
    Ok(word::back(&request, "responsibility"))
}

async fn show(
    administrator: &Administrator,
    request: &Request,
    objection: String,
) -> Result<Response, Error> {
    let who = administrator.signed_in();
    let backup = who.backup(request, request.capture(0)).await?;
    let verdict = who.judge(&backup).await?.verdict;
    let status = backup.retention_status();
    let held = |goes: bool| -> Vec<Held> {
        let datasets = Dataset::ALL.into_iter().filter(|dataset| is_deleted(*dataset) == goes);
        let held = datasets.filter_map(|dataset| {
            let records = *backup.progress.records.get(dataset.as_str())?;
            Some(Held { name: dataset.title(), count: count(records) })
        });
        held.collect()
    };
    answer::page(&DeletePage {
        shell: Shell::new(who, request, Here::Backups, "Delete from maaiiconnect"),
        objection,
        path: backup_line::path(&backup),
        taken: Zone::of(request).show(backup.taken),
        verdict: Shown::new(&verdict, false),
        deleted: held(true),
        media: counted(backup.progress.media, "file", "files"),
        media_size: size(backup.progress.media_bytes),
        kept: held(false),
        by_hand: !who.has_connector(),
        again: status == Status::Failed,
        open: matches!(status, Status::Uploaded | Status::Failed),
        file: backup.file,
    })
}

/// Whether maaiiconnect deletes what it has of a dataset. Contact lists and user accounts are backed
/// up and stay, and so does what belongs to them.
fn is_deleted(dataset: Dataset) -> bool {
    match dataset {
        Dataset::Call
        | Dataset::Conference
        | Dataset::Message
        | Dataset::Voicemail
        | Dataset::Recording
        | Dataset::File
        | Dataset::Enquiry
        | Dataset::Other => true,
        Dataset::Avatar | Dataset::TagIcon | Dataset::Staff | Dataset::Contact => false,
    }
}
