//! The simulation: time, traffic and misdeeds, for tests and demonstrations.
//!
//! It is there only where time is simulated, never beside a service that is real.

use std::{path::PathBuf, sync::Arc};

use hyper::{Method, StatusCode};
use jiff::{Timestamp, tz::TimeZone};
use retention::backup::JobId;
use serde::Deserialize;
use serde_json::json;

use super::{
    answer::{Answer, Code, Problem, parse, queried},
    connector::Connector,
    line::shown,
};
use crate::{clock, company::Company, cycle, folder, mischief::Misdeeds, settings::input::Fault};

/// How many days of traffic one call may add.
const MAX_DAYS: u16 = 366;

/// The largest file that somebody shares.
const MAX_NOISE_BYTES: usize = 12 * 1024 * 1024;

/// What can be simulated.
#[derive(Debug)]
pub(crate) struct Simulation {
    pub(crate) company: Arc<Company>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Time {
    time: Timestamp,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Traffic {
    #[serde(default = "one")]
    days: u16,
    #[serde(default)]
    noise_bytes: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Laid {
    directory: PathBuf,
}

fn one() -> u16 {
    1
}

impl Simulation {
    pub(super) async fn route(
        &self,
        connector: &Connector,
        method: &Method,
        path: &str,
        query: &str,
        body: &[u8],
    ) -> Result<Answer, Problem> {
        let cycle = connector.cycle();
        match (path, method) {
            ("clock", &Method::GET) => time(connector),
            ("clock", &Method::PUT) => {
                let Time { time: wanted } = parse(body)?;
                set(connector, wanted)?;
                time(connector)
            }
            ("advance", &Method::POST) => advance(connector).await,
            ("traffic", &Method::POST) => self.traffic(connector, &parse(body)?).await,
            ("day", &Method::POST) => bring(connector, parse(body)?).await,
            ("mischief", &Method::GET) => Answer::ok(&cycle.mischief.planned()),
            ("mischief", &Method::PUT) => {
                cycle.mischief.plan(parse::<Misdeeds>(body)?);
                Answer::ok(&cycle.mischief.planned())
            }
            ("rooms", &Method::GET) => {
                let talks = cycle.live.talks().await;
                Answer::ok(&talks.map_err(|error| Problem::unavailable(&error))?)
            }
            ("records", &Method::GET) => records(connector, query).await,
            ("clock" | "advance" | "traffic" | "day" | "mischief" | "rooms" | "records", _) => {
                Err(Problem::new(Code::WrongMethod, "This address knows another method."))
            }
            _ => Err(Problem::new(Code::NoSuchPlace, "The simulation has no such address.")),
        }
    }

    async fn traffic(&self, connector: &Connector, traffic: &Traffic) -> Result<Answer, Problem> {
        if traffic.days > MAX_DAYS || traffic.noise_bytes > MAX_NOISE_BYTES {
            return Err(Problem::new(Code::TooLarge, "That is too much at once."));
        }
        let cycle = connector.cycle();
        let today = cycle.clock.now().to_zoned(TimeZone::UTC).date();
        let mut dates = Vec::new();
        for _ in 0..traffic.days {
            let added = cycle.live.add_day(&self.company, today, traffic.noise_bytes).await;
            dates.push(added.map_err(|error| Problem::unavailable(&error))?);
        }
        Answer::json(StatusCode::CREATED, &json!({ "dates": dates }))
    }
}

fn time(connector: &Connector) -> Result<Answer, Problem> {
    let cycle = connector.cycle();
    Answer::ok(&json!({ "time": cycle.clock.now(), "next_backup": cycle.next_due() }))
}

fn set(connector: &Connector, time: Timestamp) -> Result<(), Problem> {
    let cycle = connector.cycle();
    cycle.clock.set(time).map_err(|error| match error {
        clock::Error::Past { .. } => {
            Problem::new(Code::SettingsChanged, format!("Time never goes back: {error}."))
        }
        error => Problem::internal(&retention::cause::chain(&error)),
    })?;
    cycle.woken.wake();
    Ok(())
}

/// Takes in a day that lies in a directory of this machine.
async fn bring(connector: &Connector, laid: Laid) -> Result<Answer, Problem> {
    let read = tokio::task::spawn_blocking(move || folder::read(&laid.directory)).await;
    let read = read.map_err(|_| Problem::internal("reading a directory ended early"))?;
    let day = read.map_err(|error| {
        let detail = format!("It cannot be taken in: {}.", retention::cause::chain(&error));
        Problem::faults(vec![Fault { pointer: "/directory", detail }])
    })?;
    let (records, media) = (day.records.len(), day.media.len());
    let brought = connector.cycle().live.bring(day).await;
    brought.map_err(|error| Problem::unavailable(&error))?;
    Answer::json(StatusCode::CREATED, &json!({ "records": records, "media": media }))
}

/// Goes on to the next scheduled hour, and begins the backup that is due then.
async fn advance(connector: &Connector) -> Result<Answer, Problem> {
    let cycle = connector.cycle();
    let off = || Problem::new(Code::NotConfigured, "Retention is off: no backup is scheduled.");
    let due = cycle.next_due().ok_or_else(off)?;
    set(connector, due)?;
    let begun =
        cycle.begin_due().await.map_err(|error: cycle::Error| Problem::unavailable(&error))?;
    // A loop of the cycle may have been faster.
    let newest = match begun {
        Some(backup) => Some(backup),
        None => cycle.log.newest().await.map_err(|error| Problem::unavailable(&error))?,
    };
    let backup = newest.filter(|backup| backup.created == due).as_ref().map(shown);
    let next = cycle.next_due();
    Answer::ok(&json!({ "time": cycle.clock.now(), "next_backup": next, "backup": backup }))
}

async fn records(connector: &Connector, query: &str) -> Result<Answer, Problem> {
    let live = &connector.cycle().live;
    let unavailable = |error| Problem::unavailable(&error);
    match queried(query, "backup") {
        Some(job) => {
            let missing = |_| Problem::new(Code::NoSuchBackup, "That is no job id.");
            let job: JobId = job.parse().map_err(missing)?;
            let ids = live.held_ids(&job).await.map_err(unavailable)?;
            Answer::ok(&json!({ "records": ids }))
        }
        None => {
            let ids = live.ids().await.map_err(unavailable)?;
            let media = live.media_paths().await.map_err(unavailable)?;
            Answer::ok(&json!({ "records": ids, "media": media }))
        }
    }
}
