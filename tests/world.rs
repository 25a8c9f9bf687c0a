//! A whole appliance on this machine: MongoDB, OpenSSH, the daemon and an uploading client, all
//! of them real, in a temporary directory and on free loopback ports.
//!
//! Whatever is started here ends with the [`World`], and so does its directory. Waiting is done
//! for something to become true, up to a deadline; never for time to pass.

pub(crate) mod authority;
pub(crate) mod daemon;
pub(crate) mod disks;
pub(crate) mod mongod;
pub(crate) mod process;
pub(crate) mod service;
pub(crate) mod sftp;
pub(crate) mod sink;
pub(crate) mod sshd;

use std::{
    collections::HashSet,
    ffi::OsString,
    fs::{self, Permissions},
    net::Ipv4Addr,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use mongodb::{
    Database,
    bson::{Document, doc},
};
use nix::unistd::{User, geteuid};
use retention::{
    backup::State,
    store::{self, Store},
};
use tempfile::TempDir;

use daemon::Daemon;
use disks::SmallDisks;
use mongod::{Mongod, REPLICA_SET};
use process::{GLANCE, lost_a_port};
use sftp::Sftp;
use sshd::Sshd;

/// The database that backups are stored in.
const TARGET_DB: &str = "retention";

/// How long the daemon may take to be ready once MongoDB answers.
const READY: Duration = Duration::from_secs(30);

/// What a world is like.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// The series of MongoDB: `4.2`, `4.4` or `6.0`.
    pub(crate) mongod_series: String,
    /// The Archive Keys, the newest first.
    pub(crate) archive_keys: Vec<String>,
    /// The first password of the portal's `Admin`.
    pub(crate) admin_password: String,
    /// For how long an interrupted upload is kept to be resumed.
    pub(crate) grace_seconds: u64,
    /// The address that endpoint and portal listen on. Loopback reaches them in any case.
    pub(crate) listen: Ipv4Addr,
    /// Further lines of the configuration: whole sections.
    pub(crate) sections: String,
    /// How many members the replica set has: one, or three of which the last is an arbiter.
    pub(crate) members: usize,
    /// The cache of MongoDB in GB.
    pub(crate) cache_gb: f64,
    /// A small file system for the appliance's state, of so many bytes.
    pub(crate) state_disk_bytes: Option<u64>,
    /// A small file system for MongoDB's data, of so many bytes.
    pub(crate) mongodb_disk_bytes: Option<u64>,
    /// How often the daemon has to say that its work goes on.
    pub(crate) watchdog: Option<Duration>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            mongod_series: "4.2".into(),
            archive_keys: vec!["Str0ng!Key#2021".into(), "0lder?Key#2019".into()],
            admin_password: "Correct-Horse-7-Staple".into(),
            grace_seconds: 2,
            listen: Ipv4Addr::LOCALHOST,
            sections: String::new(),
            members: 1,
            cache_gb: 0.25,
            state_disk_bytes: None,
            mongodb_disk_bytes: None,
            watchdog: None,
        }
    }
}

