//! Two simulated weeks of the whole cycle, as an administrator meets them in a real browser.
//!
//! On the one side `retention-service` with its business and its schedule, on the other the
//! appliance with MongoDB, OpenSSH and the daemon. Nothing is asked of the appliance but through
//! its portal; what became of it is then held against both databases.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    path::Path,
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use futures_util::TryStreamExt;
use mongodb::bson::{Bson, Document, doc};
use retention::backup::State;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    archives::{self, Sample},
    browser::Browser,
    chromium::Chromium,
    service::{STAYS, gone_from_the_rooms, held},
    world::{Options, World, service::Service, until},
};

const PATIENCE: Duration = Duration::from_secs(90);

/// How many backups the schedule makes.
const BACKUPS: usize = 14;

/// The first Archive Key, and the one of the second week.
const KEYS: [&str; 2] = ["Str0ng!Key#2021", "N3xt!Key#2027"];

const SETTINGS: &str = "/retention/settings";

/// A file of the first day, so that the backup that first holds it, the third, is on its way for long
/// enough to break off.
const NOISE_BYTES: usize = 3_000_000;

/// Records of the service by dataset and id, as they are written there.
type Records = BTreeMap<(String, String), Value>;

/// Both sides, the browser, and what came to be known of them.
struct Weeks {
    world: World,
    service: Service,
    browser: Chromium,
    /// Every record that the service ever held, and the file that it names.
    ever: Records,
    files: BTreeMap<(String, String), String>,
    /// The SHA-256 of every file that the service ever held, by its id.
    media: BTreeMap<String, String>,
    /// The jobs of the backups, and the ids of their uploads that were stored.
    backups: Vec<(String, String)>,
}

#[tokio::test(flavor = "multi_thread")]
async fn what_two_weeks_of_the_cycle_deleted_from_maaiiconnect_is_exactly_what_the_portal_shows()
-> Result<()> {
    // No Archive Key but the ones that are typed in.
    let options = Options { grace_seconds: 600, archive_keys: Vec::new(), ..Options::default() };
    let mut world = World::start(options).await?;
    let service = Service::start(&world).await?;
    service.connect(&mut world).await?;
    let browser = Chromium::start(&world).await?;
    let (ever, files, media) = (Records::new(), BTreeMap::new(), BTreeMap::new());
    let mut weeks = Weeks { world, service, browser, ever, files, media, backups: Vec::new() };
    let outcome = weeks.pass().await;
    let closed = weeks.browser.close().await;
    outcome.and(closed)
}

impl Weeks {
    async fn pass(&mut self) -> Result<()> {
        self.browser.sign_in("Admin", &Options::default().admin_password).await?;
        self.switch_on().await?;

        // The first week: one upload breaks off and is resumed, one is corrupt and sent again.
        self.night(NOISE_BYTES).await?;
        self.night(0).await?;
        self.delete(0).await?;
        self.plan(json!({ "abort_upload": true })).await?;
        self.interrupted_night().await?;
        self.night(0).await?;
        self.corrupt_night().await?;
        self.night(0).await?;
        self.night(0).await?;

        // The second: another Archive Key; the deletion of what was interrupted fails first.
        self.change_archive_key().await?;
        self.night(0).await?;
        self.fail_to_delete(2).await?;
        for _ in self.backups.len()..BACKUPS {
            self.night(0).await?;
        }
        self.delete(9).await?;

        self.compare(&[0, 2, 9]).await?;
        self.check_receipt(9).await?;
        self.switch_off().await
    }

