//! Trouble that somebody has to be told of by mail: a disk that is full, a backup that never came.

use std::{fs, thread};

use anyhow::{Context, Result, ensure};
use jiff::{Timestamp, ToSpan, tz::TimeZone};

use crate::{
    machine::Hardware,
    mail::MailServer,
    package,
    site::{DAEMON, ENDPOINT, Fixture, Site},
    until,
};

const MIB: u64 = 1 << 20;

/// How fast the slow upload is, in kilobits a second: the disk is full long before it ends.
const SLOW: u32 = 8;

/// Everything is looked at each second.
const HEALTH: &str = "[configuration.health]\ninterval_seconds = 1\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_cuts_off_and_refuses_uploads_and_is_mailed_until_there_is_room() -> Result<()>
{
    let hardware = Hardware { data_disk_bytes: Some(6 * 1024 * MIB), ..Hardware::default() };
    let site = Site::new(hardware)?;
    let server = MailServer::new(&site.network).await?;
    let told = server.introduce(&site.machine)?;
    let answers = format!("{told}{HEALTH}reserve_bytes = {}\n", 320 * MIB);
    site.install_all(&package::bytes()?, &answers)?;
    site.wait_until_it_runs()?;

    // At once, and then to the last byte, but for what the daemon itself makes room for.
    let fill = "cd /var/lib/retention && left=$(df --output=avail --block-size=1M . | tail -n 1) && \
                fallocate --length $((left - 16))MiB fill; cat /dev/zero >fill2; sync";
    let fixtures = Fixture::all()?;
    let (backup, begun) = (&fixtures[0], &fixtures[1]);
    let cut_off = thread::scope(|scope| {
        let upload = scope.spawn(|| site.upload_slowly(begun, SLOW));
        let inbox = site.machine.path("/var/lib/retention/sftp/inbox");
        until("the upload has begun", || Ok(fs::read_dir(&inbox)?.count() == 1))?;
        let said = site.machine.run(&["sh", "-c", fill])?;
        ensure!(said.is_empty(), "{said}");
        upload.join().map_err(|_| anyhow::anyhow!("the upload panicked"))
    })?;
    ensure!(cut_off.is_err(), "an upload went on into a full disk");
    let said = site.machine.journal(ENDPOINT);
    ensure!(said.contains(" that could upload, before it is full"), "{said}");
    let left =
        site.machine.run(&["df", "--output=avail", "--block-size=1M", "/var/lib/retention"])?;
    ensure!(
        left.lines().nth(1).is_some_and(|left| left.trim() == "1" || left.trim() == "0"),
        "there is room: {left}"
    );
    let refused = site.upload(backup).err().context("the upload was let in")?;
    ensure!(format!("{refused:#}").contains("uploads-refused-no-room-on-disk"), "{refused:#}");
    let mut seen = 0;
    let mail =
        server.wait(&mut seen, "] Critical: ", "Free space, /var/lib/retention (critical)")?;
    ensure!(mail.contains("Room for uploads (critical)"), "{mail}");
    ensure!(mail.contains("Make the disk larger"), "no advice: {mail}");

    site.machine.run(&["sh", "-c", "rm /var/lib/retention/fill*"])?;
    let mail = server.wait(&mut seen, "] Well again: ", "Free space, /var/lib/retention (ok)")?;
    ensure!(!mail.contains("needs attention"), "{mail}");
    for backup in [backup, begun] {
        site.upload(backup)?;
        site.wait_stored(backup)?;
        site.holds(backup).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_does_not_come_at_its_hour_is_mailed_and_so_is_the_next_that_does()
-> Result<()> {
    let site = Site::new(Hardware::default())?;
    let server = MailServer::new(&site.network).await?;
    let told = server.introduce(&site.machine)?;
    // In two hours, and an hour later nobody awaits it any more.
    let hour = (Timestamp::now() + 2.hours()).to_zoned(TimeZone::UTC).hour();
    let schedule = format!("schedule_hour = {hour}\nschedule_margin_minutes = 60\n");
    site.install_all(&package::bytes()?, &format!("{told}{HEALTH}{schedule}"))?;
    site.wait_until_it_runs()?;
    let fixtures = Fixture::all()?;
    site.upload(&fixtures[0])?;
    site.wait_stored(&fixtures[0])?;
    let schedule = site.check("schedule")?;
    ensure!(schedule["state"] == "ok", "nothing is missed yet: {schedule}");

    site.machine.move_clock(DAEMON, "+25h")?;
    site.machine.run(&["systemctl", "restart", DAEMON])?;
    let mut seen = 0;
    let mail = server.wait(&mut seen, "] Critical: ", "Schedule (critical)")?;
    ensure!(mail.contains(&format!("No backup came at {hour:02}:00 UTC")), "{mail}");
    ensure!(mail.contains("Look at the Backup Log in maaiiconnect"), "no advice: {mail}");

    site.upload(&fixtures[1])?;
    site.wait_stored(&fixtures[1])?;
    server.wait(&mut seen, "", "Schedule (ok)").map(drop)
}
