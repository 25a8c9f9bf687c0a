//! A real `mongod`: a replica set of one on a free loopback port.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use mongodb::{
    Client,
    bson::doc,
    options::{ClientOptions, ServerAddress},
};
use nix::sys::signal::Signal;

use super::process::{self, GLANCE, Process};

/// The name of the replica set.
pub(crate) const REPLICA_SET: &str = "rs0";

/// How long a server may take until it accepts writes; it is usually two seconds.
const START: Duration = Duration::from_secs(90);

/// A server.
pub(crate) struct Mongod {
    program: PathBuf,
    directory: PathBuf,
    log: PathBuf,
    port: u16,
    process: Option<Process>,
    client: Client,
}

impl Mongod {
    /// Starts a server of a series (`4.2`, `4.4`, `6.0`) with its data in `directory`,
    /// and waits until it accepts writes.
    pub(crate) async fn start(series: &str, directory: &Path, log: &Path) -> anyhow::Result<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/mongod");
        // It may have to fetch one first, and says so.
        let script = process::output(Command::new(script).arg(series).stderr(Stdio::inherit()))?;
        let program = script.trim().into();
        let port = process::free_port()?;
        let mut mongod = Self {
            program,
            directory: directory.to_owned(),
            log: log.to_owned(),
            port,
            process: None,
            client: connect(port)?,
        };
        mongod.resume().await?;
        Ok(mongod)
    }

    /// Starts the server again on the data it has, and waits until it accepts writes.
    pub(crate) async fn resume(&mut self) -> anyhow::Result<()> {
        let (port, directory) = (self.port.to_string(), &self.directory);
        let mut process = Process::start("mongod", &self.program, &self.log, |command| {
            command.args(["--replSet", REPLICA_SET, "--bind_ip", "127.0.0.1", "--port", &port]);
            command.arg("--dbpath").arg(directory);
            command.args(["--wiredTigerCacheSizeGB", "0.25", "--nounixsocket"]);
            command.args(["--setParameter", "diagnosticDataCollectionEnabled=false"]);
        })?;
        let deadline = Instant::now() + START;
        while !self.accepts_writes().await {
            process.still_runs()?;
            if Instant::now() > deadline {
                bail!("mongod is not ready after {START:?}; it said:\n{}", process.last_words());
            }
            tokio::time::sleep(GLANCE).await;
        }
        self.process = Some(process);
        Ok(())
    }

    /// Stops the server and keeps its data.
    pub(crate) async fn stop(&mut self, signal: Signal) -> anyhow::Result<()> {
        if let Some(mut process) = self.process.take() {
            process.signal(signal);
            process.wait(Duration::from_secs(60)).await?;
        }
        Ok(())
    }

    /// Sends the server a signal; with `SIGSTOP` it is there and does not answer.
    pub(crate) fn signal(&mut self, signal: Signal) {
        if let Some(process) = &mut self.process {
            process.signal(signal);
        }
    }

    /// Host and port.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Where a client finds the replica set.
    pub(crate) fn uri(&self) -> String {
        format!("mongodb://{}/?replicaSet={REPLICA_SET}", self.address())
    }

    /// A client of our own, beside the one of the appliance.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    async fn accepts_writes(&self) -> bool {
        let admin = self.client.database("admin");
        let Ok(hello) = admin.run_command(doc! { "isMaster": 1 }).await else {
            return false;
        };
        if hello.get_bool("ismaster").unwrap_or(false) {
            return true;
        }
        if !hello.contains_key("setName") {
            let member = doc! { "_id": 0, "host": self.address() };
            let config = doc! { "_id": REPLICA_SET, "members": [member] };
            // A server that is only just starting refuses, and is asked again.
            let _ = admin.run_command(doc! { "replSetInitiate": config }).await;
        }
        false
    }
}

/// A client that asks this one server, whether it is a primary or not.
fn connect(port: u16) -> anyhow::Result<Client> {
    let address = ServerAddress::Tcp { host: "127.0.0.1".into(), port: Some(port) };
    let options = ClientOptions::builder()
        .hosts(vec![address])
        .direct_connection(true)
        .server_selection_timeout(Duration::from_millis(500))
        .connect_timeout(Duration::from_secs(2))
        .build();
    Client::with_options(options).context("cannot make a MongoDB client")
}
