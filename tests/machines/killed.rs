//! Daemon, MongoDB and endpoint killed in turn: each comes back, `retention status` says so
//! meanwhile, and no backup is lost.

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::{
    machine::Machine,
    mongod,
    site::{DAEMON, ENDPOINT, Fixture, Site},
    until,
};

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_turn_each_comes_back_and_is_reported_meanwhile() -> Result<()> {
    let site = Site::ready()?;
    let fixtures = Fixture::all()?;
    ensure!(well(&site.status()?), "all is well before: {}", site.status()?);

    // The endpoint: systemd starts it again.
    let before = site.machine.unit(ENDPOINT, "MainPID")?;
    site.machine.kill(ENDPOINT, Signal::SIGKILL)?;
    let status = site.status()?;
    ensure!(status["ok"] == false && status["sftp"]["error"].is_string(), "endpoint: {status}");
    came_back(&site.machine, ENDPOINT, &before)?;
    site.upload(&fixtures[0])?;
    site.wait_stored(&fixtures[0])?;

    // The daemon: an upload meanwhile is none of its business, and is found when it is back.
    let before = site.machine.unit(DAEMON, "MainPID")?;
    site.machine.kill(DAEMON, Signal::SIGKILL)?;
    site.upload(&fixtures[1])?;
    came_back(&site.machine, DAEMON, &before)?;
    site.wait_stored(&fixtures[1])?;

    // MongoDB, whose own unit leaves it to the administrator: uploads wait for it.
    site.machine.kill(mongod::UNIT, Signal::SIGKILL)?;
    let status = site.status()?;
    ensure!(status["ok"] == false && status["mongodb"]["error"].is_string(), "MongoDB: {status}");
    site.upload(&fixtures[2])?;
    ensure!(site.machine.unit(DAEMON, "ActiveState")? == "active", "the daemon goes on");
    site.machine.run(&["systemctl", "start", mongod::UNIT])?;
    site.wait_stored(&fixtures[2])?;

    until("all is well again", || Ok(well(&site.status()?)))?;
    for fixture in &fixtures[..3] {
        site.holds(fixture).await?;
    }
    Ok(())
}

/// Whether the parts that were killed are all there.
fn well(status: &Value) -> bool {
    status["sftp"]["ok"].is_object() && status["mongodb"]["ok"]["writable"] == true
}

/// Waits until systemd has started a service anew.
fn came_back(machine: &Machine, unit: &str, before: &str) -> Result<()> {
    until(&format!("{unit} runs again"), || {
        let now = machine.unit(unit, "MainPID")?;
        Ok(now != before && now != "0" && machine.unit(unit, "ActiveState")? == "active")
    })?;
    ensure!(machine.unit(unit, "NRestarts")? == "1", "{unit} was started again once");
    Ok(())
}
