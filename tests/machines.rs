//! Whole machines: the package on a Debian that boots with systemd, MongoDB beside it, and a client
//! in another network that reaches it through a router.
//!
//! `tests/run` runs this as root, which namespaces, mounts and cgroups need. Nothing here is sent
//! anywhere but into network namespaces that were made for it, and all of it ends with this
//! process, in whatever way that ends. A part that is missing is a failure, never a skip.

#[path = "machines/client.rs"]
mod client;
#[path = "machines/hardware.rs"]
mod hardware;
#[path = "machines/install.rs"]
mod install;
#[path = "machines/killed.rs"]
mod killed;
#[allow(dead_code, reason = "what a machine can do, whether or not a test asks for it yet")]
#[path = "machines/machine.rs"]
mod machine;
#[path = "machines/mail.rs"]
mod mail;
#[path = "machines/mongod.rs"]
mod mongod;
#[path = "machines/network.rs"]
mod network;
#[path = "machines/package.rs"]
mod package;
#[path = "machines/place.rs"]
mod place;
#[allow(dead_code, reason = "the tests of the appliance use other parts of it")]
#[path = "world/process.rs"]
mod process;
#[path = "machines/restore.rs"]
mod restore;
#[path = "machines/settings.rs"]
mod settings;
#[allow(dead_code, reason = "the tests of the appliance use other parts of it")]
#[path = "world/sink.rs"]
mod sink;
#[path = "machines/site.rs"]
mod site;
#[path = "machines/trouble.rs"]
mod trouble;
#[path = "machines/upgrade.rs"]
mod upgrade;

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

/// How long anything here may take that is usually done in a moment.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for something to become true.
fn until(what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !holds()? {
        if Instant::now() > deadline {
            bail!("never: {what}");
        }
        thread::sleep(process::GLANCE);
    }
    Ok(())
}
