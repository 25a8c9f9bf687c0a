//! The package comes, goes, and comes again; what it was given to keep stays, and so does all that
//! was there before it.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};

use crate::{
    machine::{Hardware, Machine},
    mongod, package,
    site::{ADMIN_PASSWORD, DAEMON, ENDPOINT, Fixture, Site},
};

#[tokio::test(flavor = "multi_thread")]
async fn installed_on_a_clean_debian_it_is_quiet_until_set_up_and_then_takes_in_a_backup()
-> Result<()> {
    let mut site = Site::new(Hardware::default())?;
    site.install_package(&package::bytes()?)?;
    for unit in [DAEMON, ENDPOINT] {
        ensure!(site.machine.unit(unit, "UnitFileState")? == "enabled", "{unit} starts at boot");
        ensure!(site.machine.unit(unit, "ActiveState")? == "inactive", "{unit} waits");
        ensure!(site.machine.unit(unit, "ConditionResult")? == "no", "{unit} was skipped");
    }
    ensure!(listening(&site.machine)? == ["22"], "nothing listens but the host's own sshd");
    let failed = site.machine.run(&["systemctl", "list-units", "--failed", "--plain", "-q"])?;
    ensure!(failed.trim().is_empty(), "{failed}");

    mongod::install(&site.machine)?;
    let answers = site.answers()?;
    ensure!(site.machine.unit(DAEMON, "ActiveState")? == "inactive", "it was not to be started");
    let said = site.set_up(&answers)?;
    for subject in ["mongodb", "sftp", "portal"] {
        let mut tests = said["tests"].as_array().into_iter().flatten();
        ensure!(tests.any(|test| test["subject"] == subject && test["ok"] == true), "{said}");
    }
    site.wait_until_it_runs()?;
    site.machine.run(&["retention", "check"])?;
    site.introduce(&said["sheet"])?;

    let backup = &Fixture::all()?[0];
    site.upload(backup)?;
    site.wait_stored(backup)?;
    site.holds(backup).await?;
    site.wait_examined(backup).await?;
    shown_in_the_portal(&site, backup)?;

    // It needs nobody to start it.
    site.machine.reboot()?;
    site.wait_until_it_runs()?;
    let next = &Fixture::all()?[1];
    site.upload(next)?;
    site.wait_stored(next)?;
    shown_in_the_portal(&site, backup)
}

