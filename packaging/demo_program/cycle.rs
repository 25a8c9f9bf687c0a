//! The whole cycle: maaiiconnect's side makes backups by schedule, and what the oldest that is safe
//! held is deleted there, as an administrator would have it deleted.
//!
//! Its clock is simulated, so that three nights pass in as many seconds. What is done in the portal
//! is done with a session and forms, and by no other way.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, civil::Date, tz::TimeZone};
use serde_json::{Value, json};

use crate::{
    arrival::{self, GLANCE, STANDSTILL},
    company,
    parts::{
        browser::Browser,
        world::{Options, World, service::Service},
    },
    say,
};

/// How many backups are made.
const BACKUPS: usize = 3;

/// For how many days maaiiconnect keeps data that is not backed up yet.
const DAYS_RETAINED: u16 = 2;

/// At which hour in UTC backups are made.
const HOUR_UTC: i8 = 2;

/// The cycle, as far as it has come.
pub(crate) struct Cycle {
    /// maaiiconnect's side.
    pub(crate) service: Service,
    days: Vec<(Date, std::path::PathBuf)>,
    password: String,
    deleted: Option<Deleted>,
}

/// What was deleted from maaiiconnect.
struct Deleted {
    job: String,
    page: String,
    taken: String,
    status: String,
    messages_before: usize,
    messages_after: usize,
}

impl Cycle {
    /// Starts maaiiconnect's side with the days of a company, and makes the settings.
    pub(crate) async fn begin(world: &mut World, options: &Options, quick: bool) -> Result<Self> {
        let retained = usize::from(DAYS_RETAINED);
        let days = company::days(world, BACKUPS + retained, quick).await?;
        say("Starting retention-service, which plays maaiiconnect's part ...");
        // The afternoon before the first backup: each holds what is older than the days retained.
        let (first, _) = &days[retained];
        let first = first.at(HOUR_UTC, 0, 0, 0).to_zoned(TimeZone::UTC)?.timestamp();
        let afternoon = first - SignedDuration::from_hours(12);
        let service = Service::start_at(world, &["--simulate"], afternoon).await?;
        for (_, day) in &days[..retained] {
            bring(&service, day).await?;
        }
        service.connect(world).await?;
        let mut browser = Browser::new(world)?;
        browser.sign_in("Admin", &options.admin_password).await?;
        set(world, &mut browser, &options.archive_keys[0]).await?;
        known(&service).await?;
        say(&format!(
            "Retention is on, as the Settings tab now has it: at {HOUR_UTC:02}:00 UTC what is older \
             than {DAYS_RETAINED} days is backed up.\n"
        ));
        let password = options.admin_password.clone();
        Ok(Self { service, days, password, deleted: None })
    }

    /// Lets the nights pass, and has deleted what the oldest safe backup holds. Returns what became
    /// of all backups.
    pub(crate) async fn run(&mut self, world: &mut World) -> Result<Vec<Value>> {
        let mut uploads = Vec::new();
        for (_, day) in &self.days[usize::from(DAYS_RETAINED)..] {
            bring(&self.service, day).await?;
            let job = self.service.advance().await?;
            uploads.push(arrival::expect(world, &self.service, &job).await?);
        }
        self.delete_oldest(world, &uploads).await?;
        let mut backups = Vec::new();
        for upload in &uploads {
            backups.push(arrival::outcome(world, upload).await?);
        }
        Ok(backups)
    }

    /// Presses *Delete from maaiiconnect* at the oldest backup that is safe to delete, and follows it.
    async fn delete_oldest(&mut self, world: &mut World, uploads: &[String]) -> Result<()> {
        let mut browser = Browser::new(world)?;
        browser.sign_in("Admin", &self.password).await?;
        let mut safe = None;
        for upload in uploads {
            let page = format!("/retention/backups/{upload}");
            if settled(world, &mut browser, &page).await?.contains("Safe to delete") {
                safe = Some((upload, page));
                break;
            }
        }
        let Some((upload, page)) = safe else {
            say("\nNo backup is safe to delete; the page of each says why.");
            return Ok(());
        };
        let backup = arrival::outcome(world, upload).await?;
        let text = |name: &str| backup[name].as_str().unwrap_or_default().to_owned();
        let taken = arrival::short(&text("file"));
        say(&format!("\n  {taken}  Safe to delete: pressing Delete from maaiiconnect"));
        let messages_before = messages(&self.service).await?;
        let press = [("password", self.password.as_str())];
        let answer = browser.submit(&format!("{page}/delete"), &press).await?;
        ensure!(answer.status == 303, "the portal does not delete: {answer:?}");
        let status = followed(world, &mut browser, &page, &taken).await?;
        let messages_after = messages(&self.service).await?;
        let job = text("job_id");
        self.deleted = Some(Deleted { job, page, taken, status, messages_before, messages_after });
        Ok(())
    }

    /// Whether the deletion came to its end.
    pub(crate) fn is_completed(&self) -> bool {
        self.deleted.as_ref().is_some_and(|deleted| deleted.status == "Completed")
    }

