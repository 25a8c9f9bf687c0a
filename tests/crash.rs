//! Killed at any moment, and run again: every backup ends stored, record by record.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use futures_util::TryStreamExt;
use mongodb::bson::{Document, doc};
use nix::sys::signal::Signal;
use retention::backup::State;

use crate::{
    archives::{self, Sample, job, message},
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
    complete(&world, &sample, &backup, &bytes).await
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
