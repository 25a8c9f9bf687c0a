//! Uploads as clients make them: under temporary names, cut off and resumed, many at once,
//! twice, and under names that mean nothing.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use mongodb::bson::{Document, doc};
use retention::backup::State;
use sha2::{Digest, Sha256};

use crate::{
    archives::{self, Sample, job, name},
    world::{Options, World, process::GLANCE, until},
};

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_under_a_temporary_name_is_taken_when_it_is_renamed() -> Result<()> {
    let mut world = World::start(Options::default()).await?;
    let file = archives::write(world.directory(), 1, &Sample::new(50).bytes()?)?;
    let temporary = format!("{}.filepart", name(1));
    world.sftp.put(&file, &temporary).await?;
    let status = world.status()?;
    ensure!(status.to_string().contains(&temporary), "not shown as it arrives: {status}");
    world.sftp.batch(&format!("rename {temporary} {}", name(1))).await?;
    world.wait_state(&job(1), State::Stored, PATIENCE).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_whose_client_was_killed_is_kept_and_can_be_resumed() -> Result<()> {
    let mut world = World::start(Options { grace_seconds: 600, ..Options::default() }).await?;
    // What cannot be compressed, so that the upload takes its time.
    let noise = (0..60_000_u32).flat_map(|n| Sha256::digest(n.to_le_bytes())).collect::<Vec<u8>>();
    let sample = Sample::new(50).with("data-retention/noise.bin", noise);
    let file = archives::write(world.directory(), 1, &sample.bytes()?)?;
    let client = world.sftp.begin_slow_put(&file, &name(1), 4000)?;
    let partial = world.inbox().join(name(1));
    until("a part has arrived", || async {
        Ok(fs::metadata(&partial).is_ok_and(|found| found.len() > 100_000))
    })
    .await?;
    drop(client);
    shown_as(&world, "interrupted").await?;
    ensure!(world.backup(&job(1)).await?.is_none(), "half an upload was taken in");
    let file = world.sftp.quoted_file(&file)?;
    world.sftp.batch(&format!("reput {file} {}", name(1))).await?;
    world.wait_state(&job(1), State::Stored, PATIENCE).await?;
    Ok(())
}

async fn shown_as(world: &World, condition: &str) -> Result<()> {
    for _ in 0..200 {
        if world.status()?["inbox"]["ok"][0]["condition"] == condition {
            return Ok(());
        }
        tokio::time::sleep(GLANCE).await;
    }
    anyhow::bail!("never shown as {condition}: {}", world.status()?)
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_clients_at_once_are_all_served() -> Result<()> {
    let mut world = World::start(Options::default()).await?;
    let bytes = Sample::new(300).bytes()?;
    let files: Vec<_> =
        (1..=10).map(|n| archives::write(world.directory(), n, &bytes)).collect::<Result<_>>()?;
    let uploads = files.iter().map(|file| world.upload(file));
    for upload in futures_util::future::join_all(uploads).await {
        upload?;
    }
    for n in 1..=10 {
        world.wait_state(&job(n), State::Stored, PATIENCE).await?;
    }
    let messages =
        world.database().collection::<Document>("messages").count_documents(doc! {}).await?;
    ensure!(messages == 300, "the same records came ten times, and {messages} are stored");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_job_with_the_same_bytes_is_one_backup_and_with_others_a_conflict() -> Result<()> {
    let mut world = World::start(Options::default()).await?;
    let bytes = Sample::new(50).bytes()?;
    let file = archives::write(world.directory(), 1, &bytes)?;
    for _ in 0..2 {
        world.upload(&file).await?;
        world.wait_state(&job(1), State::Stored, PATIENCE).await?;
    }
    let backups = world.database().collection::<Document>("backups");
    until("the repeat is counted", || async {
        Ok(backups.count_documents(doc! { "job": job(1), "repeats": 1 }).await? == 1
            && backups.count_documents(doc! { "job": job(1) }).await? == 1)
    })
    .await?;

    let others = Sample::new(51).bytes()?;
    world.upload(&archives::write(world.directory(), 1, &others)?).await?;
    until("the conflict is rejected", || async {
        Ok(backups.count_documents(doc! { "job": job(1), "state": "Rejected" }).await? == 1)
    })
    .await?;
    let conflict = backups.find_one(doc! { "job": job(1), "state": "Rejected" }).await?;
    let conflict = conflict.context("it was there just now")?;
    ensure!(conflict.get_document("rejection")?.get_str("code")? == "conflict");
    let kept = world.state_directory().join("archive/2021").join(name(1));
    ensure!(fs::read(kept)? == bytes, "the first upload was not kept");
    let quarantine = world.state_directory().join("quarantine").join(conflict.get_str("_id")?);
    until("the second upload is kept", || async { Ok(quarantine.join(name(1)).exists()) }).await?;
    ensure!(fs::read(quarantine.join(name(1)))? == others);
    let messages =
        world.database().collection::<Document>("messages").count_documents(doc! {}).await?;
    ensure!(messages == 50, "{messages}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_was_lost_comes_back_with_the_next_upload_of_it() -> Result<()> {
    let mut world = World::start(Options::default()).await?;
    let file = archives::write(world.directory(), 1, &Sample::new(50).bytes()?)?;
    world.upload(&file).await?;
    world.wait_state(&job(1), State::Stored, PATIENCE).await?;
    let kept = world.state_directory().join("archive/2021").join(name(1));
    until("the archive is kept", || async { Ok(kept.exists()) }).await?;
    fs::remove_file(&kept)?;

    world.upload(&file).await?;
    until("the archive is back", || async { Ok(kept.exists()) }).await?;
    ensure!(fs::read(&kept)? == fs::read(&file)?, "the archive is another");
    let backups = world.database().collection::<Document>("backups");
    let counted = backups.count_documents(doc! { "job": job(1), "repeats": 1 }).await?;
    ensure!(counted == 1 && backups.count_documents(doc! {}).await? == 1, "it is no repeat");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_named_like_a_backup_is_set_aside() -> Result<()> {
    let world = World::start(Options::default()).await?;
    let file = world.directory().join("holiday.zip");
    fs::write(&file, Sample::new(5).bytes()?)?;
    world.upload(&file).await?;
    let aside = world.state_directory().join("aside");
    until("it is set aside", || async { Ok(contains(&aside, "holiday.zip")) }).await?;
    let backups = world.database().collection::<Document>("backups");
    ensure!(backups.count_documents(doc! {}).await? == 0, "it was taken for a backup");
    Ok(())
}

fn contains(directory: &Path, file: &str) -> bool {
    fs::read_dir(directory)
        .is_ok_and(|found| found.flatten().any(|entry| entry.path().join(file).exists()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_changed_becomes_a_version_and_both_can_be_read() -> Result<()> {
    let mut world = World::start(Options::default()).await?;
    let contact = |phone: &str| {
        format!(r#"[{{"_id":"c1","id":"e9","firstName":"Mei","mobilePhone":"{phone}"}}]"#)
    };
    for (n, phone) in [(1, "100"), (2, "200"), (3, "200"), (4, "100")] {
        let sample = Sample::new(5).with("dynamic-phonebook/contact.json", contact(phone));
        world.upload(&archives::write(world.directory(), n, &sample.bytes()?)?).await?;
        world.wait_state(&job(n), State::Stored, PATIENCE).await?;
    }
    let contacts = world.database().collection::<Document>("contacts");
    for (version, phone) in [(1, "100"), (2, "200"), (3, "100")] {
        let stored = contacts.find_one(doc! { "_id": format!("c1#{version}") }).await?;
        let stored = stored.with_context(|| format!("no version {version}"))?;
        ensure!(stored.get_document("raw")?.get_str("mobilePhone")? == phone, "{stored}");
    }
    ensure!(contacts.count_documents(doc! {}).await? == 3);
    Ok(())
}
