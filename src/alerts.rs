//! Alerts: whoever is responsible hears of trouble without having to look.
//!
//! ```text
//! health's report -> plan (what is news, what is over, whom to remind) -> queue -> ways
//!                     ^ silences, what was told before                            mail, webhook, syslog
//! ```
//!
//! One loop, woken by a new report or because something is due. What is to be said is laid into
//! the queue on the disk before it is written down as said, so that a crash may say a thing twice
//! and never not at all. A disk that takes nothing more keeps nobody from being told so. Must never stop anything else: a mail server that is away is a line in
//! the report on health, and no more.

pub mod mail;
pub mod message;
pub mod plan;
pub mod queue;
pub mod silence;
pub mod syslog;
pub mod trial;
pub mod webhook;

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use crate::files::Failed as Error;
use crate::{
    cause::chain,
    files,
    health::{
        check::Verdict,
        watch::{Remarks, Reports},
    },
};
use message::Message;
use plan::Memory;
use queue::Queue;

/// The version of the files.
const VERSION: u32 = 1;

/// How often the queue is looked through while something is in it.
const LOOK: Duration = Duration::from_secs(2);

/// Why an alert could not be delivered.
#[derive(Debug, thiserror::Error)]
pub enum Undelivered {
    /// By mail.
    #[error(transparent)]
    Mail(#[from] mail::Error),
    /// To the webhook.
    #[error(transparent)]
    Webhook(#[from] webhook::Error),
    /// To syslog.
    #[error(transparent)]
    Syslog(#[from] syslog::Error),
    /// The work was cut off.
    #[error("the delivery was cut off")]
    CutOff,
}

/// A way by which somebody is told.
#[derive(Clone, Debug)]
pub enum Way {
    /// By mail.
    Mail(mail::Mail),
    /// To a webhook.
    Webhook(webhook::Webhook),
    /// To this machine's syslog.
    Syslog(syslog::Syslog),
}

impl Way {
    /// Its name, which is also that of its queue.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Mail(_) => "mail",
            Self::Webhook(_) => "webhook",
            Self::Syslog(_) => "syslog",
        }
    }

    /// Delivers a message, or says which step failed. Takes up to a minute.
    pub async fn deliver(&self, message: &Message, now: Timestamp) -> Result<(), Undelivered> {
        let (way, message) = (self.clone(), message.clone());
        let delivery = tokio::task::spawn_blocking(move || match way {
            Self::Mail(mail) => mail.send(&message).map_err(Undelivered::from),
            Self::Webhook(webhook) => webhook.post(&message, now).map_err(Undelivered::from),
            Self::Syslog(syslog) => syslog.write(&message).map_err(Undelivered::from),
        });
        delivery.await.map_err(|_| Undelivered::CutOff)?
    }
}

/// How alerts are made and where they go.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the queue and what was told is kept.
    pub directory: PathBuf,
    /// What this machine is called.
    pub host: String,
    /// Where alerts go.
    pub ways: Vec<Way>,
    /// When somebody is told.
    pub rules: plan::Rules,
}

/// Where alerts keep their files, below the appliance's state.
pub fn directory(state: &Path) -> PathBuf {
    state.join("alerts")
}

/// The loop.
pub struct Alerts {
    settings: Settings,
    queue: Queue,
    told: Told,
    reports: Reports,
    remarks: watch::Sender<Option<Verdict>>,
    clock: fn() -> Timestamp,
}

/// What was told, as it is remembered and as it is on the disk, which may be full.
struct Told {
    memory: Memory,
    is_written: bool,
}

impl Alerts {
    /// Prepares the loop.
    pub fn new(settings: Settings, clock: fn() -> Timestamp) -> Result<Self, Error> {
        let queue = Queue::new(&settings.directory);
        for way in &settings.ways {
            queue.prepare(way.name())?;
        }
        let memory = read::<Memory>(&told(&settings.directory))?.unwrap_or_default();
        let told = Told { memory, is_written: true };
        let (_, reports) = watch::channel(None);
        let (remarks, _) = watch::channel(None);
        Ok(Self { settings, queue, told, reports, remarks, clock })
    }

    /// What there is to say about alerts themselves.
    pub fn remarks(&self) -> Remarks {
        self.remarks.subscribe()
    }

