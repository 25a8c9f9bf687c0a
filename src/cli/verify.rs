//! `retention verify FILE`: is this archive good?

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::mpsc::{self, RecvTimeoutError},
    time::Duration,
};

use anyhow::Context;
use clap::Args;
use serde::Serialize;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::output;
use crate::{
    appliance,
    archive::{Archive, KeyRing, Limits},
    backup::{BackupName, Progress},
    config::{self, Config, Secret, Spec},
    intake::{
        counters::Counters,
        reading::{Discard, Reading, Stop},
    },
    records::Rules,
    settings::KnownKeys,
    store::document::Origin,
};

pub(super) const AFTER_HELP: &str = "\
Reads every byte of the archive, as if it were to be stored: headers, checksums,
authentication codes, each record and each reference from a record to a file.

Archive Keys are those of the configuration and those that were set in the portal,
which are asked of MongoDB. To use others, write them to a file,
one a line, or pass them on standard input:
    retention verify --key-file - backup_….zip

Exit code: 0 if the archive would be stored, 1 if it would be rejected, 2 if it
could not be checked.";

/// Between two looks at how far it is.
const GLANCE: Duration = Duration::from_millis(100);

/// The arguments.
#[derive(Debug, Args)]
pub(super) struct Verify {
    /// The archive.
    file: PathBuf,
    /// Read Archive Keys from this file, one a line; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Print one line of JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Outcome {
    file: String,
    name_problem: Option<String>,
    ok: bool,
    code: Option<String>,
    reason: Option<String>,
    #[serde(flatten)]
    progress: Progress,
    findings: Vec<serde_json::Value>,
}

impl Verify {
    pub(super) fn run(&self, config: &Path) -> anyhow::Result<ExitCode> {
        let config = self.config(config)?;
        let keys = KeyRing::new(self.keys(&config)?);
        let outcome = self.check(&config, &keys)?;
        if self.json {
            output::print_json(&outcome)?;
        } else {
            output::print(&describe(&outcome))?;
        }
        Ok(ExitCode::from(u8::from(!outcome.ok)))
    }

    /// An appliance need not be set up to check an archive.
    fn config(&self, path: &Path) -> Result<Config, config::Error> {
        match Config::read(path) {
            Err(config::Error::Read { source, .. })
                if source.kind() == io::ErrorKind::NotFound
                    && path == Path::new(config::DEFAULT_PATH) =>
            {
                Config::new(Spec::default(), path)
            }
            other => other,
        }
    }

    fn keys(&self, config: &Config) -> anyhow::Result<Vec<Secret>> {
        let Some(path) = &self.key_file else {
            return Self::known_keys(config);
        };
        let mut text = String::new();
        if path.as_os_str() == "-" {
            io::stdin()
                .read_to_string(&mut text)
                .context("cannot read keys from standard input")?;
        } else {
            text = std::fs::read_to_string(path)
                .with_context(|| format!("cannot read {}", path.display()))?;
        }
        Ok(text
            .lines()
            .filter(|line| !line.is_empty())
            .map(|line| Secret::new(line.to_owned()))
            .collect())
    }

    /// The keys of the configuration and those that were set in the portal, as far as they can be had.
    fn known_keys(config: &Config) -> anyhow::Result<Vec<Secret>> {
        let configured = appliance::secrets(config).archive_keys()?;
        if !config.path().exists() {
            return Ok(configured);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let not_tried = |why: &dyn std::fmt::Display| {
            eprintln!("Archive Keys that were set in the portal are not tried: {why}");
        };
        match runtime.block_on(appliance::archive_keys(config, configured.clone())) {
            Ok(KnownKeys { open, closed }) => {
                if let Some(why) = closed {
                    not_tried(&why);
                }
                Ok(open.into_iter().map(|known| known.key).collect())
            }
            Err(error) => {
                not_tried(&format_args!("{error:#}"));
                Ok(configured)
            }
        }
    }

    fn check(&self, config: &Config, keys: &KeyRing) -> anyhow::Result<Outcome> {
        let file = File::open(&self.file)
            .with_context(|| format!("cannot open {}", self.file.display()))?;
        let name = self.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let parsed = name.parse::<BackupName>();
        let counters = Counters::default();
        let outcome = read(file, config, keys, &counters, parsed.as_ref().ok());
        let (code, reason) = match outcome {
            Ok(()) => (None, None),
            Err(Stop::Archive(error)) => match error.rejection() {
                Some(reason) => (Some(json!(reason.code)), Some(reason.sentence)),
                None => return Err(error.into()),
            },
            Err(error) => return Err(error.into()),
        };
        Ok(Outcome {
            file: name,
            name_problem: parsed.err().map(|error| error.to_string()),
            ok: reason.is_none(),
            code: code.and_then(|code| code.as_str().map(str::to_owned)),
            reason,
            progress: counters.progress(),
            findings: counters
                .findings()
                .iter()
                .map(|(kind, finding)| {
                    json!({ "kind": kind, "count": finding.count, "sentence": kind.sentence(finding.count), "examples": finding.examples })
                })
                .collect(),
        })
    }
}

fn read(
    file: File,
    config: &Config,
    keys: &KeyRing,
    counters: &Counters,
    name: Option<&BackupName>,
) -> Result<(), Stop> {
    let archive = Archive::open(file, &Limits::from(config.archive()))?;
    let bar = output::bar(archive.total_bytes());
    let rules = Rules::new(&config.records().rules);
    let origin = name.map_or_else(Origin::unknown, Origin::of);
    let stop = CancellationToken::new();
    let reading = Reading {
        archive: &archive,
        keys,
        rules: &rules,
        origin: &origin,
        taker: &Discard,
        counters,
        digest: false,
        stop: &stop,
    };
    let outcome = std::thread::scope(|scope| {
        let (ended, end) = mpsc::channel::<()>();
        let reading = scope.spawn(move || {
            let outcome = reading.run();
            drop(ended);
            outcome
        });
        while end.recv_timeout(GLANCE) == Err(RecvTimeoutError::Timeout) {
            bar.set_position(counters.progress().bytes_done);
        }
        reading.join().unwrap_or(Err(Stop::Cancelled))
    });
    bar.finish_and_clear();
    outcome.map(|_| ())
}

fn describe(outcome: &Outcome) -> String {
    let mut text = match &outcome.reason {
        None => format!("{}: intact\n", outcome.file),
        Some(reason) => format!("{}: would be rejected\n  {reason}\n", outcome.file),
    };
    if let Some(problem) = &outcome.name_problem {
        text.push_str(&format!("  The name would not be accepted: {problem}\n"));
    }
    if outcome.ok {
        for (dataset, count) in &outcome.progress.records {
            text.push_str(&format!("  {count:>9} {dataset}\n"));
        }
        let media_bytes = output::bytes(outcome.progress.media_bytes);
        text.push_str(&format!("  {:>9} media ({media_bytes})\n", outcome.progress.media));
    }
    for finding in &outcome.findings {
        text.push_str(&format!(
            "  Finding: {}\n",
            finding["sentence"].as_str().unwrap_or_default()
        ));
        for example in finding["examples"].as_array().into_iter().flatten().take(5) {
            text.push_str(&format!("    {}\n", example.as_str().unwrap_or_default()));
        }
    }
    text
}
