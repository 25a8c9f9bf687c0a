//! *Test this configuration now*: a page that grows by a line with each step as it ends.
//!
//! What is saved is tested; of the database, what stands in the form, without being saved. The page
//! opens in a window of its own, so that what was typed elsewhere and not saved is not lost.
//!
//! The page is sent in parts, which browsers show as they come, without a script: its beginning, a
//! line for each step, and its end.

use askama::Template;
use bytes::Bytes;
use futures_util::{Stream, StreamExt, future, stream};
use warp::{http::header, reply::Response};

use super::database;
use crate::{
    cause,
    connector::client::Client,
    portal::{
        StepsToCome, answer,
        errors::Error,
        gate::{Administrator, Permit},
        request::{Form, Request},
        shell::{Here, Shell},
    },
    steps::{Outcome, Step},
};

/// Where the steps go in the page's template.
const STEPS: &str = "<!-- steps -->";

#[derive(Template)]
#[template(path = "trial.html", config = "src/portal/askama.toml")]
struct TrialPage {
    shell: Shell,
    title: &'static str,
    tested: Tested,
    has_connector: bool,
}

/// What the page is about.
#[derive(Clone, Copy)]
pub(super) struct About {
    pub(super) title: &'static str,
    pub(super) tested: Tested,
}

/// What its steps are done with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tested {
    /// What is saved.
    Saved,
    /// What was typed, and is not saved.
    Typed,
    /// What is taken into use if it can be.
    Change,
}

#[derive(Template)]
#[template(path = "step.html", config = "src/portal/askama.toml")]
struct StepLine {
    tone: &'static str,
    answer: &'static str,
    name: String,
    said: String,
    todo: String,
}

#[derive(Template)]
#[template(path = "trial_end.html", config = "src/portal/askama.toml")]
struct End {
    failed: Option<String>,
}

/// Tries one of the parts out.
pub(in crate::portal) async fn run(
    administrator: Administrator,
    request: Request,
    form: Form,
) -> Result<Response, Error> {
    let name = request.capture(0);
    let title = match name {
        "mongodb" => "Testing the database",
        "sftp" => "Testing the SFTP endpoint",
        "portal" => "Testing the Retention Portal",
        "alerts" => "Testing alerts",
        _ => return Err(Error::NotFound),
    };
    let typed = match name {
        "mongodb" if form.has("mongodb_host") => Some(database::typed(&form)),
        _ => None,
    };
    if let Some(said) = typed.as_ref().and_then(database::objection) {
        return Err(Error::Input(said));
    }
    let saved = administrator.database().await?;
    let typed = typed.filter(|typed| !typed.is(&saved));
    // maaiiconnect itself tests what it was told, and that is what is saved.
    let (tested, theirs) = match &typed {
        Some(_) => (Tested::Typed, None),
        None => (Tested::Saved, administrator.their_trial(name)),
    };
    let steps = administrator.begin_trial(&request, name, typed).await?;
    answer(&administrator, &request, About { title, tested }, steps, theirs)
}

/// The page that grows.
pub(super) fn answer(
    administrator: &Administrator,
    request: &Request,
    about: About,
    steps: StepsToCome,
    theirs: Option<(Client, &'static str)>,
) -> Result<Response, Error> {
    let About { title, tested } = about;
    let shell = Shell::new(administrator.signed_in(), request, Here::Backups, title);
    let has_connector = administrator.signed_in().has_connector();
    let page = TrialPage { shell, title, tested, has_connector }.render()?;
    let (begin, end) = page.split_once(STEPS).unwrap_or((&page, ""));
    let (begin, end) = (begin.to_owned(), end.to_owned());
    let steps = own(steps).chain(stream::once(from_their_side(theirs)).flat_map(stream::iter));
    let mut failed = None;
    let lines = steps.map(move |step| {
        if step.outcome == Outcome::Failed && failed.is_none() {
            failed = Some(step.name.clone());
        }
        (line(step), failed.clone())
    });
    // The last word depends on all of the steps.
    let lines = lines.map(Some).chain(stream::once(future::ready(None)));
    let body = lines.scan(None::<String>, move |last, next| {
        let text = match next {
            Some((text, failed)) => {
                *last = failed;
                text
            }
            None => {
                let word = End { failed: last.take() }.render().unwrap_or_default();
                format!("{word}{end}")
            }
        };
        future::ready(Some(text))
    });
    let body = stream::once(future::ready(begin)).chain(body);
    let body = body.map(|text| Ok::<_, std::convert::Infallible>(Bytes::from(text)));
    let mut response = answer::stream(body);
    answer::set(&mut response, header::CONTENT_TYPE, "text/html; charset=utf-8");
    Ok(response)
}

fn own(steps: StepsToCome) -> impl Stream<Item = Step> + Send {
    stream::unfold(steps, |mut steps| async move {
        let step = steps.recv().await?;
        Some((step, steps))
    })
}

/// The same from the service's side.
async fn from_their_side(theirs: Option<(Client, &'static str)>) -> Vec<Step> {
    let Some((client, mode)) = theirs else { return Vec::new() };
    match client.test(mode).await {
        Ok(steps) => steps
            .into_iter()
            .map(|step| Step { name: format!("maaiiconnect: {}", step.name), ..step })
            .collect(),
        Err(error) => vec![Step {
            name: "maaiiconnect: its own test".to_owned(),
            outcome: Outcome::Failed,
            said: cause::chain(&error),
            todo: None,
        }],
    }
}

fn line(step: Step) -> String {
    let (tone, answer) = match step.outcome {
        Outcome::Done => ("good", "Done"),
        Outcome::Kept => ("plain", "Kept"),
        Outcome::Failed => ("bad", "Failed"),
        Outcome::NotDone => ("plain", "Not done"),
    };
    let line = StepLine {
        tone,
        answer,
        name: step.name,
        said: step.said,
        todo: step.todo.unwrap_or_default(),
    };
    line.render().unwrap_or_default()
}
