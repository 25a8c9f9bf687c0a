//! Builds the parts, joins them and shuts them down. Knows every part; no part
//! knows it. The one place that reads the clock and the environment.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context;
use jiff::Timestamp;
use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::{
    archive::Limits,
    cause,
    config::{Config, Mongodb, Secrets},
    intake::{self, Intake, places::Places},
    records::Rules,
    sftp::Endpoint,
    store::{self, Store},
};

/// Room that has to stay free on the disk, in bytes.
const RESERVE_BYTES: u64 = 256 * 1024 * 1024;

/// How long the parts have to end.
const SHUTDOWN: Duration = Duration::from_secs(4);

/// Runs the appliance until it is told to end.
pub async fn run(config: &Config) -> anyhow::Result<()> {
    let stop = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let store = store(config)?;
    let places = Places::new(config.state_directory());
    places.prepare()?;
    std::fs::create_dir_all(places.inbox()).context("cannot make the inbox")?;

    let intake = Intake::new(intake_settings(config), store.clone(), places, stop.clone());
    let alive = intake.alive();
    let mut intake = tokio::spawn(intake.run());
    let readiness = tokio::spawn(become_ready(store, secrets(config), stop.clone()));
    let watchdog = tokio::spawn(feed_watchdog(alive, stop.clone()));
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "started");

    let ended = tokio::select! {
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
        ended = &mut intake => Some(ended),
    };
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
    tracing::info!("stopping");
    stop.cancel();
    if let Some(ended) = ended {
        ended.context("intake broke off")??;
    } else if tokio::time::timeout(SHUTDOWN, &mut intake).await.is_err() {
        tracing::warn!("intake did not end in time; it is taken up again at the next start");
        intake.abort();
    }
    readiness.abort();
    watchdog.abort();
    tracing::info!("stopped");
    Ok(())
}

/// The database that a configuration names.
pub fn store(config: &Config) -> anyhow::Result<Store> {
    let Mongodb { host, user, auth_db, target_db, replica_set, tls, tls_ca_file } =
        config.mongodb().clone();
    let user = match user.as_str() {
        "" => None,
        _ => Some((user, secrets(config).mongodb_password()?)),
    };
    let settings = store::Settings {
        host,
        user,
        auth_db,
        target_db,
        replica_set: Some(replica_set).filter(|name| !name.is_empty()),
        tls: tls.then_some(tls_ca_file),
    };
    Ok(Store::connect(&settings)?)
}

/// The SFTP endpoint that a configuration describes.
///
/// As root, sshd shuts its user into the directory of the inbox; nobody else may do that.
pub fn endpoint(config: &Config) -> Endpoint {
    let state = config.state_directory();
    let root = state.join("sftp");
    Endpoint {
        listen: config.sftp().listen,
        user: config.sftp().user.clone(),
        group: None,
        directory: state.join("sftp-server"),
        inbox: root.join("inbox"),
        chroot: nix::unistd::geteuid().is_root().then_some(root),
        sha1_rsa: config.sftp().sha1_rsa,
    }
}

/// The secrets that a configuration and systemd hand over.
pub fn secrets(config: &Config) -> Secrets {
    config.secrets(std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from))
}

fn intake_settings(config: &Config) -> intake::Settings {
    intake::Settings {
        limits: Limits::from(config.archive()),
        rules: Rules::new(&config.records().rules),
        modes: config.modes(),
        secrets: secrets(config),
        grace: config.grace(),
        rescan: Duration::from_secs(config.inbox().rescan_seconds),
        reserve_bytes: RESERVE_BYTES,
        clock: Timestamp::now,
    }
}

/// Prepares the database as soon as it answers, and then tells systemd.
async fn become_ready(store: Store, _secrets: Secrets, stop: CancellationToken) {
    while !stop.is_cancelled() {
        match store.prepare().await {
            Ok(()) => break,
            Err(error) => {
                tracing::warn!(error = cause::chain(&error), "waiting for MongoDB");
                let _ = sd_notify::notify(&[
                    NotifyState::Status("waiting for MongoDB"),
                    NotifyState::ExtendTimeoutUsec(30_000_000),
                ]);
            }
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    tracing::info!("ready");
    let _ = sd_notify::notify(&[NotifyState::Ready, NotifyState::Status("taking in backups")]);
}

/// Feeds systemd's watchdog while the loops that do the work go on turning.
async fn feed_watchdog(alive: Arc<intake::Alive>, stop: CancellationToken) {
    let Some(limit) = sd_notify::watchdog_enabled() else { return };
    while !stop.is_cancelled() {
        if alive.turned_since_last_asked() {
            let _ = sd_notify::notify(&[NotifyState::Watchdog]);
        }
        tokio::time::sleep(limit / 3).await;
    }
}