/// Waits for something to become true.
pub(crate) async fn until<F>(what: &str, holds: impl Fn() -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<bool>>,
{
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds().await? {
        if Instant::now() > deadline {
            bail!("never: {what}");
        }
        tokio::time::sleep(GLANCE).await;
    }
    Ok(())
}

/// The program under test and its configuration.
#[derive(Clone)]
pub(crate) struct Program {
    /// The binary.
    pub(crate) path: PathBuf,
    /// `retention.toml`.
    pub(crate) config: PathBuf,
    /// The small file systems that it is to see.
    pub(crate) disks: Option<Arc<SmallDisks>>,
}

impl Program {
    /// A short run of it, with its configuration.
    pub(crate) fn command(&self) -> Command {
        let mut command = process::within(&SmallDisks::way_into(self.disks.as_deref()), &self.path);
        command.arg("--config").arg(&self.config);
        command
    }
}

/// A whole appliance.
pub(crate) struct World {
    // In the order in which they are ended.
    pub(crate) sftp: Sftp,
    pub(crate) daemon: Daemon,
    pub(crate) sshd: Sshd,
    pub(crate) mongod: Mongod,
    program: Program,
    portal_port: u16,
    sftp_port: u16,
    ended: HashSet<String>,
    directory: TempDir,
}

impl World {
    /// Starts everything, and returns when an upload can begin.
    pub(crate) async fn start(options: Options) -> anyhow::Result<Self> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            match Self::start_once(&options).await {
                Err(error) if lost_a_port(&error) && attempts < 4 => {}
                outcome => return outcome,
            }
        }
    }

    async fn start_once(options: &Options) -> anyhow::Result<Self> {
        let directory = scratch()?;
        let place = |name: &str| directory.path().join(name);
        for name in ["logs", "mongodb", "client", "secrets"] {
            fs::create_dir(place(name))?;
            fs::set_permissions(place(name), Permissions::from_mode(0o700))?;
        }
        let disks = small_disks(options, directory.path()).await?;
        let mongod = Mongod::new(
            &options.mongod_series,
            options.members,
            &place("mongodb"),
            &place("logs"),
            disks.clone(),
        );
        let mut mongod = mongod?;
        mongod.cache_gb = options.cache_gb;
        mongod.resume().await?;
        let (sftp_port, portal_port) = (process::free_port()?, process::free_port()?);
        let sftp = Sftp::new(&place("client"), sftp_port, &uploader()?)?;
        let program = Program {
            path: reachable(binary()?, directory.path())?,
            config: place("retention.toml"),
            disks,
        };
        write_secrets(&place("secrets"), options)?;
        let config = Configuration { options, sftp: &sftp, sftp_port, portal_port };
        fs::write(&program.config, config.text(directory.path(), &mongod))?;

        let sshd = Sshd::start(program.clone(), sftp_port, &place("logs/sshd.log")).await?;
        sftp.trust(&outside(
            program.disks.as_deref(),
            &place("state/sftp-server/host_key_ed25519.pub"),
        ))?;
        sshd.authorize(&sftp.public_key())?;
        let (log, notify) = (place("logs/daemon.log"), place("notify"));
        let daemon = Daemon::new(program.clone(), &log, notify, options.watchdog);
        let ended = HashSet::new();
        let mut world =
            Self { sftp, daemon, sshd, mongod, program, portal_port, sftp_port, ended, directory };
        world.start_daemon().await?;
        Ok(world)
    }

    /// Starts the daemon and waits until it is ready.
    pub(crate) async fn start_daemon(&mut self) -> anyhow::Result<()> {
        self.daemon.launch()?;
        self.daemon.ready(READY).await
    }

    /// Uploads a file under its own name.
    pub(crate) async fn upload(&self, file: &Path) -> anyhow::Result<()> {
        let name = file.file_name().context("a file to upload has a name")?;
        self.sftp.put(file, &name.to_string_lossy()).await
    }

    /// The database that the appliance stores in.
    pub(crate) fn database(&self) -> Database {
        self.mongod.client().database(TARGET_DB)
    }

    /// The store as the appliance itself has it.
    pub(crate) fn store(&self) -> anyhow::Result<Store> {
        Ok(Store::connect(&store::Settings {
            host: self.mongod.address(),
            user: None,
            auth_db: "admin".into(),
            target_db: TARGET_DB.into(),
            replica_set: Some(REPLICA_SET.into()),
            tls: None,
        })?)
    }

    /// Where a client finds the database.
    pub(crate) fn database_uri(&self) -> String {
        self.mongod.uri().replace("/?", &format!("/{TARGET_DB}?"))
    }

    /// The newest upload of a job as the Backup Log has it.
    pub(crate) async fn backup(&self, job: &str) -> anyhow::Result<Option<Document>> {
        let backups = self.database().collection("backups");
        Ok(backups.find_one(doc! { "job": job }).sort(doc! { "_id": -1 }).await?)
    }

    /// Waits until the newest upload of a job is in a state, and returns what the log says of it.
    ///
    /// Fails early if it has ended in another, unless this told so before: then a newer upload is
    /// still to come.
    pub(crate) async fn wait_state(
        &mut self,
        job: &str,
        wanted: State,
        patience: Duration,
    ) -> anyhow::Result<Document> {
        let deadline = Instant::now() + patience;
        loop {
            // The database may be away, which is what some tests are about.
            let backup = self.backup(job).await.ok().flatten();
            let state = backup.as_ref().and_then(|backup| backup.get_str("state").ok());
            let state = state.and_then(|state| state.parse::<State>().ok());
            let id = backup.as_ref().and_then(|backup| backup.get_str("_id").ok());
            let id = id.unwrap_or_default().to_owned();
            if let Some(backup) = &backup
                && state == Some(wanted)
            {
                if wanted.is_final() {
                    self.ended.insert(id);
                }
                return Ok(backup.clone());
            }
            self.daemon.still_runs()?;
            let ended = state.is_some_and(State::is_final) && !self.ended.contains(&id);
            if ended || Instant::now() > deadline {
                let line = backup.unwrap_or_default();
                let said = self.daemon.last_words();
                bail!("{job} is not {wanted}. The log: {line}. The daemon said:\n{said}");
            }
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// Waits until a job has its receipt, and returns what is in the store of it.
    pub(crate) async fn receipt(&self, job: &str) -> anyhow::Result<Document> {
        let receipts = self.database().collection::<Document>("receipts.files");
        let wanted = doc! { "metadata.job": job };
        until("there is a receipt", || async {
            Ok(receipts.find_one(wanted.clone()).await.ok().flatten().is_some())
        })
        .await?;
        receipts.find_one(wanted).await?.context("it was there just now")
    }

    /// What `retention status --json` says.
    pub(crate) fn status(&self) -> anyhow::Result<serde_json::Value> {
        let (_, said, errors) = self.run(&["status", "--json"])?;
        serde_json::from_str(&said).with_context(|| format!("status said: {errors}"))
    }

    /// What a client is told whose upload of `file` is refused.
    ///
    /// The endpoint's own door is shut in the session that it forces, which is root's to force.
    pub(crate) async fn refused(&self, file: &Path) -> anyhow::Result<String> {
        ensure!(geteuid().is_root(), "only root can see an upload refused");
        let refused = self.upload(file).await.err().context("it was let in")?;
        Ok(refused.to_string())
    }

    /// What a check of `retention status` says: its state, and its sentence.
    pub(crate) fn check(&self, id: &str) -> anyhow::Result<(String, String)> {
        let status = self.status()?;
        let mut checks = status["checks"].as_array().context("checks")?.iter();
        let check = checks.find(|check| check["id"] == id).with_context(|| status.to_string())?;
        let text = |name: &str| check[name].as_str().unwrap_or_default().to_owned();
        Ok((text("state"), text("sentence")))
    }

    /// Runs a command of the program to its end: how it ended, and what it said where.
    pub(crate) fn run(&self, arguments: &[&str]) -> anyhow::Result<(ExitStatus, String, String)> {
        let output = self.program.command().args(arguments).output()?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok((output.status, text(&output.stdout), text(&output.stderr)))
    }

    /// The command line that leads to where the world's programs are.
    pub(crate) fn way_in(&self) -> Vec<OsString> {
        SmallDisks::way_into(self.program.disks.as_deref())
    }

    /// The portal's address.
    pub(crate) fn portal_url(&self) -> String {
        format!("https://127.0.0.1:{}/", self.portal_port)
    }

    /// The endpoint's port.
    pub(crate) fn sftp_port(&self) -> u16 {
        self.sftp_port
    }

    /// The portal's port.
    pub(crate) fn portal_port(&self) -> u16 {
        self.portal_port
    }

    /// The directory that the uploading client writes to.
    pub(crate) fn inbox(&self) -> PathBuf {
        self.state_directory().join("sftp/inbox")
    }

    /// The appliance's state.
    pub(crate) fn state_directory(&self) -> PathBuf {
        outside(self.program.disks.as_deref(), &self.directory.path().join("state"))
    }

    /// MongoDB's data.
    pub(crate) fn mongodb_directory(&self) -> PathBuf {
        outside(self.program.disks.as_deref(), &self.directory.path().join("mongodb"))
    }

    /// A secret's file.
    pub(crate) fn secret(&self, name: &str) -> PathBuf {
        self.directory.path().join("secrets").join(name)
    }

    /// A place for files of a test's own, that goes with the world.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for name in ["sshd", "daemon"] {
                let log = self.directory.path().join(format!("logs/{name}.log"));
                let text = fs::read_to_string(log).unwrap_or_default();
                eprintln!("--- what {name} said ---\n{text}");
            }
        }
    }
}

