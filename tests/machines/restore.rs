//! A machine is lost, and another takes its place with what was copied of it in time, as the operations
//! guide says.

use std::fs;

use anyhow::Result;

use crate::{
    install::{files, shown_in_the_portal, unchanged},
    machine::{Hardware, Machine},
    mongod, package,
    site::{DAEMON, ENDPOINT, Fixture, Site},
};

/// What the copy consists of: all of the appliance, and all of MongoDB.
const COPIED: [&str; 5] = [
    "etc/retention",
    "var/lib/retention",
    "var/lib/mongodb",
    "etc/mongod.key",
    "etc/systemd/system/mongod.service",
];

#[tokio::test(flavor = "multi_thread")]
async fn another_machine_goes_on_with_a_copy_of_the_first_and_nobody_notices() -> Result<()> {
    let mut site = Site::ready()?;
    let fixtures = Fixture::all()?;
    for fixture in &fixtures[..2] {
        site.upload(fixture)?;
        site.wait_stored(fixture)?;
    }
    site.machine.run(&["systemctl", "stop", ENDPOINT, DAEMON, mongod::UNIT])?;
    let tar = ["tar", "--create", "--file=/root/copy.tar", "--directory=/"];
    site.machine.run(&[&tar[..], &COPIED].concat())?;
    let kept = files(&site.machine)?;
    let copy = fs::read(site.machine.path("/root/copy.tar"))?;
    site.machine.cut_power()?;

    let mut hardware = Hardware { hostname: "replacement".into(), ..Hardware::default() };
    hardware.shared.push(mongod::shared("4.2")?);
    site.machine = Machine::boot(&site.network, hardware)?;
    site.network.forget_neighbours()?;
    // Users come with their packages, and under other numbers than on the first machine.
    site.install_package(&package::bytes()?)?;
    mongod::make_user(&site.machine)?;
    site.machine.write("/root/copy.tar", copy)?;
    site.machine.run(&["tar", "--extract", "--file=/root/copy.tar", "--directory=/"])?;
    site.machine.run(&["systemctl", "daemon-reload"])?;
    site.machine.run(&["systemctl", "enable", "--now", mongod::UNIT])?;
    site.machine.run(&["systemctl", "restart", ENDPOINT, DAEMON])?;
    site.wait_until_it_runs()?;
    site.machine.run(&["retention", "check"])?;
    unchanged(&kept, &files(&site.machine)?)?;

    // The client knows host key and certificate from the first machine, and uses the same address.
    site.upload(&fixtures[2])?;
    site.wait_stored(&fixtures[2])?;
    for fixture in &fixtures[..3] {
        site.holds(fixture).await?;
        shown_in_the_portal(&site, fixture)?;
    }
    Ok(())
}
