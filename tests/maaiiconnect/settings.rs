//! Retention Settings: General, Online mode and Offline mode.

use std::{fs, io::Read};

use anyhow::{Context, Result, ensure};
use futures_util::TryStreamExt;
use mongodb::bson::{Bson, Document, doc};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::{
    log::archive,
    stage::{DAYS, HOUR, KEY, SETTINGS, Stage, on_stage},
};
use crate::{
    archives::{self, Sample},
    browser::Browser,
    service::{held, stored},
    world::{Options, until},
};

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
        stage.general(DAYS + 2, HOUR, "").await?;
        let backup = stage.backup().await?;
        stage.general(DAYS, HOUR, "").await?;
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
        stage.general(DAYS, 17, "").await?;
        let backup = stage.backup().await?;
        stage.general(DAYS, HOUR, "").await?;
        let created = backup.line["created"].as_str().context("a time")?;
        ensure!(created.ends_with("T17:00:00Z"), "{created}");
        ensure!(backup.stored.get_str("file")?.ends_with("170000.zip"), "{}", backup.stored);
        let form = [("days_retained", "2"), ("schedule_hour", "24"), ("archive_key", "")];
        let refused = stage.browser.submit(&format!("{SETTINGS}/general"), &form).await?;
        ensure!(refused.body.contains("The hour is from 0 to 23."), "{refused:?}");
        Ok(())
    })
}

#[test]
fn an_archive_key_has_eight_characters_with_both_cases_numbers_and_symbols() -> Result<()> {
    on_stage(async |stage| {
        let before = stage.service.get("/connector/v1/settings").await?;
        let keys = |page: String| page.matches("<code>").count();
        let known = keys(stage.page(SETTINGS).await?);
        for (key, missing) in [
            ("Sh0rt!k", "at least 8 characters"),
            ("str0ng!key", "an upper case letter"),
            ("STR0NG!KEY", "a lower case letter"),
            ("Strong!Key", "a digit"),
            ("Str0ngKey1", "a symbol"),
        ] {
            let said = format!("The Archive Key needs {missing}.");
            let form = [("days_retained", "2"), ("schedule_hour", "2"), ("archive_key", key)];
            let refused = stage.browser.submit(&format!("{SETTINGS}/general"), &form).await?;
            ensure!(refused.body.contains(&said), "{key}: {refused:?}");
            // Who asks the service itself fares no better.
            let (status, answer) =
                stage.put(|it| it["general"]["archive_key"] = key.into()).await?;
            ensure!(status == 422 && answer["detail"] == said.as_str(), "{key}: {answer}");
        }
        ensure!(keys(stage.page(SETTINGS).await?) == known, "one was taken");
        ensure!(stage.service.get("/connector/v1/settings").await? == before, "one was told");
        Ok(())
    })
}

/// Sets the modes, and waits until the service was told.
async fn modes(stage: &mut Stage, online: bool, offline: bool) -> Result<()> {
    let (host, port) = (stage.world.mongod.address(), stage.world.sftp_port());
    let address = format!("127.0.0.1:{port}");
    let mut online_mode = vec![
        ("mongodb_host", host.as_str()),
        ("mongodb_user", ""),
        ("mongodb_auth_db", "admin"),
        ("mongodb_target_db", "retention"),
    ];
    online_mode.extend(online.then_some(("online", "on")));
    let mut offline_mode = vec![("sftp_address", address.as_str())];
    offline_mode.extend(offline.then_some(("offline", "on")));
    // The one that is switched on goes first, for one has to be on.
    if online {
        stage.save("online", &online_mode).await?;
        stage.save("offline", &offline_mode).await?;
    } else {
        stage.save("offline", &offline_mode).await?;
        stage.save("online", &online_mode).await?;
    }
    stage
        .told(|it| it["online_mode"].is_null() != online && it["offline_mode"].is_null() != offline)
        .await
}

