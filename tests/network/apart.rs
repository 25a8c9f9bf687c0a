//! A test in kernel namespaces of its own: network, mounts and processes.
//!
//! Whatever is made in them (interfaces, addresses, named namespaces below `/run/netns`, mounts,
//! firewalls, servers) is gone with them, and they are gone with the test, in whatever way it
//! ends. Nothing leaves them: they have no link to the machine around them.

use std::{env, fs, path::Path, process::Command, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use nix::unistd::geteuid;

use crate::world::process::{self, Process};

/// Tells the test program that it runs apart already.
const MARK: &str = "RETENTION_TEST_RUNS_APART";

/// After so many seconds everything is killed.
const LIMIT_SECONDS: u64 = 240;

/// Runs `body` apart, in a process of its own. `name` is the test's.
///
/// Only root may make namespaces, so others are asked for it by `sudo`.
pub(crate) fn apart<F>(name: &str, body: impl FnOnce() -> F) -> Result<()>
where
    F: Future<Output = Result<()>>,
{
    if env::var_os(MARK).is_some() {
        settle_in()?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        return runtime.block_on(body());
    }
    let place = tempfile::tempdir()?;
    let log = place.path().join("log");
    let words = command(name)?;
    let mut process = Process::start(name, Path::new(&words[0]), &log, |command| {
        command.args(&words[1..]);
    })?;
    let waited = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(process.wait(Duration::from_secs(LIMIT_SECONDS + 10)));
    let said = fs::read_to_string(&log).unwrap_or_default();
    let status = waited?;
    if !status.success() {
        bail!("apart, it failed ({status}):\n{said}");
    }
    ensure!(said.contains("1 passed"), "no test is called {name}:\n{said}");
    Ok(())
}

fn command(name: &str) -> Result<Vec<String>> {
    let mut words = Vec::new();
    if !geteuid().is_root() {
        words.push("sudo".to_owned());
    }
    let limit = LIMIT_SECONDS.to_string();
    words.extend(["timeout", "--signal=KILL", &limit].map(str::to_owned));
    words.extend(["unshare", "--net", "--mount", "--pid", "--fork"].map(str::to_owned));
    words.extend(["--kill-child", "--mount-proc", "env"].map(str::to_owned));
    words.push(format!("{MARK}=1"));
    words.push(env::current_exe()?.to_str().context("a path that is no text")?.to_owned());
    words.extend(["--exact", name, "--nocapture"].map(str::to_owned));
    Ok(words)
}

/// An empty `/run`, so that no service of the machine is reached through it, and loopback.
fn settle_in() -> Result<()> {
    run("mount -t tmpfs -o mode=755 tmpfs /run")?;
    for name in ["netns", "lock", "sshd"] {
        fs::create_dir(Path::new("/run").join(name))?;
    }
    run("ip link set lo up")
}

/// Runs a command of words without spaces in them, to its end.
pub(crate) fn run(command: &str) -> Result<()> {
    said(command).map(drop)
}

/// Runs a command of words without spaces in them, and returns what it printed.
pub(crate) fn said(command: &str) -> Result<String> {
    let mut words = command.split_whitespace();
    let program = words.next().context("an empty command")?;
    process::output(Command::new(program).args(words)).with_context(|| command.to_owned())
}
