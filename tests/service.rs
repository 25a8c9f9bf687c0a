//! Both sides of the cycle: what the service holds is uploaded, stored by the appliance, and
//! deleted from the service, exactly that and nothing else.

use std::{collections::BTreeMap, fs, time::Duration};

use anyhow::{Context, Result, ensure};
use futures_util::TryStreamExt;
use mongodb::bson::{Document, doc};
use nix::sys::signal::Signal;
use retention::backup::State;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::world::{Options, World, service::Service, until};

const PATIENCE: Duration = Duration::from_secs(90);

/// The newest of the world's Archive Keys.
const KEY: &str = "Str0ng!Key#2021";

/// What is never deleted.
pub(crate) const STAYS: [&str; 4] = ["staff", "contact", "avatar", "tag-icon"];

/// Records' ids by their dataset.
pub(crate) type Ids = BTreeMap<String, Vec<String>>;

/// A world and a service that may upload to it, and does once a day what is older than 2 days.
pub(crate) async fn both() -> Result<(World, Service)> {
    both_with(Options { grace_seconds: 600, ..Options::default() }).await
}

async fn both_with(options: Options) -> Result<(World, Service)> {
    let world = World::start(options).await?;
    let service = Service::start(&world).await?;
    service.introduce(&world).await?;
    let settings = Service::settings(&world, KEY, 2)?;
    service.ask("PUT", "/connector/v1/settings", settings).await?;
    Ok((world, service))
}

pub(crate) fn ids(answer: &Value) -> Result<Ids> {
    let mut ids: Ids = serde_json::from_value(answer["records"].clone())?;
    ids.values_mut().for_each(|ids| ids.sort());
    ids.retain(|_, ids| !ids.is_empty());
    Ok(ids)
}

/// What the service says that a backup held.
pub(crate) async fn held(service: &Service, job: &str) -> Result<Ids> {
    ids(&service.get(&format!("/simulation/records?backup={job}")).await?)
}

/// What the appliance has stored that this backup brought.
pub(crate) async fn stored(world: &World, job: &str) -> Result<Ids> {
    let mut found = Ids::new();
    for name in world.database().list_collection_names().await? {
        let records = world.database().collection::<Document>(&name);
        let filter = doc! { "backup": job, "raw": { "$exists": true } };
        let mut records = records.find(filter).await?;
        while let Some(record) = records.try_next().await? {
            let id = record.get_str("id")?.to_owned();
            found.entry(record.get_str("dataset")?.to_owned()).or_default().push(id);
        }
    }
    found.values_mut().for_each(|ids| ids.sort());
    Ok(found)
}

/// The SHA-256 of the archive that the appliance holds.
async fn digest(world: &World, job: &str) -> Result<String> {
    let backup = world.backup(job).await?.context("the appliance has no such backup")?;
    Ok(backup.get_str("sha256")?.to_owned())
}

