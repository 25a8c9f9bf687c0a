//! What the other tests count on: a machine's disk, its power, and the clock of a service.

use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp};

use crate::{
    machine::{Hardware, Machine},
    network::Network,
    site::{DAEMON, Fixture, Site},
};

#[test]
fn a_data_disk_is_as_small_as_it_was_ordered_and_survives_a_power_cut() -> Result<()> {
    let network = Network::new()?;
    let ordered = Hardware { data_disk_bytes: Some(64 << 20), ..Hardware::default() };
    let mut machine = Machine::boot(&network, ordered)?;
    ensure!(machine.run(&["hostname"])?.trim() == "appliance", "it has its own name");
    let fill = "dd if=/dev/zero of=/var/lib/retention/fill bs=1M";
    let error = machine.run(&["sh", "-c", fill]).err().context("the disk has no end")?;
    ensure!(format!("{error:#}").contains("No space left"), "{error:#}");
    machine.run(&["rm", "/var/lib/retention/fill"])?;
    machine.run(&[
        "sh",
        "-c",
        "echo kept >/var/lib/retention/note && cp /var/lib/retention/note /",
    ])?;

    machine.cut_power()?;
    machine.boot_again()?;
    ensure!(machine.run(&["cat", "/var/lib/retention/note", "/note"])? == "kept\nkept\n", "lost");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_alone_can_be_given_another_time_also_while_it_runs() -> Result<()> {
    let site = Site::ready()?;
    site.machine.move_clock(DAEMON, "+25h")?;
    site.machine.run(&["systemctl", "restart", DAEMON])?;
    site.wait_until_it_runs()?;
    for (fixture, hours) in Fixture::all()?.iter().zip([25, 50]) {
        site.machine.move_clock(DAEMON, &format!("+{hours}h"))?;
        site.upload(fixture)?;
        let line = site.wait_stored(fixture)?;
        let changed: Timestamp = line["changed"].as_str().context("it has a time")?.parse()?;
        let off = changed.duration_since(Timestamp::now()) - SignedDuration::from_hours(hours);
        ensure!(off.abs() < SignedDuration::from_mins(5), "not {hours} hours later: {line}");
    }
    Ok(())
}