    /// What happened, and what there is to see.
    pub(crate) fn told(&self, world: &World) -> String {
        let portal = world.portal_url();
        let place = |path: &str| format!("{}{path}", portal.trim_end_matches('/'));
        let mut lines = vec![
            String::new(),
            "What happened".to_owned(),
            format!(
                "  retention-service played maaiiconnect: a company worked there for {} days, and",
                self.days.len()
            ),
            format!(
                "  each night at {HOUR_UTC:02}:00 UTC it uploaded what was older than \
                 {DAYS_RETAINED} days. Its time is"
            ),
            "  simulated. The appliance checked each backup, stored it, decoded its media and"
                .into(),
            "  signed a receipt.".into(),
        ];
        if let Some(deleted) = &self.deleted {
            let (before, after) = (deleted.messages_before, deleted.messages_after);
            lines.extend([
                format!("  Delete from maaiiconnect was pressed for {}: {}.", deleted.taken, deleted.status),
                format!(
                    "  maaiiconnect's rooms had {before} messages and have {after} now; what is gone \
                     there is here."
                ),
            ]);
        }
        lines.extend([
            String::new(),
            "What to look at in the portal".to_owned(),
            format!("  {}", place("/retention/backups")),
            "      the Backup Log: each night's backup, its status and its condition here".into(),
        ]);
        if let Some(deleted) = &self.deleted {
            lines.extend([
                format!("  {}", place(&deleted.page)),
                "      the backup that is the only copy now: verdict, history, receipt".into(),
                format!("  {}", place(&format!("/records/messages?backup={}", deleted.job))),
                "      the messages that maaiiconnect does not have any more".into(),
            ]);
        }
        lines.extend([
            "  The second backup has findings: one of its files is missing. So it is not safe to"
                .into(),
            "  delete, and its page says why.".into(),
            String::new(),
            "maaiiconnect's side".to_owned(),
            format!("  {}", self.service.url()),
            format!("      any user, and the password {}", self.service.token),
            String::new(),
        ]);
        lines.join("\n")
    }
}

/// Makes the settings in the portal: General, Offline mode, and who may upload.
async fn set(world: &World, browser: &mut Browser, archive_key: &str) -> Result<()> {
    let (days, hour) = (DAYS_RETAINED.to_string(), HOUR_UTC.to_string());
    let address = format!("127.0.0.1:{}", world.sftp_port());
    for (section, form) in [
        (
            "general",
            &[
                ("days_retained", days.as_str()),
                ("schedule_hour", &hour),
                ("archive_key", archive_key),
            ][..],
        ),
        ("offline", &[("offline", "on"), ("sftp_address", &address)]),
        ("keys/fetch", &[]),
    ] {
        let answer = browser.submit(&format!("/retention/settings/{section}"), form).await?;
        ensure!(answer.status == 303, "the settings were not made: {answer:?}");
    }
    Ok(())
}

/// Waits until maaiiconnect's side has the settings, and retention is on.
async fn known(service: &Service) -> Result<()> {
    let since = Instant::now();
    while service.get("/connector/v1/settings").await?["enabled"] != true {
        ensure!(since.elapsed() < STANDSTILL, "maaiiconnect never hears of the settings");
        tokio::time::sleep(GLANCE).await;
    }
    Ok(())
}

/// Gives the service another day of the company.
async fn bring(service: &Service, day: &std::path::Path) -> Result<()> {
    service.ask("POST", "/simulation/day", json!({ "directory": day })).await.map(drop)
}

/// How many messages maaiiconnect's rooms show.
async fn messages(service: &Service) -> Result<usize> {
    let rooms = service.get("/simulation/rooms").await?;
    let rooms = rooms.as_array().context("a list of rooms")?;
    Ok(rooms.iter().filter_map(|room| room["messages"].as_array()).map(Vec::len).sum())
}

/// The page of a backup, once all that its verdict needs was looked at.
async fn settled(world: &mut World, browser: &mut Browser, page: &str) -> Result<String> {
    let since = Instant::now();
    loop {
        world.daemon.still_runs()?;
        let text = browser.get(page).await?.body;
        if !text.contains(">Not yet</span>") || since.elapsed() > STANDSTILL {
            return Ok(text);
        }
        tokio::time::sleep(GLANCE).await;
    }
}

/// Follows a deletion on the page of its backup, and returns the status that it ends with.
async fn followed(
    world: &mut World,
    browser: &mut Browser,
    page: &str,
    taken: &str,
) -> Result<String> {
    let (mut shown, since) = (String::new(), Instant::now());
    loop {
        world.daemon.still_runs()?;
        let text = browser.get(page).await?.body;
        let (_, status) = text.split_once("Status: ").context("the page has a status")?;
        let status = status.split('<').next().unwrap_or_default().trim();
        if status != shown {
            say(&format!("  {taken}  {status}"));
            status.clone_into(&mut shown);
        }
        if ["Completed", "Failed to delete data"].contains(&status) {
            return Ok(shown);
        }
        ensure!(since.elapsed() < STANDSTILL, "the deletion does not get on");
        tokio::time::sleep(GLANCE).await;
    }
}