async fn delete(service: &Service, job: &str, sha256: &str) -> Result<(u16, Value)> {
    let path = format!("/connector/v1/backups/{job}/deletion");
    service.call("POST", &path, Some(&json!({ "sha256": sha256 }))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_backup_is_stored_and_exactly_what_it_held_is_deleted() -> Result<()> {
    let (mut world, mut service) = both().await?;
    let before = service.get("/simulation/records").await?;
    let job = service.advance().await?;
    let line = service.wait_status(&job, "Backup uploaded").await?;
    world.wait_state(&job, State::Stored, PATIENCE).await?;

    // Record by record what the service held, in all of its datasets.
    let held = held(&service, &job).await?;
    ensure!(held.len() == 11, "some datasets are missing: {:?}", held.keys());
    ensure!(stored(&world, &job).await? == held, "the appliance has stored something else");
    let backup = world.backup(&job).await?.context("it is stored")?;
    ensure!(backup.get_document("findings")?.is_empty(), "{backup}");
    ensure!(line["file_name"] == backup.get_str("file")?, "{line}");
    ensure!(line["archive_size_bytes"] == backup.get_i64("size_bytes")?, "{line}");
    let data = backup.get_document("progress")?.get_i64("media_bytes")?;
    ensure!(line["total_data_size_bytes"].as_i64() > Some(data), "{line}");
    let sha256 = digest(&world, &job).await?;
    ensure!(!line.to_string().contains(&sha256), "the service tells the digest: {line}");

    // One who holds something else gets nothing deleted.
    let (status, problem) = delete(&service, &job, &"0".repeat(64)).await?;
    ensure!((status, &problem["code"]) == (409, &"digest-differs".into()), "{status} {problem}");
    ensure!(service.get("/simulation/records").await? == before, "something was deleted");

    // The first deletion fails half-way, and the service is killed before it is tried again.
    service.ask("PUT", "/simulation/mischief", json!({ "fail_deletion": true })).await?;
    let (status, answer) = delete(&service, &job, &sha256).await?;
    ensure!((status, &answer["status"]) == (202, &"Deleting data...".into()), "{answer}");
    let failed = service.wait_status(&job, "Failed to delete data").await?;
    ensure!(failed["trouble"].is_string(), "{failed}");
    service.stop(Signal::SIGKILL).await?;
    service.resume().await?;
    delete(&service, &job, &sha256).await?;
    let completed = service.wait_status(&job, "Completed").await?;
    ensure!(delete(&service, &job, &sha256).await?.0 == 200, "asking again is no trouble");

    // Gone is what was held, except for lists and accounts; all else is there.
    let after = service.get("/simulation/records").await?;
    let mut expected = ids(&before)?;
    for (dataset, ids) in &mut expected {
        if !STAYS.contains(&dataset.as_str()) {
            ids.retain(|id| !held.get(dataset).is_some_and(|held| held.contains(id)));
        }
    }
    expected.retain(|_, ids| !ids.is_empty());
    ensure!(ids(&after)? == expected, "something else was deleted");
    for (dataset, ids) in held.iter().filter(|(dataset, _)| !STAYS.contains(&dataset.as_str())) {
        let told = &completed["deletion"]["deleted_records"][dataset.as_str()];
        ensure!(told.as_u64() == Some(ids.len() as u64), "{dataset}: {completed}");
    }
    let media = |answer: &Value| answer["media"].as_array().map_or(0, Vec::len) as u64;
    let gone = completed["deletion"]["deleted_media"].as_u64();
    ensure!(gone > Some(0) && gone == Some(media(&before) - media(&after)), "{completed}");
    gone_from_the_rooms(&service, &held).await?;
    let archive = service.state().join("archives").join(line["file_name"].as_str().unwrap_or(""));
    ensure!(!archive.exists(), "the service keeps an archive of what it deleted");
    Ok(())
}

/// The rooms are still there, and no deleted message is in any of them.
pub(crate) async fn gone_from_the_rooms(service: &Service, held: &Ids) -> Result<()> {
    let rooms = service.get("/simulation/rooms").await?;
    let rooms = rooms.as_array().context("a list of rooms")?;
    let messages: Vec<&Value> =
        rooms.iter().filter_map(|room| room["messages"].as_array()).flatten().collect();
    ensure!(!messages.is_empty(), "the newest messages were deleted as well");
    let page = service.get("/").await?;
    let page = page.as_str().context("a page")?;
    ensure!(page.contains("Completed") && page.contains(rooms[0]["room"].as_str().unwrap_or("?")));
    for id in &held["message"] {
        ensure!(!messages.iter().any(|message| message["id"] == *id), "{id} is still there");
        ensure!(!page.contains(id), "the page shows {id}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_broke_off_is_resumed_also_by_a_service_that_was_killed() -> Result<()> {
    let (mut world, mut service) = both().await?;
    // What cannot be compressed, so that an upload takes its time; on a day that is old enough.
    let noise = json!({ "days": 1, "noise_bytes": 6_000_000 });
    service.ask("POST", "/simulation/traffic", noise).await?;
    for _ in 0..3 {
        let job = service.advance().await?;
        service.wait_status(&job, "Backup uploaded").await?;
        world.wait_state(&job, State::Stored, PATIENCE).await?;
    }
    service.ask("PUT", "/simulation/mischief", json!({ "abort_upload": true })).await?;
    let job = service.advance().await?;
    let line = service.wait_status(&job, "Backup uploaded").await?;
    ensure!(line["attempts"].as_u64() > Some(1), "it did not break off: {line}");
    let size = line["archive_size_bytes"].as_u64();
    ensure!(size > Some(6_000_000), "the large file is not in it: {line}");
    world.wait_state(&job, State::Stored, PATIENCE).await?;
    ensure!(service.log().contains("told to break off"), "{}", service.log());

    // Killed in the middle of an upload, twice. It goes on under the same job.
    let slow = json!({ "slow_kbit_per_second": 12_000 });
    service.ask("PUT", "/simulation/mischief", slow).await?;
    let job = service.advance().await?;
    for least in [500_000, 2_000_000] {
        let under_way = |backup: &Value| backup["sent_bytes"].as_u64() > Some(least);
        service.wait(&job, "some of it is sent", under_way).await?;
        service.stop(Signal::SIGKILL).await?;
        // Its client has ended with it: the file does not grow any more.
        let partial = world.inbox().join(line_file(&world, &job)?);
        let part = fs::metadata(&partial)?.len();
        ensure!(Some(part) < size, "the client went on alone");
        service.resume().await?;
    }
    service.ask("PUT", "/simulation/mischief", json!({})).await?;
    let line = service.wait_status(&job, "Backup uploaded").await?;
    ensure!(line["attempts"].as_u64() > Some(2), "{line}");
    world.wait_state(&job, State::Stored, PATIENCE).await?;
    let archive = service.state().join("archives").join(line["file_name"].as_str().unwrap_or(""));
    ensure!(digest(&world, &job).await? == hex::encode(Sha256::digest(fs::read(archive)?)));
    let log = service.get("/connector/v1/backups").await?;
    ensure!(log["backups"].as_array().map(Vec::len) == Some(5), "a backup was made twice: {log}");
    Ok(())
}

/// The name of the file of a job that lies in the inbox.
fn line_file(world: &World, job: &str) -> Result<String> {
    let mut names = fs::read_dir(world.inbox())?
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.find(|name| name.contains(job)).context("no part of it is in the inbox")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_rejected_is_sent_again_and_what_is_sent_twice_is_one_backup() -> Result<()> {
    let (mut world, service) = both().await?;
    service.ask("PUT", "/simulation/mischief", json!({ "corrupt_upload": true })).await?;
    let job = service.advance().await?;
    service.wait_status(&job, "Backup uploaded").await?;
    world.wait_state(&job, State::Rejected, PATIENCE).await?;
    let path = format!("/connector/v1/backups/{job}/upload");
    let reason = json!({ "reason": "an entry does not fit its code" });
    let again = service.ask("POST", &path, reason.clone()).await?;
    ensure!(again["status"] == "Uploading backup...", "{again}");
    service.wait_status(&job, "Backup uploaded").await?;
    world.wait_state(&job, State::Stored, PATIENCE).await?;
    let held_ids = held(&service, &job).await?;
    ensure!(held_ids.len() == 11 && stored(&world, &job).await? == held_ids);

    // An Archive Key that changes is that of the next backup; this one is sent twice.
    let mut settings = Service::settings(&world, "0lder?Key#2019", 2)?;
    settings["online_mode"] = Value::Null;
    service.ask("PUT", "/connector/v1/settings", settings).await?;
    service.ask("PUT", "/simulation/mischief", json!({ "upload_twice": true })).await?;
    let job = service.advance().await?;
    service.wait_status(&job, "Backup uploaded").await?;
    world.wait_state(&job, State::Stored, PATIENCE).await?;
    until("the repetition is counted", || async {
        let backup = world.backup(&job).await?.unwrap_or_default();
        Ok(backup.get_i64("repeats").is_ok_and(|n| n == 1)
            || backup.get_i32("repeats").is_ok_and(|n| n == 1))
    })
    .await?;

    // Off stops the schedule, says so, and forgets nothing.
    let off = service.ask("PUT", "/connector/v1/settings", json!({ "enabled": false })).await?;
    ensure!((&off["enabled"], &off["sftp"]["address"]) == (&false.into(), &"127.0.0.1".into()));
    ensure!(service.get("/connector/v1/service").await?["next_backup"].is_null());
    let (status, problem) = service.call("POST", "/simulation/advance", None).await?;
    ensure!((status, &problem["code"]) == (409, &"not-configured".into()), "{problem}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_is_tested_and_a_new_key_takes_over_without_a_gap() -> Result<()> {
    let world = World::start(Options::default()).await?;
    let service = Service::start(&world).await?;
    let test = |mode: &str| {
        let body = json!({ "mode": mode });
        let service = &service;
        async move { service.call("POST", "/connector/v1/settings/test", Some(&body)).await }
    };
    let outcomes = |answer: &Value| -> Vec<String> {
        let steps = answer["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
        steps.iter().map(|step| step["outcome"].as_str().unwrap_or("?").to_owned()).collect()
    };
    ensure!(test("offline").await?.1["code"] == "not-configured");
    let settings = Service::settings(&world, KEY, 2)?;
    service.ask("PUT", "/connector/v1/settings", settings.clone()).await?;
    let (_, refused) = test("offline").await?;
    let expected = ["done", "done", "failed", "not_done", "not_done"];
    ensure!(outcomes(&refused) == expected, "{refused}");
    ensure!(
        refused["steps"][2]["said"].to_string().contains("refuses our public key"),
        "{refused}"
    );
    service.introduce(&world).await?;
    let (_, done) = test("offline").await?;
    ensure!(done["ok"] == true && outcomes(&done) == ["done"; 5], "{done}");
    ensure!(fs::read_dir(world.inbox())?.count() == 0, "something was left behind");
    let (_, done) = test("online").await?;
    ensure!(done["ok"] == true && outcomes(&done) == ["done"; 3], "{done}");

    // A server that shows another host key is spoken to by nobody.
    let mut wrong = settings.clone();
    wrong["sftp"]["host_key_fingerprints"] = json!([format!("SHA256:{}", "A".repeat(43))]);
    service.ask("PUT", "/connector/v1/settings", wrong).await?;
    let (_, other) = test("offline").await?;
    ensure!(outcomes(&other)[1] == "failed", "{other}");
    service.ask("PUT", "/connector/v1/settings", settings).await?;

    // The new key is not authorised yet, and the old one still lets the service in.
    let old = service.get("/connector/v1/sftp-key").await?;
    let replace = json!({ "replaces": old["fingerprint"] });
    let new = service.ask("POST", "/connector/v1/sftp-key", replace.clone()).await?;
    ensure!(new["previous_fingerprint"] == old["fingerprint"], "{new}");
    let (status, again) = service.call("POST", "/connector/v1/sftp-key", Some(&replace)).await?;
    ensure!((status, &again["code"]) == (409, &"another-key".into()), "{again}");
    let (_, done) = test("offline").await?;
    ensure!(done["ok"] == true, "there is a gap: {done}");
    service.introduce(&world).await?;
    let (_, done) = test("offline").await?;
    ensure!(done["ok"] == true, "the new key does not work: {done}");
    let key = service.get("/connector/v1/sftp-key").await?;
    ensure!(key["previous_fingerprint"].is_null(), "the old key is still offered: {key}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_has_the_token_may_call_and_every_fault_is_told() -> Result<()> {
    let world = World::start(Options::default()).await?;
    let mut service = Service::start(&world).await?;
    let anybody = json!({});
    for (method, path) in [
        ("GET", "/"),
        ("GET", "/connector/v1/service"),
        ("PUT", "/connector/v1/settings"),
        ("POST", "/connector/v1/sftp-key"),
        ("GET", "/connector/v1/backups/changes?since=0"),
        ("GET", "/simulation/rooms"),
        ("GET", "/nowhere"),
    ] {
        for token in [None, Some("0123456789abcdef0123456789abcdef")] {
            let (status, said) = service.request(method, path, Some(&anybody), token).await?;
            ensure!(status == 401, "{method} {path} with {token:?}: {status} {said}");
        }
    }
    let faults = |value: Value| value["errors"][0]["pointer"].as_str().map(str::to_owned);
    let good = Service::settings(&world, KEY, 2)?;
    for (place, value, pointer) in [
        ("/general/archive_key", json!("nodigits"), "/general/archive_key"),
        ("/general/schedule_hour_utc", json!(24), "/general/schedule_hour_utc"),
        ("/sftp/address", json!("-oProxyCommand=id"), "/sftp/address"),
        ("/sftp/port", json!("a text"), ""),
    ] {
        let mut settings = good.clone();
        *settings.pointer_mut(place).context("a place")? = value;
        let (status, answer) =
            service.call("PUT", "/connector/v1/settings", Some(&settings)).await?;
        ensure!(status == 422 && answer["code"] == "invalid", "{place}: {answer}");
        ensure!(faults(answer).as_deref() == Some(pointer), "{place}");
    }
    let job = "2ed1076d-f512-4316-be8f-e6d1a3a6ae52";
    for (method, path, body, status, code) in [
        ("GET", "/connector/v1/backups/changes?since=7", json!(null), 409, "unknown-revision"),
        ("GET", "/connector/v1/backups/changes", json!(null), 422, "invalid"),
        ("GET", "/connector/v1/backups?limit=0", json!(null), 422, "invalid"),
        ("GET", &format!("/connector/v1/backups/{job}"), json!(null), 404, "no-such-backup"),
        ("DELETE", "/connector/v1/settings", json!(null), 405, "wrong-method"),
        ("GET", "/connector/v1/nothing", json!(null), 404, "no-such-place"),
        ("POST", "/connector/v1/sftp-key", json!({"replaces": "x"}), 422, "invalid"),
        ("PUT", "/connector/v1/settings", json!("x".repeat(70_000)), 413, "too-large"),
    ] {
        let body = Some(&body).filter(|body| !body.is_null());
        let (found, answer) = service.call(method, path, body).await?;
        ensure!(found == status && answer["code"] == code, "{method} {path}: {found} {answer}");
    }
    // Without a simulated time there is nothing to simulate.
    service.stop(Signal::SIGTERM).await?;
    let real = Service::start_with(&world, &[]).await?;
    ensure!(real.call("POST", "/simulation/advance", None).await?.0 == 404);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_what_the_service_says_or_in_its_arguments() -> Result<()> {
    let (mut world, service) = both().await?;
    let job = service.advance().await?;
    service.ask("PUT", "/simulation/mischief", json!({ "slow_kbit_per_second": 4000 })).await?;
    service.wait_status(&job, "Backup uploaded").await?;
    world.wait_state(&job, State::Stored, PATIENCE).await?;
    let mut said = service.log();
    for path in ["/connector/v1/settings", "/connector/v1/service", "/connector/v1/backups", "/"] {
        said += &service.get(path).await?.to_string();
    }
    let mut command_lines = String::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        if let Ok(line) = fs::read(entry.path().join("cmdline")) {
            command_lines += &String::from_utf8_lossy(&line);
        }
    }
    ensure!(command_lines.contains("retention-service"), "nothing was looked at");
    for secret in [KEY, "Correct-Horse-7-Staple", service.token.as_str()] {
        ensure!(!said.contains(secret), "it says {secret}");
        ensure!(!command_lines.contains(secret), "a command line has {secret}");
    }
    Ok(())
}
