//! Whatever is wrong with an archive: it is reported, kept, harms nothing else, and the next
//! good backup is stored.

use std::{fs, time::Duration};

use anyhow::{Context, Result, ensure};
use mongodb::bson::{Document, doc};
use retention::backup::State;

use crate::{
    archives::{self, Sample, job, name},
    browser::Browser,
    world::{Options, World, until},
};

const PATIENCE: Duration = Duration::from_secs(60);

/// What is wrong with the archive, the archive, and the code it has to be rejected with.
type Case = (&'static str, Vec<u8>, &'static str);

/// Archives with one thing wrong with each.
fn cases() -> Result<Vec<Case>> {
    let good = Sample::new(200).bytes()?;
    let cut = |length: usize| good[..length].to_vec();
    let flipped = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 0x10;
        bytes
    };
    let directory = find(&good, b"PK\x01\x02", 0);
    let last_header = rfind(&good[..directory], b"PK\x03\x04");
    let renamed = |from: &str, to: &str| {
        let mut bytes = Sample::new(20).with(from, "x").bytes()?;
        for skip in [0, 0] {
            let at = find(&bytes, from.as_bytes(), skip);
            bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        }
        anyhow::Ok(bytes)
    };
    let bomb = Sample::new(20).with("data-retention/bomb", vec![0; 40 << 20]).bytes()?;
    Ok(vec![
        ("an empty file", Vec::new(), "broken-directory"),
        ("no ZIP", b"this is no archive".repeat(100), "broken-directory"),
        ("cut off in the first header", cut(20), "broken-directory"),
        ("cut off in the data", cut(directory / 2), "broken-directory"),
        ("cut off before the directory", cut(directory), "broken-directory"),
        ("cut off in the directory", cut(directory + 60), "broken-directory"),
        ("cut off before its last byte", cut(good.len() - 1), "broken-directory"),
        ("a flipped bit in a local header", flipped(6), "header-mismatch"),
        ("a flipped bit in a local name", flipped(34), "header-mismatch"),
        (
            "a flipped bit in the first data",
            flipped(find(&good, b"message.json", 0) + 60),
            "damaged",
        ),
        ("a flipped bit in the last data", flipped(directory - 30), "damaged"),
        ("a flipped bit in an authentication code", flipped(directory - 3), "damaged"),
        ("a flipped bit in the directory", flipped(directory + 46 + 3), "header-mismatch"),
        ("a flipped bit in the end record", flipped(good.len() - 12), "broken-directory"),
        ("an entry that begins within another", overlapping(&good, last_header), "overlap"),
        ("an unknown key", Sample::new(20).bytes_with("An0ther!Key")?, "no-known-key"),
        ("a name that leaves the folder", renamed("aa/harmless", "../harmless")?, "unsafe-name"),
        ("an absolute name", renamed("aharmless", "/harmless")?, "unsafe-name"),
        ("a drive letter", renamed("aa/harmless", "C:/harmless")?, "unsafe-name"),
        (
            "two entries of one name",
            renamed("history/twice_x.json", "history/message.json")?,
            "duplicate-name",
        ),
        ("a bomb", bomb, "over-limit"),
    ])
}

/// Lets the directory say that the last entry begins a little earlier.
fn overlapping(good: &[u8], last_header: usize) -> Vec<u8> {
    let mut bytes = good.to_vec();
    let header = rfind(good, b"PK\x01\x02");
    let earlier = u32::try_from(last_header - 40).expect("a small archive");
    bytes[header + 42..header + 46].copy_from_slice(&earlier.to_le_bytes());
    bytes
}

fn find(bytes: &[u8], pattern: &[u8], skip: usize) -> usize {
    let found = bytes.windows(pattern.len()).enumerate().filter(|(_, window)| *window == pattern);
    found.map(|(at, _)| at).nth(skip).expect("the pattern is there")
}

