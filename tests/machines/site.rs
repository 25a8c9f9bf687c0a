//! A customer's site: a machine with MongoDB and the package, a router that forwards to it, and a
//! client outside.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use mongodb::bson::{Document, doc};
use retention::backup::State;
use serde_json::Value;

use crate::{
    client::Client,
    machine::{Hardware, Machine},
    mongod,
    network::{Network, PUBLIC},
    package,
    process::{self, GLANCE},
};

/// The daemon's unit.
pub(crate) const DAEMON: &str = "retention.service";

/// The endpoint's unit.
pub(crate) const ENDPOINT: &str = "retention-sftp.service";

/// The password of the portal's `Admin`.
pub(crate) const ADMIN_PASSWORD: &str = "Correct-Horse-7-Staple";

/// The user that uploads, whom the package makes.
pub(crate) const UPLOADER: &str = "retention-sftp";

/// How long a small backup may take from its upload until it is stored.
const STORED: Duration = Duration::from_secs(60);

/// A site.
pub(crate) struct Site {
    // In the order in which they are ended.
    pub(crate) machine: Machine,
    pub(crate) client: Client,
    pub(crate) network: Network,
}

impl Site {
    /// A site whose machine is a Debian and nothing else yet. The router forwards to it already:
    /// port 22 to the endpoint, port 443 to the portal.
    pub(crate) fn new(mut hardware: Hardware) -> Result<Self> {
        let network = Network::new()?;
        hardware.shared.push(mongod::shared("4.2")?);
        let address = hardware.address.clone();
        let machine = Machine::boot(&network, hardware)?;
        network.forward(22, &address, 2222)?;
        network.forward(443, &address, 8443)?;
        let client = Client::new(&network)?;
        Ok(Self { machine, client, network })
    }

    /// A site where everything runs.
    pub(crate) fn ready() -> Result<Self> {
        let site = Self::new(Hardware::default())?;
        site.install_all(&package::bytes()?, "")?;
        Ok(site)
    }

    /// Installs everything, with what a test adds to the answers for setup.
    pub(crate) fn install_all(&self, package: &[u8], more: &str) -> Result<()> {
        mongod::install(&self.machine)?;
        self.install_package(package)?;
        let said = self.set_up(&format!("test = false\n{}\n{more}", self.answers()?))?;
        self.introduce(&said["sheet"])
    }

    /// Installs a package as an administrator does.
    pub(crate) fn install_package(&self, package: &[u8]) -> Result<String> {
        let file = "/root/retention-appliance.deb";
        self.machine.write(file, package)?;
        self.machine.run(&["apt-get", "install", "--yes", file])
    }

    /// The version of the package that is installed.
    pub(crate) fn version(&self) -> Result<String> {
        let query = ["dpkg-query", "--show", "--showformat=${Version}", "retention-appliance"];
        self.machine.run(&query)
    }

    /// What an administrator answers who has had another Archive Key before.
    pub(crate) fn answers(&self) -> Result<String> {
        let first = "start = false\ntest = false\n[archive]\nkey = \"0lder?Key#2019\"\n";
        self.set_up(&format!("{first}[mongodb]\ninitiate_replica_set = true\n"))?;
        process::write_secret(&self.machine.path("/root/archive-key"), "Str0ng!Key#2021\n")?;
        process::write_secret(&self.machine.path("/root/admin-password"), ADMIN_PASSWORD)?;
        Ok(format!(
            "[sftp]\nlisten = \"0.0.0.0:2222\"\naddress = \"{PUBLIC}:22\"\nkeys = [{key:?}]\n\
             [archive]\nkey_file = \"/root/archive-key\"\n\
             [portal]\nlisten = \"0.0.0.0:8443\"\nnames = [{PUBLIC:?}]\n\
             admin_password_file = \"/root/admin-password\"\n",
            key = self.client.public_key()?.trim(),
        ))
    }

    /// Runs setup with these answers, and returns what it says.
    pub(crate) fn set_up(&self, answers: &str) -> Result<Value> {
        let file = "/root/retention.answers";
        process::write_secret(&self.machine.path(file), answers)?;
        let said = self.machine.run(&["retention", "setup", "--json", "--answers", file])?;
        let said: Value = serde_json::from_str(&said)?;
        ensure!(said["ok"] == true, "{said}");
        Ok(said)
    }

    /// Waits until both services are active.
    pub(crate) fn wait_until_it_runs(&self) -> Result<()> {
        self.machine.wait_active(ENDPOINT)?;
        self.machine.wait_active(DAEMON)
    }

    /// Gives the client the setup sheet, from which it knows the endpoint and the portal.
    pub(crate) fn introduce(&self, sheet: &Value) -> Result<()> {
        ensure!(sheet["sftp"]["address"] == format!("{PUBLIC}:22"), "{sheet}");
        ensure!(sheet["sftp"]["user"] == UPLOADER, "{sheet}");
        let fingerprints = sheet["sftp"]["host_key_fingerprints"].as_array();
        let fingerprints: Vec<_> =
            fingerprints.into_iter().flatten().filter_map(Value::as_str).collect();
        let authority = sheet["portal"]["authority"].as_str().context("there is an authority")?;
        let certificate = self.machine.path("/var/lib/retention/portal/certificate.pem");
        let authority = fs::read(self.machine.path(authority))?;
        self.client.trust(&fingerprints, &authority, &fs::read(certificate)?)
    }

