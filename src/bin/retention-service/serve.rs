//! Builds the parts, joins them, and shuts them down. It knows every part, and no part knows it.

use std::{
    fs::{self, DirBuilder},
    io::IsTerminal,
    net::SocketAddr,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, ensure};
use clap::Args;
use jiff::tz::TimeZone;
use retention::{cause, config::Secret};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    company::Company,
    cycle::{Cycle, Woken},
    keys::Keys,
    live::{Live, log::Log},
    mischief::Mischief,
    settings::SettingsFile,
    web::{self, Connector, Door, Listener, Simulation, Tls, Web},
};

/// Between two tries to reach MongoDB, and two looks whether a day is over.
const PAUSE: Duration = Duration::from_millis(500);
const DAY_LOOK: Duration = Duration::from_secs(60);

/// Without a seed a simulation makes the business of this one.
const SEED: u64 = 1;

/// What it takes.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Where to listen. Port 0 takes a free one; the log says which.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8480")]
    listen: SocketAddr,
    /// The MongoDB server or set, without a password.
    #[arg(long, value_name = "URI", default_value = "mongodb://127.0.0.1:27017/?replicaSet=rs0")]
    mongodb: String,
    /// A file with the password of the URI's user; its owner alone can read it.
    #[arg(long, value_name = "FILE")]
    mongodb_password_file: Option<PathBuf>,
    /// The database of the service's data. It must not be the appliance's.
    #[arg(long, value_name = "NAME", default_value = "maaiiconnect")]
    database: String,
    /// A file with the token of those who may call, 32 characters at least.
    #[arg(long, value_name = "FILE", required_unless_present = "tls_client_ca")]
    token_file: Option<PathBuf>,
    /// The certificate to show, with its chain, as PEM.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// The certificate's key, as PEM.
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
    /// The authority, as PEM, that has signed the certificates of those who may call.
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_client_ca: Option<PathBuf>,
    /// Where settings, keys and archives are kept. Made if it is missing.
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
    /// The service id, as it stands in the names of backups.
    #[arg(long, value_name = "ID", default_value = "harbour-pine.maaiiconnect.example")]
    service_id: String,
    /// The name of the service account, for people.
    #[arg(long, value_name = "NAME", default_value = "Harbour & Pine Furniture")]
    name: String,
    /// Fill an empty database with an invented business, and go on as it would, a day each day.
    /// The same number makes the same people say the same things.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// With --seed: how many days the business has been at work when it is first started.
    #[arg(long, value_name = "DAYS", default_value_t = 40, value_parser = clap::value_parser!(u16).range(0..=3650))]
    history: u16,
    /// With --seed: about a fifth of everything.
    #[arg(long)]
    quick: bool,
    /// Time stands still until it is set, and /simulation can be called. Never for real data.
    #[arg(long)]
    simulate: bool,
}

