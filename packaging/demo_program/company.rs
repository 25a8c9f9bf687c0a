//! The days of the invented company: what maaiiconnect's side is given to make backups of.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use indicatif::ProgressBar;
use jiff::civil::Date;

use crate::{
    arrival::GLANCE,
    parts::world::{World, process::Process},
    say,
};

/// How long making them may take.
const PATIENCE: Duration = Duration::from_secs(900);

/// Has so many days made, and returns them in their order: until when each goes, and where it lies.
pub(crate) async fn days(world: &World, count: usize, quick: bool) -> Result<Vec<(Date, PathBuf)>> {
    let place = |name: &str| world.directory().join(name);
    let (days, scratch) = (place("company"), place("scratch"));
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/company");
    fs::create_dir(&scratch)?;
    let mut company = Process::start("company", &program, &place("logs/company.log"), |command| {
        command.arg("--out").arg(&days).args(["--folders", "--backups", &count.to_string()]);
        // Its programs leave files in these when they are killed, and some even if they are not.
        for name in ["TMPDIR", "HOME", "XDG_RUNTIME_DIR", "PULSE_RUNTIME_PATH"] {
            command.env(name, &scratch);
        }
        if quick {
            command.arg("--quick");
        }
    })?;
    let bar = ProgressBar::new_spinner().with_message("Inventing a company and its days");
    if bar.is_hidden() {
        say("Inventing a company and its days ...");
    }
    bar.enable_steady_tick(GLANCE);
    let status = company.wait(PATIENCE).await?;
    bar.finish_and_clear();
    ensure!(status.success(), "packaging/company failed: {}", company.last_words());

    let mut made = Vec::new();
    for entry in fs::read_dir(&days)? {
        let path = entry?.path();
        let name = path.file_name().context("a day has a name")?.to_string_lossy().into_owned();
        made.push((name.parse().with_context(|| format!("{name} is no day"))?, path));
    }
    made.sort();
    ensure!(made.len() == count, "packaging/company made {} days and not {count}", made.len());
    Ok(made)
}
