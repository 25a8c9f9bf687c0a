//! MongoDB in a machine, as an administrator may have it there: a service of its own that is to be a
//! replica set, with access control on, and nobody in it yet. All else is left to `retention setup`.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use mongodb::{
    Client, Database,
    options::{ClientOptions, Credential, ServerAddress},
};

use crate::{machine::Machine, package::ask, process, until};

/// The unit, by the name that MongoDB's own packages give it.
pub(crate) const UNIT: &str = "mongod.service";

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

/// Installs the server as a member of a replica set that nobody has initiated yet, and starts it.
pub(crate) fn install(machine: &Machine) -> Result<()> {
    make_user(machine)?;
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
             ExecStart={PROGRAM}/mongod --replSet rs0 --bind_ip 127.0.0.1 \
             --dbpath /var/lib/mongodb --unixSocketPrefix /run/mongodb --keyFile /etc/mongod.key \
             --wiredTigerCacheSizeGB 0.25 --quiet\n\
             LimitMEMLOCK=infinity\nLimitNOFILE=64000\n\
             [Install]\nWantedBy=multi-user.target\n"
        ),
    )?;
    machine.run(&["systemctl", "daemon-reload"])?;
    machine.run(&["systemctl", "enable", "--now", UNIT])?;
    // It listens on the socket last.
    let listens = until("MongoDB listens", || Ok(machine.path(SOCKET).exists()));
    listens.with_context(|| machine.journal(UNIT))
}

/// Makes the user that the server runs as.
pub(crate) fn make_user(machine: &Machine) -> Result<()> {
    machine.run(&["useradd", "--system", "--shell", "/usr/sbin/nologin", "mongodb"]).map(drop)
}

/// The database that backups are stored in, for looking into it as the appliance itself does,
/// through the server's socket: it cannot be reached from another network.
pub(crate) fn database(machine: &Machine) -> Result<Database> {
    let password = fs::read_to_string(machine.path("/etc/retention/secrets/mongodb-password"))?;
    let credential = Credential::builder().username("retention".to_owned());
    let options = ClientOptions::builder()
        .hosts(vec![ServerAddress::Unix { path: machine.path(SOCKET) }])
        .direct_connection(true)
        .credential(credential.password(password.trim_end().to_owned()).build())
        .server_selection_timeout(Duration::from_secs(5))
        .build();
    Ok(Client::with_options(options)?.database("retention"))
}
