//! The services: enabled, started, and told of what changed.

use std::{
    fs,
    path::Path,
    process::{Output, Stdio},
    time::Duration,
};

use tokio::{process::Command, time::timeout};

use crate::{
    config::{Config, Spec},
    files,
    steps::Failure,
};

const ENDPOINT: &str = "retention-sftp.service";
const DAEMON: &str = "retention.service";

/// How long systemd may take; the daemon is ready when MongoDB has answered.
const PATIENCE: Duration = Duration::from_secs(150);

/// Between two looks at a unit that is starting.
const GLANCE: Duration = Duration::from_millis(500);

/// Enables both services and starts them anew. Uploads that are going on are let finish.
pub(super) async fn start(config: &Config) -> Result<((), String), Failure> {
    let changed = confine(config, Path::new("/etc/systemd/system"))?;
    if changed {
        systemctl(&["daemon-reload"]).await?;
    }
    systemctl(&["enable", "--quiet", ENDPOINT, DAEMON]).await?;
    // Restarting ends no upload: the endpoint's unit leaves its sessions alone.
    systemctl(&["restart", ENDPOINT]).await?;
    if let Err(failure) = systemctl(&["restart", DAEMON]).await {
        // The unit gives up waiting before the daemon gives up starting: on a slow machine, or while
        // MongoDB takes its time, it is ready later.
        if !becomes_active(DAEMON).await {
            return Err(failure);
        }
    }
    Ok(((), format!("{ENDPOINT} and {DAEMON} are enabled and run")))
}

/// Waits until a unit that is starting is active. Returns false once it is neither.
async fn becomes_active(unit: &str) -> bool {
    let asking = async {
        loop {
            let mut command = Command::new("systemctl");
            command.args(["is-active", unit]).stdin(Stdio::null()).kill_on_drop(true);
            let output = command.output().await;
            let said = output.map(|output| output.stdout).unwrap_or_default();
            match String::from_utf8_lossy(&said).trim() {
                "active" => return true,
                "activating" => tokio::time::sleep(GLANCE).await,
                _ => return false,
            }
        }
    };
    timeout(PATIENCE, asking).await.unwrap_or(false)
}

/// Lets the services write to a state directory that is not where the units expect it.
/// Returns whether anything changed.
fn confine(config: &Config, systemd: &Path) -> Result<bool, Failure> {
    let state = config.state_directory();
    let is_usual = state == Spec::default().state_directory;
    let mut changed = false;
    for unit in [ENDPOINT, DAEMON] {
        let directory = systemd.join(format!("{unit}.d"));
        let path = directory.join("state-directory.conf");
        let failed = |error: std::io::Error| {
            Failure::new(format!("{}: {error}", path.display()), "Run this as root.")
        };
        let there = fs::read_to_string(&path).ok();
        let wanted = (!is_usual).then(|| drop_in(unit, state));
        if there == wanted {
            continue;
        }
        changed = true;
        match wanted {
            Some(text) => {
                fs::create_dir_all(&directory).map_err(failed)?;
                files::write_whole(&path, text.as_bytes(), 0o644).map_err(failed)?;
            }
            None => fs::remove_file(&path).map_err(failed)?,
        }
    }
    Ok(changed)
}

fn drop_in(unit: &str, state: &Path) -> String {
    let state = state.display();
    let mut text = format!(
        "# Written by `retention setup`, because the state directory is not the usual one.\n\
         [Service]\nReadWritePaths={state}\n"
    );
    if unit == ENDPOINT {
        text.push_str(&format!(
            "BindReadOnlyPaths=\n\
             BindReadOnlyPaths=-/run/systemd/journal/dev-log:{state}/sftp/dev/log\n"
        ));
    }
    text
}

async fn systemctl(arguments: &[&str]) -> Result<(), Failure> {
    let mut command = Command::new("systemctl");
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    let words = arguments.join(" ");
    let last = arguments.last().copied().unwrap_or_default();
    let todo = format!("`journalctl -u {last}` says why.");
    match timeout(PATIENCE, command.output()).await {
        Ok(Ok(Output { status, .. })) if status.success() => Ok(()),
        Ok(Ok(output)) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said.lines().next().unwrap_or_default().to_owned();
            Err(Failure::new(format!("systemctl {words}: {said}"), todo))
        }
        Ok(Err(error)) => Err(Failure::new(format!("cannot run systemctl: {error}"), "")),
        Err(_) => Err(Failure::new(format!("systemctl {words} does not end"), todo)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_may_write_to_an_unusual_state_directory_and_only_then() {
        let scratch = tempfile::tempdir().expect("scratch");
        let config = |state: &str| {
            let spec = Spec { state_directory: state.into(), ..Spec::default() };
            Config::new(spec, Path::new("/etc/retention/retention.toml")).expect("valid")
        };
        let drop_in = scratch.path().join("retention-sftp.service.d/state-directory.conf");
        for (state, changes, is_there) in [
            ("/var/lib/retention", false, false),
            ("/data/retention", true, true),
            ("/data/retention", false, true),
            ("/var/lib/retention", true, false),
        ] {
            let changed = confine(&config(state), scratch.path()).expect("confined");
            assert_eq!((changed, drop_in.exists()), (changes, is_there), "{state}");
        }
    }
}
