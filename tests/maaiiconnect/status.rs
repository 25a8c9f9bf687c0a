//! Retention Status: what each of the five says, and what can be done then.

use anyhow::{Context, Result, ensure};
use jiff::{ToSpan, civil::Date};
use nix::sys::signal::Signal;
use retention::backup::State;
use serde_json::json;

use super::stage::{DAYS, HOUR, on_stage};
use crate::service::held;

#[test]
fn the_status_goes_with_the_actual_condition_of_the_data_on_the_local_server() -> Result<()> {
    on_stage(async |stage| {
        stage.plan(json!({ "corrupt_upload": true })).await?;
        stage.service.ask("POST", "/simulation/traffic", json!({})).await?;
        let job = stage.service.advance().await?;
        let line = stage.service.wait_status(&job, "Backup uploaded").await?;
        let patience = std::time::Duration::from_secs(60);
        let bad = stage.world.wait_state(&job, State::Rejected, patience).await?;
        // maaiiconnect has uploaded it, and what is here is of no use: nothing can be deleted.
        let file = line["file_name"].as_str().unwrap_or_default().to_owned();
        let ours = stage.line(&file).await?;
        ensure!(ours.contains("Backup uploaded") && ours.contains("Rejected"), "{ours}");
        let page = format!("/retention/backups/{}", bad.get_str("_id")?);
        let text = stage.page(&page).await?;
        ensure!(!text.contains(&format!(r#"href="{page}/delete""#)), "it can be deleted: {text}");
        let again = format!("/connector/v1/backups/{job}/upload");
        stage.service.ask("POST", &again, json!({ "reason": "it is rejected" })).await?;
        let good = stage.stored(&job).await?;
        stage.shows(&good.page, &["Backup uploaded", "Stored"]).await
    })
}

#[test]
fn uploading_backup_is_what_is_on_its_way_to_the_sftp_server() -> Result<()> {
    on_stage(async |stage| {
        // A file so large that it is on its way for a while, and old enough in two days.
        let noise = json!({ "noise_bytes": 2_000_000 });
        let added = stage.service.ask("POST", "/simulation/traffic", noise).await?;
        let date: Date = added["dates"][0].as_str().context("a date")?.parse()?;
        let held_from = date.saturating_add(2.days()).to_string();
        stage.general(1, HOUR, "").await?;
        loop {
            let clock = stage.service.get("/simulation/clock").await?;
            if clock["next_backup"].as_str().context("a time")? > held_from.as_str() {
                break;
            }
            let job = stage.service.advance().await?;
            stage.stored(&job).await?;
        }
        stage.plan(json!({ "slow_kbit_per_second": 5000 })).await?;
        let job = stage.service.advance().await?;
        let under_way = |line: &serde_json::Value| line["sent_bytes"].as_u64() > Some(0);
        let line = stage.service.wait(&job, "some of it is sent", under_way).await?;
        ensure!(line["status"] == "Uploading backup...", "{line}");
        let file = line["file_name"].as_str().unwrap_or_default().to_owned();
        stage.comes_to_show("/retention/backups", &file).await?;
        let ours = stage.line(&file).await?;
        ensure!(ours.contains("Uploading backup..."), "{ours}");
        stage.plan(json!({})).await?;
        stage.general(DAYS, HOUR, "").await?;
        stage.stored(&job).await.map(drop)
    })
}

#[test]
fn backup_uploaded_is_complete_and_offers_delete_from_maaiiconnect_as_the_next_step() -> Result<()>
{
    on_stage(async |stage| {
        let (page, line) = (stage.first.page.clone(), stage.first.line.clone());
        ensure!(line["sent_bytes"] == line["archive_size_bytes"], "{line}");
        stage.comes_to_show(&page, "Safe to delete").await?;
        let button = format!(r#"href="{page}/delete">Delete from maaiiconnect</a>"#);
        stage.shows(&page, &["Backup uploaded", &button]).await
    })
}

#[test]
fn deleting_data_is_shown_while_maaiiconnect_has_not_removed_everything() -> Result<()> {
    on_stage(async |stage| {
        let backup = stage.backup().await?;
        let before = stage.ids().await?;
        stage.comes_to_show(&backup.page, "Safe to delete").await?;
        // It cannot be asked just now, so that there is time to look.
        stage.service.stop(Signal::SIGTERM).await?;
        stage.press_delete(&backup).await?;
        stage.comes_to_show(&backup.page, "cannot reach").await?;
        stage.shows(&backup.page, &["Deleting data..."]).await?;
        stage.service.resume().await?;
        ensure!(stage.ids().await? == before, "something went before it was asked for");
        stage.comes_to_show(&backup.page, "Status: Completed").await?;
        ensure!(stage.ids().await? != before, "nothing was removed");
        Ok(())
    })
}

#[test]
fn failed_to_delete_data_says_that_an_error_occurred_and_offers_try_again() -> Result<()> {
    on_stage(async |stage| {
        let backup = stage.backup().await?;
        stage.plan(json!({ "fail_deletion": true })).await?;
        stage.press_delete(&backup).await?;
        let page = stage.comes_to_show(&backup.page, "Status: Failed to delete data").await?;
        ensure!(page.contains("could not remove all of the data"), "why is not said: {page}");
        ensure!(page.contains(">Try again</a>"), "there is no button: {page}");
        let line = stage.service.wait_status(&backup.job, "Failed to delete data").await?;
        ensure!(line["trouble"].is_string(), "{line}");
        // The process is repeated from the button on.
        stage.shows(&format!("{}/delete", backup.page), &["Try again to delete"]).await?;
        stage.press_delete(&backup).await?;
        stage.comes_to_show(&backup.page, "Status: Completed").await.map(drop)
    })
}

#[test]
fn completed_is_what_maaiiconnect_has_finished_removing() -> Result<()> {
    on_stage(async |stage| {
        let backup = stage.backup().await?;
        stage.press_delete(&backup).await?;
        stage.comes_to_show(&backup.page, "Status: Completed").await?;
        let line = stage.service.wait_status(&backup.job, "Completed").await?;
        let deleted = line["deletion"]["deleted_records"].as_object();
        let held = held(&stage.service, &backup.job).await?;
        let left = stage.ids().await?;
        for (dataset, ids) in held.iter().filter(|(it, _)| !crate::service::STAYS.contains(&&***it))
        {
            let count = deleted.and_then(|it| it.get(dataset)?.as_u64());
            ensure!(count == Some(ids.len() as u64), "{dataset}: {line}");
            let still =
                left.get(dataset).is_some_and(|left| ids.iter().any(|id| left.contains(id)));
            ensure!(!still, "some {dataset} is still there");
        }
        Ok(())
    })
}
