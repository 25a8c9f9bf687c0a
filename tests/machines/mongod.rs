//! MongoDB in a machine, as an administrator may have it there: a service of its own, a replica set
//! of one, and nobody gets in without a password.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use mongodb::{
    Client, Database,
    bson::{Document, doc},
    error::ErrorKind,
    options::{ClientOptions, Credential, ServerAddress},
};

use crate::{
    PATIENCE,
    machine::Machine,
    package::ask,
    process::{self, GLANCE},
};

/// The unit, by the name that MongoDB's own packages give it.
pub(crate) const UNIT: &str = "mongod.service";

/// The name of the replica set.
pub(crate) const REPLICA_SET: &str = "rs0";

/// The user that the appliance signs in as.
pub(crate) const USER: &str = "retention";

/// That user's password.
pub(crate) const PASSWORD: &str = "Plain-Kettle-4-Harbour";

/// The database that backups are stored in.
pub(crate) const TARGET_DB: &str = "retention";

/// Where the machine finds the program.
const PROGRAM: &str = "/opt/mongodb";

/// Where the server listens for clients on the machine itself.
const SOCKET: &str = "/run/mongodb/mongodb-27017.sock";

/// The directory with a `mongod` of a series, and where a machine wants to see it.
pub(crate) fn shared(series: &str) -> Result<(PathBuf, String)> {
    let program = ask("packaging/mongod", &[series, "--own"])?;
    let directory = Path::new(&program).parent().context("a program is in a directory")?;
    Ok((directory.to_owned(), PROGRAM.to_owned()))
}

/// Installs the server, makes the replica set and its users, and returns when it takes writes.
pub(crate) async fn install(machine: &Machine) -> Result<()> {
    machine.run(&["useradd", "--system", "--shell", "/usr/sbin/nologin", "mongodb"])?;
    process::write_secret(
        &machine.path("/etc/mongod.key"),
        &hex::encode(rand::random::<[u8; 32]>()),
    )?;
    machine.run(&["chown", "mongodb:", "/etc/mongod.key"])?;
    machine.write(
        "/etc/systemd/system/mongod.service",
        format!(
            "[Unit]\nDescription=MongoDB\nAfter=network.target\n\
             [Service]\nUser=mongodb\nRuntimeDirectory=mongodb\nStateDirectory=mongodb\n\
             ExecStart={PROGRAM}/mongod --replSet {REPLICA_SET} --bind_ip 127.0.0.1 \
             --dbpath /var/lib/mongodb --unixSocketPrefix /run/mongodb --keyFile /etc/mongod.key \
             --wiredTigerCacheSizeGB 0.25 --quiet\n\
             LimitMEMLOCK=infinity\nLimitNOFILE=64000\n\
             [Install]\nWantedBy=multi-user.target\n"
        ),
    )?;
    machine.run(&["systemctl", "daemon-reload"])?;
    machine.run(&["systemctl", "enable", "--now", UNIT])?;

    // Before there is a user, whoever is on the machine itself may make the first.
    let everybody = Server::new(machine, None)?;
    let member = doc! { "_id": 0, "host": "127.0.0.1:27017" };
    let set = doc! { "_id": REPLICA_SET, "members": [member] };
    let begun = everybody.insist(doc! { "replSetInitiate": set }).await;
    begun.with_context(|| machine.journal(UNIT))?;
    let rights = |role: &str, db: &str| doc! { "role": role, "db": db };
    everybody
        .insist(doc! { "createUser": "root", "pwd": PASSWORD, "roles": [rights("root", "admin")] })
        .await?;
    let roles = [rights("readWrite", TARGET_DB), rights("clusterMonitor", "admin")];
    let root = Server::new(machine, Some("root"))?;
    root.insist(doc! { "createUser": USER, "pwd": PASSWORD, "roles": roles.to_vec() }).await
}

/// The database that backups are stored in, for looking into it.
pub(crate) fn database(machine: &Machine) -> Result<Database> {
    Ok(Server::new(machine, Some("root"))?.client.database(TARGET_DB))
}

/// A connection to a machine's server, through its socket. It can be reached from another network.
struct Server {
    client: Client,
}

impl Server {
    fn new(machine: &Machine, user: Option<&str>) -> Result<Self> {
        let address = ServerAddress::Unix { path: machine.path(SOCKET) };
        let mut options = ClientOptions::builder()
            .hosts(vec![address])
            .direct_connection(true)
            .server_selection_timeout(Duration::from_millis(500))
            .connect_timeout(Duration::from_secs(5))
            .build();
        options.credential = user.map(|user| {
            let (user, password) = (user.to_owned(), PASSWORD.to_owned());
            Credential::builder().username(user).password(password).build()
        });
        Ok(Self { client: Client::with_options(options)? })
    }

    /// Does something until it is done: a server that is only just starting refuses, as does a
    /// member that is not primary yet.
    async fn insist(&self, command: Document) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let name = command.keys().next().cloned().unwrap_or_default();
        loop {
            match self.client.database("admin").run_command(command.clone()).await {
                Ok(_) => return Ok(()),
                Err(error) if is_done(&error) => return Ok(()),
                Err(error) => ensure!(Instant::now() < deadline, "{name}: {error}"),
            }
            tokio::time::sleep(GLANCE).await;
        }
    }
}

/// Whether an error tells that it was done before, and only the answer was lost.
fn is_done(error: &mongodb::error::Error) -> bool {
    const ALREADY_INITIALIZED: i32 = 23;
    const USER_EXISTS: i32 = 51003;
    matches!(&*error.kind, ErrorKind::Command(refused)
        if [ALREADY_INITIALIZED, USER_EXISTS].contains(&refused.code))
}
