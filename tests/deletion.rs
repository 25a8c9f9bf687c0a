//! *Delete from maaiiconnect*: only what is safe, only by an administrator who knows the password,
//! and never without a trace.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mongodb::bson::{Document, doc};
use nix::sys::signal::Signal;
use retention::backup::State;
use serde_json::json;

use crate::{
    archives::{self, Sample, job},
    browser::Browser,
    service::{self, STAYS},
    world::{Options, World, until},
};

const PATIENCE: Duration = Duration::from_secs(60);

/// An appliance that holds a backup, an administrator's browser, and the backup's page.
async fn stored(sample: &Sample) -> Result<(World, Browser, String)> {
    let mut world = World::start(Options::default()).await?;
    world.upload(&archives::write(world.directory(), 1, &sample.bytes()?)?).await?;
    let backup = world.wait_state(&job(1), State::Stored, PATIENCE).await?;
    let path = format!("/retention/backups/{}", backup.get_str("_id")?);
    let mut browser = Browser::new(&world)?;
    browser.sign_in("Admin", &Options::default().admin_password).await?;
    looked_at(&browser, &path).await?;
    Ok((world, browser, path))
}

/// Waits until the receipt, the archive and the media of a backup were seen to.
async fn looked_at(browser: &Browser, path: &str) -> Result<()> {
    until("everything was looked at", || {
        let (mut browser, path) = (browser.clone(), path.to_owned());
        async move { Ok(!browser.get(&path).await?.body.contains(">Not yet</span>")) }
    })
    .await
}

/// Waits until a page says this.
async fn comes_to_show(browser: &Browser, path: &str, part: &str) -> Result<()> {
    until(&format!("{path} says {part:?}"), || {
        let (mut browser, path) = (browser.clone(), path.to_owned());
        async move { Ok(browser.get(&path).await?.body.contains(part)) }
    })
    .await
}

/// Whether a page says all of this.
async fn shows(browser: &mut Browser, path: &str, parts: &[&str]) -> Result<()> {
    let page = browser.get(path).await?.body;
    for part in parts {
        ensure!(page.contains(part), "{path} does not say {part:?}: {page}");
    }
    Ok(())
}