/// Where a new backup is: unpacked in MongoDB, and as an archive.
async fn places(stage: &mut Stage) -> Result<(bool, bool)> {
    let backup = stage.backup().await?;
    let unpacked = stored(&stage.world, &backup.job).await?;
    if !unpacked.is_empty() {
        // What an earlier backup brought stands under that one.
        let messages = stage.world.database().collection::<Document>("messages");
        let messages = messages.distinct("id", doc! {}).await?;
        let held = held(&stage.service, &backup.job).await?;
        let has = |id: &String| messages.iter().any(|it| it.as_str() == Some(id));
        ensure!(held["message"].iter().all(has), "only some of it is in MongoDB");
    }
    // The archive goes its way once the receipt is given.
    stage.comes_to_show(&backup.page, "Safe to delete").await?;
    Ok((!unpacked.is_empty(), archive(stage, &backup).is_ok()))
}

#[test]
fn online_mode_or_offline_mode_or_both_are_configured() -> Result<()> {
    on_stage(async |stage| {
        for (online, offline) in [(false, true), (true, false), (true, true)] {
            modes(stage, online, offline).await?;
            let found = places(stage).await;
            modes(stage, true, true).await?;
            let found = found?;
            ensure!(found == (online, offline), "{online} {offline}: it is in {found:?}");
        }
        // One of them has to be on.
        modes(stage, false, true).await?;
        let refused = stage.browser.submit(&format!("{SETTINGS}/offline"), &[]).await?;
        modes(stage, true, true).await?;
        ensure!(refused.body.contains("One mode has to be on"), "{refused:?}");
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
        modes(stage, false, true).await?;
        let backup = stage.backup().await;
        modes(stage, true, true).await?;
        let backup = backup?;
        ensure!(stored(&stage.world, &backup.job).await?.is_empty(), "it was unpacked");
        // The portal lists the files as they were delivered, and how many records were in them.
        stage.comes_to_show(&backup.page, "Safe to delete").await?;
        let held = held(&stage.service, &backup.job).await?;
        let entries = stage.page(&format!("{}/entries", backup.page)).await?.replace("<wbr>", "");
        for part in ["history/message.json", "lc-data-server/staff.json", "data-retention/"] {
            ensure!(entries.contains(part), "{part}: {entries}");
        }
        let total: usize = held.values().map(Vec::len).sum();
        let records = backup.stored.get_document("progress")?.get_document("records")?;
        let counted: i64 = records.values().filter_map(Bson::as_i64).sum();
        ensure!(usize::try_from(counted)? == total, "{counted} records were read of {total}");
        // The portal shows the JSON as it was delivered, which is what the Archive Key opens.
        let shown =
            stage.page(&format!("{}/entry?name=history%2Fmessage.json", backup.page)).await?;
        let mut archive = archive(stage, &backup)?;
        let index = archive.index_for_name("history/message.json").context("messages")?;
        let mut delivered = String::new();
        archive.by_index_decrypt(index, KEY.as_bytes())?.read_to_string(&mut delivered)?;
        ensure!(shown == delivered, "the portal shows something else: {shown}");
        let messages: Vec<Value> = serde_json::from_str(&shown)?;
        let mut ids: Vec<&str> = messages.iter().filter_map(|it| it["_id"].as_str()).collect();
        ids.sort_unstable();
        ensure!(ids == held["message"], "other messages are in it");
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
        let text = |name: &str| key[name].as_str().map(str::to_owned).context("a text");
        let (fingerprint, public) = (text("fingerprint")?, text("public_key")?);
        let file = stage.world.state_directory().join("sftp-server/authorized_keys");
        let known = public.split(' ').nth(1).context("a key")?.to_owned();
        let authorised = async |there: bool| {
            until(&format!("it may upload: {there}"), || async {
                Ok(fs::read_to_string(&file)?.contains(&known) == there)
            })
            .await
        };
        // As long as it stands on the server, and no longer.
        let now = [("fingerprint", fingerprint.as_str()), ("overlap_days", "0")];
        stage.save("keys/remove", &now).await?;
        authorised(false).await?;
        let (_, refused) = test(stage, "offline").await?;
        stage.save("keys", &[("key", &public)]).await?;
        authorised(true).await?;
        ensure!(refused[..3] == ["done", "done", "failed"], "{refused:?}");
        ensure!(test(stage, "offline").await?.0, "the key does not let maaiiconnect in");
        Ok(())
    })
}

