//! `retention status`: how is the appliance?

use std::{fmt::Write, process::ExitCode};

use clap::Args;

use super::output;
use crate::{
    appliance,
    config::Config,
    health::{self, Claimed, Line, Part, Report},
    intake::places::Places,
};

/// Between two lines of one part.
const NEXT_LINE: &str = "\n                   ";

/// The arguments.
#[derive(Debug, Args)]
pub(super) struct Status {
    /// Print one line of JSON.
    #[arg(long)]
    json: bool,
}

impl Status {
    pub(super) fn run(&self, config: &Config) -> anyhow::Result<ExitCode> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let report = runtime.block_on(async {
            let store = appliance::store(config)?;
            let (state, now) = (config.state_directory(), jiff::Timestamp::now());
            let claimed = Places::new(state).claimed_files().map(|files| {
                let files = files.into_iter();
                files.map(|file| Claimed { upload: file.upload, name: file.name }).collect()
            });
            anyhow::Ok(health::report(&store, state, config.sftp().listen, claimed, now).await)
        })?;
        if self.json {
            output::print_json(&report)?;
        } else {
            output::print(&describe(&report))?;
        }
        runtime.shutdown_background();
        Ok(ExitCode::from(u8::from(!report.ok)))
    }
}

fn describe(report: &Report) -> String {
    let mut text = String::new();
    let mut row = |name: &str, part: Result<String, &String>| {
        let _ = match part {
            Ok(said) => writeln!(text, "{name:<10} ok      {said}"),
            Err(why) => writeln!(text, "{name:<10} trouble {why}"),
        };
    };
    row("SFTP", part(&report.sftp, |sftp| format!("{} {}", sftp.address, sftp.banner)));
    row(
        "MongoDB",
        part(&report.mongodb, |server| {
            let set = server
                .replica_set
                .as_deref()
                .map_or(String::new(), |set| format!(", replica set {set}"));
            let writable = if server.writable { "" } else { ", does not accept writes" };
            format!("{}{set}{writable}", server.version)
        }),
    );
    row(
        "Disk",
        part(&report.disk, |disk| {
            format!(
                "{} of {} free",
                output::bytes(disk.free_bytes),
                output::bytes(disk.total_bytes)
            )
        }),
    );
    row(
        "Memory",
        part(&report.memory, |memory| {
            let (available, total) = (memory.available_bytes, memory.total_bytes);
            format!("{} of {} available", output::bytes(available), output::bytes(total))
        }),
    );
    row(
        "Inbox",
        part(&report.inbox, |uploads| match uploads.as_slice() {
            [] => "empty".to_owned(),
            some => some
                .iter()
                .map(|upload| {
                    format!(
                        "{} ({}, {})",
                        upload.file,
                        output::bytes(upload.size_bytes),
                        upload.condition
                    )
                })
                .collect::<Vec<_>>()
                .join(NEXT_LINE),
        }),
    );
    row(
        "Backups",
        part(&report.backups, |lines| match lines.as_slice() {
            [] => "none yet".to_owned(),
            some => lines_of(some),
        }),
    );
    let unresolved = match &report.unresolved {
        Part::Ok(lines) if lines.is_empty() => Ok("none".to_owned()),
        Part::Ok(lines) => Err(lines_of(lines)),
        Part::Error(why) => Err(why.clone()),
    };
    row("Unresolved", unresolved.as_ref().cloned());
    text
}

fn lines_of(lines: &[Line]) -> String {
    let lines = lines.iter().map(|line| {
        let reason = line.reason.as_deref().map_or(String::new(), |reason| format!(": {reason}"));
        format!("{} {}{reason}", line.file, line.state)
    });
    lines.collect::<Vec<_>>().join(NEXT_LINE)
}

fn part<T>(part: &Part<T>, say: impl FnOnce(&T) -> String) -> Result<String, &String> {
    match part {
        Part::Ok(answer) => Ok(say(answer)),
        Part::Error(why) => Err(why),
    }
}