    /// The settings, section by section.
    async fn switch_on(&self) -> Result<()> {
        let browser = &self.browser;
        browser.open("/retention/backups").await?;
        browser.press("Settings").await?;
        browser.press("Turn OFF").await?;
        browser.says(&["OFF"]).await?;
        ensure!(browser.count("#general, #online, #offline").await? == 0, "its options are there");
        browser.press("Turn ON").await?;
        browser.says(&["General", "Online mode", "Offline mode"]).await?;

        // A key that is too weak is refused; the rules are shown as they are met.
        browser.fill("archive_key", "weakkey1").await?;
        ensure!(browser.count("#key-rules .met").await? == 3, "{}", browser.text().await?);
        self.save("general").await?;
        browser.says(&["The Archive Key needs an upper case letter, a symbol."]).await?;
        browser.fill("days_retained", "2").await?;
        browser.choose("schedule_hour", "2").await?;
        browser.fill("archive_key", KEYS[0]).await?;
        ensure!(browser.count("#key-rules .met").await? == 5, "{}", browser.text().await?);
        self.save("general").await?;
        ensure!(!browser.source().await?.contains(KEYS[0]), "the page shows the Archive Key");

        browser.tick("online", true).await?;
        self.save("online").await?;
        browser.tick("offline", true).await?;
        browser.fill("sftp_address", &format!("127.0.0.1:{}", self.world.sftp_port())).await?;
        self.save("offline").await?;
        browser.press("Add maaiiconnect's key").await?;
        self.told(json!({ "days_retained": 2, "schedule_hour_utc": 2 }), true).await?;
        for button in [
            format!("form[action='{SETTINGS}/test/sftp'] button"),
            format!("button[formaction='{SETTINGS}/test/mongodb']"),
        ] {
            // What was typed and not saved is there still after the test, and no part of it.
            browser.open(SETTINGS).await?;
            browser.fill("days_retained", "77").await?;
            browser.click_aside(&button).await?;
            browser.comes_to_say("Every step was done.").await?;
            browser.says(&["maaiiconnect: ", "What is saved is tested."]).await?;
            browser.close_aside().await?;
            let typed = "return document.querySelector('[name=days_retained]').value";
            ensure!(browser.script(typed).await? == "77", "what was typed is lost");
        }
        Ok(())
    }

    /// Saves a section of the settings.
    async fn save(&self, section: &str) -> Result<()> {
        self.browser.click(&format!("form[action='{SETTINGS}/{section}'] .button.main")).await
    }

    /// Waits until maaiiconnect has these settings, as the page says, too.
    async fn told(&self, general: Value, enabled: bool) -> Result<()> {
        until("maaiiconnect has the settings", || async {
            let settings = self.service.get("/connector/v1/settings").await?;
            let mut members = general.as_object().into_iter().flatten();
            let same = members.all(|(name, value)| settings["general"][name] == *value);
            Ok(same && settings["enabled"] == enabled)
        })
        .await?;
        self.browser.finds(SETTINGS, "maaiiconnect has these settings since").await
    }

    /// Another Archive Key: the old one stays, for what it has opened.
    async fn change_archive_key(&self) -> Result<()> {
        let before = self.service.get("/connector/v1/settings").await?;
        self.browser.open(SETTINGS).await?;
        self.browser.fill("archive_key", KEYS[1]).await?;
        self.save("general").await?;
        until("maaiiconnect has the new key", || async {
            let settings = self.service.get("/connector/v1/settings").await?;
            Ok(settings["general"]["archive_key_set"] != before["general"]["archive_key_set"])
        })
        .await?;
        let kept = format!("{} backups", self.backups.len());
        self.browser.open(SETTINGS).await?;
        self.browser.says(&[&kept, "0 backups", "by Admin"]).await
    }

    /// Turns retention off, which stops all of it and says so.
    async fn switch_off(&self) -> Result<()> {
        let clock = self.service.get("/simulation/clock").await?;
        ensure!(clock["next_backup"].is_string(), "no backup is awaited: {clock}");
        self.browser.open(SETTINGS).await?;
        self.browser.press("Turn OFF").await?;
        self.browser.says(&["OFF", "Uploads are refused, and no backup is awaited."]).await?;
        self.told(json!({}), false).await?;
        let clock = self.service.get("/simulation/clock").await?;
        ensure!(clock["next_backup"].is_null(), "a backup is scheduled: {clock}");
        let (status, said) = self.service.call("POST", "/simulation/advance", None).await?;
        ensure!(status == 409 && said["detail"].to_string().contains("is off"), "{said}");

        // Whoever uploads all the same is told why that is refused.
        let file = archives::write(self.world.directory(), 1, &Sample::new(3).bytes()?)?;
        let off = self.world.state_directory().join("sftp-server/off");
        until("the door is shut", || async { Ok(off.exists()) }).await?;
        let refused = self.world.refused(&file).await?;
        ensure!(refused.contains("uploads-refused-retention-is-off"), "{refused}");
        let (state, said) = self.world.check("schedule")?;
        ensure!(state == "ok" && said.starts_with("Retention is off"), "{state}: {said}");
        // What was stored is there as before.
        self.browser.open("/retention/backups").await?;
        let lines = self.browser.count("main tbody tr").await?;
        ensure!(lines == BACKUPS + 1, "{lines} lines, of {BACKUPS} backups and a corrupt upload");
        Ok(())
    }