#[test]
fn generate_new_key_gets_a_new_sftp_key_that_takes_over() -> Result<()> {
    on_stage(async |stage| {
        let old = stage.service.get("/connector/v1/sftp-key").await?;
        stage.save("keys/generate", &[]).await?;
        let new = stage.service.get("/connector/v1/sftp-key").await?;
        ensure!(new["fingerprint"] != old["fingerprint"] && new["public_key"] != old["public_key"]);
        let fingerprint = new["fingerprint"].as_str().context("a fingerprint")?.to_owned();
        stage.shows(SETTINGS, &[&fingerprint]).await?;
        stage.backup().await?;
        let key = stage.service.get("/connector/v1/sftp-key").await?;
        ensure!(key["fingerprint"] == fingerprint.as_str(), "{key}");
        ensure!(key["previous_fingerprint"].is_null(), "the old key is still offered: {key}");
        Ok(())
    })
}

/// Presses *Test this configuration now*: what the page says in the end.
async fn pressed(stage: &mut Stage, what: &str) -> Result<String> {
    let answer = stage.browser.submit(&format!("{SETTINGS}/test/{what}"), &[]).await?;
    ensure!(answer.status == 200, "{answer:?}");
    Ok(answer.body)
}

#[test]
fn test_this_configuration_now_starts_a_test_connection_to_the_sftp_server() -> Result<()> {
    on_stage(async |stage| {
        let page = pressed(stage, "sftp").await?;
        for part in ["connect", "maaiiconnect: upload a small file", "Every step was done."] {
            ensure!(page.contains(part), "{part}: {page}");
        }
        let left = fs::read_dir(stage.world.inbox())?.count();
        ensure!(left == 0, "{left} files were left behind");
        // It says which step failed.
        stage.world.sshd.stop(Signal::SIGTERM).await?;
        let page = pressed(stage, "sftp").await?;
        stage.world.sshd.resume().await?;
        ensure!(page.contains("It failed at this step: connect."), "{page}");
        Ok(())
    })
}

#[test]
fn test_this_configuration_now_starts_a_test_connection_to_mongodb() -> Result<()> {
    on_stage(async |stage| {
        let page = pressed(stage, "mongodb").await?;
        for part in ["sign in", "maaiiconnect: connect to MongoDB", "Every step was done."] {
            ensure!(page.contains(part), "{part}: {page}");
        }
        // maaiiconnect tries what it was told, and the page says that it failed there.
        let nowhere = format!("127.0.0.1:{}", crate::world::process::free_port()?);
        stage.put(|it| it["online_mode"]["mongodb"]["host"] = nowhere.clone().into()).await?;
        let theirs = pressed(stage, "mongodb").await;
        stage.put(|_| {}).await?;
        let failed = "It failed at this step: maaiiconnect: connect to MongoDB.";
        let theirs = theirs?;
        ensure!(theirs.contains(failed), "{theirs}");
        // So does what was typed here, before it is saved.
        let typed = [
            ("mongodb_host", nowhere.as_str()),
            ("mongodb_user", ""),
            ("mongodb_auth_db", "admin"),
            ("mongodb_target_db", "retention"),
        ];
        let page = stage.browser.submit(&format!("{SETTINGS}/test/mongodb"), &typed).await?.body;
        ensure!(page.contains("It failed at this step: find the database."), "{page}");
        Ok(())
    })
}