    /// What `retention status --json` says, whether or not all is well.
    pub(crate) fn status(&self) -> Result<Value> {
        let output = self.machine.command("retention").args(["status", "--json"]).output()?;
        let errors = String::from_utf8_lossy(&output.stderr);
        serde_json::from_slice(&output.stdout).with_context(|| format!("status said: {errors}"))
    }

    /// Uploads a backup from the outside.
    pub(crate) fn upload(&self, backup: &Fixture) -> Result<()> {
        self.client.upload(UPLOADER, &backup.path, None)
    }

    /// The same, at so many kilobits a second.
    pub(crate) fn upload_slowly(&self, backup: &Fixture, kilobits: u32) -> Result<()> {
        self.client.upload(UPLOADER, &backup.path, Some(kilobits))
    }

    /// What `retention status` says of a check.
    pub(crate) fn check(&self, id: &str) -> Result<Value> {
        let status = self.status()?;
        let mut checks = status["checks"].as_array().into_iter().flatten();
        let check = checks.find(|check| check["id"] == id);
        check.cloned().with_context(|| format!("no {id} in {status}"))
    }

    /// Waits until `retention status` lists a backup as stored, and returns what it says of it.
    pub(crate) fn wait_stored(&self, backup: &Fixture) -> Result<Value> {
        let deadline = Instant::now() + STORED;
        loop {
            let status = self.status()?;
            let lines = status["backups"]["ok"].as_array();
            let line =
                lines.and_then(|lines| lines.iter().find(|line| line["file"] == backup.name));
            let state = line.and_then(|line| line["state"].as_str()?.parse::<State>().ok());
            if let Some(line) = line
                && state == Some(State::Stored)
            {
                return Ok(line.clone());
            }
            let failed = state.is_some_and(State::is_final) || Instant::now() > deadline;
            let said = || format!("{status}\n{}", self.machine.journal(DAEMON));
            ensure!(!failed, "{} is not stored: {}", backup.name, said());
            thread::sleep(GLANCE);
        }
    }

    /// Makes sure that the database has exactly what the backup brought.
    pub(crate) async fn holds(&self, backup: &Fixture) -> Result<()> {
        let database = mongod::database(&self.machine)?;
        let log = database.collection::<Document>("backups");
        let line = log.find_one(doc! { "file": &backup.name }).await?;
        let job = line.context("the Backup Log has it")?.get_str("job")?.to_owned();
        let mut stored = 0;
        for name in RECORDS {
            let records = database.collection::<Document>(name);
            stored += records.count_documents(doc! { "backup": &job }).await?;
        }
        ensure!(stored == backup.records, "{stored} records instead of {}", backup.records);
        Ok(())
    }

    /// Waits until the media of a backup were examined, which takes processes that could limit
    /// themselves although the service is confined.
    pub(crate) async fn wait_examined(&self, backup: &Fixture) -> Result<()> {
        let database = mongod::database(&self.machine)?;
        let log = database.collection::<Document>("backups");
        let deadline = Instant::now() + STORED;
        loop {
            let line = log.find_one(doc! { "file": &backup.name }).await?;
            if line.is_some_and(|line| line.contains_key("media_examined")) {
                break;
            }
            let said = || self.machine.journal(DAEMON);
            ensure!(Instant::now() < deadline, "its media are not examined: {}", said());
            thread::sleep(GLANCE);
        }
        let media = database.collection::<Document>("media.files");
        let read = media.find_one(doc! { "metadata.examined.outcome": "readable" }).await?;
        let ended = doc! { "metadata.examined.why": { "$regex": "^cannot be examined" } };
        let ended = media.find_one(ended).await?;
        ensure!(read.is_some() && ended.is_none(), "{read:?} {ended:?}");
        Ok(())
    }
}

/// The collections that records are in.
const RECORDS: [&str; 10] = [
    "calls",
    "conferences",
    "messages",
    "voicemails",
    "recordings",
    "files",
    "staff",
    "contacts",
    "enquiries",
    "other",
];

/// One of the archives in `tests/fixtures`.
pub(crate) struct Fixture {
    pub(crate) path: PathBuf,
    pub(crate) name: String,
    /// How many records it brings.
    records: u64,
}

impl Fixture {
    /// The archives that can be stored, in the order in which they were made.
    pub(crate) fn all() -> Result<Vec<Self>> {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        let mut all = Vec::new();
        for line in fs::read_to_string(directory.join("expected.jsonl"))?.lines() {
            let line: Value = serde_json::from_str(line)?;
            let name = line["file"].as_str().context("a fixture has a file")?.to_owned();
            let counts = line["records"].as_object().context("a fixture has records")?.values();
            let records = counts.filter_map(Value::as_u64).sum();
            all.push(Self { path: directory.join(&name), name, records });
        }
        Ok(all)
    }
}
