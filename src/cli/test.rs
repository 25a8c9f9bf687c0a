//! `retention test`: does each part do its work, from end to end?

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::output;
use crate::{
    config::Config,
    steps::{Outcome, Step},
    trial::{self, Subject, Trial},
};

/// The arguments.
#[derive(Debug, Args)]
pub(super) struct Test {
    /// What to test.
    #[arg(value_enum, default_value = "all")]
    what: What,
    /// Print one line of JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum What {
    /// An upload through the endpoint, with a key and a file that are gone afterwards.
    Sftp,
    /// A write that most members acknowledge, and its removal.
    Mongodb,
    /// A sign-in over HTTPS, with an account that is gone afterwards.
    Portal,
    /// A message to those who are told when something is wrong.
    Alerts,
    /// All of these.
    All,
}

impl Test {
    pub(super) fn run(&self, config: &Config) -> anyhow::Result<ExitCode> {
        let subjects: &[Subject] = match self.what {
            What::Sftp => &[Subject::Sftp],
            What::Mongodb => &[Subject::Mongodb],
            What::Portal => &[Subject::Portal],
            What::Alerts => &[Subject::Alerts],
            What::All => &Subject::ALL,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let trials = runtime.block_on(until_interrupted(self.all(config, subjects)))?;
        runtime.shutdown_background();
        let ok = trials.iter().all(|trial| trial.ok);
        if self.json {
            output::print_json(&json!({ "ok": ok, "tests": trials }))?;
        }
        Ok(ExitCode::from(u8::from(!ok)))
    }

    async fn all(&self, config: &Config, subjects: &[Subject]) -> anyhow::Result<Vec<Trial>> {
        let mut trials = Vec::new();
        for subject in subjects {
            if !self.json {
                output::print(&format!("{}\n", subject.as_str()))?;
            }
            let mut report = |step: &Step| {
                if !self.json {
                    // A reader that went away has seen enough.
                    let _ = output::print(&line(step));
                }
            };
            trials.push(trial::run(config, *subject, &mut report).await);
        }
        Ok(trials)
    }
}

/// Ends `work` when the user or the system asks for it, so that it tidies up.
pub(super) async fn until_interrupted<T>(
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        done = work => done,
        _ = terminate.recv() => anyhow::bail!("ended before it was done"),
        _ = interrupt.recv() => anyhow::bail!("interrupted before it was done"),
    }
}

/// A step for people: a mark, its name and what there is to say.
pub(super) fn line(step: &Step) -> String {
    let mark = match step.outcome {
        Outcome::Done => "✓",
        Outcome::Kept => "=",
        Outcome::Failed => "✗",
        Outcome::NotDone => "-",
    };
    let said = match (step.outcome, step.said.is_empty()) {
        (Outcome::NotDone, true) => ": not done".to_owned(),
        (_, true) => String::new(),
        (_, false) => format!(": {}", step.said),
    };
    let todo = step.todo.as_ref().map_or(String::new(), |todo| format!("    → {todo}\n"));
    format!("  {mark} {}{said}\n{todo}", step.name)
}
