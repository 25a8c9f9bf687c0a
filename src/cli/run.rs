//! `retention run`: the appliance itself.

use std::{future::Future, io::IsTerminal, pin::Pin, process::ExitCode, sync::Arc, time::Duration};

use tokio::{
    runtime::Handle,
    sync::{Mutex, Notify, mpsc},
};

use crate::{
    appliance::{self, database},
    config::Config,
    portal::{self, Move, NewDatabase, StepsToCome, Tools},
    steps::{Failure, Step, Steps},
    trial::{self, Subject},
};

/// How many steps of a trial may wait to be shown; none has more.
const STEPS: usize = 32;

/// How long a page has that says what is about to happen.
const SHOWN: Duration = Duration::from_secs(1);

pub(super) fn run(config: &Config) -> anyhow::Result<ExitCode> {
    start_log();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(16)
        .thread_stack_size(1024 * 1024)
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(appliance::run(config, tools(config)));
    // What still runs then has had its time to end.
    runtime.shutdown_timeout(std::time::Duration::from_millis(500));
    outcome.map(|()| ExitCode::SUCCESS)
}

/// What the portal offers beyond its own means.
fn tools(config: &Config) -> Tools {
    let again = Arc::<Notify>::default();
    let (tried, configured, notified) = (config.clone(), config.clone(), Arc::clone(&again));
    let turn = Turn::default();
    let same = turn.clone();
    Tools {
        trial: Arc::new(move |name, typed| try_out(&tried, name, typed, &turn)),
        database: Arc::new(move |wanted| {
            let (config, again) = (configured.clone(), Arc::clone(&notified));
            on_its_own(&same, |report| Box::pin(change_database(config, wanted, again, report)))
        }),
        again,
    }
}

/// Held by whatever is tried out: one thing at a time.
type Turn = Arc<Mutex<()>>;

/// Begins a trial: of a database that was typed, if there is one, else of what is saved.
fn try_out(
    config: &Config,
    name: &str,
    typed: Option<NewDatabase>,
    turn: &Turn,
) -> Option<StepsToCome> {
    let subject = Subject::ALL.into_iter().find(|subject| subject.as_str() == name)?;
    let config = config.clone();
    Some(on_its_own(turn, move |report| {
        Box::pin(async move {
            let saved = database::in_force(config);
            match (saved, typed) {
                (saved, Some(typed)) => drop(try_database(saved, &typed, report).await),
                (Ok(config), None) => drop(trial::run(&config, subject, report).await),
                (Err(error), None) => Steps::new(report)
                    .failed("read the configuration", Failure::new(format!("{error:#}"), "")),
            }
        })
    }))
}

/// Tries a database out that somebody typed. Returns its configuration, and the steps to go on with.
async fn try_database<'a>(
    saved: anyhow::Result<Config>,
    typed: &NewDatabase,
    report: &'a mut dyn FnMut(&Step),
) -> Option<(Config, Steps<'a>)> {
    let mut steps = Steps::new(report);
    let find = async {
        let tried = database::typed(saved.as_ref().map_err(unusable)?, typed)
            .await
            .map_err(|error| unusable(&error))?;
        let said = match tried.mongodb().replica_set.as_str() {
            "" => "in no replica set".to_owned(),
            name => format!("of the replica set {name}"),
        };
        Ok((tried, said))
    };
    let tried = steps.step("find the database", find).await?;
    trial::database(&tried, &mut steps).await;
    Some((tried, steps))
}

fn unusable(error: &anyhow::Error) -> Failure {
    Failure::new(format!("{error:#}"), "Check Host and User; nothing was changed.")
}

/// Does something on a thread of its own, and returns its steps as they end.
fn on_its_own<W>(turn: &Turn, work: W) -> StepsToCome
where
    W: for<'a> FnOnce(&'a mut dyn FnMut(&Step)) -> Pin<Box<dyn Future<Output = ()> + 'a>>
        + Send
        + 'static,
{
    let (sender, steps) = mpsc::channel(STEPS);
    let Ok(turn) = Arc::clone(turn).try_lock_owned() else {
        let mut report = |step: &Step| drop(sender.try_send(step.clone()));
        let why = Failure::new("another test goes on", "Wait until it has ended, and try again.");
        Steps::new(&mut report).failed("begin", why);
        return steps;
    };
    let runtime = Handle::current();
    tokio::task::spawn_blocking(move || {
        let _turn = turn;
        // Whoever asked may have gone away; what was begun is done all the same.
        let mut report = |step: &Step| drop(sender.try_send(step.clone()));
        runtime.block_on(work(&mut report));
    });
    steps
}

/// Tries a database out, and takes it into use if every step is done.
async fn change_database(
    config: Config,
    wanted: Move,
    again: Arc<Notify>,
    report: &mut dyn FnMut(&Step),
) {
    let now = database::in_force(config.clone());
    let Some((tried, mut steps)) = try_database(now, &wanted.database, report).await else {
        return;
    };
    let take = async {
        let taken = database::adopt(&config, &tried, &wanted).await;
        taken.map_err(|error| unusable(&error))?;
        let said = "everything begins anew with it in a moment; then sign in again";
        Ok(((), said.to_owned()))
    };
    if steps.step(portal::TAKEN, take).await.is_some() {
        // The page that says so is sent first.
        tokio::time::sleep(SHOWN).await;
        again.notify_one();
    }
}

/// Logs to the journal if systemd started us, to standard error otherwise.
pub(super) fn start_log() {
    use tracing_subscriber::{EnvFilter, layer::SubscriberExt, util::SubscriberInitExt};

    let filter =
        EnvFilter::try_from_env("RETENTION_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let registry = tracing_subscriber::registry().with(filter);
    let journal = std::env::var_os("JOURNAL_STREAM").and_then(|_| tracing_journald::layer().ok());
    match journal {
        Some(journal) => registry.with(journal).init(),
        None => {
            let text = tracing_subscriber::fmt::layer()
                .with_writer(std::io::stderr)
                .with_ansi(std::io::stderr().is_terminal())
                .with_target(false);
            registry.with(text).init();
        }
    }
}
