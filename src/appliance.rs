//! Builds the parts, joins them and shuts them down. Knows every part; no part
//! knows it. The one place that reads the clock and the environment.

pub mod address;
pub mod database;
mod parts;
pub mod sheet;

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use jiff::Timestamp;
use sd_notify::NotifyState;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::{JoinError, JoinHandle},
};
use tokio_util::sync::CancellationToken;

use crate::{
    accounts::{ADMIN, Account, Permissions, Role},
    alerts::Alerts,
    backup::pace::Paces,
    cause,
    config::{Config, Secret},
    connector::{Follower, client::Client, telling::Site},
    examine::{
        Examination,
        child::{Decoder, OWN_PROGRAM},
    },
    format,
    health::watch::Watcher,
    idle::Idle,
    inbox::Condition,
    intake::{self, Intake, places::Places},
    portal::{Arriving, ArrivingUploads, Setting, Tools, Watched, password::Passwords},
    receipt::{self, Signer},
    settings::seal::Seal,
    steward::Steward,
    store::Store,
    verification::{self, Verification},
};

pub use parts::{
    alerts, archive_keys, defaults, endpoint, examiner, portal_certificate, portal_directory,
    receipts_directory, seal, secrets, signers, store, store_settings,
};
use parts::{archives, intake_settings, periods, portal, shelf, signers_here};

/// How long the parts have to end.
const SHUTDOWN: Duration = Duration::from_secs(4);

/// Runs the appliance until it is told to end. Where another database was set, all parts begin anew
/// with it.
///
/// `tools` are what the portal offers and only those above the appliance can do.
pub async fn run(configured: &Config, tools: Tools) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    loop {
        let config = database::in_force(configured.clone())?;
        let ended = async {
            tokio::select! {
                _ = terminate.recv() => false,
                _ = interrupt.recv() => false,
                () = tools.again.notified() => true,
            }
        };
        if !run_parts(configured, &config, tools.clone(), ended).await? {
            return Ok(());
        }
        tracing::info!("another database was set: all parts begin anew");
    }
}

/// Runs all parts until they are told to end. Returns whether they are to begin anew.
async fn run_parts(
    configured: &Config,
    config: &Config,
    tools: Tools,
    told: impl Future<Output = bool>,
) -> anyhow::Result<bool> {
    let stop = CancellationToken::new();
    let store = store(config)?;
    // Trying again would mend neither. Archive Keys are read anew for each backup.
    let secrets = secrets(config);
    secrets.archive_keys()?;
    let admin_password = secrets.admin_password()?;
    let (defaults, seal) = (defaults(config), seal(config)?);
    format::claim(config.state_directory())?;
    let places = Places::new(config.state_directory());
    places.prepare()?;

    let alerts = Alerts::new(self::alerts(config), now)?;
    let watcher = Watcher::new(examiner(config, store.clone()), now)?.with_alerts(alerts.remarks());
    let reports = watcher.reports();
    let directory = places.ensure_identity(now())?;
    let settings = intake_settings(config, directory.clone())?;
    // The own key comes first. Whose else receipts are accepted here, an administrator says on each node.
    let keys = seal.clone().zip(signers_here(config)?.into_iter().next());
    let intake = Intake::new(settings, store.clone(), places, stop.clone());
    let settings = verification::Settings {
        program: OWN_PROGRAM.into(),
        config: config.path().to_owned(),
        directory: directory.clone(),
        periods: periods(config),
        clock: now,
    };
    let idle = Idle::new(intake.works(), stop.clone());
    let verification = Verification::new(settings, store.clone(), idle.clone());
    let endpoint = endpoint(config);
    let steward = Steward::new(store.clone(), endpoint.authorized_keys(), now);
    let section = config.connector();
    let follower = section.is_there().then(|| {
        let client = Client::new(section.clone(), secrets.clone());
        let (defaults, seal) = (defaults.clone(), seal.clone());
        let site = Site { endpoint: endpoint.clone(), defaults, seal, secrets: secrets.clone() };
        Follower::new(client, site, store.clone(), intake.inbox(), now)
    });
    let shelf = shelf(config, directory.clone())?;
    let watched = Watched {
        arriving: arriving(&intake),
        reports: reports.clone(),
        history: watcher.history(),
        alerts: Arc::new(self::alerts(config)),
        archives: archives(config, &directory),
        shelf: shelf.clone(),
        connector: follower.as_ref().map(Follower::connection),
        setting: Setting {
            defaults,
            seal,
            secrets,
            endpoint,
            wake: steward.wake(),
            sheet: Arc::new({
                let config = config.clone();
                move || sheet::values(&config)
            }),
            tools: tools.clone(),
        },
    };
    let decoder = Decoder::new(OWN_PROGRAM);
    let examination = Examination::new(store.clone(), decoder, shelf, idle, now);
    let portal = portal(config, store.clone(), watched).await?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), portal = %portal.address(), "started");
    let watchdog = tokio::spawn(feed_watchdog(intake.alive(), stop.clone()));
    let readiness = tokio::spawn(become_ready(store.clone(), admin_password, keys, stop.clone()));
    let portal = tokio::spawn(portal.serve(stop.clone()));
    let health = tokio::spawn(watcher.run(stop.clone()));
    let alerts = tokio::spawn(alerts.run(reports, stop.clone()));
    let examination = tokio::spawn(examination.run());
    let verification = tokio::spawn(verification.run());
    let follower = follower.map(|follower| tokio::spawn(follower.run(stop.clone())));
    let steward = tokio::spawn(steward.run(stop.clone()));
    let again = Arc::clone(&tools.again);
    let moving = database::follow(configured.clone(), store.clone(), again, stop.clone());
    let moving = tokio::spawn(moving);
    let mut intake = tokio::spawn(intake.run());

    let (ended, anew) = tokio::select! {
        anew = told => (None, anew),
        ended = &mut intake => (Some(ended), false),
    };
    if !anew {
        let _ = sd_notify::notify(&[NotifyState::Stopping]);
    }
    tracing::info!("stopping");
    stop.cancel();
    let broken = match ended {
        Some(ended) => Some(ended),
        None => wait(intake, "intake").await.map(Err),
    };
    wait(portal, "the portal").await;
    wait(health, "health").await;
    wait(alerts, "alerts").await;
    wait(examination, "the examination of media").await;
    wait(steward, "the steward of the settings").await;
    wait(verification, "the verification of backups").await;
    if let Some(follower) = follower {
        wait(follower, "the connector").await;
    }
    readiness.abort();
    watchdog.abort();
    moving.abort();
    tracing::info!("stopped");
    match broken {
        Some(ended) => ended.context("intake broke off")?.map(|()| false).map_err(Into::into),
        None => Ok(anew),
    }
}

