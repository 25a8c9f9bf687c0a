//! Retention Settings: General, Online mode and Offline mode.

use std::fs;

use anyhow::{Context, Result, ensure};
use futures_util::TryStreamExt;
use mongodb::bson::{Document, doc};
use serde_json::{Value, json};

use super::{
    log::archive,
    stage::{DAYS, Stage, on_stage},
};
use crate::service::{held, stored};

/// The steps of *Test this configuration now* as a service answers, and whether all went well.
async fn test(stage: &Stage, mode: &str) -> Result<(bool, Vec<String>)> {
    let answer =
        stage.service.ask("POST", "/connector/v1/settings/test", json!({ "mode": mode })).await?;
    let steps = answer["steps"].as_array().context("steps")?.iter();
    let outcomes = steps.map(|step| step["outcome"].as_str().unwrap_or("?").to_owned());
    Ok((answer["ok"] == true, outcomes.collect()))
}

#[test]
fn data_stays_in_the_service_account_for_the_number_of_days_and_is_then_backed_up() -> Result<()> {
    on_stage(async |stage| {
        stage.put(|it| it["general"]["days_retained"] = (DAYS + 2).into()).await?;
        let backup = stage.backup().await?;
        stage.put(|_| {}).await?;
        let time = |name: &str| -> Result<jiff::Timestamp> {
            Ok(backup.line[name].as_str().context("a time")?.parse()?)
        };
        let (created, before) = (time("created")?, time("before")?);
        ensure!(created.duration_since(before).as_hours() == 24 * i64::from(DAYS + 2));
        // Of what has a time, all that is older and nothing that is younger.
        let records = stage.world.mongod.client().database("maaiiconnect");
        let records = records.collection::<Document>("records");
        let older = doc! { "dataset": "message", "at": { "$lt": before.as_millisecond() } };
        let mut older: Vec<Document> = records.find(older).await?.try_collect().await?;
        let younger = doc! { "dataset": "message", "at": { "$gte": before.as_millisecond() } };
        ensure!(records.count_documents(younger).await? > 0, "nothing is younger");
        let older: Result<Vec<String>, _> =
            older.iter_mut().map(|it| it.get_str("id").map(str::to_owned)).collect();
        let mut older = older?;
        older.sort();
        let held = held(&stage.service, &backup.job).await?;
        ensure!(
            !older.is_empty() && held["message"] == older,
            "{} were held",
            held["message"].len()
        );
        Ok(())
    })
}

#[test]
fn the_data_is_backed_up_at_the_chosen_hour_of_the_day_in_utc() -> Result<()> {
    on_stage(async |stage| {
        stage.put(|it| it["general"]["schedule_hour_utc"] = 17.into()).await?;
        let backup = stage.backup().await?;
        stage.put(|_| {}).await?;
        let created = backup.line["created"].as_str().context("a time")?;
        ensure!(created.ends_with("T17:00:00Z"), "{created}");
        ensure!(backup.stored.get_str("file")?.ends_with("170000.zip"), "{}", backup.stored);
        let (status, _) = stage.put(|it| it["general"]["schedule_hour_utc"] = 24.into()).await?;
        ensure!(status == 422, "a day has 24 hours");
        Ok(())
    })
}

#[test]
fn an_archive_key_has_eight_characters_with_both_cases_numbers_and_symbols() -> Result<()> {
    on_stage(async |stage| {
        let before = stage.service.get("/connector/v1/settings").await?;
        for (key, missing) in [
            ("Sh0rt!k", "at least 8 characters"),
            ("str0ng!key", "an upper case letter"),
            ("STR0NG!KEY", "a lower case letter"),
            ("Strong!Key", "a digit"),
            ("Str0ngKey1", "a symbol"),
        ] {
            let (status, said) = stage.put(|it| it["general"]["archive_key"] = key.into()).await?;
            ensure!(status == 422 && said["detail"].to_string().contains(missing), "{key}: {said}");
        }
        ensure!(stage.service.get("/connector/v1/settings").await? == before, "it was taken");
        Ok(())
    })
}

#[test]
fn online_mode_or_offline_mode_or_both_are_configured() -> Result<()> {
    on_stage(async |stage| {
        for (modes, wanted) in [
            (&["online_mode"][..], 200),
            (&["offline_mode"], 200),
            (&[], 422),
            (&["online_mode", "offline_mode"], 200),
        ] {
            let (status, said) = stage
                .put(|it| {
                    for mode in ["online_mode", "offline_mode"] {
                        if !modes.contains(&mode) {
                            it[mode] = Value::Null;
                        }
                    }
                })
                .await?;
            ensure!(status == wanted, "{modes:?}: {said}");
        }
        Ok(())
    })
}