/// Makes sure that a browser shows the sign-in, and that somebody who has signed in sees the backup.
pub(crate) fn shown_in_the_portal(site: &Site, backup: &Fixture) -> Result<()> {
    let front = site.client.browse("/sign-in")?;
    ensure!(front.contains(r#"type="password""#), "no field for a password: {front}");
    site.client.sign_in("Admin", ADMIN_PASSWORD)?;
    // Long names may be broken between their parts.
    let log = site.client.page("/retention/backups")?.replace("<wbr>", "");
    ensure!(log.contains(&backup.name), "the Backup Log does not show {}", backup.name);
    let calls = site.client.page("/records/calls")?;
    ensure!(calls.contains(r#"href="/records/calls/"#), "Call History has no calls: {calls}");
    Ok(())
}

/// The TCP ports that something listens on.
fn listening(machine: &Machine) -> Result<Vec<String>> {
    let sockets = machine.run(&["ss", "--no-header", "--listening", "--tcp", "--numeric"])?;
    let addresses = sockets.lines().filter_map(|line| line.split_whitespace().nth(3));
    let mut ports: Vec<_> =
        addresses.filter_map(|address| Some(address.rsplit_once(':')?.1.to_owned())).collect();
    ports.sort_unstable();
    ports.dedup();
    Ok(ports)
}

#[tokio::test(flavor = "multi_thread")]
async fn removed_and_purged_it_leaves_archives_keys_and_configuration_and_goes_on_with_them()
-> Result<()> {
    let site = Site::ready()?;
    let fixtures = Fixture::all()?;
    site.upload(&fixtures[0])?;
    site.wait_stored(&fixtures[0])?;
    let kept = files(&site.machine)?;
    for part in ["archive/", "sftp-server/host_key_", "portal/certificate.pem", "retention.toml"] {
        ensure!(kept.keys().any(|file| file.contains(part)), "{part} is not among {kept:?}");
    }

    for goes in ["remove", "purge"] {
        site.machine.run(&["apt-get", goes, "--yes", "retention-appliance"])?;
        ensure!(listening(&site.machine)? == ["22", "27017"], "both services have ended");
        ensure!(!site.machine.path("/usr/bin/retention").exists(), "the program is gone");
        unchanged(&kept, &files(&site.machine)?).with_context(|| format!("after {goes}"))?;
    }

    site.install_package(&package::bytes()?)?;
    site.wait_until_it_runs()?;
    unchanged(&kept, &files(&site.machine)?)?;
    // The client knows the host key and the certificate from before, and is known by its own key.
    site.upload(&fixtures[1])?;
    site.wait_stored(&fixtures[1])?;
    site.holds(&fixtures[0]).await?;
    shown_in_the_portal(&site, &fixtures[0])
}

/// What is promised to stay: archives, keys, certificates, configuration and secrets.
pub(crate) fn files(machine: &Machine) -> Result<BTreeMap<String, String>> {
    let state = "/var/lib/retention";
    let find = "find /etc/retention $state/archive $state/sftp-server $state/portal -type f";
    digests(machine, &find.replace("$state", state))
}

/// Digest, owner and mode of each file that `find` names.
fn digests(machine: &Machine, find: &str) -> Result<BTreeMap<String, String>> {
    let each = "while IFS= read -r file; do \
                echo \"$file $(stat -c '%U:%G %a' \"$file\") $(sha256sum <\"$file\")\"; done";
    let listed = machine.run(&["sh", "-c", &format!("{find} | {each}")])?;
    let files = listed.lines().filter_map(|line| line.split_once(' '));
    Ok(files.map(|(file, what)| (file.to_owned(), what.to_owned())).collect())
}

/// Fails if a file is missing or another than before. New ones may have come.
pub(crate) fn unchanged(
    before: &BTreeMap<String, String>,
    now: &BTreeMap<String, String>,
) -> Result<()> {
    for (file, what) in before {
        let found = now.get(file).with_context(|| format!("{file} is gone"))?;
        ensure!(found == what, "{file} was {what}, and is {found}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hosts_own_ssh_server_stays_as_it_was() -> Result<()> {
    let site = Site::new(Hardware::default())?;
    let own = |machine: &Machine| -> Result<_> {
        let settings = machine.run(&["sshd", "-T"])?;
        let pid = machine.unit("ssh.service", "MainPID")?;
        Ok((digests(machine, "find /etc/ssh /etc/default/ssh /etc/pam.d -type f")?, settings, pid))
    };
    let before = own(&site.machine)?;
    ensure!(before.0.keys().any(|file| file.contains("ssh_host_")), "it has host keys");

    site.install_all(&package::bytes()?, "")?;
    site.wait_until_it_runs()?;
    // The same files and settings, and the very process that ran before.
    ensure!(own(&site.machine)? == before, "installing changed the host's own sshd");
    ensure!(listening(&site.machine)? == ["22", "2222", "27017", "8443"], "each has its port");

    site.machine.run(&["apt-get", "purge", "--yes", "retention-appliance"])?;
    ensure!(own(&site.machine)? == before, "purging changed the host's own sshd");
    ensure!(listening(&site.machine)? == ["22", "27017"], "and only its own port is left");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn both_services_have_few_of_roots_powers() -> Result<()> {
    let site = Site::ready()?;
    for (unit, limit) in [(DAEMON, 2.0), (ENDPOINT, 4.0)] {
        let words = ["systemd-analyze", "security", "--no-pager", unit];
        let said = site.machine.run(&words)?;
        let line = said.lines().find(|line| line.contains("Overall exposure level"));
        let level = line.and_then(|line| line.split(": ").nth(1)?.split(' ').next()?.parse().ok());
        let level: f64 = level.with_context(|| format!("no level for {unit}: {said}"))?;
        ensure!(level < limit, "{unit} is exposed at {level}:\n{said}");
    }
    Ok(())
}
