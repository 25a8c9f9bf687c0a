//! Stored backups are held against their receipts again and again, by the daemon itself.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use mongodb::bson::{Binary, Bson, DateTime, Document, doc, spec::BinarySubtype};
use nix::sys::signal::Signal;
use retention::backup::State;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{sha256, stored};
use crate::{
    archives::{self, Sample, job, name},
    browser::Browser,
    world::{Options, World, process::GLANCE, until},
};

const PATIENCE: Duration = Duration::from_secs(120);

fn days_ago(days: i64) -> DateTime {
    DateTime::from_millis(DateTime::now().timestamp_millis() - days * 86_400_000)
}

/// Changes the line of a backup, and has the daemon look anew.
async fn changed(world: &mut World, n: u32, set: Document) -> Result<()> {
    world.daemon.stop(Signal::SIGTERM).await?;
    let backups = world.database().collection::<Document>("backups");
    backups.update_one(doc! { "job": job(n) }, doc! { "$set": set }).await?;
    world.start_daemon().await
}

/// Waits until the last check of a backup ended like this, after that time.
async fn checked(world: &World, n: u32, ok: bool, after: DateTime) -> Result<Document> {
    let backups = world.database().collection::<Document>("backups");
    let wanted = doc! { "job": job(n), "verified.ok": ok, "verified.at": { "$gt": after } };
    until(&format!("backup {n} was checked"), || async {
        Ok(backups.count_documents(wanted.clone()).await? == 1)
    })
    .await?;
    let line = backups.find_one(wanted).await?.context("it was there just now")?;
    Ok(line.get_document("verified")?.clone())
}

fn check(world: &World, id: &str) -> Result<Value> {
    let status = world.status()?;
    let found = status["checks"].as_array().into_iter().flatten().find(|check| check["id"] == id);
    found.cloned().with_context(|| format!("no {id}: {status}"))
}

