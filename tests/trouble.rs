//! Trouble of our own: full disks, secrets that cannot be used, a primary that is lost, work that
//! gets stuck. Nothing is lost, it is said what is wrong, and it goes on by itself.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use futures_util::TryStreamExt;
use mongodb::{
    bson::{Binary, Bson, Document, doc, spec::BinarySubtype},
    options::{Acknowledgment, WriteConcern},
};
use nix::{sys::signal::Signal, sys::stat::Mode, unistd::mkfifo};
use retention::{
    accounts::DataType,
    backup::{State, UploadId},
    store::RecordKey,
};
use sha2::{Digest, Sha256};

use crate::{
    archives::{self, Sample, job, name},
    world::{Options, World, disks::Ballast, until},
};

const PATIENCE: Duration = Duration::from_secs(120);

const MIB: u64 = 1 << 20;

/// What has to stay free beside a backup.
const RESERVE: u64 = 256 * MIB;

/// Uploads are let in also on a disk that is nearly full.
const OPEN_DOOR: &str = "[health]\nreserve_bytes = 1048576\n";

/// Bytes that nothing compresses.
fn noise(seed: u32, kib: u32) -> Vec<u8> {
    let block = |n: u32| Sha256::digest([seed.to_le_bytes(), n.to_le_bytes()].concat());
    (0..kib * 32).flat_map(block).collect()
}

/// Waits until the newest upload of a job waits, and returns code and sentence.
async fn waits(world: &mut World, n: u32) -> Result<(String, String)> {
    let backup = world.wait_state(&job(n), State::Waiting, PATIENCE).await?;
    let reason = backup.get_document("waiting")?;
    let sentence = reason.get_str("sentence")?.to_owned();
    ensure!(sentence.ends_with('.') && sentence.len() > 30, "no sentence: {sentence}");
    Ok((reason.get_str("code")?.to_owned(), sentence))
}