fn rfind(bytes: &[u8], pattern: &[u8]) -> usize {
    bytes
        .windows(pattern.len())
        .rposition(|window| window == pattern)
        .expect("the pattern is there")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_damaged_archive_is_rejected_kept_and_harms_nothing_on_mongodb_4_2() -> Result<()> {
    damage("4.2").await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_damaged_archive_is_rejected_kept_and_harms_nothing_on_mongodb_6_0() -> Result<()> {
    damage("6.0").await
}

async fn damage(series: &str) -> Result<()> {
    let mut world =
        World::start(Options { mongod_series: series.into(), ..Options::default() }).await?;
    let good = archives::write(world.directory(), 1, &Sample::new(100).bytes()?)?;
    world.upload(&good).await?;
    world.wait_state(&job(1), State::Stored, PATIENCE).await?;
    world.receipt(&job(1)).await?;
    let before = everything(&world).await?;

    for ((what, bytes, code), n) in cases()?.into_iter().zip(100..) {
        let file = archives::write(world.directory(), n, &bytes)?;
        world.upload(&file).await?;
        let backup = world.wait_state(&job(n), State::Rejected, PATIENCE).await.context(what)?;
        rejected(&world, &backup, &bytes, code)
            .await
            .with_context(|| format!("{what}: {backup}"))?;
        fs::remove_file(file)?;
    }
    ensure!(everything(&world).await? == before, "something of a rejected backup is still there");

    // A good upload of the same job takes the place of the bad one.
    world.upload(&archives::write(world.directory(), 100, &Sample::new(150).bytes()?)?).await?;
    let backups = world.database().collection::<Document>("backups");
    let replaced = doc! { "job": job(100), "state": "Rejected", "superseded": true };
    until("the bad upload is replaced", || async {
        Ok(backups.count_documents(replaced.clone()).await? == 1)
    })
    .await?;
    world.wait_state(&job(100), State::Stored, PATIENCE).await?;
    Ok(())
}

/// It says why, in a sentence, and its bytes are in quarantine.
async fn rejected(world: &World, backup: &Document, bytes: &[u8], code: &str) -> Result<()> {
    let reason = backup.get_document("rejection")?;
    ensure!(reason.get_str("code")? == code, "rejected with another code than {code}");
    let sentence = reason.get_str("sentence")?;
    ensure!(sentence.ends_with('.') && sentence.len() > 30, "no sentence: {sentence}");
    let directory = world.state_directory().join("quarantine").join(backup.get_str("_id")?);
    let kept = directory.join(backup.get_str("file")?);
    until("it is in quarantine", || async { Ok(kept.exists()) }).await?;
    ensure!(fs::read(kept)? == bytes, "its bytes were changed");
    ensure!(fs::read_to_string(directory.join("reason.txt"))?.trim() == sentence);
    Ok(())
}

/// How many documents each collection but the log has.
async fn everything(world: &World) -> Result<Vec<(String, u64)>> {
    let mut counts = Vec::new();
    for collection in world.database().list_collection_names().await? {
        if collection != "backups" {
            let count = world
                .database()
                .collection::<Document>(&collection)
                .count_documents(doc! {})
                .await?;
            counts.push((collection, count));
        }
    }
    counts.sort();
    Ok(counts)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_odd_but_whole_is_stored_with_findings() -> Result<()> {
    let mut world = World::start(Options::default()).await?;
    let deep = format!(
        "{}1{}",
        r#"{"_id":"deep","a":"#.to_owned() + &r#"{"a":"#.repeat(110),
        "}".repeat(111)
    );
    let odd = format!(
        "{}\n{}\n{}\n{deep}\n{}\n",
        r#"{"_id":"dollar","$where":1}"#,
        r#"{"_id":"empty","":1}"#,
        r#"{"_id":"huge","n":123456789012345678901234567890}"#,
        r#"{"_id":"fine","n":1}"#,
    );
    let sample = Sample::new(10)
        .with("history/call.json", odd)
        .with("history/conference.json", "this is no JSON")
        .with("history/voicemail.json", r#"[{"_id":"v1","fileID":"nowhere"},{"_id":"v2","#)
        .with("history/recording.json", r#"[{"_id":"r1","fileID":"file0","size":1}]"#)
        .with("data-retention/unnamed.bin", "nobody speaks of it")
        .with("surveys/answers.json", r#"[{"_id":"s1","score":5}]"#);
    world.upload(&archives::write(world.directory(), 1, &sample.bytes()?)?).await?;
    let backup = world.wait_state(&job(1), State::Stored, PATIENCE).await?;
    let findings = backup.get_document("findings")?;
    for (kind, count) in [
        ("kept-as-text", 4),
        ("not-json", 2),
        ("missing-medium", 1),
        ("size-differs", 1),
        ("unreferenced-medium", 1),
        ("unknown-dataset", 1),
    ] {
        let found =
            findings.get_document(kind).with_context(|| format!("no {kind} in {findings}"))?;
        ensure!(found.get_i64("count")? == count, "{kind}: {found}");
    }
    let records = backup.get_document("progress")?.get_document("records")?;
    for (dataset, count) in
        [("call", 5), ("voicemail", 1), ("recording", 1), ("other", 1), ("message", 10)]
    {
        ensure!(records.get_i64(dataset)? == count, "{dataset}: {records}");
    }
    let calls = world.database().collection::<Document>("calls");
    let huge = calls.find_one(doc! { "_id": "huge#1" }).await?.context("it was dropped")?;
    ensure!(huge.get_str("raw")? == r#"{"_id":"huge","n":123456789012345678901234567890}"#);
    let files = world.database().collection::<Document>("files");
    for entry in ["history/conference.json", "history/voicemail.json", "data-retention/unnamed.bin"]
    {
        ensure!(
            files.count_documents(doc! { "path": entry }).await? == 1,
            "{entry} cannot be seen"
        );
    }
    Ok(())
}

/// The check of rejected backups, and what `retention status` says at its end.
fn standing(world: &World) -> Result<(String, String)> {
    let status = world.status()?;
    let checks = status["checks"].as_array().into_iter().flatten();
    let mut found = checks.filter(|check| check["id"] == "backups-rejected");
    let state = found.next().and_then(|check| check["state"].as_str()).unwrap_or_default();
    Ok((state.to_owned(), world.run(&["status"])?.1))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejection_that_was_acknowledged_counts_no_more_and_a_later_one_counts_anew() -> Result<()>
{
    let mut world = World::start(Options::default()).await?;
    world.upload(&archives::write(world.directory(), 1, b"this is no archive")?).await?;
    let line = world.wait_state(&job(1), State::Rejected, PATIENCE).await?;
    ensure!(standing(&world)?.0 == "critical");

    let path = format!("/retention/backups/{}", line.get_str("_id")?);
    let mut browser = Browser::new(&world)?;
    browser.sign_in("Admin", &Options::default().admin_password).await?;
    let page = browser.get(&path).await?.body;
    ensure!(page.contains("Acknowledge that it was rejected"), "{page}");
    let form = format!("{path}/acknowledgement");
    let answer = browser.submit(&form, &[("reason", " ")]).await?;
    ensure!(answer.status == 400, "without a reason: {answer:?}");
    ensure!(standing(&world)?.0 == "critical");
    let reason = [("reason", "It was a test of maaiiconnect's.")];
    for _ in 0..2 {
        let answer = browser.submit(&form, &reason).await?;
        ensure!(answer.status == 303, "{answer:?}");
    }
    let (state, said) = standing(&world)?;
    ensure!(state == "ok", "{said}");
    ensure!(said.contains(&format!("{} Rejected, acknowledged by Admin:", name(1))), "{said}");
    ensure!(world.run(&["status"])?.0.success(), "{said}");
    let page = browser.get(&path).await?.body;
    for part in ["Acknowledged by Admin on", "It was a test of maaiiconnect", "Rejected, acknowl"] {
        ensure!(page.contains(part), "no {part}: {page}");
    }
    ensure!(!page.contains("<summary>Acknowledge"), "it can be acknowledged again: {page}");
    let audit = world.database().collection::<Document>("audit");
    let event = audit.find_one(doc! { "action": "rejection-acknowledged" }).await?;
    let event = event.context("it is in the audit log")?;
    ensure!(event.get_str("account")? == "Admin" && event.get_str("subject")? == path, "{event}");
    let line = world.backup(&job(1)).await?.context("its line is there")?;
    let history = line.get_array("history")?.iter().filter_map(|event| event.as_document());
    let acknowledged =
        history.filter(|event| event.get_str("what").is_ok_and(|what| what == "acknowledged"));
    ensure!(acknowledged.count() == 1, "not once in its history: {line}");

    // The same job once more, and then another one.
    world.upload(&archives::write(world.directory(), 1, b"this is none either")?).await?;
    let again = doc! { "job": job(1), "state": "Rejected" };
    let backups = world.database().collection::<Document>("backups");
    until("it is rejected again", || async {
        Ok(backups.count_documents(again.clone()).await? == 2)
    })
    .await?;
    world.wait_state(&job(1), State::Rejected, PATIENCE).await?;
    ensure!(standing(&world)?.0 == "critical");
    world.upload(&archives::write(world.directory(), 1, &Sample::new(5).bytes()?)?).await?;
    world.wait_state(&job(1), State::Stored, PATIENCE).await?;
    until("a good one took its place", || async { Ok(standing(&world)?.0 == "ok") }).await?;
    // What is stored, or of nobody, cannot be acknowledged.
    let stored = world.backup(&job(1)).await?.context("its line is there")?;
    let form = format!("/retention/backups/{}/acknowledgement", stored.get_str("_id")?);
    ensure!(browser.submit(&form, &reason).await?.status == 404);
    Ok(())
}