    async fn plan(&self, misdeeds: Value) -> Result<()> {
        self.service.ask("PUT", "/simulation/mischief", misdeeds).await.map(drop)
    }

    /// A day of business, and the backup that is due in the night after it. Returns its job.
    async fn begin_night(&mut self, noise_bytes: usize) -> Result<String> {
        let day = json!({ "days": 1, "noise_bytes": noise_bytes });
        self.service.ask("POST", "/simulation/traffic", day).await?;
        let (records, files) = self.records().await?;
        self.ever.extend(records);
        self.files.extend(files);
        let known: Vec<String> = self.media.keys().cloned().collect();
        self.media.extend(self.media_but(known).await?);
        self.service.advance().await
    }

    /// A day, and its backup up to where it is stored and everything about it was looked at.
    async fn night(&mut self, noise_bytes: usize) -> Result<()> {
        let job = self.begin_night(noise_bytes).await?;
        self.morning(job).await
    }

    /// Waits for a backup to be stored, and finds it in the Backup Log.
    async fn morning(&mut self, job: String) -> Result<()> {
        let line = self.service.wait_status(&job, "Backup uploaded").await?;
        let stored = self.world.wait_state(&job, State::Stored, PATIENCE).await?;
        let upload = stored.get_str("_id")?.to_owned();
        self.browser.open("/retention/backups").await?;
        let row = format!("main tr:has(a[href='/retention/backups/{upload}'])");
        let row = self.browser.text_of(&row).await?;
        let file = line["file_name"].as_str().context("a file name")?;
        for part in [file, "Backup uploaded", "Stored"] {
            ensure!(row.contains(part), "the Backup Log does not say {part:?}: {row}");
        }
        self.backups.push((job, upload));
        Ok(())
    }

    /// An upload that breaks off half-way: the log shows it on its way, and then whole.
    async fn interrupted_night(&mut self) -> Result<()> {
        let job = self.begin_night(0).await?;
        self.browser.finds("/retention/backups", "Uploading backup...").await?;
        self.morning(job.clone()).await?;
        let line = self.service.get(&format!("/connector/v1/backups/{job}")).await?;
        ensure!(line["attempts"].as_u64() > Some(1), "it did not break off: {line}");
        ensure!(self.service.log().contains("told to break off"), "{}", self.service.log());
        // It went on where it was, and did not begin anew.
        let log = self.service.log();
        let mut lines = log.lines().filter(|line| line.contains(&job));
        let resumed = lines.find_map(|line| line.split_once("at_byte=").map(|(_, at)| at));
        let digits =
            |text: &str| -> String { text.chars().take_while(char::is_ascii_digit).collect() };
        let resumed: u64 = digits(resumed.context("it began anew")?).parse()?;
        let size = line["archive_size_bytes"].as_u64().context("a size")?;
        ensure!(resumed > size / 10 && resumed < size, "it went on at {resumed} of {size}");
        Ok(())
    }

    /// An upload with a changed bit: it is rejected with the reason, sent again, and stored.
    async fn corrupt_night(&mut self) -> Result<()> {
        self.plan(json!({ "corrupt_upload": true })).await?;
        let job = self.begin_night(0).await?;
        self.service.wait_status(&job, "Backup uploaded").await?;
        let rejected = self.world.wait_state(&job, State::Rejected, PATIENCE).await?;
        let page = format!("/retention/backups/{}", rejected.get_str("_id")?);
        let reason = rejected.get_document("rejection")?.get_str("sentence")?;
        self.browser.open(&page).await?;
        self.browser.says(&["Rejected", reason, "let it upload this backup again"]).await?;
        ensure!(self.browser.count("a[href$='/delete']").await? == 0, "it could be deleted");
        let again = format!("/connector/v1/backups/{job}/upload");
        self.service.ask("POST", &again, json!({ "reason": reason })).await?;
        self.morning(job).await?;
        self.browser.open(&page).await?;
        self.browser.says(&["Rejected, replaced since"]).await
    }

    /// Presses *Delete from maaiiconnect* at a backup that is safe, up to *Deleting data...*.
    async fn press_delete(&self, page: &str, button: &str) -> Result<()> {
        self.browser.finds(page, "Safe to delete").await?;
        self.browser.press(button).await?;
        self.browser
            .says(&["maaiiconnect will delete", "Messages", "maaiiconnect will keep"])
            .await?;
        self.browser.fill("password", &Options::default().admin_password).await?;
        self.browser.press(button).await?;
        ensure!(self.browser.path().await? == page, "{}", self.browser.text().await?);
        Ok(())
    }

