//! `retention run`: the appliance itself.

use std::{io::IsTerminal, process::ExitCode};

use crate::{appliance, config::Config};

pub(super) fn run(config: &Config) -> anyhow::Result<ExitCode> {
    start_log();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(16)
        .thread_stack_size(1024 * 1024)
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(appliance::run(config));
    // What still runs then has had its time to end.
    runtime.shutdown_timeout(std::time::Duration::from_millis(500));
    outcome.map(|()| ExitCode::SUCCESS)
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
