//! Removing data from maaiiconnect: what is pressed, what it shows, and what goes and stays.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use futures_util::TryStreamExt;
use jiff::Timestamp;
use mongodb::bson::{Bson, Document, doc};
use serde_json::{Value, json};

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
        let before = stage.ids().await?;
        // It takes its time, so that there is time to look.
        stage.plan(json!({ "hold_deletion": true })).await?;
        stage.press_delete(&backup).await?;
        let audit = stage.world.database().collection::<Document>("audit");
        let begun = doc! { "action": "deletion-begun", "subject": &backup.page };
        ensure!(audit.count_documents(begun).await? == 1, "nobody wrote down who pressed it");
        let line = stage.service.wait_status(&backup.job, "Deleting data...").await?;
        ensure!(line["deletion"]["requested"].is_string(), "it was never asked: {line}");
        stage.shows(&backup.page, &["Status: Deleting data..."]).await?;
        let ours = stage.line(backup.stored.get_str("file")?).await?;
        ensure!(ours.contains("Deleting data..."), "{ours}");
        ensure!(stage.ids().await? == before, "it is gone already");
        stage.plan(json!({})).await?;
        let page = stage.comes_to_show(&backup.page, "Status: Completed").await?;
        ensure!(page.contains("Deletion from maaiiconnect begun"), "{page}");
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

#[test]
fn a_notification_says_in_a_chatroom_that_data_have_been_deleted() -> Result<()> {
    on_stage(async |stage| {
        let backup = stage.backup().await?;
        let held = held(&stage.service, &backup.job).await?;
        let rooms = stage.service.get("/simulation/rooms").await?;
        // Up to the newest message that the backup held of each room.
        let mut expected: BTreeMap<String, Timestamp> = BTreeMap::new();
        for room in rooms.as_array().context("rooms")? {
            let messages = room["messages"].as_array().context("messages")?.iter();
            let goes = messages.filter(|message| {
                message["id"].as_str().is_some_and(|id| held["message"].iter().any(|it| it == id))
            });
            let times: Result<Vec<Timestamp>> =
                goes.map(|it| Ok(it["at"].as_str().context("a time")?.parse()?)).collect();
            if let Some(newest) = times?.into_iter().max() {
                expected.insert(room["room"].as_str().context("a room")?.to_owned(), newest);
            }
        }
        ensure!(!expected.is_empty(), "the backup held no message");
        stage.press_delete(&backup).await?;
        stage.comes_to_show(&backup.page, "Status: Completed").await?;
        let page = stage.service.get("/").await?;
        let page = page.as_str().context("a page")?;
        for (room, until) in expected {
            let name = format!("{room:?}");
            let section = page.split("<section data-room=").find(|it| it.starts_with(&name));
            let section = section.with_context(|| format!("{room} is gone"))?;
            let said = format!("Messages up to {until} have been deleted from maaiiconnect.");
            ensure!(section.contains(&said), "{room} does not say {said:?}: {section}");
        }
        Ok(())
    })
}

/// The records of some datasets as the service holds them, by id.
async fn lists(stage: &Stage, dataset: &str) -> Result<BTreeMap<String, String>> {
    let records = stage.world.mongod.client().database("maaiiconnect");
    let records = records.collection::<Document>("records");
    let found: Vec<Document> =
        records.find(doc! { "dataset": dataset }).await?.try_collect().await?;
    let text = |record: &Document, name: &str| record.get_str(name).map(str::to_owned);
    found.iter().map(|record| Ok((text(record, "id")?, text(record, "json")?))).collect()
}

/// Whether lists of this kind come with a backup, and are untouched by its deletion.
async fn stays(stage: &mut Stage, datasets: &[(&str, &str)]) -> Result<()> {
    let backup = stage.backup().await?;
    let held = held(&stage.service, &backup.job).await?;
    let mut before = Vec::new();
    for (dataset, _) in datasets {
        let records = lists(stage, dataset).await?;
        ensure!(!records.is_empty(), "there is no {dataset}");
        ensure!(held.get(*dataset).is_some_and(|ids| ids.iter().eq(records.keys())), "{dataset}");
        before.push(records);
    }
    stage.press_delete(&backup).await?;
    stage.comes_to_show(&backup.page, "Status: Completed").await?;
    for ((dataset, collection), before) in datasets.iter().zip(before) {
        ensure!(lists(stage, dataset).await? == before, "some {dataset} is not as it was");
        // And each of them is here, as it was delivered.
        let here = stage.world.database().collection::<Document>(collection);
        let here: Vec<Document> =
            here.find(doc! { "dataset": dataset }).await?.try_collect().await?;
        for (id, json) in before {
            let json: Value = serde_json::from_str(&json)?;
            let versions = here.iter().filter(|it| it.get_str("id").is_ok_and(|it| it == id));
            let raw = versions.filter_map(|record| record.get_document("raw").ok());
            let mut raw = raw.map(|raw| Bson::Document(raw.clone()).into_relaxed_extjson());
            ensure!(raw.any(|raw| raw == json), "{dataset} {id} is not here");
        }
    }
    Ok(())
}

#[test]
fn contact_lists_are_backed_up_and_not_deleted() -> Result<()> {
    on_stage(async |stage| {
        stays(stage, &[("contact", "contacts")]).await?;
        let question = format!("{}/delete", stage.first.page);
        stage.shows(&question, &["maaiiconnect will keep", "External contacts"]).await
    })
}

#[test]
fn user_accounts_are_backed_up_and_not_deleted() -> Result<()> {
    on_stage(async |stage| {
        stays(stage, &[("staff", "staff"), ("avatar", "files")]).await?;
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
