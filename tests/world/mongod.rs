//! A real `mongod`: a replica set on free loopback ports, of one member, or of a primary, a
//! secondary and an arbiter.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use mongodb::{
    Client,
    bson::{Document, doc},
    options::{ClientOptions, ServerAddress},
};
use nix::sys::signal::Signal;

use super::{
    disks::SmallDisks,
    process::{self, GLANCE, Process},
};

/// The name of the replica set.
pub(crate) const REPLICA_SET: &str = "rs0";

/// How long a server may take until it accepts writes; it is usually two seconds.
const START: Duration = Duration::from_secs(90);

/// The replica set.
pub(crate) struct Mongod {
    program: PathBuf,
    disks: Option<Arc<SmallDisks>>,
    members: Vec<Member>,
    client: Client,
    /// The cache of each server in GB: a quarter is the least that it takes.
    pub(crate) cache_gb: f64,
}

/// A server of it.
struct Member {
    directory: PathBuf,
    log: PathBuf,
    port: u16,
    process: Option<Process>,
    /// A client that asks this one server, whatever it is.
    client: Client,
}

impl Mongod {
    /// Servers of a series (`4.2`, `4.4`, `6.0`) with their data in `directory`, not yet started.
    pub(crate) fn new(
        series: &str,
        members: usize,
        directory: &Path,
        logs: &Path,
        disks: Option<Arc<SmallDisks>>,
    ) -> anyhow::Result<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/mongod");
        // It may have to fetch one first, and says so.
        let script = process::output(Command::new(script).arg(series).stderr(Stdio::inherit()))?;
        let member = |number: usize| {
            let (name, directory) = match number {
                0 => ("mongod.log".to_owned(), directory.to_owned()),
                _ => (format!("mongod-{number}.log"), directory.with_extension(number.to_string())),
            };
            fs::create_dir_all(&directory)?;
            let port = process::free_port()?;
            let client = connect(&[port])?;
            anyhow::Ok(Member { directory, log: logs.join(name), port, process: None, client })
        };
        let members = (0..members).map(member).collect::<anyhow::Result<Vec<_>>>()?;
        let ports: Vec<u16> = members.iter().take(2).map(|member| member.port).collect();
        let (program, client) = (script.trim().into(), connect(&ports)?);
        Ok(Self { program, disks, members, client, cache_gb: 0.25 })
    }

    /// Starts every server that does not run, on the data it has, and waits until the set accepts
    /// writes.
    pub(crate) async fn resume(&mut self) -> anyhow::Result<()> {
        for number in 0..self.members.len() {
            if self.members[number].process.is_none() {
                self.resume_member(number)?;
            }
        }
        let deadline = Instant::now() + START;
        while !self.is_ready().await {
            for member in &mut self.members {
                let Some(process) = &mut member.process else { continue };
                process.still_runs()?;
                if Instant::now() > deadline {
                    let said = process.last_words();
                    bail!("mongod is not ready after {START:?}; it said:\n{said}");
                }
            }
            tokio::time::sleep(GLANCE).await;
        }
        Ok(())
    }

    /// Starts a server, and does not wait for anything.
    pub(crate) fn resume_member(&mut self, number: usize) -> anyhow::Result<()> {
        let of_one = self.members.len() == 1;
        let member = &mut self.members[number];
        let (port, directory, disks) = (member.port.to_string(), &member.directory, &self.disks);
        let cache_gb = self.cache_gb.to_string();
        let (enter, program) = (SmallDisks::way_into(disks.as_deref()), &self.program);
        let process = Process::start_within(&enter, "mongod", program, &member.log, |command| {
            command.args(["--replSet", REPLICA_SET, "--bind_ip", "127.0.0.1", "--port", &port]);
            command.arg("--dbpath").arg(directory);
            command.args(["--wiredTigerCacheSizeGB", &cache_gb, "--nounixsocket"]);
            command.args(["--setParameter", "diagnosticDataCollectionEnabled=false"]);
            if !of_one {
                // What a set with an arbiter wants.
                command.args(["--enableMajorityReadConcern", "false"]);
            }
        });
        member.process = Some(process?);
        Ok(())
    }

    /// Stops every server and keeps its data.
    pub(crate) async fn stop(&mut self, signal: Signal) -> anyhow::Result<()> {
        for number in 0..self.members.len() {
            self.stop_member(number, signal).await?;
        }
        Ok(())
    }

    /// Stops a server and keeps its data.
    pub(crate) async fn stop_member(
        &mut self,
        number: usize,
        signal: Signal,
    ) -> anyhow::Result<()> {
        if let Some(mut process) = self.members[number].process.take() {
            process.signal(signal);
            process.wait(Duration::from_secs(60)).await?;
        }
        Ok(())
    }

    /// Sends every server a signal; with `SIGSTOP` it is there and does not answer.
    pub(crate) fn signal(&mut self, signal: Signal) {
        for number in 0..self.members.len() {
            self.signal_member(number, signal);
        }
    }

    /// Sends a server a signal.
    pub(crate) fn signal_member(&mut self, number: usize, signal: Signal) {
        if let Some(process) = &mut self.members[number].process {
            process.signal(signal);
        }
    }

    /// Whether a server ended by itself.
    pub(crate) fn ended(&mut self) -> bool {
        let mut processes = self.members.iter_mut().filter_map(|member| member.process.as_mut());
        processes.any(|process| process.ended().is_some())
    }

    /// Which server is primary, and which is secondary.
    pub(crate) async fn roles(&self) -> anyhow::Result<(usize, usize)> {
        for number in 0..2 {
            if self.hello(number).await?.get_bool("ismaster")? {
                return Ok((number, 1 - number));
            }
        }
        bail!("no server is primary")
    }

    /// Hosts and ports.
    pub(crate) fn address(&self) -> String {
        let addresses: Vec<String> = self.members.iter().map(Member::address).collect();
        addresses.join(",")
    }

    /// Where a client finds the replica set.
    pub(crate) fn uri(&self) -> String {
        format!("mongodb://{}/?replicaSet={REPLICA_SET}", self.address())
    }

    /// A client of our own, beside the one of the appliance.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// A client that asks one server, whatever it is.
    pub(crate) fn client_of(&self, number: usize) -> &Client {
        &self.members[number].client
    }

    async fn hello(&self, number: usize) -> anyhow::Result<Document> {
        let admin = self.members[number].client.database("admin");
        Ok(admin.run_command(doc! { "isMaster": 1 }).await?)
    }

    /// Whether a primary accepts writes and every other server is what it is to be.
    async fn is_ready(&self) -> bool {
        let mut primary = false;
        for number in 0..self.members.len() {
            let Ok(hello) = self.hello(number).await else { return false };
            if !hello.contains_key("setName") {
                if number == 0 {
                    self.initiate().await;
                }
                return false;
            }
            let is = |role| hello.get_bool(role).unwrap_or(false);
            primary |= is("ismaster");
            if !is("ismaster") && !is("secondary") && !is("arbiterOnly") {
                return false;
            }
        }
        primary
    }

    async fn initiate(&self) {
        let members = self.members.iter().zip(0..).map(|(member, number)| {
            doc! { "_id": number, "host": member.address(), "arbiterOnly": number == 2 }
        });
        let config = doc! {
            "_id": REPLICA_SET,
            "members": members.collect::<Vec<_>>(),
            "settings": { "electionTimeoutMillis": 2000 },
        };
        // A server that is only just starting refuses, and is asked again.
        let admin = self.members[0].client.database("admin");
        let _ = admin.run_command(doc! { "replSetInitiate": config }).await;
    }
}

impl Member {
    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

/// A client of the one server on a port, primary or not, or of the set with data on several.
fn connect(ports: &[u16]) -> anyhow::Result<Client> {
    let address = |port: &u16| ServerAddress::Tcp { host: "127.0.0.1".into(), port: Some(*port) };
    let mut options = ClientOptions::builder()
        .hosts(ports.iter().map(address).collect::<Vec<_>>())
        .direct_connection(ports.len() == 1)
        .server_selection_timeout(Duration::from_millis(500))
        .connect_timeout(Duration::from_secs(2))
        .build();
    if ports.len() > 1 {
        options.repl_set_name = Some(REPLICA_SET.into());
    }
    Client::with_options(options).context("cannot make a MongoDB client")
}
