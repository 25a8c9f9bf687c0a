//! The loop: looks at everything again and again, and keeps what was found.
//!
//! Takes no orders. It looks, notes since when each check is as it is, adds to the history, leaves a
//! note at the door of the endpoint while MongoDB's disk is short, and hands the report to whoever
//! watches the channel. What it cannot note is said in the journal and
//! stops nothing: a full disk must not end the loop that says that the disk is full.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    Examiner, Report,
    check::{Verdict, span},
    history::History,
    journal::{self, Since},
};
use crate::{cause::chain, health::check::Kind};

/// The newest report; nothing before the first look has ended.
pub type Reports = watch::Receiver<Option<Arc<Report>>>;

/// What somebody else says about a check of their own: how many alerts could not be delivered.
pub type Remarks = watch::Receiver<Option<Verdict>>;

/// What was measured in the past, for whoever draws it.
pub type SharedHistory = Arc<Mutex<History>>;

/// After how many missed looks the loop is no longer believed to turn.
const MISSED_LOOKS: i64 = 3;

/// Judges by its last report whether the daemon still looks, each `interval_seconds`.
pub fn judge_daemon(last: Option<Timestamp>, interval_seconds: u64, now: Timestamp) -> Verdict {
    let advice = "Start retention.service, and look at its journal.";
    let Some(last) = last else {
        return Verdict::critical("The daemon has never looked at anything.", advice);
    };
    let age = now.duration_since(last).as_secs();
    let interval = i64::try_from(interval_seconds).unwrap_or(i64::MAX);
    // A look itself takes some seconds when something does not answer.
    if age > interval.saturating_mul(MISSED_LOOKS).saturating_add(30) {
        let sentence = format!("The daemon has looked at nothing for {}.", span(age));
        return Verdict::critical(sentence, advice);
    }
    Verdict::ok(format!("The daemon looked {} ago.", span(age)))
}

/// The loop.
pub struct Watcher {
    examiner: Examiner,
    directory: PathBuf,
    since: Since,
    history: SharedHistory,
    reports: watch::Sender<Option<Arc<Report>>>,
    alerts: Option<Remarks>,
    clock: fn() -> Timestamp,
}

impl Watcher {
    /// Prepares the loop, with what was noted before.
    pub fn new(examiner: Examiner, clock: fn() -> Timestamp) -> Result<Self, journal::Error> {
        let directory = journal::directory(&examiner.settings().state_directory);
        journal::prepare(&directory)?;
        let history = History::read(&directory).unwrap_or_else(|error| {
            tracing::warn!("the history of health begins anew: {}", chain(&error));
            History::default()
        });
        let since = Since::read(&directory);
        let (reports, _) = watch::channel(None);
        let history = Arc::new(Mutex::new(history));
        Ok(Self { examiner, directory, since, history, reports, alerts: None, clock })
    }

    /// The reports that will be made.
    pub fn reports(&self) -> Reports {
        self.reports.subscribe()
    }

    /// What was measured in the past.
    pub fn history(&self) -> SharedHistory {
        Arc::clone(&self.history)
    }

    /// Lets the report say how alerts fare.
    pub fn with_alerts(mut self, alerts: Remarks) -> Self {
        self.alerts = Some(alerts);
        self
    }

    /// Runs until it is stopped.
    pub async fn run(mut self, stop: CancellationToken) {
        let pause = Duration::from_secs(self.examiner.settings().health.interval_seconds);
        loop {
            tokio::select! {
                () = self.look() => {}
                () = stop.cancelled() => return,
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    async fn look(&mut self) {
        let now = (self.clock)();
        let watching = *self.since.watching.get_or_insert(now);
        // The lock is not held while anybody is waited for.
        let history = lock(&self.history).clone();
        let mut report = self.examiner.look(&history, watching, now).await;
        drop(history);
        self.note_at_the_door(now);
        let remark = self.alerts.as_ref().and_then(|alerts| alerts.borrow().clone());
        report.checks.extend(remark.map(|verdict| verdict.of(Kind::Alerts, "", now)));
        report.settle();
        let before = self.reports.borrow().clone();
        self.say(before.as_deref(), &report);
        if self.since.apply(&mut report.checks, now)
            && let Err(error) = self.since.write(&self.directory)
        {
            tracing::warn!("cannot note since when checks are as they are: {}", chain(&error));
        }
        let added = lock(&self.history).add(&self.directory, &report.checks, now);
        if let Err(error) = added {
            tracing::warn!("cannot add to the history of health: {}", chain(&error));
        }
        if let Err(error) = journal::write_report(&self.directory, &report) {
            tracing::warn!("cannot note the report: {}", chain(&error));
        }
        self.reports.send_replace(Some(Arc::new(report)));
    }

    /// The door cannot ask MongoDB. While nothing is known, the last note counts for its time.
    fn note_at_the_door(&self, now: Timestamp) {
        let settings = self.examiner.settings();
        let noted = match self.examiner.mongodb_is_short() {
            Some(true) => settings.endpoint.note_full(now, settings.health.interval_seconds),
            Some(false) => settings.endpoint.note_room(),
            None => Ok(()),
        };
        if let Err(error) = noted {
            tracing::warn!(
                "cannot tell the endpoint how full MongoDB's disk is: {}",
                chain(&error)
            );
        }
    }

    /// What has changed goes to the journal as well.
    fn say(&self, before: Option<&Report>, report: &Report) {
        for check in &report.checks {
            let known = before.and_then(|before| {
                before
                    .checks
                    .iter()
                    .find(|old| old.kind == check.kind && old.subject == check.subject)
            });
            let was = known.map(|known| known.state);
            if was == Some(check.state) || (was.is_none() && !check.state.is_trouble()) {
                continue;
            }
            let (key, state, said) = (check.key(), check.state, &check.sentence);
            if state.is_trouble() {
                tracing::warn!(check = key, %state, "{said}");
            } else {
                tracing::info!(check = key, %state, "{said}");
            }
        }
    }
}

/// The history is whole between any two statements, so a panic elsewhere leaves nothing half done.
pub fn lock(history: &Mutex<History>) -> MutexGuard<'_, History> {
    history.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::{super::check::State, *};

    #[test]
    fn a_daemon_that_misses_its_looks_is_told_of() {
        let now = Timestamp::from_second(10_000).expect("a time");
        for (age, interval, state) in [
            (Some(10), 60, State::Ok),
            (Some(210), 60, State::Ok),
            (Some(211), 60, State::Critical),
            (Some(30), 1, State::Ok),
            (None, 60, State::Critical),
        ] {
            let last = age.map(|age| Timestamp::from_second(10_000 - age).expect("a time"));
            assert_eq!(judge_daemon(last, interval, now).state, state, "{age:?}");
        }
    }
}
