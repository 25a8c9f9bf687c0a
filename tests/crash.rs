//! Killed at any moment, and run again: every backup ends stored, record by record.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use futures_util::TryStreamExt;
use mongodb::bson::{Document, doc};
use nix::sys::signal::Signal;
use retention::{accounts::DataType, backup::State};

use crate::{
    archives::{self, Sample, job, message, name},
    world::{Options, World, until},
};

const PATIENCE: Duration = Duration::from_secs(120);

/// Enough records that storing them takes a while.
const MANY: usize = 60_000;

async fn world(series: &str) -> Result<World> {
    World::start(Options { mongod_series: series.into(), ..Options::default() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_each_state_and_run_again_nothing_is_lost_on_mongodb_4_2() -> Result<()> {
    killed_in_each_state("4.2").await
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_each_state_and_run_again_nothing_is_lost_on_mongodb_6_0() -> Result<()> {
    killed_in_each_state("6.0").await
}

async fn killed_in_each_state(series: &str) -> Result<()> {
    let mut world = world(series).await?;
    let sample = Sample::new(MANY);
    let bytes = sample.bytes()?;

    // Arriving: the upload goes on while the daemon is away.
    let file = archives::write(world.directory(), 1, &bytes)?;
    world.daemon.stop(Signal::SIGKILL).await?;
    world.upload(&file).await?;
    world.start_daemon().await?;

    // Claimed: there is no database to write to.
    world.mongod.stop(Signal::SIGKILL).await?;
    let in_inbox = world.inbox().join(archives::name(1));
    until("it is claimed", || async { Ok(!in_inbox.exists()) }).await?;
    world.daemon.stop(Signal::SIGKILL).await?;
    world.mongod.resume().await?;
    world.start_daemon().await?;

    // Storing: again and again, each time a little later.
    for more in 1..=6 {
        if !storing(&world, &job(1), more * 4000).await? {
            break;
        }
        world.daemon.stop(Signal::SIGKILL).await?;
        ensure!(visible(&world, &job(1)).await?.is_none(), "called stored before it was");
        world.start_daemon().await?;
    }
    let backup = world.wait_state(&job(1), State::Stored, PATIENCE).await?;

    // Stored: and killed before anything else could be done.
    world.daemon.stop(Signal::SIGKILL).await?;
    world.start_daemon().await?;
    complete(&world, &sample, &backup, &bytes).await?;

    // And so its receipt says, whose digests are of what was stored in all of these runs.
    world.receipt(&job(1)).await?;
    let (code, said) = crate::receipts::verify(&world, &job(1))?;
    ensure!(code == Some(0), "{said}");
    Ok(())
}

/// Waits until so many messages are in the database; false if the backup ended before that.
async fn storing(world: &World, job: &str, messages: u64) -> Result<bool> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        ensure!(Instant::now() < deadline, "{messages} messages were not stored in {PATIENCE:?}");
        // A connection of ours may have ended with a server that was killed.
        let collection = world.database().collection::<Document>("messages");
        let stored = collection.estimated_document_count().await.unwrap_or(0);
        let backup = world.backup(job).await.ok().flatten();
        let state = backup.as_ref().and_then(|backup| backup.get_str("state").ok());
        match state {
            Some("Stored" | "Rejected") => return Ok(false),
            Some("Storing") if stored >= messages => return Ok(true),
            _ => tokio::time::sleep(Duration::from_millis(2)).await,
        }
    }
}

async fn visible(world: &World, job: &str) -> Result<Option<Document>> {
    let backups = world.database().collection("backups");
    Ok(backups.find_one(doc! { "job": job, "state": "Stored" }).await?)
}

/// Every record is there once and as it was delivered, and so are media and archive.
async fn complete(world: &World, sample: &Sample, backup: &Document, bytes: &[u8]) -> Result<()> {
    let messages = world.database().collection::<Document>("messages");
    let mut found = messages.find(doc! {}).sort(doc! { "_id": 1 }).await?;
    let mut count = 0;
    while let Some(stored) = found.try_next().await? {
        let raw = stored.get_document("raw")?.clone();
        let raw = mongodb::bson::Bson::Document(raw).into_relaxed_extjson();
        ensure!(raw == message(count), "record {count} is {raw}");
        ensure!(stored.get_str("_id")? == format!("m{count:06}#1"));
        count += 1;
    }
    ensure!(count == sample.messages, "{count} of {} messages", sample.messages);
    for (collection, expected) in
        [("files", 3), ("media.files", 3), ("media.chunks", 3), ("backups", 1)]
    {
        let count =
            world.database().collection::<Document>(collection).count_documents(doc! {}).await?;
        ensure!(count == expected, "{count} in {collection}");
    }
    let kept = world.state_directory().join("archive/2021").join(backup.get_str("file")?);
    until("the archive is kept", || async { Ok(kept.exists()) }).await?;
    ensure!(fs::read(&kept).context("the archive was not kept")? == bytes);
    let claimed = world.state_directory().join("claimed");
    until("nothing is left behind", || async { Ok(fs::read_dir(&claimed)?.next().is_none()) })
        .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn mongodb_may_go_away_and_come_back_while_a_backup_is_stored() -> Result<()> {
    let mut world = world("4.2").await?;
    let sample = Sample::new(MANY);
    let bytes = sample.bytes()?;
    world.upload(&archives::write(world.directory(), 1, &bytes)?).await?;
    for (messages, signal) in [(3000, Signal::SIGKILL), (9000, Signal::SIGTERM)] {
        if storing(&world, &job(1), messages).await? {
            world.mongod.stop(signal).await?;
            world.mongod.resume().await?;
        }
    }
    let backup = world.wait_state(&job(1), State::Stored, PATIENCE).await?;
    complete(&world, &sample, &backup, &bytes).await
}

#[tokio::test(flavor = "multi_thread")]
async fn told_to_end_it_ends_within_five_seconds_and_goes_on_later() -> Result<()> {
    let mut world = world("4.2").await?;
    let idle = world.daemon.stop(Signal::SIGTERM).await?;
    ensure!(idle < Duration::from_secs(5), "idle, it took {idle:?}");
    world.start_daemon().await?;

    let sample = Sample::new(MANY);
    let bytes = sample.bytes()?;
    world.upload(&archives::write(world.directory(), 1, &bytes)?).await?;
    ensure!(storing(&world, &job(1), 1).await?, "it was stored before it could be interrupted");
    let busy = world.daemon.stop(Signal::SIGTERM).await?;
    ensure!(busy < Duration::from_secs(5), "while storing, it took {busy:?}");
    world.start_daemon().await?;
    let backup = world.wait_state(&job(1), State::Stored, PATIENCE).await?;
    complete(&world, &sample, &backup, &bytes).await
}

/// Begins to store the backup of the first job, and stops the daemon in the midst of it. Returns its
/// line in the log.
async fn cut_off_while_storing(world: &mut World, sample: &Sample) -> Result<Document> {
    world.upload(&archives::write(world.directory(), 1, &sample.bytes()?)?).await?;
    ensure!(storing(world, &job(1), 3000).await?, "it was stored before it could be cut off");
    world.daemon.stop(Signal::SIGKILL).await?;
    let line = world.backup(&job(1)).await?.context("it has a line")?;
    ensure!(line.get_str("state")? == "Storing", "{line}");
    Ok(line)
}

/// What `status` says of a check.
fn check(world: &World, id: &str) -> Result<serde_json::Value> {
    let status = world.status()?;
    let found = status["checks"].as_array().into_iter().flatten().find(|check| check["id"] == id);
    found.cloned().with_context(|| format!("no {id}: {status}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_whose_file_is_gone_is_rejected_and_hides_nothing_any_more() -> Result<()> {
    let mut world = world("4.2").await?;
    let sample = Sample::new(MANY);
    let line = cut_off_while_storing(&mut world, &sample).await?;
    // The state directory as it was before the upload, the database as it is now.
    let claimed = world.state_directory().join("claimed").join(line.get_str("_id")?);
    fs::remove_dir_all(&claimed)?;
    world.start_daemon().await?;
    let line = world.wait_state(&job(1), State::Rejected, PATIENCE).await?;
    let reason = line.get_document("rejection")?;
    ensure!(reason.get_str("code")? == "file-gone", "{reason}");
    let sentence = reason.get_str("sentence")?;
    ensure!(sentence.contains("Nothing of it is stored."), "{sentence}");
    for collection in ["messages", "files", "media.files", "media.chunks"] {
        let left = world.database().collection::<Document>(collection);
        ensure!(left.count_documents(doc! {}).await? == 0, "something is left in {collection}");
    }
    let rejected = check(&world, "backups-rejected")?;
    ensure!(rejected["state"] == "critical", "{rejected}");

    let bytes = sample.bytes()?;
    world.upload(&archives::write(world.directory(), 1, &bytes)?).await?;
    world.wait_state(&job(1), State::Stored, PATIENCE).await?;
    until("the good upload took its place", || async { Ok(world.status()?["ok"] == true) }).await?;
    let messages = world.database().collection::<Document>("messages");
    ensure!(messages.count_documents(doc! {}).await? == MANY as u64, "not all of it is there");
    let seen = world.store()?.totals().await?[&DataType::Messages].count;
    ensure!(seen > 0, "it is hidden still");
    Ok(())
}

/// A backup that is in the midst of being stored, by another appliance or one whose state directory
/// is lost, and one that was stored since and counts on what that one brought.
#[tokio::test(flavor = "multi_thread")]
async fn a_line_of_another_directory_is_left_alone_until_this_one_takes_its_place() -> Result<()> {
    let mut world = world("4.2").await?;
    let line = cut_off_while_storing(&mut world, &Sample::new(MANY)).await?;
    let id = doc! { "_id": line.get_str("_id")? };
    let other = "01950000-0000-7000-8000-000000000001";
    let backups = world.database().collection::<Document>("backups");
    let long_ago = mongodb::bson::DateTime::from_millis(1_700_000_000_000);
    for was in [doc! { "$set": { "directory": other } }, doc! { "$unset": { "directory": "" } }] {
        backups.update_one(id.clone(), was).await?;
        backups.update_one(id.clone(), doc! { "$set": { "changed": long_ago } }).await?;
        let claimed = world.state_directory().join("claimed").join(line.get_str("_id")?);
        if claimed.exists() {
            fs::remove_dir_all(&claimed)?;
        }
        let n = if backups.count_documents(doc! {}).await? == 1 { 2 } else { 3 };
        world.start_daemon().await?;
        let bytes = Sample::new(1000).bytes()?;
        world.upload(&archives::write(world.directory(), n, &bytes)?).await?;
        world.wait_state(&job(n), State::Stored, PATIENCE).await?;
        let untouched = backups.find_one(id.clone()).await?.context("its line is there")?;
        ensure!(untouched.get_str("state")? == "Storing", "{untouched}");
        let elsewhere = check(&world, "backups-elsewhere")?;
        ensure!(elsewhere["state"] == "warning", "{elsewhere}");
        let said = elsewhere["sentence"].as_str().unwrap_or_default();
        ensure!(said.contains(&name(1)), "{said}");
        ensure!(said.contains(other) == untouched.contains_key("directory"), "{said}");
        world.daemon.stop(Signal::SIGTERM).await?;
    }
    let store = world.store()?;
    ensure!(store.totals().await?[&DataType::Messages].count == 0, "it hides nothing");

    // The other directory is lost for good, and an administrator has said so.
    backups.update_one(id.clone(), doc! { "$set": { "directory": other } }).await?;
    fs::write(world.state_directory().join("id"), format!("{other}\n"))?;
    world.start_daemon().await?;
    let line = world.wait_state(&job(1), State::Rejected, PATIENCE).await?;
    let sentence = line.get_document("rejection")?.get_str("sentence")?;
    ensure!(sentence.contains("What was stored of it stays"), "{sentence}");
    let seen = store.totals().await?[&DataType::Messages].count;
    ensure!(seen >= 1000, "{seen} of the 1000 messages of the stored backups are seen");
    Ok(())
}

/// As after a restore in which the database is older than the state directory.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_has_gone_further_than_mongodb_knows_is_taken_in_again() -> Result<()> {
    let mut world = world("4.2").await?;
    let sample = Sample::new(500);
    let bytes = sample.bytes()?;
    world.upload(&archives::write(world.directory(), 1, &bytes)?).await?;
    world.wait_state(&job(1), State::Stored, PATIENCE).await?;
    let kept = world.state_directory().join("archive/2021").join(name(1));
    until("the archive is kept", || async { Ok(kept.exists()) }).await?;
    world.daemon.stop(Signal::SIGTERM).await?;

    let database = world.database();
    let collection = |name: &str| database.collection::<Document>(name);
    let earlier = doc! {
        "$set": { "state": "Storing" },
        "$unset": { "sha256": "", "archive_kept": "", "media_examined": "" },
    };
    collection("backups").update_one(doc! {}, earlier).await?;
    collection("messages").delete_many(doc! { "seq": { "$gt": 20 } }).await?;
    for receipts in ["receipts.files", "receipts.chunks"] {
        collection(receipts).delete_many(doc! {}).await?;
    }
    world.start_daemon().await?;
    let backup = world.wait_state(&job(1), State::Stored, PATIENCE).await?;
    world.receipt(&job(1)).await?;
    complete(&world, &sample, &backup, &bytes).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_node_that_was_lost_had_begun_is_in_the_receipt_of_the_one_that_stores_it()
-> Result<()> {
    let mut world = world("4.2").await?;
    let sample = Sample::new(MANY);
    let file = archives::write(world.directory(), 1, &sample.bytes()?)?;
    world.upload(&file).await?;
    ensure!(storing(&world, &job(1), 4000).await?, "it was stored too fast");
    world.daemon.stop(Signal::SIGKILL).await?;
    // Its line and its disk are gone, and maaiiconnect uploads the backup again.
    world.database().collection::<Document>("backups").delete_one(doc! { "job": job(1) }).await?;
    for claimed in fs::read_dir(world.state_directory().join("claimed"))? {
        fs::remove_dir_all(claimed?.path())?;
    }
    world.start_daemon().await?;
    world.upload(&file).await?;
    world.wait_state(&job(1), State::Stored, PATIENCE).await?;
    let messages = world.database().collection::<Document>("messages");
    ensure!(messages.count_documents(doc! { "backup": job(1) }).await? == MANY as u64);
    world.receipt(&job(1)).await?;
    let (code, said) = crate::receipts::verify(&world, &job(1))?;
    ensure!(code == Some(0), "{said}");
    Ok(())
}
