//! *Delete from maaiiconnect*: only what is safe, only by an administrator who knows the password,
//! and never without a trace.

use std::{path::Path, time::Duration};

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
    stored_in(Options::default(), sample).await
}

/// The same in a world of its own kind.
async fn stored_in(options: Options, sample: &Sample) -> Result<(World, Browser, String)> {
    let mut world = World::start(options).await?;
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

/// Takes responsibility for a point as the page of a backup shows it.
async fn accept(browser: &mut Browser, path: &str, point: &str, reason: &str) -> Result<()> {
    let page = browser.get(path).await?.body;
    let field = format!(r#"name="point" value="{point}"><input type="hidden" name="seen" value=""#);
    let (_, rest) = page.split_once(&field).context("it can be accepted")?;
    let seen = rest.split('"').next().unwrap_or_default();
    let word = [("point", point), ("seen", seen), ("reason", reason)];
    let answer = browser.submit(&format!("{path}/responsibility"), &word).await?;
    ensure!(answer.status == 303, "{answer:?}");
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
    // Nor for what did not stand on the page, nor for what holds and may not some day.
    for (point, seen) in
        [("resolved", ""), ("resolved", "missing-medium: 2"), ("readable", "damaged: 1")]
    {
        let blank = [("point", point), ("seen", seen), ("reason", "It will be fine.")];
        let answer = browser.submit(&word, &blank).await?;
        ensure!(answer.status == 400, "{point}: {answer:?}");
    }
    accept(&mut browser, &path, "resolved", "It was a thumbnail.").await?;
    let parts = ["Safe to delete", "Admin takes responsibility: It was a thumbnail.", "Accepted"];
    shows(&mut browser, &path, &parts).await?;
    let audit = world.database().collection::<Document>("audit");
    let event = audit.find_one(doc! { "action": "responsibility-taken" }).await?;
    let event = event.context("it is in the audit log")?;
    let said = event.get_str("detail")?;
    ensure!(said.contains("It was a thumbnail. This was accepted: A record names"), "{said}");
    let backups = world.database().collection::<Document>("backups");
    let noted = doc! { "overrides.accepted": { "missing-medium": 1_i64 } };
    ensure!(backups.count_documents(noted).await? == 1, "what was accepted is not noted");
    ensure!(browser.submit(&delete, &press).await?.status == 303);
    // On what it was begun, the audit log says.
    let event = audit.find_one(doc! { "action": "deletion-begun" }).await?;
    let event = event.context("it is in the audit log")?;
    let said = event.get_str("detail")?;
    ensure!(said.starts_with("Receipt 1. A record names a medium"), "{said}");
    ensure!(said.ends_with("Accepted by Admin: It was a thumbnail."), "{said}");
    shows(&mut browser, &path, &["Deleting data..."]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_that_is_found_after_a_word_needs_another_word() -> Result<()> {
    let photo = |cut: usize| -> Result<Vec<u8>> {
        let media = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/media");
        let mut bytes = std::fs::read(media.join("progressive.jpg"))?;
        bytes.truncate(cut);
        Ok(bytes)
    };
    let sample = Sample::new(10)
        .with("data-retention/room1/a.jpg", photo(2000)?)
        .with("data-retention/room1/b.jpg", photo(usize::MAX)?);
    let (world, mut browser, path) = stored(&sample).await?;
    // Beside two pictures that no record names.
    shows(&mut browser, "/retention/backups", &["1 file cannot be played", "3 findings"]).await?;
    accept(&mut browser, &path, "readable", "It was a draft.").await?;
    shows(&mut browser, &path, &["Safe to delete", "Accepted"]).await?;
    let words = "1 file cannot be played or shown. Accepted by Admin: It was a draft.";
    let log = browser.get("/retention/backups").await?.body;
    ensure!(log.contains(words) && log.contains("3 findings"), "{log}");
    for export in ["/retention/log.csv", "/retention/log.json"] {
        let said = browser.get(export).await?.body;
        ensure!(said.contains("Safe to delete") && said.contains(words), "{said}");
    }

    // Rules that find more than today's.
    let media = world.database().collection::<Document>("media.files");
    let damaged = doc! { "$set": {
        "metadata.examined.outcome": "damaged", "metadata.examined.why": "It is cut off.",
    } };
    let outcome = media.update_one(doc! { "filename": "data-retention/room1/b.jpg" }, damaged);
    ensure!(outcome.await?.modified_count == 1);
    let parts = ["Not yet", "2 files cannot be played", "not what Admin has accepted before"];
    shows(&mut browser, &path, &parts).await?;
    let (delete, password) = (format!("{path}/delete"), Options::default().admin_password);
    let refused = browser.submit(&delete, &[("password", &*password)]).await?;
    ensure!(refused.body.contains("It is not safe"), "{refused:?}");
    accept(&mut browser, &path, "readable", "Both were drafts.").await?;
    shows(&mut browser, &path, &["Safe to delete", "It was a draft.", "Both were drafts."]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_in_an_archive_on_one_of_two_data_nodes_is_not_safe_until_that_is_accepted()
-> Result<()> {
    let sections = "[modes]\nonline = false\n".to_owned();
    let options = Options { members: 3, sections, ..Options::default() };
    let (world, mut browser, path) = stored_in(options, &Sample::new(10)).await?;
    let parts = [
        "Not yet",
        "Stored on 1 of 2. It was stored with Offline mode alone",
        "They are in the archive, which is kept as it was delivered, and not in the database.",
    ];
    shows(&mut browser, &path, &parts).await?;
    shows(&mut browser, "/retention/backups", &["Not yet", "Stored on 1 of 2, archive kept"])
        .await?;
    let log = browser.get("/retention/log.json").await?.body;
    ensure!(log.contains(r#""stored_on_nodes":1,"data_nodes":2"#), "{log}");
    let (delete, password) = (format!("{path}/delete"), Options::default().admin_password);
    let refused = browser.submit(&delete, &[("password", &*password)]).await?;
    ensure!(refused.body.contains("It is not safe"), "{refused:?}");

    accept(&mut browser, &path, "copied", "A copy lies in the vault.").await?;
    shows(&mut browser, &path, &["Safe to delete", "A copy lies in the vault.", "Accepted"])
        .await?;
    ensure!(audited(&world, "responsibility-taken").await? == 1);
    Ok(())
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
async fn a_backup_that_another_upload_contradicts_is_not_safe_until_somebody_settles_it()
-> Result<()> {
    let (mut world, mut browser, path) = stored(&Sample::new(10)).await?;
    shows(&mut browser, &path, &["Safe to delete"]).await?;
    let first = std::fs::read(world.directory().join(archives::name(1)))?;
    world.upload(&archives::write(world.directory(), 1, &Sample::new(11).bytes()?)?).await?;
    let other = world.wait_state(&job(1), State::Rejected, PATIENCE).await?;
    let parts = ["Not yet", "Another upload of this job, backup_acme_"];
    shows(&mut browser, &path, &parts).await?;
    shows(&mut browser, "/retention/backups", &parts).await?;
    let (delete, password) = (format!("{path}/delete"), Options::default().admin_password);
    let press = [("password", &*password)];
    let refused = browser.submit(&delete, &press).await?;
    ensure!(refused.body.contains("It is not safe"), "{refused:?}");
    // Nobody can pass it over where it is not seen.
    let word = [("point", "intact"), ("reason", "It will be fine.")];
    ensure!(browser.submit(&format!("{path}/responsibility"), &word).await?.status == 400);

    let known = format!("/retention/backups/{}/acknowledgement", other.get_str("_id")?);
    ensure!(browser.submit(&known, &[("reason", "It was a test.")]).await?.status == 303);
    shows(&mut browser, &path, &["Safe to delete"]).await?;

    // Another one counts anew, until the bytes that are stored come again.
    world.upload(&archives::write(world.directory(), 1, &Sample::new(12).bytes()?)?).await?;
    comes_to_show(&browser, &path, "Another upload of this job").await?;
    world.upload(&archives::write(world.directory(), 1, &first)?).await?;
    comes_to_show(&browser, &path, "Safe to delete").await
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