    fn page(&self, n: usize) -> String {
        format!("/retention/backups/{}", self.backups[n].1)
    }

    /// Deletes what a backup holds from maaiiconnect.
    async fn delete(&self, n: usize) -> Result<()> {
        let page = self.page(n);
        self.press_delete(&page, "Delete from maaiiconnect").await?;
        self.browser.finds(&page, "This is the only copy.").await?;
        self.browser.says(&["Completed"]).await?;
        self.browser.open("/retention/backups").await?;
        self.browser.says(&["Completed", "Only copy"]).await
    }

    /// The same, but the service fails at first.
    async fn fail_to_delete(&self, n: usize) -> Result<()> {
        self.plan(json!({ "fail_deletion": true })).await?;
        let page = self.page(n);
        self.press_delete(&page, "Delete from maaiiconnect").await?;
        self.browser.finds(&page, "Failed to delete data").await?;
        self.browser.says(&["The database could not remove all of the data."]).await?;
        self.press_delete(&page, "Try again").await?;
        self.browser.finds(&page, "This is the only copy.").await
    }

    /// The SHA-256 of the files that the service holds now, but for those that are `known`.
    async fn media_but(&self, known: Vec<String>) -> Result<BTreeMap<String, String>> {
        let media = self.world.mongod.client().database("maaiiconnect");
        let media = media.collection::<Document>("media");
        let mut found = media.find(doc! { "_id": { "$nin": known } }).await?;
        let mut digests = BTreeMap::new();
        while let Some(medium) = found.try_next().await? {
            let digest = hex::encode(Sha256::digest(medium.get_binary_generic("bytes")?));
            digests.insert(medium.get_str("_id")?.to_owned(), digest);
        }
        Ok(digests)
    }

    /// The records that the service holds now, out of its own database, and the files that they name.
    async fn records(&self) -> Result<(Records, BTreeMap<(String, String), String>)> {
        let database = self.world.mongod.client().database("maaiiconnect");
        let mut found = database.collection::<Document>("records").find(doc! {}).await?;
        let (mut records, mut files) = (Records::new(), BTreeMap::new());
        while let Some(record) = found.try_next().await? {
            let text = |name: &str| record.get_str(name).map(str::to_owned);
            let json = serde_json::from_str(record.get_str("json")?)?;
            let key = (text("dataset")?, text("id")?);
            if let Some(file) = record.get_array("names")?.first().and_then(Bson::as_str) {
                files.insert(key.clone(), file.to_owned());
            }
            records.insert(key, json);
        }
        Ok((records, files))
    }

