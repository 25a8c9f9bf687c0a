//! Builds the parts, joins them and shuts them down. Knows every part; no part
//! knows it. The one place that reads the clock and the environment.

pub mod address;
pub mod database;
pub mod sheet;

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context;
use jiff::{SignedDuration, Timestamp};
use sd_notify::NotifyState;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::{JoinError, JoinHandle},
};
use tokio_util::sync::CancellationToken;

use crate::{
    accounts::{ADMIN, Account, Permissions, Role},
    alerts::{self, Alerts, Way},
    archive::Limits,
    backup::{pace::Paces, verdict::Kept},
    cause,
    config::{Config, Mongodb, Secret, Secrets},
    connector::{Follower, client::Client, telling::Site},
    examine::{
        Examination,
        child::{Decoder, OWN_PROGRAM},
    },
    format,
    health::{self, Examiner, watch::Watcher},
    inbox::Condition,
    intake::{
        self, Intake,
        places::{ClaimedFile, Places},
    },
    portal::{
        self, Archives, Arriving, ArrivingUploads, Portal, Setting, Tools, Watched, certificate,
        password::Passwords,
    },
    receipt::{Issuer, SigningKey},
    records::Rules,
    settings::{Defaults, seal::Seal},
    sftp::Endpoint,
    steward::Steward,
    store::{self, Store},
};

/// Room that has to stay free on the disk, in bytes.
const RESERVE_BYTES: u64 = 256 * 1024 * 1024;

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
    let intake = Intake::new(intake_settings(config)?, store.clone(), places, stop.clone());
    let endpoint = endpoint(config);
    let steward = Steward::new(store.clone(), endpoint.authorized_keys(), now);
    let section = config.connector();
    let follower = section.is_there().then(|| {
        let client = Client::new(section.clone(), secrets.clone());
        let (defaults, seal) = (defaults.clone(), seal.clone());
        let site = Site { endpoint: endpoint.clone(), defaults, seal, secrets: secrets.clone() };
        Follower::new(client, site, store.clone(), now)
    });
    let watched = Watched {
        arriving: arriving(&intake),
        reports: reports.clone(),
        history: watcher.history(),
        alerts: Arc::new(self::alerts(config)),
        archives: archives(config),
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
    let examination = Examination::new(
        store.clone(),
        Decoder::new(OWN_PROGRAM),
        intake.works(),
        now,
        stop.clone(),
    );
    let portal = portal(config, store.clone(), watched).await?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), portal = %portal.address(), "started");
    let watchdog = tokio::spawn(feed_watchdog(intake.alive(), stop.clone()));
    let readiness = tokio::spawn(become_ready(store.clone(), admin_password, stop.clone()));
    let portal = tokio::spawn(portal.serve(stop.clone()));
    let health = tokio::spawn(watcher.run(stop.clone()));
    let alerts = tokio::spawn(alerts.run(reports, stop.clone()));
    let examination = tokio::spawn(examination.run());
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

/// Tells where the archive of a stored backup is. What was to be kept when it was stored counts, not
/// what would be kept today.
fn archives(config: &Config) -> Archives {
    let places = Places::new(config.state_directory());
    let offline = config.modes().offline;
    Archives::new(move |backup| {
        if places.has(backup) {
            return Kept::Here;
        }
        if backup.archive_kept.unwrap_or(offline) { Kept::Missing } else { Kept::Removed }
    })
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

/// The portal, with a certificate of its own where none was given.
async fn portal(config: &Config, store: Store, watched: Watched) -> anyhow::Result<Portal> {
    let section = config.portal();
    let (certificate, key) = portal_certificate(config);
    if section.certificate.is_none() {
        let state = portal_directory(config);
        std::fs::create_dir_all(&state).context("cannot make the directory of the certificate")?;
        let mut names = section.names.clone();
        names.extend(nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()));
        if !section.listen.ip().is_unspecified() {
            names.push(section.listen.ip().to_string());
        }
        certificate::make_if_missing(&certificate, &key, &names, now())?;
    }
    let health = config.health();
    let settings = portal::Settings {
        listen: section.listen,
        certificate,
        key,
        metrics: health.metrics,
        look_seconds: health.interval_seconds,
    };
    Ok(Portal::new(&settings, store, watched, now).await?)
}

/// Who is told when something is wrong, and how.
pub fn alerts(config: &Config) -> alerts::Settings {
    let section = config.alerts();
    let host = host();
    let mut ways = Vec::new();
    if let Some(mail) = &section.mail {
        let mail = alerts::mail::Mail::new(mail.clone(), secrets(config), host.clone());
        ways.push(Way::Mail(mail));
    }
    if let Some(webhook) = &section.webhook {
        let webhook = alerts::webhook::Webhook::new(webhook.clone(), secrets(config));
        ways.push(Way::Webhook(webhook));
    }
    if section.syslog {
        ways.push(Way::Syslog(alerts::syslog::Syslog::new(alerts::syslog::SOCKET)));
    }
    alerts::Settings {
        directory: alerts::directory(config.state_directory()),
        host,
        ways,
        rules: alerts::plan::Rules {
            settle: SignedDuration::from_secs(section.settle_seconds.into()),
            reminder: SignedDuration::from_hours(section.reminder_hours.into()),
            digest_hour: section.digest.then_some(section.digest_hour),
        },
    }
}