#[test]
fn in_online_mode_the_data_is_put_into_mongodb_and_viewed_through_the_portal() -> Result<()> {
    on_stage(async |stage| {
        let held = held(&stage.service, &stage.first.job).await?;
        ensure!(
            stored(&stage.world, &stage.first.job).await? == held,
            "something else is in MongoDB"
        );
        for view in [
            "calls",
            "conferences",
            "files",
            "voicemails",
            "recordings",
            "messages",
            "staff",
            "contacts",
        ] {
            let page = stage.page(&format!("/records/{view}")).await?;
            ensure!(page.contains(&format!("/records/{view}/")), "{view} are not listed: {page}");
        }
        stage.shows("/accounts", &["Admin"]).await
    })
}

#[test]
fn in_offline_mode_the_data_is_viewed_as_raw_json() -> Result<()> {
    on_stage(async |stage| {
        let mut archive = archive(stage, &stage.first)?;
        let mut messages = archive.by_index_decrypt(
            archive.index_for_name("history/message.json").context("there are messages")?,
            super::stage::KEY.as_bytes(),
        )?;
        let mut text = String::new();
        std::io::Read::read_to_string(&mut messages, &mut text)?;
        let messages: Vec<Value> = serde_json::from_str(&text)?;
        let held = held(&stage.service, &stage.first.job).await?;
        ensure!(messages.len() == held["message"].len(), "some are not in it");
        ensure!(messages.iter().all(|message| message["ts"].is_string()), "{}", messages[0]);
        Ok(())
    })
}

#[test]
fn the_sftp_user_is_the_one_name_that_can_sign_in_to_the_sftp_server() -> Result<()> {
    on_stage(async |stage| {
        ensure!(test(stage, "offline").await?.0, "the user of the settings is refused");
        stage.put(|it| it["sftp"]["user"] = "daemon".into()).await?;
        let (ok, steps) = test(stage, "offline").await?;
        stage.put(|_| {}).await?;
        ensure!(!ok && steps[..3] == ["done", "done", "failed"], "{steps:?}");
        Ok(())
    })
}

#[test]
fn the_sftp_address_is_where_and_on_which_port_the_server_answers() -> Result<()> {
    on_stage(async |stage| {
        let closed = crate::world::process::free_port()?;
        stage.put(|it| it["sftp"]["port"] = closed.into()).await?;
        let (ok, steps) = test(stage, "offline").await?;
        stage.put(|_| {}).await?;
        ensure!(!ok && steps[0] == "failed", "{steps:?}");
        ensure!(test(stage, "offline").await?.0, "where the server is, nobody answers");
        Ok(())
    })
}

#[test]
fn the_copied_sftp_public_key_authenticates_the_automatic_backups() -> Result<()> {
    on_stage(async |stage| {
        let key = stage.service.get("/connector/v1/sftp-key").await?;
        let fingerprint = key["fingerprint"].as_str().context("a fingerprint")?.to_owned();
        // As long as it is authorised on the server, and no longer.
        let (status, _, said) = stage.world.run(&["key", "remove", &fingerprint])?;
        ensure!(status.success(), "{said}");
        let (_, refused) = test(stage, "offline").await?;
        stage.service.introduce(&stage.world).await?;
        ensure!(refused[..3] == ["done", "done", "failed"], "{refused:?}");
        ensure!(test(stage, "offline").await?.0, "the key does not let maaiiconnect in");
        Ok(())
    })
}

#[test]
fn generate_new_key_gets_a_new_sftp_key_that_takes_over() -> Result<()> {
    on_stage(async |stage| {
        let old = stage.service.get("/connector/v1/sftp-key").await?;
        let replace = json!({ "replaces": old["fingerprint"] });
        let new = stage.service.ask("POST", "/connector/v1/sftp-key", replace).await?;
        ensure!(new["fingerprint"] != old["fingerprint"] && new["public_key"] != old["public_key"]);
        stage.service.introduce(&stage.world).await?;
        stage.backup().await?;
        let key = stage.service.get("/connector/v1/sftp-key").await?;
        ensure!(key["fingerprint"] == new["fingerprint"], "{key}");
        ensure!(key["previous_fingerprint"].is_null(), "the old key is still offered: {key}");
        Ok(())
    })
}

#[test]
fn test_this_configuration_now_starts_a_test_connection_to_the_sftp_server() -> Result<()> {
    on_stage(async |stage| {
        let (ok, steps) = test(stage, "offline").await?;
        ensure!(ok && steps == ["done"; 5], "{steps:?}");
        let left = fs::read_dir(stage.world.inbox())?.count();
        ensure!(left == 0, "{left} files were left behind");
        Ok(())
    })
}

#[test]
fn test_this_configuration_now_starts_a_test_connection_to_mongodb() -> Result<()> {
    on_stage(async |stage| {
        let (ok, steps) = test(stage, "online").await?;
        ensure!(ok && steps == ["done"; 3], "{steps:?}");
        let nowhere = format!("127.0.0.1:{}", crate::world::process::free_port()?);
        stage.put(|it| it["online_mode"]["mongodb"]["host"] = nowhere.into()).await?;
        let (ok, steps) = test(stage, "online").await?;
        stage.put(|_| {}).await?;
        ensure!(!ok && steps[0] == "failed", "{steps:?}");
        Ok(())
    })
}