/// Flips a bit of the first chunk of a medium, or flips it back.
async fn flip(world: &World, medium: &str) -> Result<()> {
    let chunks = world.database().collection::<Document>("media.chunks");
    let mut chunk =
        chunks.find_one(doc! { "files_id": medium, "n": 0 }).await?.context("a chunk")?;
    let mut bytes = chunk.get_binary_generic("data")?.clone();
    bytes[0] ^= 1;
    chunk.insert("data", Binary { subtype: BinarySubtype::Generic, bytes });
    let id = doc! { "_id": chunk.get_object_id("_id")? };
    chunks.replace_one(id, chunk).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_that_changed_is_found_by_the_daemon_and_nothing_is_safe_until_it_is_mended()
-> Result<()> {
    let mut world = World::start(Options::default()).await?;
    let sample = Sample::new(30);
    stored(&mut world, 1, &sample.bytes()?).await?;
    let kept = world.state_directory().join("archive/2021").join(name(1));
    until("the archive is kept", || async { Ok(kept.exists()) }).await?;
    ensure!(check(&world, "backups-intact")?["state"] == "ok");

    // A month later all is well.
    let begun = DateTime::now();
    changed(&mut world, 1, doc! { "changed": days_ago(31) }).await?;
    checked(&world, 1, true, begun).await?;
    ensure!(check(&world, "backups-intact")?["state"] == "ok");

    // And after another month it is not.
    let (entry, contents) = &sample.entries()[2];
    let medium = sha256(contents);
    flip(&world, &medium).await?;
    changed(&mut world, 1, doc! { "verified.at": days_ago(31) }).await?;
    let found = checked(&world, 1, false, begun).await?;
    let finding = found.get_array("findings")?.first().and_then(Bson::as_document);
    let finding = finding.context("it says what differs")?;
    ensure!(finding.get_str("what")? == "medium", "{finding}");
    ensure!(finding.get_str("sentence")?.contains(entry), "{finding}");
    let intact = check(&world, "backups-intact")?;
    ensure!(intact["state"] == "critical", "{intact}");
    let said = intact["sentence"].as_str().unwrap_or_default();
    ensure!(said.contains(&name(1)) && said.contains("media") && !said.contains(entry), "{said}");

    let line = world.backup(&job(1)).await?.context("its line")?;
    let path = format!("/retention/backups/{}", line.get_str("_id")?);
    let mut browser = Browser::new(&world)?;
    browser.sign_in("Admin", &Options::default().admin_password).await?;
    let page = browser.get(&path).await?.body;
    let parts =
        ["Not as it was received", "Checked again", entry, ">Not yet<", "was not as it was"];
    for part in parts {
        ensure!(page.contains(part), "no {part}: {page}");
    }
    ensure!(!page.contains(&format!("href=\"{path}/delete\"")), "it can be deleted: {page}");
    let password = Options::default().admin_password;
    let press = [("password", &*password)];
    let refused = browser.submit(&format!("{path}/delete"), &press).await?;
    ensure!(refused.body.contains("It is not safe"), "{refused:?}");

    // Mended by hand, and looked at by hand.
    flip(&world, &medium).await?;
    let (code, said, _) = world.run(&["receipt", "verify", &job(1)])?;
    ensure!(code.success(), "{said}");
    ensure!(check(&world, "backups-intact")?["state"] == "ok");
    let page = browser.get(&path).await?.body;
    for part in ["As it was received again", "and was as it was received."] {
        ensure!(page.contains(part), "no {part}: {page}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_copies_are_checked_sooner_and_one_that_cannot_be_checked_holds_up_no_other()
-> Result<()> {
    let mut world = World::start(Options::default()).await?;
    for n in 1..=4 {
        stored(&mut world, n, &Sample::new(n as usize * 10).bytes()?).await?;
        let kept = world.state_directory().join("archive/2021").join(name(n));
        until("the archive is kept", || async { Ok(kept.exists()) }).await?;
    }
    world.daemon.stop(Signal::SIGTERM).await?;
    let backups = world.database().collection::<Document>("backups");
    let ago = days_ago(8);
    let completed = doc! { "status": "Completed", "by": "Admin", "asked": ago, "changed": ago };
    let another = "01950000-0000-7000-8000-000000000001";
    for (n, set) in [
        (1, doc! { "changed": days_ago(9) }),
        (2, doc! { "changed": ago, "deletion": completed }),
        (3, doc! { "changed": days_ago(40) }),
        // Of another appliance, whose archive cannot be looked at here.
        (4, doc! { "changed": days_ago(90), "directory": another }),
    ] {
        backups.update_one(doc! { "job": job(n) }, doc! { "$set": set }).await?;
    }
    // The oldest has a receipt whose number cannot be read.
    let receipts = world.database().collection::<Document>("receipts.files");
    let broken = doc! { "$set": { "metadata.number": "three" } };
    receipts.update_one(doc! { "metadata.job": job(3) }, broken).await?;
    let begun = DateTime::now();
    world.start_daemon().await?;
    until("the one that cannot be checked was given up", || async {
        Ok(world.daemon.last_words().contains(&format!("cannot check {} again", name(3))))
    })
    .await?;
    let whole = doc! { "$set": { "metadata.number": 3_i64 } };
    receipts.update_one(doc! { "metadata.job": job(3) }, whole).await?;
    world.daemon.stop(Signal::SIGTERM).await?;
    world.start_daemon().await?;
    checked(&world, 2, true, begun).await?;
    checked(&world, 3, true, begun).await?;
    for n in [1, 4] {
        let line = world.backup(&job(n)).await?.context("its line")?;
        ensure!(!line.contains_key("verified"), "{n} was not due here: {line}");
    }
    let overdue = check(&world, "backups-intact")?;
    ensure!(overdue["state"] == "warning", "{overdue}");
    ensure!(
        overdue["sentence"].as_str().unwrap_or_default().starts_with("1 stored backup was not")
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stored_backup_without_a_receipt_is_told_of_after_a_day() -> Result<()> {
    let mut world = World::start(Options::default()).await?;
    stored(&mut world, 1, &Sample::new(10).bytes()?).await?;
    let kept = world.state_directory().join("archive/2021").join(name(1));
    until("the archive is kept", || async { Ok(kept.exists()) }).await?;
    let backups = world.database().collection::<Document>("backups");
    let waits = doc! { "$set": { "changed": days_ago(2) }, "$unset": { "archive_kept": "" } };
    backups.update_one(doc! {}, waits).await?;
    ensure!(check(&world, "receipts")?["state"] == "ok", "it has one");
    world.database().collection::<Document>("receipts.files").delete_many(doc! {}).await?;
    let receipts = check(&world, "receipts")?;
    ensure!(receipts["state"] == "warning", "{receipts}");
    ensure!(receipts["sentence"].as_str().unwrap_or_default().contains(&name(1)), "{receipts}");
    // Of a version that gave none.
    backups.update_one(doc! {}, doc! { "$unset": { "directory": "" } }).await?;
    ensure!(check(&world, "receipts")?["state"] == "ok");
    Ok(())
}

/// The process that checks a backup, and whether it stands still.
fn checking(world: &World) -> Option<bool> {
    let daemon = world.daemon.pid()?;
    for task in fs::read_dir(format!("/proc/{daemon}/task")).ok()?.flatten() {
        let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        for child in children.split_whitespace() {
            let read = |file: &str| fs::read_to_string(format!("/proc/{child}/{file}"));
            let (Ok(words), Ok(stat)) = (read("cmdline"), read("stat")) else { continue };
            if words.contains("receipt\0verify") {
                return Some(stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T')));
            }
        }
    }
    None
}

#[tokio::test(flavor = "multi_thread")]
async fn while_intake_is_at_work_the_check_stands_still_and_goes_on_afterwards() -> Result<()> {
    let mut world = World::start(Options::default()).await?;
    let block = |n: u32| Sha256::digest(n.to_le_bytes());
    let noise: Vec<u8> = (0..256 * 32 * 1024_u32).flat_map(block).collect();
    let large = Sample::new(10).with("data-retention/large.bin", noise);
    stored(&mut world, 1, &large.bytes()?).await?;
    let kept = world.state_directory().join("archive/2021").join(name(1));
    until("the archive is kept", || async { Ok(kept.exists()) }).await?;
    let next = archives::write(world.directory(), 2, &Sample::new(60_000).bytes()?)?;

    let begun = DateTime::now();
    changed(&mut world, 1, doc! { "changed": days_ago(31) }).await?;
    until("it is being checked", || async { Ok(checking(&world).is_some()) }).await?;
    world.upload(&next).await?;
    let deadline = Instant::now() + PATIENCE;
    while checking(&world) != Some(true) {
        ensure!(checking(&world).is_some(), "it was checked before intake could begin");
        ensure!(Instant::now() < deadline, "it did not stand still");
        tokio::time::sleep(GLANCE).await;
    }
    world.wait_state(&job(2), State::Stored, PATIENCE).await?;
    checked(&world, 1, true, begun).await?;
    Ok(())
}
