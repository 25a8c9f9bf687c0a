//! `retention alerts`: what is kept quiet, and what waits to be delivered.

use std::{fmt::Write, process::ExitCode};

use clap::Subcommand;
use serde_json::json;

use super::output;
use crate::{
    alerts::{
        self,
        queue::Queue,
        silence::{self, Silence},
    },
    appliance,
    config::Config,
};

/// What can be done about alerts.
#[derive(Debug, Subcommand)]
pub(super) enum Alerts {
    /// Keep a check quiet for a while. `retention status` names the checks.
    Silence {
        /// A check, as `disk-space:/`, or all of a kind, as `disk-space`.
        check: String,
        /// For how long: 30m, 2h, 3d or 1w.
        #[arg(long = "for", value_name = "LENGTH")]
        length: String,
    },
    /// Show the silences, and what waits to be delivered.
    List {
        /// Print one line of JSON.
        #[arg(long)]
        json: bool,
    },
    /// End a silence.
    Remove {
        /// What was silenced.
        check: String,
    },
}

impl Alerts {
    pub(super) fn run(self, config: &Config) -> anyhow::Result<ExitCode> {
        let directory = alerts::directory(config.state_directory());
        match self {
            Self::List { json } => list(&directory, json),
            Self::Silence { check, length } => {
                let silence = Silence::parse(&check, &length, appliance::now())?;
                let until = silence.until.strftime("%Y-%m-%d %H:%M UTC").to_string();
                silence::add(&directory, silence, appliance::now())?;
                output::print(&format!("{check} is silenced until {until}.\n"))?;
                Ok(ExitCode::SUCCESS)
            }
            Self::Remove { check } => {
                if silence::remove(&directory, &check)? {
                    output::print(&format!("{check} is no longer silenced.\n"))?;
                    return Ok(ExitCode::SUCCESS);
                }
                anyhow::bail!("{check} was not silenced")
            }
        }
    }
}

fn list(directory: &std::path::Path, json: bool) -> anyhow::Result<ExitCode> {
    let now = appliance::now();
    let mut silences = silence::read(directory)?;
    silences.retain(|silence| silence.until > now);
    let queue = Queue::new(directory);
    let waiting: Vec<_> = queue
        .ways()
        .into_iter()
        .flat_map(|way| queue.list(&way).into_iter().map(move |waiting| (way.clone(), waiting)))
        .collect();
    if json {
        let waiting: Vec<_> = waiting
            .iter()
            .map(|(way, one)| {
                json!({
                    "way": way, "subject": one.message.subject, "attempts": one.attempts,
                    "next": one.next, "error": one.error,
                })
            })
            .collect();
        output::print_json(&json!({ "silences": silences, "waiting": waiting }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut text = String::new();
    for silence in &silences {
        let until = silence.until.strftime("%Y-%m-%d %H:%M UTC");
        let _ = writeln!(text, "{} is silenced until {until}.", silence.what);
    }
    for (way, one) in &waiting {
        let _ = writeln!(text, "Waits for {way}: {} {}", one.message.subject, one.error);
    }
    if text.is_empty() {
        text.push_str("Nothing is silenced, and no alert waits.\n");
    }
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}
