//! The connector: `packaging/connector/openapi.yaml`, operation by operation.
//!
//! It must never answer with a secret, and never with the digest of an archive: whoever wants
//! something deleted has to know that by itself.

use std::{path::PathBuf, sync::Arc, time::Duration};

use hyper::{Method, StatusCode};
use retention::{
    backup::JobId,
    steps::{Outcome, Step},
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    sync::{Mutex, Semaphore},
    time::{Instant, timeout_at},
};

use super::{
    answer::{Answer, Code, Problem, number, parse, queried},
    line::shown,
};
use crate::{
    cycle::Cycle,
    job::{Backup, Held, Refusal, Stage},
    keys,
    live::log::Unchanged,
    settings::{
        self,
        input::{Fault, Input, fingerprint},
    },
    trial,
};

/// How many callers may wait for changes at once.
const WAITING: usize = 16;

/// The longest time that a caller may wait, in seconds.
const MAX_WAIT_SECONDS: i64 = 60;

/// The longest reason to send a backup again.
const MAX_REASON_CHARS: usize = 1000;

/// What the connector speaks for.
#[derive(Debug)]
pub(crate) struct Connector {
    name: String,
    cycle: Arc<Cycle>,
    /// Where the files of a test are.
    scratch: PathBuf,
    waiting: Semaphore,
    testing: Mutex<()>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Online,
    Offline,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Test {
    mode: Mode,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Replaced {
    replaces: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reason {
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ToDelete {
    sha256: String,
    archive_size_bytes: Option<u64>,
}

impl Connector {
    pub(crate) fn new(name: String, cycle: Arc<Cycle>) -> Self {
        let scratch = cycle.client.clone();
        let (waiting, testing) = (Semaphore::new(WAITING), Mutex::default());
        Self { name, cycle, scratch, waiting, testing }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn cycle(&self) -> &Arc<Cycle> {
        &self.cycle
    }

    /// Finds what is asked for.
    pub(super) async fn route(
        &self,
        method: &Method,
        path: &str,
        query: &str,
        seen: Option<String>,
        body: &[u8],
    ) -> Result<Answer, Problem> {
        let parts: Vec<&str> = path.split('/').collect();
        match (parts.as_slice(), method) {
            (["service"], &Method::GET) => self.service(),
            (["settings"], &Method::GET) => self.settings(),
            (["settings"], &Method::PUT) => self.put_settings(seen.as_deref(), body),
            (["settings", "test"], &Method::POST) => self.test(parse(body)?).await,
            (["sftp-key"], &Method::GET) => Answer::ok(&self.cycle.keys.shown().map_err(own)?),
            (["sftp-key"], &Method::POST) => self.new_key(&parse(body)?),
            (["backups"], &Method::GET) => self.list(query).await,
            (["backups", job], &Method::GET) => Answer::ok(&shown(&self.backup(job).await?)),
            (["backups", job, "upload"], &Method::POST) => self.upload(job, parse(body)?).await,
            (["backups", job, "deletion"], &Method::POST) => self.delete(job, parse(body)?).await,
            (
                ["service" | "settings" | "sftp-key" | "backups"]
                | ["settings", "test"]
                | ["backups", _]
                | ["backups", _, "upload" | "deletion"],
                _,
            ) => Err(Problem::new(Code::WrongMethod, "This address knows another method.")),
            _ => Err(Problem::new(Code::NoSuchPlace, "The connector has no such address.")),
        }
    }

    fn service(&self) -> Result<Answer, Problem> {
        Answer::ok(&json!({
            "service_id": self.cycle.service,
            "name": self.name,
            "software": concat!("retention-service ", env!("CARGO_PKG_VERSION")),
            "connector": 1,
            "time": self.cycle.clock.now(),
            "next_backup": self.cycle.next_due(),
            "revision": *self.cycle.log.revision().borrow(),
        }))
    }

    fn settings(&self) -> Result<Answer, Problem> {
        let settings = self.cycle.settings.get();
        Ok(Answer::ok(&settings.shown())?.with_tag(settings.tag()))
    }

    fn put_settings(&self, seen: Option<&str>, body: &[u8]) -> Result<Answer, Problem> {
        let input: Input = parse(body)?;
        let put = self.cycle.settings.put(input, seen, self.cycle.clock.now());
        let settings = put.map_err(|error| match error {
            settings::Error::Faults(faults) => Problem::faults(faults),
            settings::Error::Changed => Problem::new(
                Code::SettingsChanged,
                "The settings were changed since they were read.",
            ),
            error => own(error),
        })?;
        tracing::info!(enabled = settings.enabled, version = settings.version, "settings were put");
        self.cycle.woken.wake();
        Ok(Answer::ok(&settings.shown())?.with_tag(settings.tag()))
    }

    async fn test(&self, Test { mode }: Test) -> Result<Answer, Problem> {
        let Ok(_one) = self.testing.try_lock() else {
            return Err(Problem::new(Code::TooMany, "Another test is running."));
        };
        let settings = self.cycle.settings.get();
        let missing = |what: &str| Problem::new(Code::NotConfigured, what);
        let (mode, steps) = match mode {
            Mode::Offline => {
                let nowhere = || missing("The settings do not say where to upload.");
                let client = self.cycle.client().ok_or_else(nowhere)?;
                let user = settings.sftp.map(|sftp| sftp.user).unwrap_or_default();
                let scratch = self.scratch.clone();
                ("offline", stepwise(move || trial::offline(client, user, scratch)).await?)
            }
            Mode::Online => {
                let online = settings.online;
                let online = online.ok_or_else(|| missing("The settings have no Online mode."))?;
                ("online", stepwise(move || trial::online(online)).await?)
            }
        };
        let failed = |step: &Step| step.outcome == Outcome::Failed;
        Answer::ok(&json!({ "mode": mode, "ok": !steps.iter().any(failed), "steps": steps }))
    }

    fn new_key(&self, Replaced { replaces }: &Replaced) -> Result<Answer, Problem> {
        if !fingerprint(replaces) {
            let detail = "A fingerprint is needed, as ssh-keygen -l prints it.".to_owned();
            return Err(Problem::faults(vec![Fault { pointer: "/replaces", detail }]));
        }
        let made = self.cycle.keys.replace(replaces, self.cycle.clock.now());
        let shown = made.map_err(|error| match error {
            keys::Error::Another(key) => {
                Problem::new(Code::AnotherKey, format!("The service's key is {key}."))
            }
            error => own(error),
        })?;
        tracing::info!(fingerprint = shown.fingerprint, "made a new SFTP key");
        Answer::json(StatusCode::CREATED, &shown)
    }

    async fn list(&self, query: &str) -> Result<Answer, Problem> {
        let limit = number(query, "limit", Some(50), 1..=200)?;
        let before = match queried(query, "before") {
            Some(job) => Some(self.backup(&job).await?.created),
            None => None,
        };
        let revision = *self.cycle.log.revision().borrow();
        let page = self.cycle.log.page(before, limit + 1).await;
        let mut page = page.map_err(|error| Problem::unavailable(&error))?;
        let more = i64::try_from(page.len()).is_ok_and(|found| found > limit);
        page.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        let next = page.last().filter(|_| more).map(|backup| backup.job.as_str());
        let backups: Vec<Value> = page.iter().map(shown).collect();
        Answer::ok(&json!({ "backups": backups, "next": next, "revision": revision }))
    }

    /// Waits for changes. May be dropped while it waits.
    pub(super) async fn changes(&self, query: &str) -> Result<Answer, Problem> {
        let since = number(query, "since", None, 0..=i64::MAX)?;
        let wait = number(query, "wait_seconds", Some(0), 0..=MAX_WAIT_SECONDS)?;
        let limit = number(query, "limit", Some(100), 1..=200)?;
        let mut revision = self.cycle.log.revision();
        let newest = *revision.borrow_and_update();
        if since > newest {
            let detail = format!(
                "The log's revision is {newest}. Read it from the beginning, with since=0."
            );
            return Err(Problem::new(Code::UnknownRevision, detail));
        }
        if since == newest && wait > 0 {
            let _slot = self.waiting.try_acquire().map_err(|_| {
                Problem::new(Code::TooMany, "Too many callers wait for changes at once.")
            })?;
            let until = Instant::now() + Duration::from_secs(wait.unsigned_abs());
            // Whatever ends the waiting, the log is read.
            let _ = timeout_at(until, revision.changed()).await;
        }
        let log = self.cycle.log.clone();
        let read = tokio::spawn(async move { log.changes(since, limit + 1).await });
        let read = read.await.map_err(|_| Problem::internal("reading the log ended early"))?;
        let mut backups = read.map_err(|error| Problem::unavailable(&error))?;
        let more = i64::try_from(backups.len()).is_ok_and(|found| found > limit);
        backups.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        let revision = backups.last().map_or(since, |backup| backup.revision);
        let backups: Vec<Value> = backups.iter().map(shown).collect();
        Answer::ok(&json!({ "backups": backups, "revision": revision, "more": more }))
    }

    async fn upload(&self, job: &str, Reason { reason }: Reason) -> Result<Answer, Problem> {
        if !(1..=MAX_REASON_CHARS).contains(&reason.chars().count()) {
            let detail = format!("A reason has 1 to {MAX_REASON_CHARS} characters.");
            return Err(Problem::faults(vec![Fault { pointer: "/reason", detail }]));
        }
        let job = self.backup(job).await?.job;
        let backup = self.cycle.log.change(&job, Backup::send_again).await.map_err(refused)?;
        tracing::warn!(%job, reason, "it is to be sent again");
        self.cycle.woken.wake();
        Answer::json(StatusCode::ACCEPTED, &shown(&backup))
    }

    async fn delete(&self, job: &str, asked: ToDelete) -> Result<Answer, Problem> {
        let hexadecimal = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        if asked.sha256.len() != 64 || !asked.sha256.chars().all(hexadecimal) {
            let detail = "A SHA-256 in lower-case hexadecimal is needed.".to_owned();
            return Err(Problem::faults(vec![Fault { pointer: "/sha256", detail }]));
        }
        let job = self.backup(job).await?.job;
        let held = Held { sha256: asked.sha256, size_bytes: asked.archive_size_bytes };
        let now = self.cycle.clock.now();
        let changed = self.cycle.log.change(&job, |backup| backup.delete(&held, now)).await;
        let backup = changed.map_err(refused)?;
        if backup.stage == Stage::Completed {
            return Answer::ok(&shown(&backup));
        }
        tracing::info!(%job, "what it held is to be deleted");
        self.cycle.woken.wake();
        Answer::json(StatusCode::ACCEPTED, &shown(&backup))
    }

    async fn backup(&self, job: &str) -> Result<Backup, Problem> {
        let missing =
            || Problem::new(Code::NoSuchBackup, format!("The Backup Log has no job {job}."));
        let id: JobId = job.parse().map_err(|_| missing())?;
        let found = self.cycle.log.get(&id).await.map_err(|error| Problem::unavailable(&error))?;
        found.ok_or_else(missing)
    }
}

/// Waits for a test. Its steps are told to one who need not be on several threads.
async fn stepwise<F: Future<Output = Vec<Step>>>(
    test: impl FnOnce() -> F + Send + 'static,
) -> Result<Vec<Step>, Problem> {
    let runtime = tokio::runtime::Handle::current();
    let steps = tokio::task::spawn_blocking(move || runtime.block_on(test())).await;
    steps.map_err(own)
}

fn own(error: impl std::error::Error) -> Problem {
    Problem::internal(&retention::cause::chain(&error))
}

fn refused(unchanged: Unchanged) -> Problem {
    match unchanged {
        Unchanged::Refused(Refusal::Differs) => Problem::new(
            Code::DigestDiffers,
            "The archive that was sent has another SHA-256 or size. Nothing was deleted.",
        ),
        Unchanged::Refused(Refusal::Elsewhere(Stage::Building | Stage::Uploading)) => {
            Problem::new(Code::NotUploaded, "The upload has not ended. Nothing was deleted.")
        }
        Unchanged::Refused(Refusal::Elsewhere(_)) => {
            Problem::new(Code::DeletionBegun, "Its data is being deleted, or was.")
        }
        Unchanged::Missing(job) => {
            Problem::new(Code::NoSuchBackup, format!("The Backup Log has no job {job}."))
        }
        Unchanged::Log(error) => Problem::unavailable(&error),
    }
}
