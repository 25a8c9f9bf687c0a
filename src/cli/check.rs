//! `retention check`: can the configuration work, and everything that it names?

use std::{path::Path, process::ExitCode};

use clap::Args;
use serde_json::json;

use super::{output, setup};
use crate::setup::{check, finding};

/// The arguments.
#[derive(Debug, Args)]
pub(super) struct Check {
    /// Print one line of JSON.
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(super) fn run(&self, path: &Path) -> anyhow::Result<ExitCode> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let findings = runtime.block_on(check::all(path));
        runtime.shutdown_background();
        let ok = finding::can_work(&findings);
        if self.json {
            output::print_json(&json!({ "ok": ok, "findings": findings }))?;
        } else {
            let lines: String = findings.iter().map(setup::finding_line).collect();
            output::print(&lines)?;
        }
        Ok(ExitCode::from(u8::from(!ok)))
    }
}