/// Gives a part its time to end. Whatever it leaves undone is taken up at the next start.
async fn wait<T>(mut part: JoinHandle<T>, name: &str) -> Option<JoinError> {
    match tokio::time::timeout(SHUTDOWN, &mut part).await {
        Ok(ended) => ended.err(),
        Err(_) => {
            tracing::warn!(part = name, "did not end in time; it goes on at the next start");
            part.abort();
            None
        }
    }
}

/// What the portal shows of the inbox.
fn arriving(intake: &Intake) -> ArrivingUploads {
    let mut inbox = intake.inbox();
    let (sender, receiver) = watch::channel(Arc::default());
    tokio::spawn(async move {
        let mut paces = Paces::default();
        while inbox.changed().await.is_ok() {
            let uploads = inbox.borrow_and_update().clone();
            paces
                .note(now(), uploads.iter().map(|upload| (upload.file.clone(), upload.size_bytes)));
            let shown = uploads.iter().map(|upload| Arriving {
                file: upload.file.clone(),
                size_bytes: upload.size_bytes,
                bytes_per_second: paces.bytes_per_second(&upload.file),
                since: upload.modified,
                interrupted: upload.condition == Condition::Interrupted,
            });
            sender.send_replace(Arc::new(shown.collect()));
        }
    });
    receiver
}

/// Makes the account `Admin` if it is missing, with this password.
pub async fn ensure_admin(store: &Store, password: &Secret) -> anyhow::Result<()> {
    if store.account(ADMIN).await?.is_some() {
        return Ok(());
    }
    let hash = Passwords::default().hash(password.clone()).await?;
    let account = Account {
        name: ADMIN.to_owned(),
        display_name: ADMIN.to_owned(),
        staff_eid: None,
        role: Role::Admin,
        permissions: Permissions::all(),
        active: true,
        created: now(),
        password_set: now(),
    };
    if store.create_account(&account, &hash).await? {
        tracing::info!("made the account Admin");
    }
    Ok(())
}

/// What time it is.
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// A password of letters and digits that nobody can guess.
pub fn new_password(chars: usize) -> anyhow::Result<Secret> {
    use rand::{TryRngCore, distr::Alphanumeric, distr::SampleString, rngs::OsRng};

    let mut random = OsRng;
    // Asked once beforehand, so that a system without random numbers is an error.
    random.try_next_u32().context("the system gives no random numbers")?;
    Ok(Secret::new(Alphanumeric.sample_string(&mut random.unwrap_err(), chars)))
}

/// Prepares the database as soon as it answers, and then tells systemd.
async fn become_ready(
    store: Store,
    admin_password: Option<Secret>,
    keys: Option<(Seal, Signer)>,
    stop: CancellationToken,
) {
    while let Err(error) = prepare(&store, admin_password.as_ref(), keys.as_ref()).await {
        tracing::warn!("waiting for MongoDB: {}", cause::chain(error.as_ref()));
        let _ = sd_notify::notify(&[
            NotifyState::Status("waiting for MongoDB"),
            NotifyState::ExtendTimeoutUsec(30_000_000),
        ]);
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(300)) => {}
            () = stop.cancelled() => return,
        }
    }
    tracing::info!("ready");
    let _ = sd_notify::notify(&[NotifyState::Ready, NotifyState::Status("taking in backups")]);
}

async fn prepare(
    store: &Store,
    admin_password: Option<&Secret>,
    keys: Option<&(Seal, Signer)>,
) -> anyhow::Result<()> {
    store.prepare().await?;
    if let Some((seal, own)) = keys {
        receipt::signers::note(store, seal, own, now()).await?;
    }
    match admin_password {
        Some(password) => ensure_admin(store, password).await,
        None => Ok(()),
    }
}

/// Feeds systemd's watchdog while the loops that do the work go on turning.
async fn feed_watchdog(alive: Arc<intake::Alive>, stop: CancellationToken) {
    let Some(limit) = sd_notify::watchdog_enabled() else { return };
    let pause = limit / 3;
    while !stop.is_cancelled() {
        if alive.since_last_asked(pause) {
            let _ = sd_notify::notify(&[NotifyState::Watchdog]);
        }
        tokio::time::sleep(pause).await;
    }
}