#[test]
fn mongodb_permissions_are_host_user_password_authdb_and_targetdb() -> Result<()> {
    on_stage(async |stage| {
        let host = stage.world.mongod.address();
        let labels = ["MongoDB Permissions", "Host", "User", "Password", "AuthDB", "TargetDB"];
        stage.shows(SETTINGS, &labels).await?;
        let values =
            [format!("value=\"{host}\""), "value=\"admin\"".into(), "value=\"retention\"".into()];
        for value in &values {
            stage.shows(SETTINGS, &[value]).await?;
        }
        // Each counts: with another one there is no way in, and nothing changes.
        let form = |host: &'static str, user: &'static str, password: &'static str| {
            [
                ("online", "on"),
                ("mongodb_host", host),
                ("mongodb_user", user),
                ("mongodb_password", password),
                ("mongodb_auth_db", "admin"),
                ("mongodb_target_db", "retention"),
                ("leave", "on"),
            ]
        };
        let refused = stage
            .browser
            .submit(&format!("{SETTINGS}/online"), &form("127.0.0.1:1", "", ""))
            .await?;
        ensure!(refused.body.contains("It failed at this step"), "{refused:?}");
        let host: &'static str = Box::leak(host.into_boxed_str());
        let stranger = form(host, "nobody", "wh0 knows!");
        let refused = stage.browser.submit(&format!("{SETTINGS}/online"), &stranger).await?;
        ensure!(refused.body.contains("It failed at this step"), "{refused:?}");
        ensure!(!refused.body.contains("wh0 knows!"), "the password is shown");
        stage.shows(SETTINGS, &[&values[0]]).await
    })
}

#[test]
fn the_administrator_password_of_the_portal_is_set_in_the_settings() -> Result<()> {
    on_stage(async |stage| {
        let host = stage.world.mongod.address();
        let old = Options::default().admin_password;
        let new = "another quiet Harbour";
        for (password, before) in [(new, old.as_str()), (old.as_str(), new)] {
            let form = [
                ("online", "on"),
                ("portal_password", password),
                ("mongodb_host", &host),
                ("mongodb_user", ""),
                ("mongodb_auth_db", "admin"),
                ("mongodb_target_db", "retention"),
            ];
            stage.save("online", &form).await?;
            let mut other = Browser::new(&stage.world)?;
            ensure!(other.sign_in("Admin", before).await.is_err(), "the old password still works");
            stage.browser.sign_in("Admin", password).await?;
        }
        Ok(())
    })
}

#[test]
fn retention_settings_are_a_tab_of_administration_security_retention() -> Result<()> {
    on_stage(async |stage| {
        let parts = ["Administration", "Security", "Retention", "Settings", "Backup Log"];
        stage.shows(SETTINGS, &parts).await?;
        stage.shows("/retention/backups", &[&format!(r#"href="{SETTINGS}""#)]).await
    })
}

#[test]
fn the_toggle_on_makes_the_configuration_options_appear() -> Result<()> {
    on_stage(async |stage| {
        let options = ["General", "Online mode", "Offline mode", "Archive Key"];
        stage.save("power", &[("enabled", "off")]).await?;
        let page = stage.page(SETTINGS).await?;
        for option in options {
            ensure!(!page.contains(option), "{option} is there while it is OFF: {page}");
        }
        stage.save("power", &[("enabled", "on")]).await?;
        stage.shows(SETTINGS, &options).await?;
        stage.told(|it| it["enabled"] == true).await
    })
}

#[test]
fn the_toggle_off_disables_data_retention() -> Result<()> {
    on_stage(async |stage| {
        stage.save("power", &[("enabled", "off")]).await?;
        stage.told(|it| it["enabled"] == false).await?;
        stage.shows(SETTINGS, &["OFF", "Uploads are refused, and no backup is awaited."]).await?;
        let clock = stage.service.get("/simulation/clock").await?;
        let (status, said) = stage.service.call("POST", "/simulation/advance", None).await?;
        let off = stage.world.state_directory().join("sftp-server/off");
        until("the door is shut", || async { Ok(off.exists()) }).await?;
        let file = archives::write(stage.world.directory(), 1, &Sample::new(3).bytes()?)?;
        let (refused, schedule) = (stage.world.refused(&file).await, stage.world.check("schedule"));
        stage.save("power", &[("enabled", "on")]).await?;
        stage.told(|it| it["enabled"] == true).await?;
        until("the door is open", || async { Ok(!off.exists()) }).await?;
        ensure!(clock["next_backup"].is_null() && status == 409, "{clock} {said}");
        let refused = refused?;
        ensure!(refused.contains("uploads-refused-retention-is-off"), "{refused}");
        let (state, said) = schedule?;
        ensure!(state == "ok" && said.starts_with("Retention is off"), "{state}: {said}");
        // On again, the schedule goes on.
        stage.backup().await.map(drop)
    })
}