/// What the audit log has of an action.
async fn audited(world: &World, action: &str) -> Result<u64> {
    let audit = world.database().collection::<Document>("audit");
    Ok(audit.count_documents(doc! { "action": action }).await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_safe_is_deleted_by_hand_step_by_step_and_is_the_only_copy_then() -> Result<()> {
    let (world, mut browser, path) = stored(&Sample::new(30)).await?;
    let (delete, outcome) = (format!("{path}/delete"), format!("{path}/outcome"));
    let parts =
        ["Safe to delete", "Backup uploaded", "Delete from maaiiconnect", "Stored on 1 of 1"];
    shows(&mut browser, &path, &parts).await?;
    shows(&mut browser, &delete, &["maaiiconnect will delete", "Messages", "Shared files"]).await?;

    // Nothing without the password.
    let refused = browser.submit(&delete, &[("password", "not the password")]).await?;
    ensure!(refused.body.contains("The password is not the right one"), "{refused:?}");
    shows(&mut browser, &path, &["Backup uploaded"]).await?;
    ensure!(audited(&world, "deletion-begun").await? == 0);

    let password = Options::default().admin_password;
    let press = [("password", &*password)];
    ensure!(browser.submit(&delete, &press).await?.status == 303);
    shows(&mut browser, &path, &["Deleting data...", "What does it show?"]).await?;
    shows(&mut browser, &delete, &["was begun already"]).await?;
    let answer = browser.submit(&outcome, &[("outcome", "failed"), ("why", "")]).await?;
    ensure!(answer.status == 400, "a failure needs a reason: {answer:?}");
    let failed = [("outcome", "failed"), ("why", "The console timed out.")];
    ensure!(browser.submit(&outcome, &failed).await?.status == 303);
    shows(&mut browser, &path, &["Failed to delete data", "The console timed out.", "Try again"])
        .await?;

    ensure!(browser.submit(&delete, &press).await?.status == 303);
    shows(&mut browser, &path, &["Deleting data..."]).await?;
    ensure!(browser.submit(&outcome, &[("outcome", "completed")]).await?.status == 303);
    shows(&mut browser, &path, &["Completed", "This is the only copy."]).await?;
    shows(&mut browser, "/retention/backups", &["Completed", "Only copy"]).await?;
    // It is over: nothing more can be pressed.
    ensure!(browser.submit(&delete, &press).await?.status == 303);
    ensure!(browser.submit(&outcome, &failed).await?.status == 303);
    shows(
        &mut browser,
        &path,
        &["Completed", "Deletion failed", "Deletion from maaiiconnect begun"],
    )
    .await?;
    for (action, times) in
        [("deletion-begun", 2), ("deletion-failed", 1), ("deletion-completed", 1)]
    {
        ensure!(audited(&world, action).await? == times, "{action}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_safe_is_not_deleted_until_an_administrator_takes_responsibility() -> Result<()>
{
    let lost = r#"[{"_id":"f9","fileID":"lost","path":"data-retention/room1/lost.png"}]"#;
    let sample = Sample::new(10).with("file-management/more.json", lost);
    let (world, mut browser, path) = stored(&sample).await?;
    let (delete, word) = (format!("{path}/delete"), format!("{path}/responsibility"));
    shows(&mut browser, &path, &["Not yet", "A record names a medium that the archive"]).await?;
    let page = browser.get(&path).await?.body;
    ensure!(!page.contains(&format!("href=\"{delete}\"")), "there is a button: {page}");

    let password = Options::default().admin_password;
    let press = [("password", &*password)];
    let refused = browser.submit(&delete, &press).await?;
    ensure!(refused.body.contains("It is not safe"), "{refused:?}");
    let log = world.database().collection::<Document>("backups");
    let untouched = doc! { "deletion": { "$exists": false } };
    ensure!(log.count_documents(untouched).await? == 1, "the deletion has begun");

    // Not for what nobody can answer for, not without a reason, not by somebody else.
    for (point, reason, status) in
        [("copied", "It will be fine.", 400), ("resolved", " ", 400), ("nothing", "x", 400)]
    {
        let answer = browser.submit(&word, &[("point", point), ("reason", reason)]).await?;
        ensure!(answer.status == status, "{point}: {answer:?}");
    }
    let taken = [("point", "resolved"), ("reason", "It was a thumbnail.")];
    ensure!(browser.submit(&word, &taken).await?.status == 303);
    let parts = ["Safe to delete", "Admin takes responsibility: It was a thumbnail.", "Accepted"];
    shows(&mut browser, &path, &parts).await?;
    let audit = world.database().collection::<Document>("audit");
    let event = audit.find_one(doc! { "action": "responsibility-taken" }).await?;
    let event = event.context("it is in the audit log")?;
    ensure!(event.get_str("detail")?.contains("It was a thumbnail."), "{event}");
    ensure!(browser.submit(&delete, &press).await?.status == 303);
    shows(&mut browser, &path, &["Deleting data..."]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_deleted_in_maaiiconnect_already_is_the_only_copy_whatever_the_verdict()
-> Result<()> {
    let lost = r#"[{"_id":"f9","fileID":"lost","path":"data-retention/room1/lost.png"}]"#;
    let sample = Sample::new(10).with("file-management/more.json", lost);
    let (world, mut browser, path) = stored(&sample).await?;
    shows(&mut browser, &path, &["Not yet", "It was deleted in maaiiconnect already"]).await?;
    let (elsewhere, right) = (format!("{path}/elsewhere"), Options::default().admin_password);
    for (reason, password, said) in [
        ("Pressed in the console.", "not the password", "The password is not the right one."),
        (" ", right.as_str(), "A reason is needed."),
    ] {
        let refused =
            browser.submit(&elsewhere, &[("reason", reason), ("password", password)]).await?;
        ensure!(refused.status == 400 && refused.body.contains(said), "{refused:?}");
    }
    shows(&mut browser, &path, &["Backup uploaded"]).await?;
    ensure!(audited(&world, "deletion-completed").await? == 0);

    let said = [("reason", "Pressed in the console."), ("password", right.as_str())];
    ensure!(browser.submit(&elsewhere, &said).await?.status == 303);
    let parts = ["Status: Completed", "This is the only copy.", "Pressed in the console."];
    shows(&mut browser, &path, &parts).await?;
    shows(&mut browser, "/retention/backups", &["Completed", "Only copy"]).await?;
    let page = browser.get(&path).await?.body;
    ensure!(!page.contains(&elsewhere), "it can be said again: {page}");
    let audit = world.database().collection::<Document>("audit");
    let event = audit.find_one(doc! { "action": "deletion-completed", "subject": &path }).await?;
    let event = event.context("it is in the audit log")?;
    ensure!(event.get_str("detail")?.ends_with("Pressed in the console."), "{event}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_should_be_kept_and_is_gone_stands_in_the_way_until_it_is_back()
-> Result<()> {
    let (world, mut browser, path) = stored(&Sample::new(10)).await?;
    let kept = world.state_directory().join("archive/2021").join(archives::name(1));
    std::fs::rename(&kept, world.directory().join(archives::name(1)))?;
    shows(&mut browser, &path, &["The archive should be kept and is not there."]).await?;
    let password = Options::default().admin_password;
    let press = [("password", &*password)];
    let refused = browser.submit(&format!("{path}/delete"), &press).await?;
    ensure!(refused.body.contains("It is not safe"), "{refused:?}");

    let file = world.directory().join(archives::name(1));
    world.upload(&file).await?;
    until("the archive is back", || async { Ok(kept.exists()) }).await?;
    shows(&mut browser, &path, &["Safe to delete", "Same file uploaded again"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn through_the_connector_exactly_what_a_backup_held_is_deleted_and_can_still_be_shown()
-> Result<()> {
    let (mut world, mut service) = service::both().await?;
    service.connect(&mut world).await?;

    let before = service::ids(&service.get("/simulation/records").await?)?;
    let job = service.advance().await?;
    service.wait_status(&job, "Backup uploaded").await?;
    let backup = world.wait_state(&job, State::Stored, PATIENCE).await?;
    let held = service::held(&service, &job).await?;
    let path = format!("/retention/backups/{}", backup.get_str("_id")?);
    let mut browser = Browser::new(&world)?;
    browser.sign_in("Admin", &Options::default().admin_password).await?;
    looked_at(&browser, &path).await?;
    shows(&mut browser, &path, &["Safe to delete"]).await?;

    // The service is away: it is asked once it is back. Then it fails.
    service.stop(Signal::SIGTERM).await?;
    let (delete, password) = (format!("{path}/delete"), Options::default().admin_password);
    let press = [("password", &*password)];
    ensure!(browser.submit(&delete, &press).await?.status == 303);
    comes_to_show(&browser, &path, "cannot reach").await?;
    shows(&mut browser, &path, &["Deleting data..."]).await?;
    service.resume().await?;
    service.ask("PUT", "/simulation/mischief", json!({ "fail_deletion": true })).await?;
    until("the service has been asked", || async {
        let status = service.get(&format!("/connector/v1/backups/{job}")).await?;
        Ok(status["status"] != "Backup uploaded")
    })
    .await?;
    comes_to_show(&browser, &path, "Try again").await?;
    shows(&mut browser, &path, &["Failed to delete data"]).await?;
    // Whoever was asked by hand would have to say so; here nobody may.
    let said = [("outcome", "completed")];
    ensure!(browser.submit(&format!("{path}/outcome"), &said).await?.status == 400);
    let said = [("reason", "It was pressed there."), ("password", password.as_str())];
    ensure!(browser.submit(&format!("{path}/elsewhere"), &said).await?.status == 400);
    let page = browser.get(&path).await?.body;
    ensure!(!page.contains("It was deleted in maaiiconnect already"), "{page}");

    world.daemon.stop(Signal::SIGKILL).await?;
    world.start_daemon().await?;
    browser.sign_in("Admin", &password).await?;
    ensure!(browser.submit(&delete, &press).await?.status == 303);
    comes_to_show(&browser, &path, "This is the only copy.").await?;
    shows(&mut browser, "/retention/backups", &["Completed", "Only copy"]).await?;

    // Record by record: what is gone there is what is here.
    let after = service::ids(&service.get("/simulation/records").await?)?;
    for (dataset, ids) in &before {
        let left = after.get(dataset).cloned().unwrap_or_default();
        let gone: Vec<_> = ids.iter().filter(|id| !left.contains(id)).cloned().collect();
        let of_backup = held.get(dataset).cloned().unwrap_or_default();
        let expected = if STAYS.contains(&dataset.as_str()) { Vec::new() } else { of_backup };
        ensure!(gone == expected, "{dataset}: {gone:?} are gone, and not {expected:?}");
    }
    ensure!(service::stored(&world, &job).await? == held, "the appliance shows something else");
    service::gone_from_the_rooms(&service, &held).await
}