/// Serves until it is told to end.
pub(crate) async fn serve(arguments: Arguments) -> anyhow::Result<()> {
    start_log();
    let state = directory(&arguments.state)?;
    let (archives, client) =
        (directory(&state.join("archives"))?, directory(&state.join("client"))?);
    sweep(&client)?;
    check_id(&arguments.service_id)?;
    let token = arguments.token_file.as_deref().map(secret).transpose()?;
    let door = Door::new(token.as_ref())?;
    let clock = Arc::new(match arguments.simulate {
        true => Clock::simulated(&state.join("clock"))?,
        false => Clock::machine(),
    });
    let settings = Arc::new(SettingsFile::open(&state.join("settings.json"))?);
    let keys = Arc::new(Keys::open(&directory(&state.join("keys"))?, clock.now())?);
    let password = arguments.mongodb_password_file.as_deref().map(secret).transpose()?;
    let live = Live::connect(&arguments.mongodb, password.as_ref(), &arguments.database).await?;
    let tls = arguments.tls_certificate.clone().zip(arguments.tls_key.clone());
    let client_authority = arguments.tls_client_ca.clone();
    let tls = tls.map(|(certificate, key)| Tls { certificate, key, client_authority });

    let stop = CancellationToken::new();
    tokio::spawn(cancelled_by_signal(stop.clone()));
    let live = Arc::new(live);
    let company = arguments.seed.map(|seed| Arc::new(Company::new(seed, arguments.quick)));
    let Some(log) = prepared(&live, company.as_deref(), &clock, arguments.history, &stop).await
    else {
        return Ok(());
    };
    // Whoever calls before that is refused at once, and does not wait for MongoDB.
    let listener = Listener::bind(arguments.listen, tls.as_ref()).await?;
    let address = listener.address()?;
    let cycle = Arc::new(Cycle {
        service: arguments.service_id,
        live: live.clone(),
        log: Arc::new(log),
        settings,
        keys,
        clock: clock.clone(),
        mischief: Arc::new(match clock.is_simulated() {
            true => Mischief::open(&state.join("mischief.json")),
            false => Mischief::default(),
        }),
        archives,
        client,
        woken: Woken::default(),
    });
    let invented = company.clone().unwrap_or_else(|| Arc::new(Company::new(SEED, arguments.quick)));
    let simulation = clock.is_simulated().then_some(Simulation { company: invented });
    let web = Web { door, connector: Connector::new(arguments.name, cycle.clone()), simulation };
    let parts = [
        tokio::spawn({
            let (cycle, stop) = (cycle.clone(), stop.clone());
            async move { cycle.send_all(stop).await }
        }),
        tokio::spawn({
            let (cycle, stop) = (cycle.clone(), stop.clone());
            async move { cycle.delete_all(stop).await }
        }),
        tokio::spawn(days(live, company, clock, stop.clone())),
        tokio::spawn(web::serve(web, listener, stop)),
    ];
    tracing::info!(%address, "ready");
    for part in parts {
        part.await.context("a part of the service ended before its time")?;
    }
    Ok(())
}

/// Prepares the database as soon as it answers, and opens the log. None at the end.
async fn prepared(
    live: &Live,
    company: Option<&Company>,
    clock: &Clock,
    history: u16,
    stop: &CancellationToken,
) -> Option<Log> {
    let prepare = async || {
        live.prepare().await?;
        if let Some(company) = company {
            let today = clock.now().to_zoned(TimeZone::UTC).date();
            live.found(company, today, history).await?;
            if !clock.is_simulated() {
                live.catch_up(company, today).await?;
            }
        }
        live.log().await
    };
    loop {
        match prepare().await {
            Ok(log) => return Some(log),
            Err(error) => tracing::warn!(error = cause::chain(&error), "waiting for MongoDB"),
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = stop.cancelled() => return None,
        }
    }
}

/// Lets the business go on as the days pass. Where time is simulated nothing happens unasked.
async fn days(
    live: Arc<Live>,
    company: Option<Arc<Company>>,
    clock: Arc<Clock>,
    stop: CancellationToken,
) {
    let Some(company) = company.filter(|_| !clock.is_simulated()) else { return };
    loop {
        tokio::select! {
            () = tokio::time::sleep(DAY_LOOK) => {}
            () = stop.cancelled() => return,
        }
        let today = clock.now().to_zoned(TimeZone::UTC).date();
        if let Err(error) = live.catch_up(&company, today).await {
            tracing::warn!(error = cause::chain(&error), "the business does not go on");
        }
    }
}

async fn cancelled_by_signal(stop: CancellationToken) {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    stop.cancel();
}

/// A service id stands in file names and on command lines.
fn check_id(id: &str) -> anyhow::Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let fits = (1..=150).contains(&id.len()) && id.chars().all(plain);
    ensure!(fits, "a service id is 1 to 150 letters, digits, dots, dashes and underscores");
    Ok(())
}

/// A secret from a file that its owner alone can read.
fn secret(path: &Path) -> anyhow::Result<Secret> {
    let secret = Secret::read(path)?;
    Ok(Secret::new(secret.reveal().lines().next().unwrap_or_default().to_owned()))
}

/// A directory of our own, made if it is missing. Its path is the one that the kernel shows.
fn directory(path: &Path) -> anyhow::Result<PathBuf> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.and_then(|()| path.canonicalize())
        .with_context(|| format!("cannot make {}", path.display()))
}

/// Takes away what clients left that were killed.
fn sweep(client: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(client)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("batch-") || name.starts_with("retention-test-") {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

fn start_log() {
    use tracing_subscriber::EnvFilter;

    let filter =
        EnvFilter::try_from_env("RETENTION_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
}
