//! A receipt for each backup that is stored: anybody can check it, and it is held against the data.

mod again;
mod changed;
mod keys;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    os::unix::fs::MetadataExt,
    path::Path,
    process::{Command, Output},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use mongodb::bson::{Document, doc};
use nix::sys::signal::Signal;
use retention::backup::{BackupName, State};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{
    archives::{self, KEY, Sample, job, name},
    browser::Browser,
    world::{Options, World, process::output, until},
};

const PATIENCE: Duration = Duration::from_secs(60);

fn sha256(bytes: impl AsRef<[u8]>) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Uploads a backup and waits for its receipt.
async fn stored(world: &mut World, n: u32, bytes: &[u8]) -> Result<Document> {
    world.upload(&archives::write(world.directory(), n, bytes)?).await?;
    world.wait_state(&job(n), State::Stored, PATIENCE).await?;
    world.receipt(&job(n)).await
}

/// What a command about receipts says, which has to go well.
fn said(world: &World, arguments: &[&str]) -> Result<String> {
    let (status, said, errors) = world.run(&[&["receipt"], arguments].concat())?;
    ensure!(status.success(), "receipt {arguments:?}: {said} {errors}");
    Ok(said)
}

/// What a receipt says of a job.
fn statement(world: &World, job: &str) -> Result<Value> {
    Ok(serde_json::from_str(&said(world, &["show", job])?)?)
}

/// How `receipt verify` ends, and what it says.
pub(crate) fn verify(world: &World, job: &str) -> Result<(Option<i32>, String)> {
    let (status, said, errors) = world.run(&["receipt", "verify", job])?;
    Ok((status.code(), format!("{said}{errors}")))
}

