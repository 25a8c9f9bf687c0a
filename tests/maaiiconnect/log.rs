//! Backup Log: when backups come, what a file is called and holds, and what the log says of it.

use std::{
    borrow::Cow,
    collections::BTreeSet,
    fs::File,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use retention::{backup::BackupName, records::Dataset};
use serde_json::{Value, json};
use zip::ZipArchive;

use super::stage::{Backup, HOUR, KEY, Stage, on_stage};
use crate::{
    service::{held, stored},
    world::process::GLANCE,
};

/// The archive that the appliance keeps of a backup.
pub(super) fn archive(stage: &Stage, backup: &Backup) -> Result<ZipArchive<File>> {
    let file = backup.stored.get_str("file")?;
    let taken = file.parse::<BackupName>()?.taken.strftime("%Y").to_string();
    let kept = stage.world.state_directory().join("archive").join(taken).join(file);
    let kept = File::open(&kept).with_context(|| kept.display().to_string())?;
    Ok(ZipArchive::new(kept)?)
}

/// The newest line of the service's log.
async fn newest(stage: &Stage) -> Result<Value> {
    let log = stage.service.get("/connector/v1/backups?limit=1").await?;
    Ok(log["backups"][0].clone())
}

#[test]
fn once_retention_is_on_a_backup_comes_at_each_hour_of_the_schedule() -> Result<()> {
    on_stage(async |stage| {
        let mut last = None;
        for _ in 0..2 {
            stage.service.ask("POST", "/simulation/traffic", json!({})).await?;
            let clock = stage.service.get("/simulation/clock").await?;
            let due: jiff::Timestamp = clock["next_backup"].as_str().context("a time")?.parse()?;
            let hour = due.to_zoned(jiff::tz::TimeZone::UTC).hour();
            ensure!(hour == i8::try_from(HOUR)?, "{due} is not at {HOUR}");
            let before = newest(stage).await?["job_id"].clone();

            // A minute before, nothing comes. The service looks once a second.
            let set = async |time: jiff::Timestamp| {
                stage.service.ask("PUT", "/simulation/clock", json!({ "time": time })).await
            };
            set(due - jiff::SignedDuration::from_secs(60)).await?;
            let looked = Instant::now() + Duration::from_millis(2500);
            while Instant::now() < looked {
                ensure!(newest(stage).await?["job_id"] == before, "one came before its hour");
                tokio::time::sleep(GLANCE).await;
            }
            // At the hour one comes, and nobody asks for it.
            set(due).await?;
            let deadline = Instant::now() + Duration::from_secs(30);
            while newest(stage).await?["job_id"] == before {
                ensure!(Instant::now() < deadline, "none came at {due}");
                tokio::time::sleep(GLANCE).await;
            }
            let line = newest(stage).await?;
            ensure!(line["created"] == due.to_string(), "{line}");
            stage.stored(line["job_id"].as_str().context("a job")?).await?;
            let day = jiff::SignedDuration::from_hours(24);
            ensure!(last.is_none_or(|last| due == last + day), "{last:?} and {due}");
            last = Some(due);
        }
        Ok(())
    })
}

/// How many lines the Backup Log has, on all of its pages.
async fn lines(stage: &mut Stage) -> Result<usize> {
    let log: Value = serde_json::from_str(&stage.page("/retention/log.json").await?)?;
    log["backups"].as_array().map(Vec::len).context("lines")
}

#[test]
fn after_every_upload_the_backup_log_has_one_line_more() -> Result<()> {
    on_stage(async |stage| {
        for _ in 0..2 {
            let before = lines(stage).await?;
            let backup = stage.backup().await?;
            stage.line(backup.stored.get_str("file")?).await?;
            let after = lines(stage).await?;
            ensure!(after == before + 1, "{before} lines became {after}");
        }
        Ok(())
    })
}

#[test]
fn the_backup_log_is_under_administration_security_retention() -> Result<()> {
    on_stage(async |stage| {
        let home = stage.page("/").await?;
        ensure!(home.contains(r#"href="/retention/backups""#), "no way leads there: {home}");
        let parts = ["Administration", "Security", "Retention", "Backup Log"];
        stage.shows("/retention/backups", &parts).await
    })
}

#[test]
fn a_line_has_date_and_time_file_name_total_data_size_number_of_files_and_status() -> Result<()> {
    on_stage(async |stage| {
        let heads = ["Date and time", "File name", "Total data size", "Backup files", "Status"];
        stage.shows("/retention/backups", &heads).await?;
        let Backup { line: theirs, .. } = stage.first.clone();
        let file = theirs["file_name"].as_str().context("a name")?;
        let ours = stage.line(file).await?;
        let created = theirs["created"].as_str().context("a time")?;
        let files = theirs["total_backup_files"].as_u64().context("a number")?;
        for part in [file, &created[..19], &format!(">{files}<"), "Backup uploaded"] {
            ensure!(ours.contains(part), "there is no {part:?} in it: {ours}");
        }
        // The size is that of all files, uncompressed, on both sides, and not that of the archive.
        let bytes = theirs["total_data_size_bytes"].as_u64().context("a size")?;
        ensure!(theirs["archive_size_bytes"].as_u64() != Some(bytes), "{theirs}");
        let export = stage.page(&format!("/retention/log.json?q={}", stage.first.job)).await?;
        let export: serde_json::Value = serde_json::from_str(&export)?;
        let ours = &export["backups"][0];
        ensure!(ours["total_data_size_bytes"] == bytes, "{bytes} bytes came: {ours}");
        ensure!(ours["archive_size_bytes"] == theirs["archive_size_bytes"], "{ours}");
        let page = stage.first.page.clone();
        stage.shows(&page, &["<dt>Total data size</dt>", "<dt>Archive size</dt>"]).await?;
        Ok(())
    })
}

#[test]
fn a_backup_file_is_named_by_service_id_job_id_of_36_characters_and_time() -> Result<()> {
    on_stage(async |stage| {
        let file = stage.first.stored.get_str("file")?;
        let parts: Vec<&str> = file.trim_end_matches(".zip").split('_').collect();
        let [backup, service, job, time] = parts[..] else { anyhow::bail!("{file} is no name") };
        let known = stage.service.get("/connector/v1/service").await?;
        ensure!(backup == "backup" && known["service_id"] == service, "{file}");
        ensure!(job.len() == 36 && job == stage.first.job, "{file}");
        let created = stage.first.line["created"].as_str().context("a time")?;
        let digits: String = created.chars().filter(char::is_ascii_digit).collect();
        ensure!(time.len() == 14 && digits.starts_with(time), "{file} is of {created}");
        Ok(())
    })
}

/// The record files of the four folders with database records.
const RECORD_FILES: [(Dataset, &str); 12] = [
    (Dataset::Staff, "lc-data-server/staff.json"),
    (Dataset::Enquiry, "lc-data-server/enquiry.json"),
    (Dataset::Message, "history/message.json"),
    (Dataset::Call, "history/call.json"),
    (Dataset::Conference, "history/conference.json"),
    (Dataset::Voicemail, "history/voicemail.json"),
    (Dataset::Recording, "history/recording.json"),
    (Dataset::Other, "history/survey.json"),
    (Dataset::File, "file-management/file.json"),
    (Dataset::Avatar, "file-management/avatar.json"),
    (Dataset::TagIcon, "file-management/tag-icon.json"),
    (Dataset::Contact, "dynamic-phonebook/contact.json"),
];

#[test]
fn a_zip_has_the_five_folders_with_record_files_and_shared_files() -> Result<()> {
    on_stage(async |stage| {
        let held = held(&stage.service, &stage.first.job).await?;
        let mut archive = archive(stage, &stage.first)?;
        let names = archive.file_names().collect::<Result<Vec<_>, _>>()?;
        let mut names: BTreeSet<String> = names.into_iter().map(Cow::into_owned).collect();
        let mut shared = BTreeSet::new();
        for (dataset, name) in RECORD_FILES {
            let ids = held.get(dataset.as_str()).cloned().unwrap_or_default();
            if dataset == Dataset::Other && ids.is_empty() {
                continue;
            }
            ensure!(names.remove(name), "there is no {name}");
            let index = archive.index_for_name(name).context("it is there")?;
            let records: Vec<Value> =
                serde_json::from_reader(archive.by_index_decrypt(index, KEY.as_bytes())?)?;
            let id = |record: &Value| {
                let own = ["_id", "id", dataset.own_id().unwrap_or("_id")].into_iter();
                own.filter_map(|name| record[name].as_str()).next().map(str::to_owned)
            };
            let mut found: Vec<String> = records.iter().filter_map(id).collect();
            found.sort();
            ensure!(!ids.is_empty() && found == ids, "{name} holds {found:?} and not {ids:?}");
            let paths = records.iter().filter_map(|record| record["path"].as_str());
            if dataset == Dataset::File {
                shared.extend(paths.map(str::to_owned));
            }
        }
        // All else are the files themselves, and each that a record of a shared file names is there.
        ensure!(names.iter().all(|name| name.starts_with("data-retention/")), "{names:?}");
        ensure!(!shared.is_empty() && shared.is_subset(&names), "{shared:?} of {names:?}");
        for name in &shared {
            let index = archive.index_for_name(name).context("it is there")?;
            let mut file = archive.by_index_decrypt(index, KEY.as_bytes())?;
            ensure!(std::io::copy(&mut file, &mut std::io::sink())? > 0, "{name} is empty");
        }
        Ok(())
    })
}

#[test]
fn chats_calls_shared_files_voicemail_recordings_and_conferences_are_backed_up() -> Result<()> {
    on_stage(async |stage| {
        let held = held(&stage.service, &stage.first.job).await?;
        for dataset in ["message", "call", "file", "voicemail", "recording", "conference"] {
            ensure!(held.get(dataset).is_some_and(|ids| !ids.is_empty()), "no {dataset}");
        }
        ensure!(stored(&stage.world, &stage.first.job).await? == held, "something else is here");
        Ok(())
    })
}

#[test]
fn the_archive_key_opens_the_backup_file_and_no_other_does() -> Result<()> {
    on_stage(async |stage| {
        let mut archive = archive(stage, &stage.first)?;
        for n in 0..archive.len() {
            ensure!(archive.by_index(n).is_err(), "entry {n} is open to everybody");
            ensure!(archive.by_index_decrypt(n, b"An0ther!Key").is_err(), "entry {n}");
            let mut entry = archive.by_index_decrypt(n, KEY.as_bytes())?;
            std::io::copy(&mut entry, &mut std::io::sink())?;
        }
        Ok(())
    })
}
