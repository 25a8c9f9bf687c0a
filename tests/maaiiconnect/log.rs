//! Backup Log: when backups come, what a file is called and holds, and what the log says of it.

use std::{collections::BTreeSet, fs::File};

use anyhow::{Context, Result, ensure};
use retention::backup::BackupName;
use zip::ZipArchive;

use super::stage::{Backup, KEY, Stage, on_stage};
use crate::service::{held, stored};

/// The archive that the appliance keeps of a backup.
pub(super) fn archive(stage: &Stage, backup: &Backup) -> Result<ZipArchive<File>> {
    let file = backup.stored.get_str("file")?;
    let taken = file.parse::<BackupName>()?.taken.strftime("%Y").to_string();
    let kept = stage.world.state_directory().join("archive").join(taken).join(file);
    let kept = File::open(&kept).with_context(|| kept.display().to_string())?;
    Ok(ZipArchive::new(kept)?)
}

#[test]
fn once_retention_is_on_a_backup_comes_at_each_hour_of_the_schedule() -> Result<()> {
    on_stage(async |stage| {
        let (one, two) = (stage.backup().await?, stage.backup().await?);
        let times = [one, two].map(|backup| backup.line["created"].as_str().map(str::parse));
        let [Some(Ok(one)), Some(Ok(two))] = times else { anyhow::bail!("no times: {times:?}") };
        let (one, two): (jiff::Timestamp, jiff::Timestamp) = (one, two);
        ensure!(two.duration_since(one).as_hours() == 24, "{one} and {two}");
        Ok(())
    })
}

#[test]
fn after_every_upload_the_backup_log_has_one_line_more() -> Result<()> {
    on_stage(async |stage| {
        let lines = |page: String| page.matches("<tr").count();
        let before = lines(stage.page("/retention/backups").await?);
        let backup = stage.backup().await?;
        let file = backup.stored.get_str("file")?;
        stage.line(file).await?;
        let after = lines(stage.page("/retention/backups").await?);
        // A page has no more than 30, and its head.
        ensure!(after == before + 1 || after == 31, "{before} lines became {after}");
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

#[test]
fn a_zip_has_the_five_folders_with_record_files_and_shared_files() -> Result<()> {
    on_stage(async |stage| {
        let archive = archive(stage, &stage.first)?;
        let folder = |name: &str| name.split_once('/').map(|(folder, _)| folder.to_owned());
        let names = archive.file_names().collect::<Result<Vec<_>, _>>()?;
        let folders: BTreeSet<String> = names.iter().filter_map(|name| folder(name)).collect();
        let expected =
            ["data-retention", "dynamic-phonebook", "file-management", "history", "lc-data-server"];
        ensure!(folders.iter().eq(&expected), "{folders:?}");
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