/// Every record and every medium of a sample that was the only backup is there.
async fn complete(world: &World, messages: u64, media: &[Vec<u8>]) -> Result<()> {
    let database = world.database();
    let count = database.collection::<Document>("messages").count_documents(doc! {}).await?;
    ensure!(count == messages, "{count} of {messages} messages");
    for bytes in media {
        let id = hex::encode(Sha256::digest(bytes));
        let files = database.collection::<Document>("media.files");
        let file = files.find_one(doc! { "_id": &id }).await?;
        let file = file.with_context(|| format!("the medium {id} is lost"))?;
        ensure!(file.get_i64("length")? == i64::try_from(bytes.len())?, "{file}");
        let chunks = database.collection::<Document>("media.chunks");
        let mut found = chunks.find(doc! { "files_id": &id }).sort(doc! { "n": 1 }).await?;
        let mut stored = Vec::new();
        while let Some(chunk) = found.try_next().await? {
            stored.extend_from_slice(chunk.get_binary_generic("data")?);
        }
        ensure!(stored == *bytes, "the medium {id} came back changed");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_into_a_full_inbox_fails_and_can_be_resumed() -> Result<()> {
    let options = Options {
        state_disk_bytes: Some(RESERVE + 64 * MIB),
        grace_seconds: 600,
        sections: OPEN_DOOR.into(),
        ..Options::default()
    };
    let mut world = World::start(options).await?;
    let media = noise(1, 8 * 1024);
    let bytes = Sample::new(20).with("data-retention/noise.bin", media.clone()).bytes()?;
    let file = archives::write(world.directory(), 1, &bytes)?;
    let ballast = Ballast::leaving(&world.state_directory(), 2 * MIB)?;
    ensure!(world.upload(&file).await.is_err(), "the client was told that all went well");
    ensure!(world.backup(&job(1)).await?.is_none(), "half an upload was taken in");
    let arrived = fs::metadata(world.inbox().join(name(1)))?.len();
    ensure!(arrived < bytes.len() as u64, "all of it had room");

    drop(ballast);
    let file = world.sftp.quoted_file(&file)?;
    world.sftp.batch(&format!("reput {file} {}", name(1))).await?;
    world.wait_state(&job(1), State::Stored, PATIENCE).await?;
    complete(&world, 20, &[media]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn without_room_to_unpack_a_backup_waits_and_is_then_stored_by_itself() -> Result<()> {
    let options = Options {
        state_disk_bytes: Some(RESERVE + 64 * MIB),
        sections: OPEN_DOOR.into(),
        ..Options::default()
    };
    let mut world = World::start(options).await?;
    let ballast = Ballast::leaving(&world.state_directory(), RESERVE - 8 * MIB)?;
    world.upload(&archives::write(world.directory(), 1, &Sample::new(20).bytes()?)?).await?;
    let (code, sentence) = waits(&mut world, 1).await?;
    ensure!(code == "disk-short" && sentence.contains("the disk of the state directory"));
    let status = world.status()?;
    ensure!(status["ok"] == false, "{status}");
    ensure!(status["unresolved"]["ok"][0]["reason"] == sentence.as_str(), "{status}");

    drop(ballast);
    world.wait_state(&job(1), State::Stored, PATIENCE).await?;
    ensure!(world.status()?["ok"] == true, "{}", world.status()?);
    complete(&world, 20, &[]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn without_room_on_mongodbs_disk_a_backup_waits_on_mongodb_4_2() -> Result<()> {
    room_on_mongodbs_disk("4.2").await
}

#[tokio::test(flavor = "multi_thread")]
async fn without_room_on_mongodbs_disk_a_backup_waits_on_mongodb_6_0() -> Result<()> {
    room_on_mongodbs_disk("6.0").await
}

async fn room_on_mongodbs_disk(series: &str) -> Result<()> {
    let options = Options {
        mongod_series: series.into(),
        mongodb_disk_bytes: Some(900 * MIB),
        sections: OPEN_DOOR.into(),
        ..Options::default()
    };
    let mut world = World::start(options).await?;
    let ballast = Ballast::leaving(&world.mongodb_directory(), RESERVE - 16 * MIB)?;
    world.upload(&archives::write(world.directory(), 1, &Sample::new(20).bytes()?)?).await?;
    let (code, sentence) = waits(&mut world, 1).await?;
    ensure!(code == "disk-short" && sentence.contains("MongoDB's disk"), "{code} {sentence}");
    drop(ballast);
    world.wait_state(&job(1), State::Stored, PATIENCE).await?;
    complete(&world, 20, &[]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn mongodbs_disk_may_fill_up_while_a_backup_is_stored() -> Result<()> {
    let options = Options {
        mongodb_disk_bytes: Some(1700 * MIB),
        sections: OPEN_DOOR.into(),
        ..Options::default()
    };
    let mut world = World::start(options).await?;
    // More than the room that MongoDB has set aside for its journal.
    let media: Vec<Vec<u8>> = (0..36).map(|n| noise(n, 8 * 1024)).collect();
    let mut sample = Sample::new(5000);
    for (n, bytes) in media.iter().enumerate() {
        sample = sample.with(&format!("data-retention/noise{n}.bin"), bytes.clone());
    }
    world.upload(&archives::write(world.directory(), 1, &sample.bytes()?)?).await?;
    let chunks = world.database().collection::<Document>("media.chunks");
    until("it is being stored", || async {
        Ok(chunks.estimated_document_count().await.unwrap_or(0) > 8)
    })
    .await?;
    let ballast = Ballast::leaving(&world.mongodb_directory(), 0)?;

    // Either MongoDB ends itself, or it refuses and the backup waits.
    let deadline = Instant::now() + PATIENCE;
    loop {
        let backup = tokio::time::timeout(Duration::from_secs(2), world.backup(&job(1))).await;
        let backup = backup.ok().and_then(Result::ok).flatten().unwrap_or_default();
        let state = backup.get_str("state").unwrap_or("unknown");
        ensure!(state != "Stored", "stored on a full disk");
        if world.mongod.ended() || state == "Waiting" {
            break;
        }
        ensure!(Instant::now() < deadline, "nothing was in the way");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(ballast);
    world.mongod.stop(Signal::SIGTERM).await?;
    world.mongod.resume().await?;
    let store = world.store()?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let seen = store.totals().await?[&DataType::Messages].count;
        let backup = world.backup(&job(1)).await?.context("the backup is lost")?;
        let stored = backup.get_str("state")? == "Stored";
        ensure!(seen == 0 || stored, "{seen} messages are seen of a backup that is not stored");
        if stored {
            break;
        }
        ensure!(Instant::now() < deadline, "never stored: {backup}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    complete(&world, 5000, &media).await
}

#[tokio::test(flavor = "multi_thread")]
async fn status_is_not_well_while_a_backup_is_rejected_or_cannot_be_noted() -> Result<()> {
    let mut world = World::start(Options::default()).await?;
    world.upload(&archives::write(world.directory(), 1, b"this is no archive")?).await?;
    world.wait_state(&job(1), State::Rejected, PATIENCE).await?;
    let (status, said, _) = world.run(&["status"])?;
    ensure!(status.code() == Some(1), "{status}: {said}");
    let line = said.lines().find(|line| line.starts_with("backups-rejected")).unwrap_or_default();
    ensure!(line.contains("critical") && line.contains(&name(1)), "{said}");

    world.upload(&archives::write(world.directory(), 1, &Sample::new(20).bytes()?)?).await?;
    world.wait_state(&job(1), State::Stored, PATIENCE).await?;
    until("a good upload has taken its place", || async { Ok(world.status()?["ok"] == true) })
        .await?;
    ensure!(world.run(&["status"])?.0.success());

    world.mongod.stop(Signal::SIGKILL).await?;
    world.upload(&archives::write(world.directory(), 2, &Sample::new(20).bytes()?)?).await?;
    let inbox = world.inbox().join(name(2));
    until("it is claimed", || async { Ok(!inbox.exists()) }).await?;
    let (status, said, _) = world.run(&["status"])?;
    let sentence = "Waiting: MongoDB cannot be reached; it goes on by itself as soon as it can.";
    ensure!(
        status.code() == Some(1) && said.contains(&format!("{} {sentence}", name(2))),
        "{said}"
    );
    world.mongod.resume().await?;
    world.wait_state(&job(2), State::Stored, PATIENCE).await?;
    Ok(())
}

fn mode(file: &Path, mode: u32) -> Result<()> {
    Ok(fs::set_permissions(file, fs::Permissions::from_mode(mode))?)
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_that_cannot_be_used_end_the_start_with_a_sentence() -> Result<()> {
    let mut world = World::start(Options::default()).await?;
    world.daemon.stop(Signal::SIGTERM).await?;
    for secret in ["admin-password", "archive-keys"] {
        let file = world.secret(secret);
        let good = fs::read(&file)?;
        for (contents, bits, sentence) in
            [(&good[..], 0o644, "run chmod 600 on it"), (b"", 0o600, "is empty or not text")]
        {
            fs::write(&file, contents)?;
            mode(&file, bits)?;
            let (status, _, said) = world.run(&["run"])?;
            ensure!(status.code() == Some(2), "{secret} {bits:o}: {status} {said}");
            ensure!(said.contains(sentence) && said.contains(secret), "{said}");
        }
        fs::write(&file, good)?;
        mode(&file, 0o600)?;
    }
    let config = world.directory().join("retention.toml");
    let text = fs::read_to_string(&config)?;
    fs::write(&config, text.replace("[mongodb]\n", "[mongodb]\nuser = \"retention\"\n"))?;
    fs::write(world.secret("mongodb-password"), "secret")?;
    mode(&world.secret("mongodb-password"), 0o644)?;
    let (status, _, said) = world.run(&["run"])?;
    ensure!(status.code() == Some(2) && said.contains("mongodb-password"), "{status} {said}");
    fs::write(&config, text)?;
    world.start_daemon().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_waits_for_archive_keys_that_others_cannot_read() -> Result<()> {
    let mut world = World::start(Options::default()).await?;
    mode(&world.secret("archive-keys"), 0o644)?;
    world.upload(&archives::write(world.directory(), 1, &Sample::new(20).bytes()?)?).await?;
    let (code, sentence) = waits(&mut world, 1).await?;
    ensure!(code == "keys-unusable" && sentence.contains("run chmod 600"), "{code} {sentence}");
    mode(&world.secret("archive-keys"), 0o600)?;
    world.wait_state(&job(1), State::Stored, PATIENCE).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_watchdog_is_fed_while_work_goes_on_or_waits_and_not_when_it_is_stuck() -> Result<()> {
    let watchdog = Duration::from_secs(6);
    let mut world =
        World::start(Options { watchdog: Some(watchdog), ..Options::default() }).await?;
    ensure!(world.daemon.feeds_watchdog(watchdog).await?, "nothing to do, and it starves");
    world.mongod.signal(Signal::SIGSTOP);
    world.upload(&archives::write(world.directory(), 1, &Sample::new(20).bytes()?)?).await?;
    for _ in 0..2 {
        ensure!(world.daemon.feeds_watchdog(watchdog).await?, "MongoDB is away, and it starves");
    }
    world.mongod.signal(Signal::SIGCONT);
    world.wait_state(&job(1), State::Stored, PATIENCE).await?;

    // A pipe that nobody writes to: opening it never ends.
    let upload = UploadId::new(1_800_000_000, 0);
    let directory = world.state_directory().join("claimed").join(upload.as_str());
    fs::create_dir(&directory)?;
    mkfifo(&directory.join(name(2)), Mode::S_IRUSR | Mode::S_IWUSR)?;
    world.wait_state(&job(2), State::Storing, PATIENCE).await?;
    let deadline = Instant::now() + PATIENCE;
    while world.daemon.feeds_watchdog(watchdog).await? {
        ensure!(Instant::now() < deadline, "stuck, and the watchdog is fed");
    }
    world.daemon.stop(Signal::SIGKILL).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_and_an_avatar_of_one_id_are_no_versions_of_each_other() -> Result<()> {
    let mut world = World::start(Options::default()).await?;
    for (n, name) in [(1, "old"), (2, "new")] {
        let avatar = format!(r#"[{{"_id":"f1","fileID":"f1","staffID":"s1","tag":"{name}"}}]"#);
        let sample = Sample::new(20).with("file-management/avatar.json", avatar);
        world.upload(&archives::write(world.directory(), n, &sample.bytes()?)?).await?;
        world.wait_state(&job(n), State::Stored, PATIENCE).await?;
    }
    let store = world.store()?;
    for (key, versions) in
        [("f1#1", &["f1#1"][..]), ("f1#avatar-1", &["f1#avatar-2", "f1#avatar-1"])]
    {
        let key: RecordKey = key.parse()?;
        let record = store.record(DataType::Files, &key).await?;
        let record = record.with_context(|| format!("there is no {key}"))?;
        ensure!(record.row.id == "f1" && record.row.version == 1, "{:?}", record.row);
        let found: Vec<String> = record.versions.iter().map(|one| one.key.to_string()).collect();
        ensure!(found == versions, "{key} has the versions {found:?}");
    }
    Ok(())
}

fn set_of_three() -> Options {
    Options { members: 3, ..Options::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_primary_may_step_down_while_a_backup_is_stored() -> Result<()> {
    let mut world = World::start(set_of_three()).await?;
    let media = noise(1, 8 * 1024);
    let sample = Sample::new(40_000).with("data-retention/noise.bin", media.clone());
    world.upload(&archives::write(world.directory(), 1, &sample.bytes()?)?).await?;
    let messages = world.database().collection::<Document>("messages");
    until("it is being stored", || async {
        Ok(messages.estimated_document_count().await.unwrap_or(0) > 3000)
    })
    .await?;
    let (primary, _) = world.mongod.roles().await?;
    let admin = world.mongod.client_of(primary).database("admin");
    admin.run_command(doc! { "replSetStepDown": 30, "secondaryCatchUpPeriodSecs": 10 }).await?;
    world.wait_state(&job(1), State::Stored, PATIENCE).await?;
    ensure!(world.mongod.roles().await?.0 != primary, "no other became primary");
    complete(&world, 40_000, &[media]).await
}

/// A medium that only a primary has which most others have left: it is undone when that one
/// comes back, and a backup that took it for kept would be without it.
#[tokio::test(flavor = "multi_thread")]
async fn what_only_a_lost_primary_had_is_stored_again() -> Result<()> {
    let mut world = World::start(set_of_three()).await?;
    // Known from the first backup, so that the second takes its time and writes nothing.
    let slow = noise(1, 96 * 1024);
    let first = Sample::new(1).with("data-retention/a_slow.bin", slow.clone());
    world.upload(&archives::write(world.directory(), 1, &first.bytes()?)?).await?;
    world.wait_state(&job(1), State::Stored, PATIENCE).await?;

    let medium = b"only the lost primary has it".to_vec();
    let second = first_and(&slow, &medium);
    world.upload(&archives::write(world.directory(), 2, &second.bytes()?)?).await?;
    world.wait_state(&job(2), State::Storing, PATIENCE).await?;
    world.daemon.signal(Signal::SIGSTOP);
    let (primary, secondary) = world.mongod.roles().await?;
    // What the daemon waits for is acknowledged; what follows will not be.
    let most = WriteConcern::builder().w(Acknowledgment::Majority).build();
    let other = world.mongod.client_of(primary).database("other").collection("marks");
    other.insert_one(doc! { "_id": 1 }).write_concern(most).await?;
    world.mongod.signal_member(secondary, Signal::SIGSTOP);
    put_medium(&world, primary, &medium).await?;
    world.daemon.signal(Signal::SIGCONT);
    let messages = world.mongod.client_of(primary).database("retention");
    let messages = messages.collection::<Document>("messages");
    until("records came, and before them media", || async {
        Ok(messages.count_documents(doc! {}).await? == 30)
    })
    .await?;

    world.mongod.stop_member(primary, Signal::SIGKILL).await?;
    world.mongod.signal_member(secondary, Signal::SIGCONT);
    until("the other is primary", || async {
        Ok(world
            .mongod
            .client_of(secondary)
            .database("admin")
            .run_command(doc! { "isMaster": 1 })
            .await
            .is_ok_and(|hello| hello.get_bool("ismaster").unwrap_or(false)))
    })
    .await?;
    world.mongod.resume_member(primary)?;
    world.wait_state(&job(2), State::Stored, PATIENCE).await?;
    complete(&world, 30, &[slow, medium]).await
}

fn first_and(slow: &[u8], medium: &[u8]) -> Sample {
    Sample::new(30).with("data-retention/a_slow.bin", slow).with("data-retention/m.bin", medium)
}

/// Stores a medium on one server alone.
async fn put_medium(world: &World, member: usize, bytes: &[u8]) -> Result<()> {
    let database = world.mongod.client_of(member).database("retention");
    let alone = WriteConcern::builder().w(Acknowledgment::Nodes(1)).build();
    let id = hex::encode(Sha256::digest(bytes));
    let data = Bson::Binary(Binary { subtype: BinarySubtype::Generic, bytes: bytes.to_vec() });
    let chunk = doc! { "files_id": &id, "n": 0, "data": data };
    let length = i64::try_from(bytes.len())?;
    let file = doc! { "_id": &id, "length": length, "chunkSize": 1 << 20, "filename": "m.bin" };
    for (collection, document) in [("media.chunks", chunk), ("media.files", file)] {
        let collection = database.collection::<Document>(collection);
        collection.insert_one(document).write_concern(alone.clone()).await?;
    }
    Ok(())
}
