//! How the appliance is: what it says of itself, whom it tells, and when it turns uploads away.

use std::{
    fs::{self, File},
    path::Path,
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use retention::backup::State;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    archives::{self, Sample, job},
    browser::{Answer, Browser},
    world::{Options, World, process, sink::Sink, until},
};

const PATIENCE: Duration = Duration::from_secs(60);

/// A password that must show up nowhere.
const SECRET: &str = "Mail-Pass-4711";

/// Looks each second, and tells at once.
const QUICK: &str = "[health]\ninterval_seconds = 1\n";

/// Asks an address of those that are open to programs on this machine.
async fn probe(world: &World, path: &str) -> Result<Answer> {
    Browser::new(world)?.get(path).await
}

/// Waits until an address answers with this status.
async fn answers(world: &World, path: &str, status: u16) -> Result<()> {
    until(&format!("{path} answers {status}"), || async {
        Ok(probe(world, path).await?.status == status)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_metrics_and_status_say_that_mongodb_is_away_and_that_it_is_back() -> Result<()> {
    let mut world = World::start(Options { sections: QUICK.into(), ..Options::default() }).await?;
    answers(&world, "/readyz", 200).await?;
    ensure!(probe(&world, "/healthz").await?.body == "alive\n");
    let metrics = probe(&world, "/metrics").await?;
    ensure!(metrics.header("content-type").starts_with("text/plain; version=0.0.4"), "{metrics:?}");
    let is = |check: &str, state: &str| {
        format!("retention_check_state{{check=\"{check}\",subject=\"\",state=\"{state}\"}} 1\n")
    };
    for check in ["endpoint", "mongodb", "upload-room", "inbox", "replica-members", "oplog-room"] {
        ensure!(metrics.body.contains(&is(check, "ok")), "{check}: {}", metrics.body);
    }
    let before = world.status()?;
    ensure!(state_of(&before, "mongodb") == "ok" && state_of(&before, "schedule").is_empty());

    world.mongod.stop(Signal::SIGTERM).await?;
    answers(&world, "/readyz", 503).await?;
    ensure!(probe(&world, "/readyz").await?.body.contains("MongoDB"), "no reason is given");
    ensure!(probe(&world, "/healthz").await?.status == 200);
    ensure!(probe(&world, "/metrics").await?.body.contains(&is("mongodb", "critical")));
    let away = world.status()?;
    ensure!(state_of(&away, "mongodb") == "critical", "{away}");
    ensure!(state_of(&away, "backups-waiting") == "unknown", "{away}");
    ensure!(away["ok"] == false);

    world.mongod.resume().await?;
    answers(&world, "/readyz", 200).await
}

/// The state of a check in what `status --json` says; empty where there is none.
fn state_of(status: &Value, id: &str) -> String {
    let checks = status["checks"].as_array().into_iter().flatten();
    let mut found = checks.filter(|check| check["id"] == id);
    found.next().and_then(|check| check["state"].as_str()).unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn trouble_is_mailed_once_with_its_cause_and_so_is_its_end() -> Result<()> {
    let scratch = TempDir::new()?;
    let mut smtp = Sink::new("smtp", scratch.path(), SECRET)?;
    // However full the disk of this machine is: that is another alert.
    let alerts = format!("{}[alerts]\nsettle_seconds = 0\n", mail(&smtp, ""));
    let sections = format!("{QUICK}warn_below_percent = 1\n{alerts}");
    let mut world = World::start(Options { sections, ..Options::default() }).await?;
    process::write_secret(&world.directory().join("secrets/smtp-password"), SECRET)?;
    answers(&world, "/readyz", 200).await?;

    // Nobody takes the mail yet: it waits on the disk.
    world.sshd.stop(Signal::SIGTERM).await?;
    let queue = world.state_directory().join("alerts/queue/mail");
    until("the alert is in the queue", || async { Ok(fs::read_dir(&queue)?.count() == 1) }).await?;
    smtp.start().await?;
    subject(&smtp, 0, "Critical: SFTP endpoint").await?;
    let first = smtp.arrived()?.remove(0);
    ensure!(first["encrypted"] == true && first["signed_in"] == true, "{first}");
    ensure!(first["to"][0] == "admin@customer.example" && first["automatic"] == "auto-generated");
    let text = first["text"].as_str().unwrap_or_default();
    ensure!(text.contains("Start retention-sftp.service"), "no advice: {text}");

    world.sshd.resume().await?;
    subject(&smtp, 1, "Well again: SFTP endpoint").await?;
    world.mongod.stop(Signal::SIGTERM).await?;
    subject(&smtp, 2, "Critical: MongoDB").await?;
    world.mongod.resume().await?;
    subject(&smtp, 3, "Well again: MongoDB").await?;
    ensure!(smtp.arrived()?.len() == 4, "more was said: {:?}", smtp.arrived()?);
    ensure!(!world.daemon.last_words().contains(SECRET), "the password is in the log");
    Ok(())
}

/// Waits until mail number `index` has arrived, and looks at its subject.
async fn subject(smtp: &Sink, index: usize, expected: &str) -> Result<()> {
    until(&format!("mail {index} has arrived"), || async { Ok(smtp.arrived()?.len() > index) })
        .await?;
    let mail = smtp.arrived()?.remove(index);
    let subject = mail["subject"].as_str().unwrap_or_default();
    ensure!(subject.ends_with(&format!("] {expected}")), "not {expected}: {subject}");
    Ok(())
}

/// `[alerts.mail]` to this server.
fn mail(smtp: &Sink, more: &str) -> String {
    format!(
        "[alerts.mail]\nserver = \"127.0.0.1:{}\"\nca_file = {:?}\nuser = \"alerts\"\n\
         from = \"retention@customer.example\"\nto = [\"admin@customer.example\"]\n{more}",
        smtp.port(),
        smtp.certificate()
    )
}

/// Runs `retention test alerts` with these sections, and returns what it says of each way.
fn trial(directory: &Path, sections: &str) -> Result<Value> {
    let config = directory.join("retention.toml");
    let text =
        format!("state_directory = {directory:?}\nsecrets_directory = {directory:?}\n{sections}");
    fs::write(&config, text)?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_retention"));
    let output = command.args(["test", "alerts", "--json", "--config"]).arg(&config).output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    let said: Value =
        serde_json::from_slice(&output.stdout).with_context(|| format!("it said: {errors}"))?;
    ensure!(said["ok"] == output.status.success(), "{said}");
    Ok(said["tests"][0]["steps"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_of_the_alerts_names_the_step_that_failed() -> Result<()> {
    let scratch = TempDir::new()?;
    let place = scratch.path();
    let mut smtp = Sink::new("smtp", place, SECRET)?;
    let ours = mail(&smtp, "");
    ensure!(said(&trial(place, &ours)?).starts_with("cannot connect to 127.0.0.1:"));
    smtp.start().await?;
    ensure!(said(&trial(place, &ours)?).starts_with("cannot sign in without a password"));
    process::write_secret(&place.join("smtp-password"), "wrong")?;
    let refused = said(&trial(place, &ours)?);
    ensure!(refused.contains("as alerts") && !refused.contains("wrong"), "{refused}");
    process::write_secret(&place.join("smtp-password"), SECRET)?;
    let stranger = Sink::new("https", place, "key")?;
    let distrusted = ours.replace("smtp.pem", "https.pem");
    let refused = said(&trial(place, &distrusted)?);
    ensure!(refused.starts_with("cannot encrypt the connection"), "{refused}");
    let trial_of_all = trial(place, &ours)?;
    ensure!(said(&trial_of_all) == "it was delivered", "{trial_of_all}");
    ensure!(smtp.arrived()?.len() == 1, "the test did not arrive");
    drop(stranger);
    Ok(())
}

/// What a trial of one way says of it.
fn said(steps: &Value) -> String {
    steps[0]["said"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_gets_signed_json() -> Result<()> {
    let scratch = TempDir::new()?;
    let place = scratch.path();
    let mut https = Sink::new("https", place, SECRET)?;
    https.start().await?;
    let sections = format!(
        "[alerts.webhook]\nurl = \"https://127.0.0.1:{}/alerts\"\nca_file = {:?}\n",
        https.port(),
        https.certificate()
    );
    process::write_secret(&place.join("webhook-key"), "another key")?;
    ensure!(said(&trial(place, &sections)?).contains("401"), "a wrong signature was accepted");
    process::write_secret(&place.join("webhook-key"), SECRET)?;
    let outcomes = trial(place, &sections)?;
    ensure!(said(&outcomes) == "it was delivered", "{outcomes}");
    let arrived = https.arrived()?;
    let last = arrived.last().context("nothing arrived")?;
    ensure!(last["genuine"] == true && last["body"]["event"] == "test", "{last}");
    Ok(())
}

/// The state directory is a file system of its own, so small that it can be filled.
#[tokio::test(flavor = "multi_thread")]
async fn uploads_are_refused_while_the_disk_is_short_also_without_the_daemon() -> Result<()> {
    const MIB: u64 = 1 << 20;
    let sections = format!("{QUICK}reserve_bytes = {}\n", 320 * MIB);
    let options = Options { sections, state_disk_bytes: Some(400 * MIB), ..Options::default() };
    let mut world = World::start(options).await?;
    answers(&world, "/readyz", 200).await?;
    let file = archives::write(world.directory(), 1, &Sample::new(20).bytes()?)?;

    let filler = world.state_directory().join("filler");
    let pages = vec![1; 1 << 20];
    for _ in 0..100 {
        std::io::Write::write_all(
            &mut File::options().create(true).append(true).open(&filler)?,
            &pages,
        )?;
    }
    answers(&world, "/readyz", 503).await?;
    ensure!(state_of(&world.status()?, "upload-room") == "critical");
    let refused = world.upload(&file).await.err().context("the upload was let in")?.to_string();
    ensure!(refused.contains("uploads-refused-no-room-on-disk"), "{refused}");
    ensure!(refused.contains("Permission denied"), "{refused}");
    let put = format!("put {} /inbox/x.zip", world.sftp.quoted_file(&file)?);
    ensure!(world.sftp.batch(&put).await.is_err(), "the upload was let in by its full path");

    // The door follows the disk by itself.
    world.daemon.stop(Signal::SIGKILL).await?;
    ensure!(world.upload(&file).await.is_err(), "the upload was let in");
    fs::remove_file(&filler)?;
    world.upload(&file).await?;
    world.start_daemon().await?;
    world.wait_state(&job(1), State::Stored, PATIENCE).await?;
    answers(&world, "/readyz", 200).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_silenced_is_listed_until_it_is_removed() -> Result<()> {
    let world = World::start(Options { sections: QUICK.into(), ..Options::default() }).await?;
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_retention"));
        command.args(["--config"]).arg(world.directory().join("retention.toml")).arg("alerts");
        process::output(command.args(arguments))
    };
    run(&["silence", "disk-space", "--for", "2h"])?;
    ensure!(run(&["list"])?.starts_with("disk-space is silenced until "));
    ensure!(run(&["silence", "disk-sprace", "--for", "2h"]).is_err(), "there is no such check");
    run(&["remove", "disk-space"])?;
    ensure!(run(&["list"])?.starts_with("Nothing is silenced"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_each_check_and_since_when_it_is_so() -> Result<()> {
    let world = World::start(Options { sections: QUICK.into(), ..Options::default() }).await?;
    answers(&world, "/readyz", 200).await?;
    let mut browser = Browser::new(&world)?;
    browser.sign_in("Admin", &Options::default().admin_password).await?;
    let page = browser.get("/health").await?;
    for part in ["SFTP endpoint", "MongoDB&#39;s version", "Room for uploads", "our host key"] {
        let unescaped = part.replace("&#39;", "'");
        ensure!(
            page.body.contains(part) || page.body.contains(&unescaped),
            "no {part}: {}",
            page.body
        );
    }
    Ok(())
}
