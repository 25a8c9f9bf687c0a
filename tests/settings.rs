//! The Settings tab: what is set in the portal holds at once, on the real parts, and is told to
//! maaiiconnect.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use futures_util::TryStreamExt;
use jiff::{SignedDuration, Timestamp};
use mongodb::bson::{Document, doc};
use nix::sys::signal::Signal;
use retention::{
    backup::State,
    health::journal::{self, Since},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::{
    archives::{self, KEY, Sample, job},
    browser::Browser,
    world::{self, Options, Program, World, daemon::Daemon, process, service::Service, until},
};

const PATIENCE: Duration = Duration::from_secs(60);
const PAGE: &str = "/retention/settings";
const NEW_KEY: &str = "Another1!Key";

async fn begun(options: Options) -> Result<(World, Browser)> {
    let password = options.admin_password.clone();
    let world = World::start(options).await?;
    let mut browser = Browser::new(&world)?;
    browser.sign_in("Admin", &password).await?;
    Ok((world, browser))
}

/// Saves a section of the page.
async fn save(browser: &mut Browser, section: &str, form: &[(&str, &str)]) -> Result<()> {
    let answer = browser.submit(&format!("{PAGE}/{section}"), form).await?;
    ensure!(answer.status == 303, "{section} was not saved: {answer:?}");
    Ok(())
}

async fn shows(browser: &mut Browser, parts: &[&str]) -> Result<()> {
    let page = browser.get(PAGE).await?.body;
    for part in parts {
        ensure!(page.contains(part), "the page does not say {part:?}: {page}");
    }
    Ok(())
}

async fn uploaded(world: &mut World, n: u32, key: &str) -> Result<Document> {
    let bytes = Sample::new(10).with("lc-data-server/none.json", "[]").bytes_with(key)?;
    world.upload(&archives::write(world.directory(), n, &bytes)?).await?;
    world.wait_state(&job(n), State::Stored, PATIENCE).await
}

/// What the audit log of a database says of settings, once it is so many lines.
async fn audited(world: &World, database: &str, lines: usize) -> Result<Vec<(String, String)>> {
    let audit = world.database().client().database(database).collection::<Document>("audit");
    let wanted = doc! { "action": { "$regex": "^settings-" } };
    let count = || async { Ok(audit.count_documents(wanted.clone()).await? >= lines as u64) };
    until("the audit log has it", count).await?;
    let found = audit.find(wanted.clone()).sort(doc! { "at": 1, "_id": 1 }).await?;
    let found: Vec<Document> = found.try_collect().await?;
    ensure!(found.len() == lines, "{found:?}");
    let text = |line: &Document, name: &str| line.get_str(name).unwrap_or_default().to_owned();
    Ok(found.iter().map(|line| (text(line, "action"), text(line, "detail"))).collect())
}

/// What the database says was set.
async fn document(world: &World) -> Result<String> {
    let settings = world.database().collection::<Document>("settings");
    Ok(settings.find_one(doc! {}).await?.context("nothing was set")?.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_archive_key_opens_archives_at_once_and_the_old_ones_stay() -> Result<()> {
    let (mut world, mut browser) = begun(Options::default()).await?;
    uploaded(&mut world, 1, KEY).await?;
    let weak = [("days_retained", "30"), ("schedule_hour", "2"), ("archive_key", "weakkey1")];
    let refused = browser.submit(&format!("{PAGE}/general"), &weak).await?;
    ensure!(refused.body.contains("The Archive Key needs an upper case letter, a symbol."));
    let much = [("days_retained", "3651"), ("schedule_hour", ""), ("archive_key", "")];
    let refused = browser.submit(&format!("{PAGE}/general"), &much).await?;
    ensure!(refused.body.contains("The days are from 1 to 3650."), "{refused:?}");
    let settings = world.database().collection::<Document>("settings");
    ensure!(settings.count_documents(doc! { "archive_keys.0": { "$exists": true } }).await? == 0);

    let general = [("days_retained", "30"), ("schedule_hour", "2"), ("archive_key", NEW_KEY)];
    save(&mut browser, "general", &general).await?;
    let new = uploaded(&mut world, 2, NEW_KEY).await?;
    let old = uploaded(&mut world, 3, KEY).await?;
    let marks = |backup: &Document| backup.get_array("archive_keys").map(Vec::len).unwrap_or(0);
    ensure!((marks(&new), marks(&old)) == (1, 1));
    ensure!(new.get_array("archive_keys")? != old.get_array("archive_keys")?);
    let parts =
        ["value=\"30\"", "<option value=\"2\" selected>", "1 backup<", "2 backups", "by Admin"];
    shows(&mut browser, &parts).await?;

    // Nothing shows a key: neither the page, nor the database, nor the log.
    let page = browser.get(PAGE).await?.body;
    for (place, text) in [
        ("page", page),
        ("database", document(&world).await?),
        ("log", fs::read_to_string(world.directory().join("logs/daemon.log"))?),
    ] {
        ensure!(!text.contains(NEW_KEY) && !text.contains(KEY), "the {place} shows a key");
    }
    let audit = world.database().collection::<Document>("audit");
    let changed =
        audit.find_one(doc! { "action": "settings-changed" }).await?.context("audited")?;
    let detail = changed.get_str("detail")?;
    ensure!(detail.starts_with("General: days: 30, hour: 02 UTC, a new Archive Key, "), "{detail}");
    ensure!(!detail.contains(NEW_KEY));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn with_another_settings_key_backups_wait_until_their_archive_key_is_set_again() -> Result<()>
{
    let (mut world, mut browser) = begun(Options::default()).await?;
    let general = [("days_retained", "30"), ("schedule_hour", "2"), ("archive_key", NEW_KEY)];
    save(&mut browser, "general", &general).await?;
    uploaded(&mut world, 1, NEW_KEY).await?;
    world.daemon.stop(Signal::SIGTERM).await?;
    process::write_secret(&world.secret("settings-key"), "nobody remembers the other one")?;
    world.start_daemon().await?;

    // What another key opens is stored; what none opens may be that of the one that is closed.
    uploaded(&mut world, 2, KEY).await?;
    let bytes = Sample::new(10).bytes_with(NEW_KEY)?;
    world.upload(&archives::write(world.directory(), 3, &bytes)?).await?;
    let waiting = world.wait_state(&job(3), State::Waiting, PATIENCE).await?;
    let said = waiting.get_document("waiting")?.get_str("sentence")?;
    ensure!(said.contains("set its Archive Key again in the portal"), "{said}");

    let mut browser = Browser::new(&world)?;
    browser.sign_in("Admin", &Options::default().admin_password).await?;
    shows(&mut browser, &["cannot be opened", "set the Archive Key again"]).await?;
    save(&mut browser, "general", &general).await?;
    world.wait_state(&job(3), State::Stored, PATIENCE).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn days_and_hour_cannot_be_cleared_and_which_hour_holds_is_said() -> Result<()> {
    let sections = "[health]\nschedule_hour = 4\n".to_owned();
    let (world, mut browser) = begun(Options { sections, ..Options::default() }).await?;
    shows(&mut browser, &[">04:00, as configured</option>", "is that of the configuration file"])
        .await?;
    // Saved as it stands, the hour stays the configured one.
    let general = [("days_retained", "30"), ("schedule_hour", ""), ("archive_key", "")];
    save(&mut browser, "general", &general).await?;
    ensure!(document(&world).await?.contains("\"schedule_hour\": null"));
    let general = [("days_retained", "30"), ("schedule_hour", "5"), ("archive_key", "")];
    save(&mut browser, "general", &general).await?;
    shows(&mut browser, &["The configuration file says 04:00; what is set here goes before it."])
        .await?;
    let page = browser.get(PAGE).await?.body;
    ensure!(!page.contains("<option value=\"\""), "no hour can be chosen: {page}");

    let before = document(&world).await?;
    for (days, hour, said) in [
        ("", "5", "The maximum days retained cannot be cleared"),
        ("30", "", "The hour of the schedule cannot be cleared"),
    ] {
        let cleared = [("days_retained", days), ("schedule_hour", hour), ("archive_key", "")];
        let refused = browser.submit(&format!("{PAGE}/general"), &cleared).await?;
        ensure!(refused.status == 200 && refused.body.contains(said), "{refused:?}");
    }
    ensure!(document(&world).await? == before, "something was cleared");
    Ok(())
}

/// Has the daemon believe that it has been watching for days.
async fn awaited_in_vain(world: &mut World) -> Result<Browser> {
    world.daemon.stop(Signal::SIGTERM).await?;
    let health = journal::directory(&world.state_directory());
    let mut since = Since::read(&health);
    since.watching = Some(Timestamp::now() - SignedDuration::from_hours(72));
    since.write(&health)?;
    world.start_daemon().await?;
    let mut browser = Browser::new(world)?;
    browser.sign_in("Admin", &Options::default().admin_password).await?;
    Ok(browser)
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_off_refuses_uploads_and_awaits_none_until_it_is_on() -> Result<()> {
    let (mut world, mut browser) = begun(Options::default()).await?;
    save(
        &mut browser,
        "general",
        &[("schedule_hour", "2"), ("days_retained", ""), ("archive_key", "")],
    )
    .await?;
    // For days no backup has come, and that alarms.
    let mut browser = awaited_in_vain(&mut world).await?;
    let (state, said) = world.check("schedule")?;
    ensure!(state == "critical" && said.contains("No backup came"), "{state}: {said}");
    save(&mut browser, "power", &[("enabled", "off")]).await?;
    shows(&mut browser, &["OFF", "Uploads are refused"]).await?;
    ensure!(
        !browser.get(PAGE).await?.body.contains("Offline mode"),
        "options are shown while it is off"
    );
    let file = archives::write(world.directory(), 1, &Sample::new(3).bytes()?)?;
    let off = world.state_directory().join("sftp-server/off");
    until("the door is shut", || {
        let off = off.clone();
        async move { Ok(off.exists()) }
    })
    .await?;
    let refused = world.refused(&file).await?;
    ensure!(refused.contains("uploads-refused-retention-is-off"), "{refused}");
    // The alarm stops.
    let (state, said) = world.check("schedule")?;
    ensure!(state == "ok" && said.starts_with("Retention is off"), "{state}: {said}");
    // It stays so when the daemon begins anew.
    world.daemon.stop(Signal::SIGTERM).await?;
    world.start_daemon().await?;
    ensure!(off.exists());
    let mut browser = Browser::new(&world)?;
    browser.sign_in("Admin", &Options::default().admin_password).await?;
    save(&mut browser, "power", &[("enabled", "on")]).await?;
    until("the door is open", || {
        let off = off.clone();
        async move { Ok(!off.exists()) }
    })
    .await?;
    world.upload(&file).await?;
    world.wait_state(&job(1), State::Stored, PATIENCE).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn modes_hold_for_the_next_backup_and_one_stays_on() -> Result<()> {
    let (mut world, mut browser) = begun(Options::default()).await?;
    let host = world.mongod.address();
    let online = [
        ("mongodb_host", host.as_str()),
        ("mongodb_user", ""),
        ("mongodb_auth_db", "admin"),
        ("mongodb_target_db", "retention"),
    ];
    uploaded(&mut world, 1, KEY).await?;
    save(&mut browser, "online", &online).await?;
    let second = uploaded(&mut world, 2, KEY).await?;
    ensure!(second.get_document("modes")?.get_bool("online")? == false);
    let messages = world.database().collection::<Document>("messages");
    ensure!(messages.count_documents(doc! { "backup": job(2) }).await? == 0, "it was unpacked");
    let refused = browser.submit(&format!("{PAGE}/offline"), &[("sftp_address", "")]).await?;
    ensure!(refused.body.contains("One mode has to be on"), "{refused:?}");
    let address = [("offline", "on"), ("sftp_address", "vault.example:2222")];
    save(&mut browser, "offline", &address).await?;
    let sheet = browser.get("/retention/settings/sheet").await?.body;
    ensure!(sheet.contains("vault.example:2222") && sheet.contains("SHA256:"), "{sheet}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_may_upload_wherever_they_were_added_and_end_when_they_were_told_to() -> Result<()> {
    let (world, mut browser) = begun(Options::default()).await?;
    let file = world.state_directory().join("sftp-server/authorized_keys");
    let authorised = |part: String, there: bool| {
        let file = file.clone();
        async move {
            until(&format!("{part} is there: {there}"), || {
                let (file, part) = (file.clone(), part.clone());
                async move { Ok(fs::read_to_string(file)?.contains(&part) == there) }
            })
            .await
        }
    };
    // The key of the command line comes to the page.
    until("the key is shown", || {
        let mut browser = browser.clone();
        async move { Ok(browser.get(PAGE).await?.body.contains("by command line")) }
    })
    .await?;
    let nonsense = browser.submit(&format!("{PAGE}/keys"), &[("key", "ssh-dss AAAA x")]).await?;
    ensure!(nonsense.body.contains("DSA keys are too weak"), "{nonsense:?}");
    let (public, fingerprint) = new_key(&world, "pasted")?;
    save(&mut browser, "keys", &[("key", &public)]).await?;
    authorised(public.clone(), true).await?;
    let later = [("fingerprint", fingerprint.as_str()), ("overlap_days", "7")];
    save(&mut browser, "keys/remove", &later).await?;
    shows(&mut browser, &["<strong>ends "]).await?;
    ensure!(fs::read_to_string(&file)?.contains(&public), "it ended at once");
    // Added again, it does not end, and that is said.
    let again = browser.submit(&format!("{PAGE}/keys"), &[("key", &public)]).await?;
    ensure!(again.header("location") == format!("{PAGE}?done=key-stays"), "{again:?}");
    let page = browser.get(&format!("{PAGE}?done=key-stays")).await?.body;
    ensure!(page.contains("does not any more") && !page.contains("<strong>ends "), "{page}");
    let again = browser.submit(&format!("{PAGE}/keys"), &[("key", &public)]).await?;
    ensure!(again.header("location") == format!("{PAGE}?done=key-known"), "{again:?}");
    let now = [("fingerprint", fingerprint.as_str()), ("overlap_days", "0")];
    save(&mut browser, "keys/remove", &now).await?;
    authorised(public, false).await?;

    // Generate New Key: the pair is made here, and its private half lets somebody upload.
    let made = browser.submit(&format!("{PAGE}/keys/generate"), &[]).await?;
    ensure!(made.body.starts_with("-----BEGIN OPENSSH PRIVATE KEY-----"), "{made:?}");
    let private = world.directory().join("generated");
    process::write_secret(&private, &made.body)?;
    ensure!(fs::metadata(&private)?.permissions().mode() & 0o77 == 0);
    let shown = process::output(
        std::process::Command::new("ssh-keygen").arg("-y").arg("-f").arg(&private),
    )?;
    authorised(shown.split_whitespace().nth(1).context("a key")?.to_owned(), true).await?;
    Ok(())
}

fn new_key(world: &World, name: &str) -> Result<(String, String)> {
    let path = world.directory().join(name);
    let mut make = std::process::Command::new("ssh-keygen");
    process::output(make.args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"]).arg(&path))?;
    let public = fs::read_to_string(path.with_extension("pub"))?.trim().to_owned();
    let mut print = std::process::Command::new("ssh-keygen");
    let printed = process::output(print.arg("-lf").arg(path.with_extension("pub")))?;
    Ok((public, printed.split_whitespace().nth(1).context("a fingerprint")?.to_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn test_this_configuration_now_shows_each_step_and_where_it_failed() -> Result<()> {
    let (mut world, mut browser) = begun(Options::default()).await?;
    let test = |what: &str| format!("{PAGE}/test/{what}");
    let page = browser.submit(&test("mongodb"), &[]).await?.body;
    for part in ["write at majority", "read back", "Every step was done.", "</html>"] {
        ensure!(page.contains(part), "{part}: {page}");
    }
    ensure!(page.contains("What is saved is tested."), "{page}");
    // What was typed and not saved is tested as well, and not saved.
    let host = world.mongod.address();
    for (host, target, said) in [
        (host.as_str(), "elsewhere", "Every step was done."),
        ("127.0.0.1:1", "retention", "It failed at this step: find the database."),
    ] {
        let typed = [
            ("mongodb_host", host),
            ("mongodb_user", ""),
            ("mongodb_auth_db", "admin"),
            ("mongodb_target_db", target),
        ];
        let page = browser.submit(&test("mongodb"), &typed).await?.body;
        for part in [said, "tested as you typed it, which is not saved"] {
            ensure!(page.contains(part), "{part}: {page}");
        }
    }
    let saved = document(&world).await?;
    ensure!(!saved.contains("elsewhere") && !saved.contains("127.0.0.1:1\""), "{saved}");
    let page = browser.submit(&test("sftp"), &[]).await?.body;
    for part in ["upload with the stock sftp client", "Every step was done."] {
        ensure!(page.contains(part), "{part}: {page}");
    }
    ensure!(browser.submit(&test("portal"), &[]).await?.body.contains("Every step was done."));
    ensure!(browser.submit(&test("nothing"), &[]).await?.status == 404);
    // No key of a trial becomes one of the site.
    ensure!(!document(&world).await?.contains("retention-trial-"));
    world.sshd.stop(Signal::SIGTERM).await?;
    let page = browser.submit(&test("sftp"), &[]).await?.body;
    ensure!(page.contains("It failed at this step: connect."), "{page}");
    ensure!(page.contains("Not done"), "{page}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn another_database_is_taken_into_use_only_if_every_step_is_done() -> Result<()> {
    let (mut world, mut browser) = begun(Options::default()).await?;
    uploaded(&mut world, 1, KEY).await?;
    let host = world.mongod.address();
    let form = |host: &'static str, target: &'static str| {
        vec![
            ("online", "on"),
            ("mongodb_host", host),
            ("mongodb_user", ""),
            ("mongodb_auth_db", "admin"),
            ("mongodb_target_db", target),
            ("leave", "on"),
        ]
    };
    // What is stored is not left behind unseen.
    let mut unconfirmed = form("127.0.0.1:1", "elsewhere");
    unconfirmed.pop();
    let asked = browser.submit(&format!("{PAGE}/online"), &unconfirmed).await?;
    let left = "leaves 1 stored backup behind, among them 0 only copies";
    for part in ["Confirm that below", left, "value=\"127.0.0.1:1\"", "value=\"elsewhere\""] {
        ensure!(asked.status == 200 && asked.body.contains(part), "{part}: {asked:?}");
    }
    // Nobody listens there: nothing of the form is saved, neither mode nor password.
    save(&mut browser, "offline", &[("offline", "on"), ("sftp_address", "")]).await?;
    let old = audited(&world, "retention", 0).await?.len();
    ensure!(old == 0, "the modes were on before");
    let mut with_others = form("127.0.0.1:1", "retention");
    with_others[0] = ("portal_password", "another quiet Harbour");
    let nobody = browser.submit(&format!("{PAGE}/online"), &with_others).await?;
    ensure!(nobody.body.contains("It failed at this step: find the database."), "{nobody:?}");
    ensure!(browser.get(PAGE).await?.status == 200, "it begins anew");
    // The log says that it was attempted, and that nothing changed.
    let logged = audited(&world, "retention", 2).await?;
    let expected = ["settings-attempted", "settings-not-changed"];
    ensure!(logged.iter().map(|(action, _)| action).eq(&expected), "{logged:?}");
    ensure!(logged[0].1.starts_with("MongoDB Permissions: 127.0.0.1:1"), "{logged:?}");
    ensure!(logged[1].1.starts_with("find the database: "), "{logged:?}");
    let rest = "Online mode off, Offline mode on; 1 stored backups stay behind, 0 only copies; \
                a new password of Admin";
    ensure!(logged[0].1.ends_with(rest), "{logged:?}");
    let password = Options::default().admin_password;
    Browser::new(&world)?.sign_in("Admin", &password).await.context("the password was changed")?;
    shows(&mut browser, &["name=\"online\" checked"]).await?;

    let host: &'static str = Box::leak(host.into_boxed_str());
    // This time with another password, which holds there.
    let password = "another quiet Harbour";
    let mut with_password = form(host, "elsewhere");
    with_password.push(("portal_password", password));
    let taken = browser.submit(&format!("{PAGE}/online"), &with_password).await?;
    ensure!(taken.body.contains("Every step was done."), "{taken:?}");
    // Both logs have it: that of the database which was left, and that of the new one.
    let logged = audited(&world, "retention", 4).await?;
    let expected = ["settings-attempted", "settings-changed"];
    ensure!(logged[2..].iter().map(|(action, _)| action).eq(&expected), "{logged:?}");
    let there = audited(&world, "elsewhere", 1).await?;
    ensure!(there == logged[3..], "{there:?}");
    let changed = doc! { "action": "password-changed", "subject": "/accounts/Admin" };
    let there = world.database().client().database("elsewhere");
    let audit = there.collection::<Document>("audit");
    ensure!(audit.count_documents(changed).await? == 1, "nobody wrote the password down");
    // All begins anew: the session has ended.
    until("the portal is back", || {
        let world = &world;
        async move {
            let mut browser = Browser::new(world)?;
            if browser.sign_in("Admin", password).await.is_err() {
                return Ok(false);
            }
            let page = browser.get(PAGE).await?;
            Ok(page.body.contains("value=\"elsewhere\""))
        }
    })
    .await?;
    world.upload(&archives::write(world.directory(), 2, &Sample::new(4).bytes()?)?).await?;
    let there = world.database().client().database("elsewhere");
    let stored = there.collection::<Document>("backups");
    until("it is stored there", || {
        let stored = stored.clone();
        async move {
            Ok(stored.find_one(doc! { "job": job(2), "state": "Stored" }).await?.is_some())
        }
    })
    .await?;
    let before = world.database().collection::<Document>("backups");
    ensure!(before.count_documents(doc! { "job": job(1) }).await? == 1, "what was stored is gone");
    ensure!(before.count_documents(doc! { "job": job(2) }).await? == 0);
    // The commands look there as well.
    ensure!(world.status()?.to_string().contains(&job(2)));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_database_is_gone_says_that_another_one_may_have_been_set() -> Result<()> {
    let (mut world, _) = begun(Options::default()).await?;
    let said = "If another database was set in the portal while this node was down";
    ensure!(!world.run(&["status"])?.1.contains(said));
    world.mongod.stop(Signal::SIGTERM).await?;
    let status = world.run(&["status"])?.1;
    ensure!(status.contains(said) && status.contains("OPERATIONS.md, section 6"), "{status}");
    let log = world.directory().join("logs/daemon.log");
    let deadline = Instant::now() + PATIENCE;
    while !fs::read_to_string(&log)?.contains(said) {
        ensure!(Instant::now() < deadline, "the journal never says it");
        tokio::time::sleep(process::GLANCE).await;
    }
    // What stands there for that case is there.
    let operations = include_str!("../OPERATIONS.md");
    ensure!(operations.contains("**a node that missed another database**"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn maaiiconnect_is_told_through_the_connector() -> Result<()> {
    let (mut world, mut browser) = begun(Options::default()).await?;
    let service = Service::start(&world).await?;
    service.connect(&mut world).await?;
    browser.sign_in("Admin", &Options::default().admin_password).await?;
    shows(&mut browser, &["maaiiconnect makes no backup yet. Set the days of retention, the hour of the schedule, an Archive Key."])
        .await?;
    save(&mut browser, "keys/fetch", &[]).await?;
    shows(&mut browser, &["maaiiconnect"]).await?;
    let address = format!("127.0.0.1:{}", world.sftp_port());
    save(&mut browser, "offline", &[("offline", "on"), ("sftp_address", &address)]).await?;
    let general = [("days_retained", "3"), ("schedule_hour", "5"), ("archive_key", NEW_KEY)];
    save(&mut browser, "general", &general).await?;
    let told = |days: i64, hour: i64, enabled: bool| {
        let service = &service;
        async move {
            until("maaiiconnect has the settings", || async move {
                let (_, settings) = service.call("GET", "/connector/v1/settings", None).await?;
                let general = &settings["general"];
                Ok(general["days_retained"] == days
                    && general["schedule_hour_utc"] == hour
                    && settings["enabled"] == enabled)
            })
            .await
        }
    };
    told(3, 5, true).await?;
    until("the page says so", || {
        let mut browser = browser.clone();
        async move {
            Ok(browser.get(PAGE).await?.body.contains("maaiiconnect has these settings since"))
        }
    })
    .await?;
    let tested = browser.submit(&format!("{PAGE}/test/sftp"), &[]).await?.body;
    for part in ["maaiiconnect: upload a small file", "Every step was done."] {
        ensure!(tested.contains(part), "{part}: {tested}");
    }
    save(&mut browser, "keys/generate", &[]).await?;
    save(&mut browser, "power", &[("enabled", "off")]).await?;
    told(3, 5, false).await?;

    // `retention check` asks it as well.
    let checked = |grade: &str, part: &str| -> Result<()> {
        let (_, said, errors) = world.run(&["check", "--json"])?;
        let said: serde_json::Value = serde_json::from_str(&said).context(errors)?;
        let mut findings = said["findings"].as_array().into_iter().flatten();
        let found = findings.find(|it| it["id"] == "connector").context("it was not asked")?;
        ensure!(found["grade"] == grade && found.to_string().contains(part), "{part}: {found}");
        Ok(())
    };
    checked("ok", "answers; it makes no backups now")?;
    process::write_secret(&world.secret("connector-token"), "no token of its own")?;
    checked("error", "Copy the token")?;
    fs::remove_file(world.secret("connector-token"))?;
    checked("error", "cannot ask without a token")?;
    process::write_secret(&world.secret("connector-token"), &service.token)?;
    let config = world.directory().join("retention.toml");
    let text = fs::read_to_string(&config)?;
    fs::write(
        &config,
        text.replace(&format!("{}connector/v1", service.url()), "http://127.0.0.1:1"),
    )?;
    checked("error", "\"line\":")?;
    checked("error", "See whether connector.url is right")
}

/// A service that has a key of which no appliance wants to know, and makes another one like it.
async fn with_weak_keys(listener: TcpListener) -> Result<()> {
    loop {
        let (mut stream, _) = listener.accept().await?;
        let mut head = vec![0; 8192];
        let read = stream.read(&mut head).await?;
        let head = String::from_utf8_lossy(&head[..read]).into_owned();
        let key = |name: &str| {
            format!(r#"{{"public_key":"ssh-dss AAAA {name}","fingerprint":"SHA256:{name}"}}"#)
        };
        let (status, body) = match head.split(" HTTP").next() {
            Some("GET /connector/v1/sftp-key") => (200, key("old")),
            Some("POST /connector/v1/sftp-key") => (200, key("new")),
            _ => (503, "{}".to_owned()),
        };
        let answer = format!(
            "HTTP/1.1 {status} .\r\nContent-Type: application/json\r\nConnection: close\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(answer.as_bytes()).await?;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_of_maaiiconnect_that_is_not_let_in_leaves_a_trace_and_advice() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/connector/v1", listener.local_addr()?);
    let service = tokio::spawn(with_weak_keys(listener));
    let sections = format!("[connector]\nurl = {url:?}\n");
    let (world, mut browser) = begun(Options { sections, ..Options::default() }).await?;
    process::write_secret(&world.secret("connector-token"), &"t0ken".repeat(8))?;
    let refused = browser.submit(&format!("{PAGE}/keys/generate"), &[]).await?;
    for part in ["has made the key SHA256:new", "DSA keys are too weak", "do not remove it"] {
        ensure!(refused.body.contains(part), "{part}: {refused:?}");
    }
    let logged = audited(&world, "retention", 2).await?;
    let expected = [
        ("settings-attempted", "maaiiconnect's SFTP key: a new one in the place of SHA256:old"),
        ("settings-changed", "maaiiconnect's SFTP key: SHA256:new in the place of SHA256:old"),
    ];
    ensure!(logged.iter().map(|(action, said)| (&**action, &**said)).eq(expected), "{logged:?}");
    service.abort();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_set_on_one_node_holds_on_the_other() -> Result<()> {
    let (mut world, mut browser) = begun(Options::default()).await?;
    uploaded(&mut world, 1, KEY).await?;
    // A second node: another directory and other ports, the same database.
    let (state, portal) = (world.directory().join("other"), process::free_port()?);
    let text = fs::read_to_string(world.directory().join("retention.toml"))?
        .replace(&format!("{:?}", world.state_directory()), &format!("{state:?}"))
        .replace(&world.sftp_port().to_string(), &process::free_port()?.to_string())
        .replace(&world.portal_port().to_string(), &portal.to_string());
    let config = world.directory().join("other.toml");
    fs::write(&config, text)?;
    let program = Program { path: world::binary()?, config, disks: None };
    process::output(program.command().args(["sftp", "prepare"]))?;
    let (log, notify) = (world.directory().join("other.log"), world.directory().join("other.sock"));
    let mut daemon = Daemon::new(program.clone(), &log, notify, None);
    daemon.launch()?;
    daemon.ready(PATIENCE).await?;

    let file = |name: &str| state.join("sftp-server").join(name);
    let uploader = fs::read_to_string(world.sftp.public_key())?;
    let uploader = uploader.split_whitespace().nth(1).context("a key")?.to_owned();
    until("the key may upload to both", || {
        let (keys, uploader) = (file("authorized_keys"), uploader.clone());
        async move { Ok(fs::read_to_string(keys)?.contains(&uploader)) }
    })
    .await?;
    // Archive Key, modes and hour: what the second node takes in goes by them.
    let general = [("days_retained", "30"), ("schedule_hour", "5"), ("archive_key", NEW_KEY)];
    save(&mut browser, "general", &general).await?;
    let host = world.mongod.address();
    let offline_alone = [
        ("mongodb_host", host.as_str()),
        ("mongodb_user", ""),
        ("mongodb_auth_db", "admin"),
        ("mongodb_target_db", "retention"),
    ];
    save(&mut browser, "online", &offline_alone).await?;
    let status = program.command().args(["status", "--json"]).output()?;
    let status = String::from_utf8_lossy(&status.stdout).into_owned();
    ensure!(status.contains("05:00 UTC"), "the second node awaits no backup at 05:00: {status}");
    let bytes = Sample::new(10).with("lc-data-server/none.json", "[]").bytes_with(NEW_KEY)?;
    let written = archives::write(world.directory(), 2, &bytes)?;
    let inbox = state.join("sftp/inbox");
    fs::copy(&written, inbox.join("on-its-way.part"))?;
    fs::rename(inbox.join("on-its-way.part"), inbox.join(archives::name(2)))?;
    let there = world.wait_state(&job(2), State::Stored, PATIENCE).await?;
    let kept = state.join("archive/2021").join(archives::name(2));
    until("the second node keeps the archive", || async { Ok(kept.exists()) }).await?;
    let modes = there.get_document("modes")?;
    ensure!((modes.get_bool("online")?, modes.get_bool("offline")?) == (false, true), "{modes}");
    ensure!(there.get_array("archive_keys")?.len() == 1, "{there}");
    let unpacked = world.database().collection::<Document>("messages");
    ensure!(unpacked.count_documents(doc! { "backup": job(2) }).await? == 0, "it was unpacked");

    save(&mut browser, "power", &[("enabled", "off")]).await?;
    until("both refuse uploads", || {
        let off = file("off");
        async move { Ok(off.exists()) }
    })
    .await?;
    let mut other = Browser::at(&state.join("portal/certificate.pem"), portal)?;
    other.sign_in("Admin", &Options::default().admin_password).await?;
    shows(&mut other, &["OFF", "Uploads are refused"]).await?;
    let backup = other.get(&format!("/retention/backups/{}", job(1))).await?.body;
    ensure!(backup.contains("another node keeps the archive"), "{backup}");
    daemon.stop(Signal::SIGTERM).await?;
    Ok(())
}