/// Where something is found from outside the file systems that the world's programs see.
fn outside(disks: Option<&SmallDisks>, path: &Path) -> PathBuf {
    disks.map_or_else(|| path.to_owned(), |disks| disks.seen_from_outside(path))
}

async fn small_disks(
    options: &Options,
    directory: &Path,
) -> anyhow::Result<Option<Arc<SmallDisks>>> {
    let mut disks = Vec::new();
    for (name, bytes) in
        [("state", options.state_disk_bytes), ("mongodb", options.mongodb_disk_bytes)]
    {
        if let Some(bytes) = bytes {
            fs::create_dir_all(directory.join(name))?;
            disks.push((directory.join(name), bytes));
        }
    }
    if disks.is_empty() {
        return Ok(None);
    }
    let mounted = SmallDisks::mount(&disks, &directory.join("logs/disks.log")).await?;
    Ok(Some(Arc::new(mounted)))
}

struct Configuration<'a> {
    options: &'a Options,
    sftp: &'a Sftp,
    sftp_port: u16,
    portal_port: u16,
}

impl Configuration<'_> {
    fn text(&self, directory: &Path, mongod: &Mongod) -> String {
        let Self { options, sftp, sftp_port, portal_port } = self;
        let (address, user) = (mongod.address(), sftp.user());
        format!(
            "version = 1\n\
             state_directory = {state:?}\n\
             secrets_directory = {secrets:?}\n\
             [sftp]\nlisten = \"{listen}:{sftp_port}\"\nuser = {user:?}\n\
             [inbox]\ngrace_seconds = {grace}\nrescan_seconds = 1\n\
             [mongodb]\nhost = {address:?}\nreplica_set = {REPLICA_SET:?}\n\
             target_db = {TARGET_DB:?}\n\
             [portal]\nlisten = \"{listen}:{portal_port}\"\n\
             {sections}\n",
            state = directory.join("state"),
            secrets = directory.join("secrets"),
            grace = options.grace_seconds,
            listen = options.listen,
            sections = options.sections,
        )
    }
}

