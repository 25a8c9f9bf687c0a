//! `retention status`: how is the appliance?

use std::{fmt::Write, process::ExitCode};

use clap::Args;
use jiff::Timestamp;

use super::output;
use crate::{
    appliance,
    config::Config,
    health::{
        Report,
        check::{Check, Kind, State},
        history::History,
        journal::{self, Since},
        watch::judge_daemon,
    },
};

/// The arguments.
#[derive(Debug, Args)]
pub(super) struct Status {
    /// Print one line of JSON.
    #[arg(long)]
    json: bool,
    /// Show what the daemon found at its last look, and look at nothing now.
    #[arg(long)]
    last: bool,
}

impl Status {
    pub(super) fn run(&self, config: &Config) -> anyhow::Result<ExitCode> {
        let directory = journal::directory(config.state_directory());
        let report = if self.last {
            let last = journal::read_report(&directory);
            last.ok_or_else(|| anyhow::anyhow!("the daemon has left no report yet"))?
        } else {
            look(config)?
        };
        if self.json {
            output::print_json(&report)?;
        } else {
            output::print(&describe(&report, appliance::now()))?;
        }
        Ok(ExitCode::from(u8::from(!report.ok)))
    }
}

/// Looks at everything, with what the daemon knows of the past.
fn look(config: &Config) -> anyhow::Result<Report> {
    let directory = journal::directory(config.state_directory());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(async {
        let store = appliance::store(config)?;
        let now = appliance::now();
        let history = History::read(&directory).unwrap_or_default();
        let mut since = Since::read(&directory);
        let watching = since.watching.unwrap_or(now);
        let mut report = appliance::examiner(config, store).look(&history, watching, now).await;
        let last = journal::read_report(&directory).map(|report| report.at);
        let daemon = judge_daemon(last, config.health().interval_seconds, now);
        report = report.with(daemon.of(Kind::Daemon, "", now));
        since.apply(&mut report.checks, now);
        anyhow::Ok(report)
    })?;
    runtime.shutdown_background();
    Ok(report)
}

fn describe(report: &Report, now: Timestamp) -> String {
    let mut text = String::new();
    let width = report.checks.iter().map(|check| check.key().chars().count()).max().unwrap_or(0);
    for check in &report.checks {
        let (key, said) = (check.key(), &check.sentence);
        let _ = writeln!(text, "{key:<width$}  {:<8}  {said}{}", check.state, since(check, now));
        if !check.advice.is_empty() {
            let _ = writeln!(text, "{:width$}            {}", "", check.advice);
        }
    }
    for (title, lines) in
        [("Newest backups", &report.backups), ("To be looked after", &report.unresolved)]
    {
        let lines = lines.answer().map(Vec::as_slice).unwrap_or_default();
        if !lines.is_empty() {
            let _ = writeln!(text, "\n{title}:");
        }
        for line in lines {
            let reason = line.reason.as_deref().map_or(String::new(), |why| format!(": {why}"));
            let known = line.acknowledged_by.as_deref();
            let known = known.map_or(String::new(), |by| format!(", acknowledged by {by}"));
            let _ = writeln!(text, "  {} {}{known}{reason}", line.file, line.state);
        }
    }
    if let Ok(uploads) = report.inbox.answer()
        && !uploads.is_empty()
    {
        text.push_str("\nInbox:\n");
        for upload in uploads {
            let size = output::bytes(upload.size_bytes);
            let _ = writeln!(text, "  {} ({size}, {})", upload.file, upload.condition);
        }
    }
    let is_away = |check: &Check| check.kind == Kind::Mongodb && check.state == State::Critical;
    if report.checks.iter().any(is_away) {
        let _ = writeln!(text, "\n{}", appliance::database::MISSED);
    }
    let _ = writeln!(text, "\n{}", verdict(report));
    text
}

fn since(check: &Check, now: Timestamp) -> String {
    let seconds = now.duration_since(check.since).as_secs();
    if check.state == State::Ok || seconds < 60 {
        return String::new();
    }
    format!(" (for {})", crate::health::check::span(seconds))
}

fn verdict(report: &Report) -> &'static str {
    match report.worst() {
        State::Ok => "All is well.",
        State::Unknown => "Nothing is wrong; not everything could be looked at.",
        State::Warning => "Something needs attention.",
        State::Critical => "Something is wrong.",
    }
}