/// What stock OpenSSH thinks of a statement and its signature.
fn ssh_keygen(world: &World, statement: &str, signature: &str, signers: &str) -> Result<Output> {
    let place = |name| world.directory().join(name);
    fs::write(place("receipt.json"), statement)?;
    fs::write(place("receipt.sig"), signature)?;
    fs::write(place("allowed_signers"), signers)?;
    let mut command = Command::new("ssh-keygen");
    command.args(["-Y", "verify", "-I", "retention-appliance", "-n", "retention-receipt", "-f"]);
    command.arg(place("allowed_signers")).arg("-s").arg(place("receipt.sig"));
    Ok(command.stdin(File::open(place("receipt.json"))?).output()?)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_gets_a_receipt_that_says_all_of_it_and_that_ssh_keygen_accepts() -> Result<()> {
    let mut world = World::start(Options::default()).await?;
    let (one, two) = (Sample::new(50), Sample::new(60));
    stored(&mut world, 1, &one.bytes()?).await?;
    let bytes = two.bytes()?;
    stored(&mut world, 2, &bytes).await?;

    let text = said(&world, &["show", &job(2)])?;
    let signature = said(&world, &["show", &job(2), "--signature"])?;
    let signers = said(&world, &["key"])?;
    let accepted = ssh_keygen(&world, &text, &signature, &signers)?;
    ensure!(accepted.status.success(), "{accepted:?}");
    for changed in [text.replace("\"size_bytes\": ", "\"size_bytes\": 1"), text.clone() + " "] {
        ensure!(changed != text);
        let refused = ssh_keygen(&world, &changed, &signature, &signers)?;
        ensure!(!refused.status.success(), "changed and accepted: {refused:?}");
    }

    let said_of_two: Value = serde_json::from_str(&text)?;
    ensure!(said_of_two["number"] == 2 && said_of_two["counts"]["records"]["message"] == 60);
    ensure!(said_of_two["counts"]["new_records"]["message"] == 10, "50 came before: {text}");
    ensure!(said_of_two["backup"]["sha256"] == sha256(&bytes) && text.contains(&name(2)));
    ensure!(said_of_two["previous"] == sha256(said(&world, &["show", "1"])?));
    ensure!(said_of_two["stored"]["acknowledged"] == 1, "{text}");
    let listed: BTreeMap<String, String> =
        two.entries().iter().map(|(name, contents)| (name.clone(), sha256(contents))).collect();
    ensure!(entries(&said_of_two)? == listed, "{text}");
    ensure!(said_of_two["entries"][0]["protection"] == "AES-256", "{text}");
    let fingerprint = output(Command::new("ssh-keygen").arg("-lf").arg(world.sftp.public_key()))?;
    let fingerprint = fingerprint.split(' ').nth(1).context("a fingerprint")?.to_owned();
    ensure!(said_of_two["sender"]["authorized_keys"][0] == fingerprint.as_str(), "{text}");
    ensure!(!text.contains(KEY), "the Archive Key stands in it");
    let marks = said_of_two["archive_keys"]["marks"].as_array().context("marks")?;
    ensure!(marks.len() == 1 && statement(&world, "1")?["archive_keys"]["marks"][0] == marks[0]);

    let key = world.state_directory().join("receipts/signing_key");
    ensure!(fs::metadata(&key)?.mode() & 0o777 == 0o600);
    let (code, verified) = verify(&world, &job(2))?;
    ensure!(code == Some(0) && verified.contains("2 receipts of the chain, 3 media"), "{verified}");
    world.daemon.stop(Signal::SIGTERM).await?;
    world.start_daemon().await?;
    ensure!(said(&world, &["key"])? == signers, "the key did not outlast a restart");
    ensure!(said(&world, &["list"])?.lines().count() == 2);
    let (status, _, errors) = world.run(&["receipt", "show", &job(7)])?;
    ensure!(status.code() == Some(2) && errors.contains("there is no receipt of"), "{errors}");
    Ok(())
}

/// The entries of a statement: name and SHA-256.
fn entries(statement: &Value) -> Result<BTreeMap<String, String>> {
    let text = |value: &Value| value.as_str().map(str::to_owned).context("a text");
    let entries = statement["entries"].as_array().context("there are entries")?;
    entries.iter().map(|entry| Ok((text(&entry["name"])?, text(&entry["sha256"])?))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_receipt_of_each_fixture_has_the_digest_of_every_medium() -> Result<()> {
    let mut world = World::start(Options::default()).await?;
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    for line in fs::read_to_string(fixtures.join("expected.jsonl"))?.lines() {
        let expected: Value = serde_json::from_str(line)?;
        let file = expected["file"].as_str().context("a file")?;
        let name: BackupName = file.parse()?;
        world.upload(&fixtures.join(file)).await?;
        world.wait_state(name.job.as_str(), State::Stored, PATIENCE).await?;
        world.receipt(name.job.as_str()).await?;
        let statement = statement(&world, name.job.as_str())?;
        ensure!(statement["counts"]["records"] == expected["records"], "{file}: {statement}");
        let media = statement["entries"].as_array().context("entries")?.iter();
        let media = media.filter(|entry| entry["holds"] == "medium");
        let digest = |entry: &Value| entry["sha256"].as_str().unwrap_or_default().to_owned();
        let mut found: Vec<String> = media.map(digest).collect();
        let all = expected["media_sha256"].as_object().context("media")?.values();
        let mut all: Vec<String> = all.filter_map(Value::as_str).map(str::to_owned).collect();
        found.sort();
        all.sort();
        ensure!(found == all, "{file}: {statement}");
        let (code, verified) = verify(&world, name.job.as_str())?;
        ensure!(code == Some(0), "{file}: {verified}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_the_receipt_or_after_it_there_is_exactly_one() -> Result<()> {
    let mut world = World::start(Options::default()).await?;
    let database = world.database();
    let receipts = database.collection::<Document>("receipts.files");
    let claimed = world.state_directory().join("claimed");

    // MongoDB takes the statement, and refuses the receipt: stored, and no further.
    let nothing = doc! { "collMod": "receipts.files", "validator": { "none": true } };
    database.run_command(nothing).await?;
    let bytes = Sample::new(50).bytes()?;
    world.upload(&archives::write(world.directory(), 1, &bytes)?).await?;
    world.wait_state(&job(1), State::Stored, PATIENCE).await?;
    let parts = database.collection::<Document>("receipts.chunks");
    until("a receipt was tried", || async { Ok(parts.count_documents(doc! {}).await? > 0) })
        .await?;
    world.daemon.stop(Signal::SIGKILL).await?;
    ensure!(receipts.count_documents(doc! {}).await? == 0);
    ensure!(fs::read_dir(&claimed)?.count() == 1, "the archive went before there was a receipt");
    database.run_command(doc! { "collMod": "receipts.files", "validator": {} }).await?;
    world.start_daemon().await?;
    world.receipt(&job(1)).await?;
    until("the archive is kept", || async { Ok(fs::read_dir(&claimed)?.next().is_none()) }).await?;

    // There is a receipt, and the archive cannot be moved.
    let archive = world.state_directory().join("archive");
    let away = archive.with_extension("away");
    fs::rename(&archive, &away)?;
    fs::write(&archive, "in the way")?;
    stored(&mut world, 2, &Sample::new(60).bytes()?).await?;
    world.daemon.stop(Signal::SIGKILL).await?;
    ensure!(fs::read_dir(&claimed)?.count() == 1, "the archive is gone");
    fs::remove_file(&archive)?;
    fs::rename(&away, &archive)?;
    world.start_daemon().await?;
    until("the archive is kept", || async { Ok(fs::read_dir(&claimed)?.next().is_none()) }).await?;

    stored(&mut world, 3, &Sample::new(70).bytes()?).await?;
    ensure!(receipts.count_documents(doc! {}).await? == 3);
    ensure!(parts.distinct("files_id", doc! {}).await?.len() == 3, "statements of no receipt");
    let (code, verified) = verify(&world, &job(3))?;
    ensure!(code == Some(0) && verified.contains("3 receipts of the chain"), "{verified}");
    let (code, verified) = verify(&world, &job(1))?;
    ensure!(
        code == Some(0) && verified.contains("the archive is as it was received"),
        "{verified}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn online_alone_on_two_data_members_the_archive_goes_after_the_receipt() -> Result<()> {
    let sections = "[modes]\noffline = false\n".to_owned();
    let options = Options { sections, members: 3, ..Options::default() };
    let mut world = World::start(options).await?;
    stored(&mut world, 1, &Sample::new(50).bytes()?).await?;
    let statement = statement(&world, &job(1))?;
    ensure!(statement["stored"]["modes"] == serde_json::json!(["online"]), "{statement}");
    let stored = &statement["stored"];
    ensure!(stored["data_members"] == 2 && stored["acknowledged"] == 2, "{statement}");
    let claimed = world.state_directory().join("claimed");
    until("the archive is gone", || async { Ok(fs::read_dir(&claimed)?.next().is_none()) }).await?;
    let (code, said) = verify(&world, &job(1))?;
    ensure!(code == Some(0) && said.contains("the archive was not compared"), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn offline_alone_the_receipt_has_every_entry_and_vouches_for_the_archive() -> Result<()> {
    let sections = "[modes]\nonline = false\n".to_owned();
    let mut world = World::start(Options { sections, ..Options::default() }).await?;
    let large = vec![7; 5 << 20];
    let mut sample = Sample::new(50).with("data-retention/large.bin", large);
    // Names so long that the statement has more than one part.
    for n in 0..50 {
        let name = format!("data-retention/{}{n}.bin", "long ".repeat(6000));
        sample = sample.with(&name, n.to_string());
    }
    stored(&mut world, 1, &sample.bytes()?).await?;
    let statement = statement(&world, &job(1))?;
    let listed = sample.entries().iter().map(|(name, bytes)| (name.clone(), sha256(bytes)));
    ensure!(entries(&statement)? == listed.collect::<BTreeMap<_, _>>(), "{statement}");
    ensure!(statement["counts"]["records"]["message"] == 50, "{statement}");
    ensure!(statement["counts"]["new_records"].is_null(), "{statement}");
    let parts = world.database().collection::<Document>("receipts.chunks");
    ensure!(parts.count_documents(doc! {}).await? == 2);
    let kept = world.state_directory().join("archive/2021").join(name(1));
    until("the archive is kept", || async { Ok(kept.exists()) }).await?;
    let (code, said) = verify(&world, &job(1))?;
    ensure!(code == Some(0) && said.contains("the archive is as it was received"), "{said}");
    fs::remove_file(&kept)?;
    ensure!(verify(&world, &job(1))?.0 == Some(1));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_portal_hands_out_what_ssh_keygen_needs_and_writes_down_who_took_it() -> Result<()> {
    let mut world = World::start(Options::default()).await?;
    let receipt = stored(&mut world, 1, &Sample::new(50).bytes()?).await?;
    let id = receipt.get_str("_id")?;
    let mut browser = Browser::new(&world)?;
    browser.sign_in("Admin", &Options::default().admin_password).await?;
    let upload = receipt.get_document("metadata")?.get_str("upload")?;
    let path = format!("/retention/backups/{upload}");
    let page = browser.get(&path).await?.body;
    ensure!(page.contains(">Receipt</h2>") && page.contains(id), "{page}");
    ensure!(page.contains("SHA256:") && page.contains(&format!("{path}/receipt")), "{page}");

    let statement = browser.get(&format!("{path}/receipt")).await?;
    ensure!(sha256(&statement.body) == id, "{statement:?}");
    let named = statement.header("content-disposition").contains(".receipt.json");
    ensure!(named && statement.header("content-type") == "application/json", "{statement:?}");
    let signature = browser.get(&format!("{path}/receipt/signature")).await?.body;
    let signers = browser.get(&format!("{path}/receipt/signers")).await?.body;
    ensure!(signers == said(&world, &["key"])?, "{signers}");
    let accepted = ssh_keygen(&world, &statement.body, &signature, &signers)?;
    ensure!(accepted.status.success(), "{accepted:?}");

    let audit = world.database().collection::<Document>("audit");
    let taken = doc! { "action": "download", "subject": { "$regex": "/receipt" } };
    ensure!(audit.count_documents(taken).await? == 3);
    let files = browser.get("/records/files").await?.body;
    ensure!(files.contains("note 1.txt") && !files.contains("receipt"), "{files}");
    // What came before there were receipts has none, and the page says so.
    world.database().collection::<Document>("receipts.files").delete_one(doc! {}).await?;
    let page = browser.get(&path).await?.body;
    ensure!(page.contains("one that was stored by a version without receipts"), "{page}");
    ensure!(browser.get(&format!("{path}/receipt")).await?.status == 404);
    Ok(())
}
