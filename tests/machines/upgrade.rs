//! From one version of the package to the next, and not back.

use std::{fs, thread};

use anyhow::{Context, Result, ensure};

use crate::{
    install::{files, unchanged},
    machine::Hardware,
    package,
    site::{DAEMON, Fixture, Site},
    until,
};

/// A version before every other.
const BEFORE: &str = "0.0.1";

/// How fast the slow upload is, in kilobits a second: it takes longer than the upgrade.
const SLOW: u32 = 8;

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_loses_nothing_and_lets_an_upload_finish_and_an_older_version_is_refused()
-> Result<()> {
    let site = Site::new(Hardware::default())?;
    let (before, now) = (package::numbered(BEFORE)?, package::bytes()?);
    site.install_all(&before, "")?;
    site.wait_until_it_runs()?;
    ensure!(site.version()? == BEFORE, "{} is installed", site.version()?);
    let fixtures = Fixture::all()?;
    site.upload(&fixtures[0])?;
    site.wait_stored(&fixtures[0])?;
    let kept = files(&site.machine)?;
    let daemon = site.machine.unit(DAEMON, "MainPID")?;

    thread::scope(|scope| {
        let upload = scope.spawn(|| site.upload_slowly(&fixtures[1], SLOW));
        let inbox = site.machine.path("/var/lib/retention/sftp/inbox");
        until("the upload has begun", || Ok(fs::read_dir(&inbox)?.count() == 1))?;
        site.install_package(&now)?;
        ensure!(fs::read_dir(&inbox)?.count() == 1, "the upload was too fast to be seen");
        upload.join().map_err(|_| anyhow::anyhow!("the upload panicked"))?
    })?;
    let version = site.version()?;
    ensure!(version != BEFORE, "{version} is installed");
    site.wait_until_it_runs()?;
    ensure!(site.machine.unit(DAEMON, "MainPID")? != daemon, "the daemon is the old one");
    site.wait_stored(&fixtures[1])?;
    unchanged(&kept, &files(&site.machine)?)?;
    for fixture in &fixtures[..2] {
        site.holds(fixture).await?;
    }

    // apt asks before it does that; dpkg only warns.
    site.machine.write("/root/older.deb", before)?;
    let refused = site.machine.run(&["dpkg", "--install", "/root/older.deb"]);
    let refused = format!("{:#}", refused.err().context("the older version was let in")?);
    ensure!(
        refused.contains(&format!("{version} is installed, and this is the older")),
        "{refused}"
    );
    ensure!(site.version()? == version, "{} is installed", site.version()?);
    site.wait_until_it_runs()?;
    site.upload(&fixtures[2])?;
    site.wait_stored(&fixtures[2]).map(drop)
}
