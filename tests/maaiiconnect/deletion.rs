//! Removing data from maaiiconnect: what is pressed, what it shows, and what goes and stays.

use anyhow::{Context, Result, ensure};
use futures_util::TryStreamExt;
use mongodb::bson::{Document, doc};

use super::stage::{Backup, Stage, on_stage};
use crate::{
    portal::{activate, signed_in, staff},
    service::{gone_from_the_rooms, held},
};

/// Has a new backup, and what it held deleted.
async fn deleted(stage: &mut Stage) -> Result<Backup> {
    let backup = stage.backup().await?;
    stage.press_delete(&backup).await?;
    stage.comes_to_show(&backup.page, "Status: Completed").await?;
    Ok(backup)
}

#[test]
fn delete_from_maaiiconnect_stands_next_to_the_status_backup_uploaded() -> Result<()> {
    on_stage(async |stage| {
        let page = stage.first.page.clone();
        let text = stage.comes_to_show(&page, "Safe to delete").await?;
        let (status, button) =
            (text.find("Backup uploaded"), text.find("Delete from maaiiconnect"));
        ensure!(status.is_some() && status < button, "{text}");
        // And so does the log, on the backup's own line.
        let file = stage.first.stored.get_str("file")?.to_owned();
        let ours = stage.line(&file).await?;
        let button = format!(r#"href="{page}/delete""#);
        ensure!(ours.contains("Backup uploaded") && ours.contains(&button), "{ours}");
        ensure!(ours.contains("Delete from maaiiconnect"), "{ours}");
        // It only asks; nothing is deleted by looking.
        let before = stage.ids().await?;
        stage.shows(&format!("{page}/delete"), &["maaiiconnect will delete", "Messages"]).await?;
        ensure!(stage.ids().await? == before);
        stage.shows(&page, &["Backup uploaded"]).await
    })
}

#[test]
fn pressing_delete_from_maaiiconnect_has_the_request_processed_and_shows_deleting_data()
-> Result<()> {
    on_stage(async |stage| {
        let backup = stage.backup().await?;
        stage.press_delete(&backup).await?;
        // The service may be quick, but the log tells what there was.
        let audit = stage.world.database().collection::<Document>("audit");
        let begun = doc! { "action": "deletion-begun", "subject": &backup.page };
        ensure!(audit.count_documents(begun).await? == 1, "nobody wrote down who pressed it");
        let page = stage.page(&backup.page).await?;
        let shown = ["Deleting data...", "Status: Completed"];
        ensure!(shown.iter().any(|part| page.contains(part)), "{page}");
        let page = stage.comes_to_show(&backup.page, "Status: Completed").await?;
        ensure!(page.contains("Deletion from maaiiconnect begun"), "{page}");
        let line = stage.service.get(&format!("/connector/v1/backups/{}", backup.job)).await?;
        ensure!(line["deletion"]["requested"].is_string(), "it was never asked: {line}");
        Ok(())
    })
}

#[test]
fn once_the_data_is_deleted_the_status_changes_to_completed() -> Result<()> {
    on_stage(async |stage| {
        let backup = deleted(stage).await?;
        stage.shows(&backup.page, &["This is the only copy."]).await?;
        let file = backup.stored.get_str("file")?;
        let ours = stage.line(file).await?;
        ensure!(ours.contains("Completed") && ours.contains("Only copy"), "{ours}");
        // There is nothing left to press.
        let text = stage.page(&backup.page).await?;
        ensure!(!text.contains(&format!(r#"href="{}/delete""#, backup.page)), "{text}");
        Ok(())
    })
}

#[test]
fn staff_can_no_longer_see_deleted_messages_in_a_chatroom() -> Result<()> {
    on_stage(async |stage| {
        let backup = deleted(stage).await?;
        let held = held(&stage.service, &backup.job).await?;
        gone_from_the_rooms(&stage.service, &held).await?;
        // But in the Retention Portal they can be seen.
        let id = held["message"].first().context("a message was held")?;
        let record = format!("/records/messages/{id}%231");
        stage.shows(&record, &[id.as_str()]).await
    })
}

/// Whether lists of this kind come with a backup, and are untouched by its deletion.
async fn stays(stage: &mut Stage, datasets: &[&str]) -> Result<()> {
    let backup = stage.backup().await?;
    let before = stage.ids().await?;
    stage.press_delete(&backup).await?;
    stage.comes_to_show(&backup.page, "Status: Completed").await?;
    let (held, after) = (held(&stage.service, &backup.job).await?, stage.ids().await?);
    for dataset in datasets {
        ensure!(held.get(*dataset).is_some_and(|ids| !ids.is_empty()), "no {dataset} came");
        ensure!(held.get(*dataset) == before.get(*dataset), "not all {dataset} came");
        ensure!(after.get(*dataset) == before.get(*dataset), "some {dataset} is gone");
        let found = stage.world.database();
        let found =
            found.collection::<Document>(if *dataset == "contact" { "contacts" } else { "staff" });
        let found: Vec<_> = found.find(doc! { "dataset": dataset }).await?.try_collect().await?;
        ensure!(*dataset == "avatar" || !found.is_empty(), "no {dataset} is here");
    }
    Ok(())
}

#[test]
fn contact_lists_are_backed_up_and_not_deleted() -> Result<()> {
    on_stage(async |stage| {
        stays(stage, &["contact"]).await?;
        let question = format!("{}/delete", stage.first.page);
        stage.shows(&question, &["maaiiconnect will keep", "External contacts"]).await
    })
}

#[test]
fn user_accounts_are_backed_up_and_not_deleted() -> Result<()> {
    on_stage(async |stage| {
        stays(stage, &["staff", "avatar"]).await?;
        let question = format!("{}/delete", stage.first.page);
        stage.shows(&question, &["maaiiconnect will keep", "Staff"]).await
    })
}

#[test]
fn only_administrators_are_prompted_to_go_on_with_the_retention_process() -> Result<()> {
    on_stage(async |stage| {
        let page = stage.first.page.clone();
        stage.comes_to_show(&page, "Delete from maaiiconnect").await?;
        // Somebody who may look into calls sees the backup, and no button.
        let staff = staff(&stage.world).await?;
        let (eid, account) = staff.first().context("somebody is at work")?;
        activate(&mut stage.browser, eid, &[("see-calls", "on")]).await?;
        let mut viewer = signed_in(&stage.world, account).await?;
        let text = viewer.get(&page).await?.body;
        ensure!(text.contains("Backup uploaded") && text.contains("Safe to delete"), "{text}");
        ensure!(!text.contains("Delete from maaiiconnect</a>"), "they are prompted: {text}");
        let question = format!("{page}/delete");
        ensure!(viewer.get(&question).await?.status == 403, "they may ask");
        let press = [("password", "whatever it is")];
        ensure!(viewer.submit(&question, &press).await?.status == 403, "they may delete");
        stage.shows(&page, &["Backup uploaded"]).await
    })
}