    /// Runs until it is stopped, on these reports.
    pub async fn run(mut self, reports: Reports, stop: CancellationToken) {
        if self.settings.ways.is_empty() {
            return;
        }
        self.reports = reports;
        let mut is_news = true;
        loop {
            tokio::select! {
                () = self.turn(is_news) => {}
                () = stop.cancelled() => return,
            }
            let waiting = !self.queue.is_empty();
            is_news = tokio::select! {
                changed = self.reports.changed() => match changed {
                    Ok(()) => true,
                    Err(_) => return,
                },
                () = tokio::time::sleep(LOOK), if waiting => false,
                () = stop.cancelled() => return,
            };
        }
    }

    async fn turn(&mut self, is_news: bool) {
        if is_news && let Err(error) = self.think() {
            tracing::error!("cannot plan alerts: {}", chain(&error));
        }
        for way in &self.settings.ways {
            self.deliver(way).await;
        }
        let verdict = self.queue.verdict((self.clock)());
        self.remarks.send_replace(Some(verdict));
    }

    /// Finds out what is to be said, and lays it into the queue of each way.
    fn think(&mut self) -> Result<(), Error> {
        let Some(report) = self.reports.borrow_and_update().clone() else { return Ok(()) };
        let now = (self.clock)();
        let path = told(&self.settings.directory);
        let silences = silence::read(&self.settings.directory)?;
        let Settings { rules, host, .. } = &self.settings;
        let (messages, remembered) =
            plan::plan(&report, &self.told.memory, &silences, rules, host, now);
        for message in &messages {
            tracing::info!(id = message.id, "an alert: {}", message.subject);
            for way in &self.settings.ways {
                self.queue.put(way.name(), message, now);
            }
        }
        let is_news = remembered != self.told.memory;
        self.told.memory = remembered;
        if is_news || !self.told.is_written {
            self.told.is_written = false;
            write(&path, &self.told.memory)?;
            self.told.is_written = true;
        }
        Ok(())
    }

    async fn deliver(&self, way: &Way) {
        let name = way.name();
        for waiting in self.queue.due(name, (self.clock)()) {
            let id = waiting.message.id.clone();
            let outcome = way.deliver(&waiting.message, (self.clock)()).await;
            match outcome {
                Ok(()) => {
                    tracing::info!(way = name, id, "an alert was delivered by {name}");
                    self.queue.remove(name, &id);
                }
                Err(error) => {
                    let why = chain(&error);
                    tracing::warn!(
                        way = name,
                        id,
                        "an alert could not be delivered by {name}: {why}"
                    );
                    self.queue.failed(name, waiting, why, (self.clock)());
                    // One way that is away is asked once a turn.
                    break;
                }
            }
        }
    }
}

/// Where it stands what was told.
fn told(directory: &Path) -> PathBuf {
    directory.join("told.json")
}

#[derive(Serialize, Deserialize)]
struct Noted<T> {
    version: u32,
    #[serde(flatten)]
    noted: T,
}

/// A file of ours; nothing if it is not there, or cannot be understood.
fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Error> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(Error { operation: "read", path: path.to_owned(), source }),
    };
    match serde_json::from_slice::<Noted<T>>(&text) {
        Ok(Noted { version: VERSION, noted }) => Ok(Some(noted)),
        Ok(Noted { version, .. }) => {
            tracing::warn!(path = %path.display(), "{} is of a later version: {version}", path.display());
            Ok(None)
        }
        Err(error) => {
            tracing::warn!(path = %path.display(), "{} cannot be read: {error}", path.display());
            Ok(None)
        }
    }
}

fn write<T: Serialize>(path: &Path, noted: &T) -> Result<(), Error> {
    let failed = |source| Error { operation: "write", path: path.to_owned(), source };
    let text = serde_json::to_vec(&Noted { version: VERSION, noted })
        .map_err(|error| failed(error.into()))?;
    files::write_whole(path, &text, 0o600).map_err(failed)
}

/// Makes a directory that only we can read.
fn make(path: &Path) -> Result<(), Error> {
    use std::os::unix::fs::DirBuilderExt;
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| Error { operation: "make", path: path.to_owned(), source })
}
