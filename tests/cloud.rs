//! What maaiiconnect says through the connector: when the next backup is made, how large an upload will
//! be, what is missing here, and what was deleted there without being asked for here.

use std::{fs, time::Duration};

use anyhow::{Context, Result, ensure};
use futures_util::TryStreamExt;
use mongodb::bson::{DateTime, Document, doc};
use nix::sys::signal::Signal;
use retention::backup::State;
use serde_json::{Value, json};

use crate::{
    archives::KEY,
    browser::Browser,
    service,
    world::{
        Options, World,
        authority::Authority,
        process::{self, Process},
        service::{Service, program},
        until,
    },
};

const PATIENCE: Duration = Duration::from_secs(90);
const LOG: &str = "/retention/backups";

/// Both sides, connected, and an administrator's browser.
async fn connected() -> Result<(World, Service, Browser)> {
    let (mut world, service) = service::both().await?;
    service.connect(&mut world).await?;
    let browser = signed_in(&world).await?;
    Ok((world, service, browser))
}

/// Sessions end with the daemon.
async fn signed_in(world: &World) -> Result<Browser> {
    let mut browser = Browser::new(world)?;
    browser.sign_in("Admin", &Options::default().admin_password).await?;
    Ok(browser)
}

/// Waits until a page says this, and returns it.
async fn comes_to_show(browser: &mut Browser, path: &str, part: &str) -> Result<String> {
    until(&format!("{path} says {part:?}"), || {
        let mut browser = browser.clone();
        async move { Ok(browser.get(path).await?.body.contains(part)) }
    })
    .await?;
    Ok(browser.get(path).await?.body)
}

/// A check of the daemon's report.
fn check(world: &World, id: &str) -> Result<Value> {
    let status = world.status()?;
    let checks = status["checks"].as_array().context("a list of checks")?;
    let found = checks.iter().find(|check| check["id"] == id);
    found.cloned().with_context(|| format!("there is no check {id}: {status}"))
}

