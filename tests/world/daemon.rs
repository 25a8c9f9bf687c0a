//! The appliance itself: `retention run`, watched the way systemd watches it.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::bail;
use nix::{sys::signal::Signal, unistd::Pid};
use tokio::net::UnixDatagram;

use super::{
    Program,
    disks::SmallDisks,
    process::{GLANCE, Process},
};

/// The daemon.
pub(crate) struct Daemon {
    program: Program,
    log: PathBuf,
    notify_path: PathBuf,
    watchdog: Option<Duration>,
    running: Option<(Process, UnixDatagram)>,
}

impl Daemon {
    /// The daemon, not yet started. `notify_path` is where it will say that it is ready.
    ///
    /// With a `watchdog` it has to say that often that its work goes on.
    pub(crate) fn new(
        program: Program,
        log: &Path,
        notify_path: PathBuf,
        watchdog: Option<Duration>,
    ) -> Self {
        Self { program, log: log.to_owned(), notify_path, watchdog, running: None }
    }

    /// Starts it and does not wait for anything.
    pub(crate) fn launch(&mut self) -> anyhow::Result<()> {
        if self.notify_path.exists() {
            fs::remove_file(&self.notify_path)?;
        }
        let notify = UnixDatagram::bind(&self.notify_path)?;
        let Program { path, config, disks } = &self.program;
        let (enter, name) = (SmallDisks::way_into(disks.as_deref()), "retention run");
        let process = Process::start_within(&enter, name, path, &self.log, |command| {
            command.args(["run", "--config"]).arg(config);
            command.env("NOTIFY_SOCKET", &self.notify_path).env("RUST_BACKTRACE", "1");
            // As the unit has it.
            command.env("MALLOC_ARENA_MAX", "2");
            // What the systemd around us, if any, meant for us and not for it.
            for name in ["JOURNAL_STREAM", "CREDENTIALS_DIRECTORY", "WATCHDOG_USEC"] {
                command.env_remove(name);
            }
            if let Some(watchdog) = self.watchdog {
                command.env("WATCHDOG_USEC", watchdog.as_micros().to_string());
            }
        })?;
        self.running = Some((process, notify));
        Ok(())
    }

    /// Waits until it says that it is ready.
    pub(crate) async fn ready(&mut self, patience: Duration) -> anyhow::Result<()> {
        let Some((process, notify)) = &mut self.running else {
            bail!("the daemon was not started");
        };
        let deadline = Instant::now() + patience;
        let mut message = [0; 4096];
        loop {
            let heard = tokio::time::timeout(GLANCE, notify.recv(&mut message)).await;
            if let Ok(length) = heard {
                let text = String::from_utf8_lossy(&message[..length?]).into_owned();
                if text.lines().any(|line| line == "READY=1") {
                    return Ok(());
                }
            }
            process.still_runs()?;
            if Instant::now() > deadline {
                let said = process.last_words();
                bail!("the daemon is not ready after {patience:?}; it said:\n{said}");
            }
        }
    }

    /// Sends it a signal; with `SIGSTOP` it stands still.
    pub(crate) fn signal(&mut self, signal: Signal) {
        if let Some((process, _)) = &mut self.running {
            process.signal(signal);
        }
    }

    /// Waits for the watchdog to be fed anew, for `patience` at most; returns whether it was.
    pub(crate) async fn feeds_watchdog(&mut self, patience: Duration) -> anyhow::Result<bool> {
        let Some((process, notify)) = &mut self.running else {
            bail!("the daemon was not started");
        };
        let mut message = [0; 4096];
        // What was said before this was asked.
        while notify.try_recv(&mut message).is_ok() {}
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            let heard = tokio::time::timeout(GLANCE, notify.recv(&mut message)).await;
            if let Ok(length) = heard {
                let text = String::from_utf8_lossy(&message[..length?]).into_owned();
                if text.lines().any(|line| line == "WATCHDOG=1") {
                    return Ok(true);
                }
            }
            process.still_runs()?;
        }
        Ok(false)
    }

    /// Ends it with `signal` and waits until it has ended. Returns how long that took.
    pub(crate) async fn stop(&mut self, signal: Signal) -> anyhow::Result<Duration> {
        let Some((mut process, _)) = self.running.take() else {
            bail!("the daemon was not started");
        };
        let begun = Instant::now();
        process.signal(signal);
        process.wait(Duration::from_secs(30)).await?;
        Ok(begun.elapsed())
    }

    /// Its process id, while it runs.
    pub(crate) fn pid(&self) -> Option<Pid> {
        self.running.as_ref().map(|(process, _)| process.pid())
    }

    /// Fails if it has ended by itself.
    pub(crate) fn still_runs(&mut self) -> anyhow::Result<()> {
        self.running.as_mut().map_or(Ok(()), |(process, _)| process.still_runs())
    }

    /// The end of its log.
    pub(crate) fn last_words(&self) -> String {
        self.running.as_ref().map(|(process, _)| process.last_words()).unwrap_or_default()
    }
}
