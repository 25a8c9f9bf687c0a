//! Both sides, for all of maaiiconnect's sentences: who is first starts them, who is last ends them.

use std::{
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use mongodb::bson::Document;
use retention::backup::State;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::{
    browser::Browser,
    service::Ids,
    world::{Options, World, process::GLANCE, service::Service},
};

/// How long something may take until it is so.
const PATIENCE: Duration = Duration::from_secs(90);

/// The Archive Key that both sides begin with.
pub(super) const KEY: &str = "Str0ng!Key#2021";

/// How many days maaiiconnect retains.
pub(super) const DAYS: u16 = 2;

/// The hour of the schedule, in UTC.
pub(super) const HOUR: u8 = 2;

/// The Settings tab.
pub(super) const SETTINGS: &str = "/retention/settings";

/// Both sides, and an administrator who has signed in.
pub(super) struct Stage {
    pub(super) world: World,
    pub(super) service: Service,
    pub(super) browser: Browser,
    /// A backup that nobody deletes.
    pub(super) first: Backup,
}

/// A backup that was uploaded and stored.
#[derive(Clone, Debug, Default)]
pub(super) struct Backup {
    pub(super) job: String,
    /// Its page in the portal.
    pub(super) page: String,
    /// Its line in the service's own log.
    pub(super) line: Value,
    /// Its line in the appliance's.
    pub(super) stored: Document,
}

struct Shared {
    /// Always there, but for the moment in which it ends.
    stage: Option<Mutex<Stage>>,
    runtime: Runtime,
}

impl Drop for Shared {
    fn drop(&mut self) {
        // The driver of the database ends on the threads that it began on.
        let _on = self.runtime.enter();
        drop(self.stage.take());
    }
}

/// Plays one sentence, while no other one is played.
pub(super) fn on_stage(play: impl AsyncFnOnce(&mut Stage) -> Result<()>) -> Result<()> {
    let shared = shared()?;
    let stage = shared.stage.as_ref().context("there is a stage")?;
    let mut stage = stage.lock().unwrap_or_else(PoisonError::into_inner);
    shared.runtime.block_on(play(&mut stage))
}

fn shared() -> Result<Arc<Shared>> {
    static SHARED: Mutex<Weak<Shared>> = Mutex::new(Weak::new());
    let mut known = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(shared) = known.upgrade() {
        return Ok(shared);
    }
    let runtime = Runtime::new()?;
    let stage = Some(Mutex::new(runtime.block_on(Stage::start())?));
    let shared = Arc::new(Shared { stage, runtime });
    *known = Arc::downgrade(&shared);
    Ok(shared)
}

impl Stage {
    async fn start() -> Result<Self> {
        let mut world = World::start(Options { grace_seconds: 600, ..Options::default() }).await?;
        let service = Service::start(&world).await?;
        service.connect(&mut world).await?;
        let mut browser = Browser::new(&world)?;
        browser.sign_in("Admin", &Options::default().admin_password).await?;
        let first = Backup::default();
        let mut stage = Self { world, service, browser, first };
        let address = format!("127.0.0.1:{}", stage.world.sftp_port());
        stage.save("offline", &[("offline", "on"), ("sftp_address", &address)]).await?;
        stage.save("keys/fetch", &[]).await?;
        stage.general(DAYS, HOUR, KEY).await?;
        stage.first = stage.backup().await?;
        Ok(stage)
    }

    /// Saves a section of the Settings tab.
    pub(super) async fn save(&mut self, section: &str, form: &[(&str, &str)]) -> Result<()> {
        let answer = self.browser.submit(&format!("{SETTINGS}/{section}"), form).await?;
        ensure!(answer.status == 303, "{section} was not saved: {answer:?}");
        Ok(())
    }

    /// Saves *General*, and waits until the service has it. An empty key leaves the one that is set.
    pub(super) async fn general(&mut self, days: u16, hour: u8, key: &str) -> Result<()> {
        let (days_text, hour_text) = (days.to_string(), hour.to_string());
        let form = [
            ("days_retained", days_text.as_str()),
            ("schedule_hour", &hour_text),
            ("archive_key", key),
        ];
        self.save("general", &form).await?;
        self.told(|settings| {
            let general = &settings["general"];
            settings["enabled"] == true
                && general["days_retained"] == days
                && general["schedule_hour_utc"] == hour
        })
        .await
    }

    /// Waits until the service was told of settings like these.
    pub(super) async fn told(&self, like: impl Fn(&Value) -> bool) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let settings = self.service.get("/connector/v1/settings").await?;
            if like(&settings) {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "the service has others: {settings}");
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// A day, and the backup of the night after it, once it is stored.
    pub(super) async fn backup(&mut self) -> Result<Backup> {
        backup(&mut self.world, &self.service).await
    }

    /// Waits for a backup of this job to be stored.
    pub(super) async fn stored(&mut self, job: &str) -> Result<Backup> {
        stored(&mut self.world, &self.service, job).await
    }

    /// Puts settings into the service alone that differ from the portal's in this.
    pub(super) async fn put(&self, differ: impl FnOnce(&mut Value)) -> Result<(u16, Value)> {
        let mut settings = Service::settings(&self.world, KEY, DAYS)?;
        differ(&mut settings);
        self.service.call("PUT", "/connector/v1/settings", Some(&settings)).await
    }

    /// Has the service misbehave, or not any more.
    pub(super) async fn plan(&self, misdeeds: Value) -> Result<()> {
        self.service.ask("PUT", "/simulation/mischief", misdeeds).await.map(drop)
    }

    /// What the portal shows at an address.
    pub(super) async fn page(&mut self, path: &str) -> Result<String> {
        let answer = self.browser.get(path).await?;
        ensure!(answer.status == 200, "{path}: {answer:?}");
        Ok(answer.body)
    }

    /// Makes sure that a page says all of this.
    pub(super) async fn shows(&mut self, path: &str, parts: &[&str]) -> Result<()> {
        let page = self.page(path).await?;
        for part in parts {
            ensure!(page.contains(part), "{path} does not say {part:?}: {page}");
        }
        Ok(())
    }

    /// Waits until a page says this, and returns it.
    pub(super) async fn comes_to_show(&mut self, path: &str, part: &str) -> Result<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let page = self.page(path).await?;
            if page.contains(part) {
                return Ok(page);
            }
            if Instant::now() > deadline {
                bail!("{path} never says {part:?}: {page}");
            }
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// The line of the portal's Backup Log that names a file.
    pub(super) async fn line(&mut self, file: &str) -> Result<String> {
        // Names are so long that browsers are told where they may be broken.
        let page = self.page("/retention/backups").await?.replace("<wbr>", "");
        let mut lines = page.split("<tr").filter(|line| line.contains(file));
        let line = lines.next().with_context(|| format!("the Backup Log has no {file}: {page}"))?;
        Ok(line.to_owned())
    }

    /// Presses *Delete from maaiiconnect*, or *Try again*, once it is safe.
    pub(super) async fn press_delete(&mut self, backup: &Backup) -> Result<()> {
        self.comes_to_show(&backup.page, "Safe to delete").await?;
        let password = Options::default().admin_password;
        let press = [("password", password.as_str())];
        let answer = self.browser.submit(&format!("{}/delete", backup.page), &press).await?;
        ensure!(answer.status == 303, "it is not begun: {answer:?}");
        Ok(())
    }

    /// Ids of the records that the service has now.
    pub(super) async fn ids(&self) -> Result<Ids> {
        crate::service::ids(&self.service.get("/simulation/records").await?)
    }
}

async fn backup(world: &mut World, service: &Service) -> Result<Backup> {
    service.ask("POST", "/simulation/traffic", json!({})).await?;
    let job = service.advance().await?;
    stored(world, service, &job).await
}

async fn stored(world: &mut World, service: &Service, job: &str) -> Result<Backup> {
    let line = service.wait_status(job, "Backup uploaded").await?;
    let stored = world.wait_state(job, State::Stored, PATIENCE).await?;
    let page = format!("/retention/backups/{}", stored.get_str("_id")?);
    Ok(Backup { job: job.to_owned(), page, line, stored })
}