/// What the audit log has of an action.
async fn audited(world: &World, action: &str) -> Result<Vec<Document>> {
    let audit = world.database().collection::<Document>("audit");
    Ok(audit.find(doc! { "action": action }).await?.try_collect().await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_says_when_the_next_backup_is_made_and_how_large_an_upload_will_be() -> Result<()> {
    let (mut world, service, mut browser) = connected().await?;
    let next = service.get("/connector/v1/service").await?["next_backup"].clone();
    let next = next.as_str().context("a time")?.to_owned();
    let page = comes_to_show(&mut browser, LOG, "as maaiiconnect says").await?;
    ensure!(page.contains(&format!("datetime=\"{next}\"")), "another time than {next}: {page}");

    let slowly = json!({ "slow_kbit_per_second": 200 });
    service.ask("PUT", "/simulation/mischief", slowly).await?;
    let job = service.advance().await?;
    let line = service.wait(&job, "some of it is sent", |line| line["sent_bytes"] != 0).await?;
    until("the bar tells the whole of it", || {
        let mut browser = browser.clone();
        async move {
            let news: Value =
                serde_json::from_str(&browser.get("/retention/progress").await?.body)?;
            let bar = &news["bars"][0];
            let text = bar["text"].as_str().unwrap_or_default().to_owned();
            Ok(bar["percent"].as_u64() > Some(0) && text.contains(" of ") && text.contains("/s"))
        }
    })
    .await?;
    ensure!(line["archive_size_bytes"].as_u64() > Some(0), "{line}");
    service.ask("PUT", "/simulation/mischief", json!({})).await?;
    world.wait_state(&job, State::Stored, PATIENCE).await?;

    // Off there, which this side has not asked for.
    let address = format!("127.0.0.1:{}", world.sftp_port());
    let offline = [("offline", "on"), ("sftp_address", address.as_str())];
    let general = [("days_retained", "2"), ("schedule_hour", "2"), ("archive_key", KEY)];
    for (section, form) in [("offline", &offline[..]), ("general", &general)] {
        let saved = browser.submit(&format!("/retention/settings/{section}"), form).await?;
        ensure!(saved.status == 303, "{section}: {saved:?}");
    }
    comes_to_show(&mut browser, "/retention/settings", "maaiiconnect has these settings").await?;
    service.ask("PUT", "/connector/v1/settings", json!({ "enabled": false })).await?;
    comes_to_show(&mut browser, LOG, "Retention is off in maaiiconnect").await?;
    let found = check(&world, "connector")?;
    ensure!(found["state"] == "warning", "{found}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_maaiiconnect_has_uploaded_and_is_not_here_is_missing_until_it_comes() -> Result<()> {
    let (mut world, service, _) = connected().await?;
    let cloud = world.database().collection::<Document>("cloud");
    until("the log was read for the first time", || async {
        Ok(cloud.find_one(doc! {}).await?.is_some())
    })
    .await?;
    world.daemon.stop(Signal::SIGTERM).await?;
    let job = service.advance().await?;
    let line = service.wait_status(&job, "Backup uploaded").await?;
    let file = line["file_name"].as_str().context("a name")?;
    fs::remove_file(world.inbox().join(file)).context("the upload was not there")?;
    world.start_daemon().await?;

    // It may be on its way for a while. That while is over, as far as was written down.
    let known = doc! { "backups": { "$elemMatch": { "job": &job, "status": "Uploaded" } } };
    until("it is known what maaiiconnect has uploaded", || async {
        Ok(cloud.find_one(known.clone()).await?.is_some())
    })
    .await?;
    ensure!(check(&world, "backups-missing")?["state"] == "ok", "it may be on its way");
    world.daemon.stop(Signal::SIGTERM).await?;
    let long_ago = DateTime::from_millis(DateTime::now().timestamp_millis() - 3_600_000);
    let set = doc! { "$set": { "backups.$.uploaded_seen": long_ago } };
    ensure!(cloud.update_one(known, set).await?.modified_count == 1);
    world.start_daemon().await?;

    let mut browser = signed_in(&world).await?;
    let page = comes_to_show(&mut browser, LOG, ">Missing</span>").await?;
    ensure!(page.contains("Have it uploaded again"), "{page}");
    ensure!(browser.get("/").await?.body.contains(": missing</a>"), "the overview is silent");
    let export = browser.get("/retention/log.csv").await?.body;
    ensure!(export.contains(&format!("{file},,,Backup uploaded,Missing,")), "{export}");
    let found = check(&world, "backups-missing")?;
    ensure!(found["state"] == "critical", "{found}");
    ensure!(found["sentence"].as_str().is_some_and(|said| said.contains(file)), "{found}");

    let path = format!("/retention/cloud/{job}/upload");
    let question = browser.get(&path).await?;
    ensure!(question.status == 200 && question.body.contains("never arrived here"), "{question:?}");
    let without = browser.submit(&path, &[("reason", " ")]).await?;
    ensure!(without.status == 400, "{without:?}");
    let asked = browser.submit(&path, &[("reason", "It never came.")]).await?;
    ensure!(asked.status == 303, "{asked:?}");
    world.wait_state(&job, State::Stored, PATIENCE).await?;
    let page = browser.get(LOG).await?.body;
    ensure!(!page.contains(">Missing</span>"), "{page}");
    ensure!(check(&world, "backups-missing")?["state"] == "ok");
    let audited = audited(&world, "upload-requested").await?;
    ensure!(audited.len() == 1, "{audited:?}");
    ensure!(audited[0].get_str("detail")?.ends_with(": It never came."), "{audited:?}");
    // What is here is not had once more.
    let again = browser.submit(&path, &[("reason", "For fun.")]).await?;
    ensure!(again.status == 400, "{again:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_backup_is_had_once_more_from_its_own_page() -> Result<()> {
    let (mut world, service, mut browser) = connected().await?;
    service.ask("PUT", "/simulation/mischief", json!({ "corrupt_upload": true })).await?;
    let job = service.advance().await?;
    let rejected = world.wait_state(&job, State::Rejected, PATIENCE).await?;
    let page = format!("{LOG}/{}", rejected.get_str("_id")?);
    let path = format!("/retention/cloud/{job}/upload");
    let link = format!("href=\"{path}\"");
    ensure!(browser.get(&page).await?.body.contains(&link), "the page has no way to it");
    comes_to_show(&mut browser, &path, "Have it uploaded again").await?;
    let asked = browser.submit(&path, &[("reason", "It was damaged.")]).await?;
    ensure!(asked.status == 303, "{asked:?}");
    world.wait_state(&job, State::Stored, PATIENCE).await?;
    let shown = comes_to_show(&mut browser, &page, "took its place").await?;
    ensure!(shown.contains("Asked maaiiconnect to upload it again"), "{shown}");
    ensure!(!shown.contains(&link), "{shown}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_in_maaiiconnect_itself_becomes_an_only_copy_here() -> Result<()> {
    let (mut world, mut service, mut browser) = connected().await?;
    let job = service.advance().await?;
    let stored = world.wait_state(&job, State::Stored, PATIENCE).await?;
    let page = format!("{LOG}/{}", stored.get_str("_id")?);
    let deletion = format!("/connector/v1/backups/{job}/deletion");
    let held = json!({ "sha256": stored.get_str("sha256")? });
    service.ask("PUT", "/simulation/mischief", json!({ "fail_deletion": true })).await?;
    service.ask("POST", &deletion, held.clone()).await?;
    let failed = comes_to_show(&mut browser, &page, "Status: Failed to delete data").await?;
    ensure!(failed.contains("asked for by somebody in maaiiconnect"), "{failed}");
    ensure!(check(&world, "deletions")?["state"] == "warning");

    // Somebody tries it again, there.
    service.wait_status(&job, "Failed to delete data").await?;
    service.ask("POST", &deletion, held).await?;
    let completed = comes_to_show(&mut browser, &page, "This is the only copy.").await?;
    ensure!(completed.contains("No verdict was asked for."), "{completed}");
    ensure!(check(&world, "deletions")?["state"] == "ok");
    for action in ["deletion-begun", "deletion-failed", "deletion-completed"] {
        let audited = audited(&world, action).await?;
        let by =
            audited.iter().all(|line| line.get_str("account").is_ok_and(|by| by == "maaiiconnect"));
        ensure!(!audited.is_empty() && by, "{action}: {audited:?}");
    }
    service.still_runs()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_may_know_the_appliance_by_its_certificate_and_nobody_else() -> Result<()> {
    let mut world = World::start(Options::default()).await?;
    let directory = world.directory().join("mutual");
    let authority = Authority::new(&directory)?;
    let (certificate, key) = authority.sign("service")?;
    let (ours, our_key) = authority.sign("appliance")?;
    let port = process::free_port()?;
    let (state, log) = (directory.join("state"), directory.join("log"));
    let mut service = Process::start("retention-service", &program()?, &log, |command| {
        command.args(["serve", "--simulate", "--seed", "1", "--quick", "--history", "1"]);
        command.args(["--listen", &format!("127.0.0.1:{port}")]);
        command.args(["--mongodb", &world.mongod.uri(), "--database", "maaiiconnect"]);
        command.arg("--state").arg(state);
        command.arg("--tls-certificate").arg(certificate).arg("--tls-key").arg(key);
        command.arg("--tls-client-ca").arg(authority.certificate());
    })?;
    until("the service is ready", || async {
        let said = fs::read_to_string(&log)?;
        Ok(said.contains("ready"))
    })
    .await?;
    let file = world.directory().join("retention.toml");
    let plain = fs::read_to_string(&file)?;
    let section = format!(
        "[connector]\nurl = \"https://localhost:{port}/connector/v1\"\nca_file = {:?}\n",
        authority.certificate()
    );
    let token = world.secret("connector-token");
    let mut connect = async |ours: &str| -> Result<Document> {
        fs::write(&file, format!("{plain}{section}{ours}"))?;
        world.daemon.stop(Signal::SIGTERM).await?;
        let cloud = world.database().collection::<Document>("cloud");
        cloud.drop().await?;
        world.start_daemon().await?;
        let known = async || anyhow::Ok(cloud.find_one(doc! { "_id": "log" }).await?);
        until("the service was asked", || async { Ok(known().await?.is_some()) }).await?;
        known().await?.context("it was")
    };

    // With a token alone, over a connection that wants a certificate.
    process::write_secret(&token, "a-token-of-somebody")?;
    let refused = connect("").await?;
    let why = refused.get_str("trouble").context("a stranger was let in")?.to_lowercase();
    ensure!(why.contains("certificate"), "{why}");
    fs::remove_file(&token)?;
    let own = format!("certificate = {ours:?}\nkey = {our_key:?}\n");
    let known = connect(&own).await?;
    ensure!(known.get_str("trouble").is_err(), "{known} {}", service.last_words());
    service.still_runs()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_uploaded_before_the_log_was_ever_read_alarms_nobody() -> Result<()> {
    let (mut world, service) = service::both().await?;
    let job = service.advance().await?;
    let line = service.wait_status(&job, "Backup uploaded").await?;
    world.wait_state(&job, State::Stored, PATIENCE).await?;
    // As if it had gone to another appliance, and all of it had been deleted since.
    let backups = world.database().collection::<Document>("backups");
    ensure!(backups.delete_one(doc! { "job": &job }).await?.deleted_count == 1);
    service.connect(&mut world).await?;
    let cloud = world.database().collection::<Document>("cloud");
    let before = doc! { "backups.0.job": &job, "backups.0.before_our_time": true };
    until("the log was read", || async { Ok(cloud.find_one(before.clone()).await?.is_some()) })
        .await?;
    ensure!(check(&world, "backups-missing")?["state"] == "ok");
    let page = signed_in(&world).await?.get(LOG).await?.body;
    let file = line["file_name"].as_str().context("a name")?;
    ensure!(!page.replace("<wbr>", "").contains(file), "{page}");
    Ok(())
}