fn write_secrets(directory: &Path, options: &Options) -> anyhow::Result<()> {
    if !options.archive_keys.is_empty() {
        let keys = options.archive_keys.join("\n");
        process::write_secret(&directory.join("archive-keys"), &keys)?;
    }
    process::write_secret(&directory.join("settings-key"), "of this world alone")?;
    process::write_secret(&directory.join("admin-password"), &options.admin_password)
}

/// A new directory for everything.
///
/// As root, sshd locks the uploader into a directory below it, and wants all directories above
/// that to be root's alone. `/tmp` is everybody's.
pub(crate) fn scratch() -> anyhow::Result<TempDir> {
    let temporary = std::env::temp_dir();
    let candidates = [temporary.as_path(), Path::new("/var/cache"), Path::new("/var/lib")];
    let fits = |path: &&&Path| !geteuid().is_root() || path.ancestors().all(only_root_writes);
    let base = candidates.iter().find(fits).context("no directory is root's alone")?;
    let directory = tempfile::Builder::new().prefix("retention-").tempdir_in(base)?;
    // sshd reads the authorised keys as the user who signs in, who is somebody else then.
    let mode = if geteuid().is_root() { 0o755 } else { 0o700 };
    fs::set_permissions(directory.path(), Permissions::from_mode(mode))?;
    Ok(directory)
}

fn only_root_writes(directory: &Path) -> bool {
    fs::metadata(directory).is_ok_and(|found| found.uid() == 0 && found.mode() & 0o022 == 0)
}

/// Who uploads: as root somebody without any rights, else whoever runs this.
pub(crate) fn uploader() -> anyhow::Result<String> {
    if geteuid().is_root() {
        return Ok("nobody".into());
    }
    Ok(User::from_uid(geteuid())?.context("this user has no name")?.name)
}

/// The program where sshd can ask it: as root, sshd does so as a user without rights, whom the
/// directory of a checkout may be closed to, and only if it is root's and nobody else can change it.
fn reachable(program: PathBuf, directory: &Path) -> anyhow::Result<PathBuf> {
    let fit = |path: &Path| {
        fs::metadata(path).is_ok_and(|found| {
            found.uid() == 0 && found.mode() & 0o001 != 0 && found.mode() & 0o022 == 0
        })
    };
    if !geteuid().is_root() || program.ancestors().all(fit) {
        return Ok(program);
    }
    let copy = directory.join("retention");
    fs::copy(&program, &copy).with_context(|| format!("cannot copy {}", program.display()))?;
    Ok(copy)
}

/// The program under test, built beside the test or the demonstration.
pub(crate) fn binary() -> anyhow::Result<PathBuf> {
    if let Some(path) = option_env!("CARGO_BIN_EXE_retention") {
        return Ok(path.into());
    }
    let own = std::env::current_exe()?;
    let path = own.ancestors().nth(2).unwrap_or(&own).join("retention");
    if !path.exists() {
        bail!("{} is not built", path.display());
    }
    Ok(path)
}
