//! What is uploaded is stored: every record, every medium, and nothing else.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use futures_util::TryStreamExt;
use mongodb::bson::{Document, doc};
use retention::backup::{BackupName, State};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::world::{Options, World};

/// How long a small backup may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What one line of `fixtures/expected.jsonl` says.
#[derive(Deserialize)]
struct Expected {
    file: String,
    records: BTreeMap<String, i64>,
    media_bytes: i64,
    media_sha256: BTreeMap<String, String>,
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn expected() -> Result<Vec<Expected>> {
    let lines = fs::read_to_string(fixtures().join("expected.jsonl"))?;
    lines.lines().map(|line| serde_json::from_str(line).context("expected.jsonl")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fixture_is_stored_with_its_exact_counts_and_media_on_mongodb_4_2() -> Result<()> {
    store_every_fixture("4.2").await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fixture_is_stored_with_its_exact_counts_and_media_on_mongodb_6_0() -> Result<()> {
    store_every_fixture("6.0").await
}

async fn store_every_fixture(series: &str) -> Result<()> {
    let options = Options { mongod_series: series.into(), ..Options::default() };
    let mut world = World::start(options).await?;
    for expected in expected()? {
        let file = fixtures().join(&expected.file);
        let name: BackupName = expected.file.parse()?;
        world.upload(&file).await?;
        let backup = world.wait_state(name.job.as_str(), State::Stored, PATIENCE).await?;
        compare(&world, &name, &backup, &expected)
            .await
            .with_context(|| format!("{} on MongoDB {series}", expected.file))?;
    }
    Ok(())
}

/// Holds what the log says, and what the collections hold, against what was delivered.
async fn compare(
    world: &World,
    name: &BackupName,
    backup: &Document,
    expected: &Expected,
) -> Result<()> {
    let progress = backup.get_document("progress")?;
    let logged: BTreeMap<String, i64> = progress
        .get_document("records")?
        .iter()
        .map(|(dataset, count)| (dataset.clone(), count.as_i64().unwrap_or(-1)))
        .collect();
    ensure!(logged == expected.records, "the log counts {logged:?}, not {:?}", expected.records);
    ensure!(progress.get_i64("media_bytes")? == expected.media_bytes, "{progress}");
    ensure!(stored_records(world, name).await? == expected.records);
    for (entry, digest) in &expected.media_sha256 {
        let bytes = medium(world, digest).await.with_context(|| entry.clone())?;
        ensure!(hex::encode(Sha256::digest(&bytes)) == *digest, "{entry} came back changed");
    }
    ensure!(!world.inbox().join(name.as_str()).exists(), "it still lies in the inbox");
    Ok(())
}

/// The collections that records are in.
const COLLECTIONS: [&str; 10] = [
    "calls",
    "conferences",
    "messages",
    "voicemails",
    "recordings",
    "files",
    "staff",
    "contacts",
    "enquiries",
    "other",
];

/// How many records of each dataset a backup has in the collections.
async fn stored_records(world: &World, name: &BackupName) -> Result<BTreeMap<String, i64>> {
    let mut counts = BTreeMap::new();
    for collection in COLLECTIONS {
        let records = world.database().collection::<Document>(collection);
        let mut found = records.find(doc! { "backup": name.job.as_str() }).await?;
        while let Some(record) = found.try_next().await? {
            ensure!(record.contains_key("raw"), "a record without what was delivered: {record}");
            *counts.entry(record.get_str("dataset")?.to_owned()).or_default() += 1;
        }
    }
    Ok(counts)
}

/// The bytes of a medium, as any client of GridFS reads them.
async fn medium(world: &World, digest: &str) -> Result<Vec<u8>> {
    let media = world.database().collection::<Document>("media.files");
    let file = media.find_one(doc! { "_id": digest }).await?.context("it is not stored")?;
    let chunks = world.database().collection::<Document>("media.chunks");
    let mut found = chunks.find(doc! { "files_id": digest }).sort(doc! { "n": 1 }).await?;
    let mut bytes = Vec::new();
    while let Some(chunk) = found.try_next().await? {
        bytes.extend_from_slice(chunk.get_binary_generic("data")?);
    }
    ensure!(file.get_i64("length")? == i64::try_from(bytes.len())?, "{file}");
    Ok(bytes)
}
