//! How the appliance is: a page for people, and three addresses for programs that watch it.

use askama::Template;
use warp::{http::StatusCode, reply::Response};

use crate::{
    alerts::trial::Outcome,
    health::{
        check::{Check, State, span},
        metrics,
    },
    portal::{
        answer,
        chart::{self, Chart},
        errors::Error,
        gate::{Administrator, Permit, Probe, SignedIn},
        request::{Form, Request},
        shell::{Here, Shell},
        zone::{When, Zone},
    },
};

#[derive(Template)]
#[template(path = "health.html", config = "src/portal/askama.toml")]
struct HealthPage {
    shell: Shell,
    looked: Option<When>,
    troubles: Vec<Item>,
    rest: Vec<Item>,
    charts: Vec<Chart>,
    width: u32,
    height: u32,
    may_test: bool,
    outcomes: Vec<Outcome>,
}

/// A check as the page shows it.
struct Item {
    key: String,
    title: String,
    tone: &'static str,
    state: &'static str,
    since: When,
    lasting: String,
    sentence: String,
    advice: String,
}

/// The page.
pub(in crate::portal) async fn page(who: SignedIn, request: Request) -> Result<Response, Error> {
    show(&who, &request, Vec::new()).await
}

/// Sends a test by every way that alerts go, and shows what came of it.
pub(in crate::portal) async fn test(
    administrator: Administrator,
    request: Request,
    _form: Form,
) -> Result<Response, Error> {
    let mut outcomes = administrator.try_alerts(&request).await?;
    if outcomes.is_empty() {
        let failed = Some("No way is configured, so nobody is told.".to_owned());
        outcomes.push(Outcome { way: "none", failed });
    }
    show(administrator.signed_in(), &request, outcomes).await
}

async fn show(
    who: &SignedIn,
    request: &Request,
    outcomes: Vec<Outcome>,
) -> Result<Response, Error> {
    let zone = Zone::of(request);
    let report = who.health(request).await?;
    let checks = report.as_ref().map(|report| report.checks.clone()).unwrap_or_default();
    let item = |check: &Check| item(check, &zone, request);
    let (mut troubles, rest): (Vec<_>, Vec<_>) =
        checks.iter().partition(|check| check.state.is_trouble());
    troubles.sort_by_key(|check| std::cmp::Reverse(check.state));
    answer::page(&HealthPage {
        shell: Shell::new(who, request, Here::Health, "Health"),
        charts: who.charts(request),
        width: chart::SIZE.0,
        height: chart::SIZE.1,
        may_test: who.is_administrator(),
        outcomes,
        looked: report.as_ref().map(|report| zone.show(report.at)),
        troubles: troubles.into_iter().map(item).collect(),
        rest: rest.into_iter().map(item).collect(),
    })
}

fn item(check: &Check, zone: &Zone, request: &Request) -> Item {
    let (tone, state) = match check.state {
        State::Ok => ("good", "OK"),
        State::Unknown => ("plain", "Unknown"),
        State::Warning => ("fair", "Warning"),
        State::Critical => ("bad", "Critical"),
    };
    Item {
        key: check.key(),
        title: check.title(),
        tone,
        state,
        since: zone.show(check.since),
        lasting: span(request.now().duration_since(check.since).as_secs()),
        sentence: check.sentence.clone(),
        advice: check.advice.clone(),
    }
}

/// Whether the daemon is alive: it answers.
pub(in crate::portal) async fn alive(_probe: Probe, _request: Request) -> Result<Response, Error> {
    Ok(plain(StatusCode::OK, "alive\n".to_owned()))
}

/// Whether backups are taken in and stored: 200 or 503, with the reason.
pub(in crate::portal) async fn ready(probe: Probe, request: Request) -> Result<Response, Error> {
    let Some(report) = probe.report(&request) else {
        let text = "not ready: nothing is known yet, or nothing new\n";
        return Ok(plain(StatusCode::SERVICE_UNAVAILABLE, text.to_owned()));
    };
    Ok(match report.takes_in() {
        Ok(()) => plain(StatusCode::OK, "ready\n".to_owned()),
        Err(why) => plain(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")),
    })
}

/// The report for Prometheus.
pub(in crate::portal) async fn metrics(probe: Probe, request: Request) -> Result<Response, Error> {
    // What is old is no measure of now; Prometheus tells of a target that gives nothing.
    let text = probe.report(&request).map(|report| metrics::text(&report)).unwrap_or_default();
    Ok(answer::typed(metrics::CONTENT_TYPE, text))
}

fn plain(status: StatusCode, text: String) -> Response {
    let mut response = answer::typed("text/plain; charset=utf-8", text);
    *response.status_mut() = status;
    response
}
