//! The examples of `packaging/network` at work: the tunnel, the firewall, the customer's router.
//!
//! The files themselves are used, with their marked places filled in. strongSwan, nftables, sftp
//! and the appliance are real; ESP is done in user space. All of it is inside of namespaces that
//! end with the test, which takes root: others are asked for it by `sudo`. A part that is missing
//! is a failure, never a skip.

#[path = "network/apart.rs"]
mod apart;
#[allow(dead_code, reason = "the tests of the appliance use other parts of it")]
mod archives;
#[path = "network/at_appliance.rs"]
mod at_appliance;
#[path = "network/at_router.rs"]
mod at_router;
#[path = "network/examples.rs"]
mod examples;
#[path = "network/files.rs"]
mod files;
#[path = "network/site.rs"]
mod site;
#[path = "network/strongswan.rs"]
mod strongswan;
#[path = "network/uploader.rs"]
mod uploader;
#[allow(dead_code, reason = "the tests of the appliance use other parts of it")]
mod world;

use std::{net::Ipv4Addr, time::Duration};

use anyhow::{Result, ensure};
use retention::backup::State;

use crate::{
    archives::{Sample, job},
    uploader::Uploader,
    world::{Options, World},
};

/// An appliance that listens on every address, as installed ones do.
async fn appliance() -> Result<World> {
    World::start(Options { listen: Ipv4Addr::UNSPECIFIED, ..Options::default() }).await
}

/// Uploads a backup through the tunnel, and waits until it is stored. Returns its size in bytes.
async fn store(world: &mut World, uploader: &Uploader, n: u32) -> Result<u64> {
    let bytes = Sample::new(2000).bytes()?;
    uploader.put(&archives::write(world.directory(), n, &bytes)?)?;
    world.wait_state(&job(n), State::Stored, Duration::from_secs(30)).await?;
    Ok(bytes.len() as u64)
}

/// Uploads a backup as [`store`] does. All of it crosses the line as ESP in UDP, and nothing else
/// crosses it.
async fn store_unseen(
    site: &site::Site,
    world: &mut World,
    uploader: &Uploader,
    n: u32,
) -> Result<()> {
    let before = site.wire()?;
    let size_bytes = store(world, uploader, n).await?;
    let after = site.wire()?;
    ensure!(after.plain_packets == before.plain_packets, "something was plain: {after:?}");
    let sent = after.esp_sent_bytes - before.esp_sent_bytes;
    ensure!(sent > size_bytes, "{size_bytes} bytes, of which the line saw {sent}");
    ensure!(after.esp_received_bytes > before.esp_received_bytes, "no answer came as ESP");
    Ok(())
}
