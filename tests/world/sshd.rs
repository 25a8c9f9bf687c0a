//! The appliance's SFTP endpoint: a real, private `sshd`, started as in production.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::bail;
use nix::sys::signal::Signal;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpStream,
    time::timeout,
};

use super::{
    Program,
    disks::SmallDisks,
    process::{self, GLANCE, Process},
};

/// How long the endpoint may take until it greets; making its host keys takes longest.
const START: Duration = Duration::from_secs(60);

/// The endpoint.
pub(crate) struct Sshd {
    program: Program,
    port: u16,
    log: PathBuf,
    process: Option<Process>,
}

impl Sshd {
    /// Starts the endpoint on the port that its configuration names, and waits for its greeting.
    pub(crate) async fn start(program: Program, port: u16, log: &Path) -> anyhow::Result<Self> {
        let mut sshd = Self { program, port, log: log.to_owned(), process: None };
        sshd.resume().await?;
        Ok(sshd)
    }

    /// Starts the endpoint again.
    pub(crate) async fn resume(&mut self) -> anyhow::Result<()> {
        let Program { path, config, disks } = &self.program;
        let (enter, name) = (SmallDisks::way_into(disks.as_deref()), "retention sftp serve");
        let mut process = Process::start_within(&enter, name, path, &self.log, |command| {
            command.args(["sftp", "serve", "--config"]).arg(config);
        })?;
        let deadline = Instant::now() + START;
        while !greets(self.port).await {
            process.still_runs()?;
            if Instant::now() > deadline {
                bail!("sshd does not greet; it said:\n{}", process.last_words());
            }
            tokio::time::sleep(GLANCE).await;
        }
        // Somebody else may listen there, and ours have ended because of it.
        process.still_runs()?;
        self.process = Some(process);
        Ok(())
    }

    /// Lets the holder of the public key in `file` upload.
    pub(crate) fn authorize(&self, file: &Path) -> anyhow::Result<()> {
        let mut command = self.program.command();
        command.args(["key", "add"]).arg(file);
        process::output(&mut command).map(drop)
    }

    /// The end of its log.
    pub(crate) fn last_words(&self) -> String {
        self.process.as_ref().map(Process::last_words).unwrap_or_default()
    }

    /// Ends the endpoint; uploads that are going on go on.
    pub(crate) async fn stop(&mut self, signal: Signal) -> anyhow::Result<()> {
        if let Some(mut process) = self.process.take() {
            process.signal(signal);
            process.wait(Duration::from_secs(10)).await?;
        }
        Ok(())
    }
}

async fn greets(port: u16) -> bool {
    let greeting = async {
        let mut line = String::new();
        let stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
        BufReader::new(stream).read_line(&mut line).await.ok()?;
        Some(line.starts_with("SSH-2.0-"))
    };
    timeout(Duration::from_secs(5), greeting).await.ok().flatten().unwrap_or(false)
}