/// Who looks at the appliance that a configuration describes.
pub fn examiner(config: &Config, store: Store) -> Examiner {
    let mut certificates = vec![health::Watched {
        name: "portal",
        path: portal_certificate(config).0,
        advice: match config.portal().certificate {
            Some(_) => "Put a new certificate and its key in place and restart the service.",
            None => "Run `retention setup` again, which makes one and starts the service anew.",
        },
    }];
    let authority = config.mongodb().tls_ca_file.clone().filter(|_| config.mongodb().tls);
    certificates.extend(authority.map(|path| health::Watched {
        name: "mongodb-authority",
        path,
        advice: "Put the authority's new certificate in place and restart the service.",
    }));
    let settings = health::Settings {
        state_directory: config.state_directory().to_owned(),
        sftp: config.sftp().listen,
        endpoint: endpoint(config),
        claimed: |state| {
            let files = Places::new(state).claimed_files().map_err(|error| cause::chain(&error))?;
            let claimed =
                |file: ClaimedFile| health::Claimed { upload: file.upload, name: file.name };
            Ok(files.into_iter().map(claimed).collect())
        },
        certificates,
        health: config.health().clone(),
    };
    Examiner::new(store, settings)
}

/// Where the portal's own certificate is kept, if none was given.
pub fn portal_directory(config: &Config) -> PathBuf {
    config.state_directory().join("portal")
}

/// The portal's certificate and its key: those that were given, or those that are made.
pub fn portal_certificate(config: &Config) -> (PathBuf, PathBuf) {
    let (section, own) = (config.portal(), portal_directory(config));
    match (&section.certificate, &section.key) {
        (Some(certificate), Some(key)) => (certificate.clone(), key.clone()),
        _ => (own.join("certificate.pem"), own.join("key.pem")),
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

/// The database that a configuration names.
pub fn store(config: &Config) -> anyhow::Result<Store> {
    Ok(Store::connect(&store_settings(config)?)?)
}

/// Where the database of a configuration is, and who we are there.
pub fn store_settings(config: &Config) -> anyhow::Result<store::Settings> {
    let Mongodb { host, user, auth_db, target_db, replica_set, tls, tls_ca_file } =
        config.mongodb().clone();
    let user = match (user.as_str(), config.mongodb_password()) {
        ("", _) => None,
        (_, Some(password)) => Some((user, password.clone())),
        (_, None) => Some((user, secrets(config).mongodb_password()?)),
    };
    Ok(store::Settings {
        host,
        user,
        auth_db,
        target_db,
        replica_set: Some(replica_set).filter(|name| !name.is_empty()),
        tls: tls.then_some(tls_ca_file),
    })
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
        reserve_bytes: config.health().reserve_bytes,
        program: std::env::current_exe().ok(),
    }
}

/// What holds where nothing was set in the portal.
pub fn defaults(config: &Config) -> Defaults {
    Defaults {
        modes: config.modes(),
        schedule_hour: config.health().schedule_hour,
        mongodb: config.mongodb().clone(),
        sftp_address: sheet::sftp_address(config),
    }
}

/// The Archive Keys that were set in the portal, the newest first, and then the configured ones.
pub async fn archive_keys(config: &Config, configured: Vec<Secret>) -> anyhow::Result<Vec<Secret>> {
    let config = database::in_force(config.clone())?;
    let settings = store(&config)?.settings().await?;
    let known = settings.known_keys(seal(&config)?.as_ref(), configured)?;
    Ok(known.into_iter().map(|known| known.key).collect())
}

/// What seals and opens settings that are secret, if there is a key for it.
pub fn seal(config: &Config) -> anyhow::Result<Option<Seal>> {
    Ok(secrets(config).settings_key()?.as_ref().map(Seal::new))
}

/// The secrets that a configuration and systemd hand over.
pub fn secrets(config: &Config) -> Secrets {
    config.secrets(std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from))
}

fn intake_settings(config: &Config) -> anyhow::Result<intake::Settings> {
    let key = SigningKey::read_or_make(&receipts_directory(config))?;
    Ok(intake::Settings {
        limits: Limits::from(config.archive()),
        rules: Rules::new(&config.records().rules),
        defaults: defaults(config),
        secrets: secrets(config),
        seal: seal(config)?,
        grace: config.grace(),
        rescan: Duration::from_secs(config.inbox().rescan_seconds),
        reserve_bytes: RESERVE_BYTES,
        authorized_keys: endpoint(config).authorized_keys(),
        issuer: Issuer { host: host(), key: Arc::new(key) },
        clock: now,
    })
}

/// Where the key is that receipts are signed with.
pub fn receipts_directory(config: &Config) -> PathBuf {
    config.state_directory().join("receipts")
}

/// What this machine is called.
fn host() -> String {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    name.unwrap_or_else(|| "localhost".to_owned())
}

/// Prepares the database as soon as it answers, and then tells systemd.
async fn become_ready(store: Store, admin_password: Option<Secret>, stop: CancellationToken) {
    while let Err(error) = prepare(&store, admin_password.as_ref()).await {
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

async fn prepare(store: &Store, admin_password: Option<&Secret>) -> anyhow::Result<()> {
    store.prepare().await?;
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
