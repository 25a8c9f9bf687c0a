//! `retention status`: how is the appliance?

use std::{fmt::Write, process::ExitCode};

use clap::Args;

use super::output;
use crate::{
    appliance,
    config::Config,
    health::{self, Part, Report},
};

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
            let now = jiff::Timestamp::now();
            anyhow::Ok(
                health::report(&store, config.state_directory(), config.sftp().listen, now).await,
            )
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
            Ok(said) => writeln!(text, "{name:<9} ok      {said}"),
            Err(why) => writeln!(text, "{name:<9} trouble {why}"),
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
                .join("\n                  "),
        }),
    );
    row(
        "Backups",
        part(&report.backups, |lines| match lines.as_slice() {
            [] => "none yet".to_owned(),
            some => some
                .iter()
                .map(|line| {
                    let reason = line
                        .reason
                        .as_deref()
                        .map_or(String::new(), |reason| format!(": {reason}"));
                    format!("{} {}{reason}", line.file, line.state)
                })
                .collect::<Vec<_>>()
                .join("\n                  "),
        }),
    );
    text
}

fn part<T>(part: &Part<T>, say: impl FnOnce(&T) -> String) -> Result<String, &String> {
    match part {
        Part::Ok(answer) => Ok(say(answer)),
        Part::Error(why) => Err(why),
    }
}