    /// Holds what is gone from the service against what the appliance has and shows.
    async fn compare(&self, deleted: &[usize]) -> Result<()> {
        let (left, _) = self.records().await?;
        let gone: BTreeMap<_, _> =
            self.ever.iter().filter(|(key, _)| !left.contains_key(*key)).collect();
        let mut asked_for = BTreeSet::new();
        for n in deleted {
            let held = held(&self.service, &self.backups[*n].0).await?;
            gone_from_the_rooms(&self.service, &held).await?;
            for (dataset, ids) in held {
                if !STAYS.contains(&dataset.as_str()) {
                    asked_for.extend(ids.into_iter().map(|id| (dataset.clone(), id)));
                }
            }
        }
        ensure!(gone.keys().copied().eq(&asked_for), "something else is gone");
        ensure!(gone.len() > 500, "only {} records were deleted", gone.len());

        let mut shown = BTreeMap::new();
        let database = self.world.database();
        for view in
            ["calls", "conferences", "messages", "voicemails", "recordings", "files", "enquiries"]
        {
            let filter = doc! { "raw": { "$exists": true } };
            let mut found = database.collection::<Document>(view).find(filter).await?;
            while let Some(record) = found.try_next().await? {
                let text = |name: &str| record.get_str(name).map(str::to_owned);
                let raw = record.get_document("raw")?.clone();
                let raw = Bson::Document(raw).into_relaxed_extjson();
                shown.insert((text("dataset")?, text("id")?), (view, text("_id")?, raw));
            }
        }
        let mut seen = BTreeSet::new();
        let mut heard = BTreeSet::new();
        let mut visitor = Browser::new(&self.world)?;
        visitor.sign_in("Admin", &Options::default().admin_password).await?;
        for (key, record) in gone {
            let (view, name, raw) = shown.get(key).with_context(|| format!("{key:?} is lost"))?;
            ensure!(raw == record, "{key:?} is another one here: {raw} and not {record}");
            // The portal gives it to whoever may take it, and its file, byte by byte.
            let place = format!("/records/{view}/{}", name.replace('#', "%23"));
            let (status, given) = visitor.take(&format!("{place}/record")).await?;
            let given: Value = serde_json::from_slice(&given)
                .with_context(|| format!("{place} is answered with {status}"))?;
            ensure!(status == 200 && given == *record, "{place} is {given} and not {record}");
            if let Some(file) = self.files.get(key) {
                let (status, given) = visitor.take(&format!("{place}/download")).await?;
                let expected = self.media.get(file).context("the service had it")?;
                let same = hex::encode(Sha256::digest(&given)) == *expected;
                ensure!(status == 200 && same, "{place}: {status}, another file than {file}");
                heard.insert(file.clone());
            }
            // Each view is looked at, too.
            if seen.insert(*view) {
                let name = name.replace('#', "%23");
                self.browser.open(&format!("/records/{view}/{name}")).await?;
                self.browser.says(&[&key.1]).await?;
            }
        }
        ensure!(seen.len() == 7, "only {seen:?} were looked at");
        let kept = self.media_but(Vec::new()).await?;
        let lost: Vec<_> = self.media.keys().filter(|file| !kept.contains_key(*file)).collect();
        ensure!(lost.len() > 20, "only {} files were deleted", lost.len());
        ensure!(lost.iter().all(|file| heard.contains(*file)), "a file cannot be had any more");
        self.hear_a_voicemail(deleted[0]).await
    }

    /// A voicemail that maaiiconnect does not have any more can still be heard.
    async fn hear_a_voicemail(&self, n: usize) -> Result<()> {
        let list = format!("/records/voicemails?backup={}", self.backups[n].0);
        self.browser.open(&list).await?;
        self.browser.click("main tbody a[href^='/records/voicemails/']").await?;
        self.browser.script("document.querySelector('audio').load()").await?;
        let script = "const audio = document.querySelector('audio'); audio.preload = 'auto'; \
                      return audio.error ? -1 : audio.duration || 0";
        for _ in 0..100 {
            let seconds = self.browser.script(script).await?;
            if seconds.as_f64().is_some_and(|seconds| seconds > 1.0) {
                return Ok(());
            }
            ensure!(seconds != -1, "the voicemail cannot be played");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        anyhow::bail!("the voicemail is never loaded")
    }

    /// Downloads a receipt, and has stock OpenSSH check it.
    async fn check_receipt(&self, n: usize) -> Result<()> {
        self.browser.open(&self.page(n)).await?;
        let statement = self.browser.download("Statement").await?;
        let signature = self.browser.download("Signature").await?;
        let signers = self.browser.download("allowed_signers").await?;
        let accepted = |statement: &Path| -> Result<bool> {
            let mut command = Command::new("ssh-keygen");
            command.args(["-Y", "verify", "-I", "retention-appliance", "-n", "retention-receipt"]);
            command.arg("-f").arg(&signers).arg("-s").arg(&signature);
            Ok(command.stdin(File::open(statement)?).output()?.status.success())
        };
        ensure!(accepted(&statement)?, "ssh-keygen refuses the receipt");
        let text = std::fs::read_to_string(&statement)?;
        ensure!(text.contains(&self.backups[n].0), "it is that of another backup: {text}");
        let forged = self.world.directory().join("forged.json");
        std::fs::write(&forged, text.replacen("\"message\": ", "\"message\": 1", 1))?;
        ensure!(!accepted(&forged)?, "ssh-keygen accepts a receipt that was changed");

        // The second week's backups were opened with another key.
        let marks = async |n: usize| -> Result<Value> {
            let receipt = self.world.run(&["receipt", "show", &self.backups[n].0])?.1;
            Ok(serde_json::from_str::<Value>(&receipt)?["archive_keys"]["marks"].clone())
        };
        ensure!(marks(5).await? == marks(6).await? && marks(7).await? == marks(9).await?);
        ensure!(marks(6).await? != marks(7).await?, "the Archive Key has not changed");
        Ok(())
    }
}
