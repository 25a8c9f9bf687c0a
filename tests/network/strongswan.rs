//! Real strongSwan, one for each end of a tunnel, in user space.
//!
//! Each has a view of the file system in which `/etc/swanctl`, `/etc/strongswan.d` and `/run` are
//! its own: as the packages deliver them, and what the test lays down. So the example files lie
//! where an administrator copies them to. ESP is done by the plugin `kernel-libipsec`, because the
//! kernel of a test machine may not do it.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;

use crate::{
    site::{GATEWAY, MAAIICONNECT, TUNNEL},
    world::process::{self, GLANCE, Process},
};

/// What Debian and Ubuntu fill `/etc/strongswan.d` with.
const DELIVERED: &str = "/usr/share/strongswan/templates/config";

/// How long anything may take that strongSwan does by itself; some is repeated after seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// One end.
pub(crate) struct Peer {
    name: String,
    network: PathBuf,
    directory: PathBuf,
    process: Option<Process>,
}

impl Peer {
    /// An end in a network namespace that a file names, with `files` below `/etc`. Not yet started.
    pub(crate) fn new(
        name: &str,
        network: &Path,
        place: &Path,
        files: &[(&str, &str)],
    ) -> Result<Self> {
        let directory = place.join(name);
        fs::create_dir_all(directory.join("run"))?;
        fs::create_dir_all(directory.join("etc/strongswan.d"))?;
        for kind in ["conf.d", "x509", "x509ca", "private"] {
            fs::create_dir_all(directory.join("etc/swanctl").join(kind))?;
        }
        let copy = |from: &str, to: &str| {
            let mut command = Command::new("cp");
            command.arg("-rT").arg(Path::new(DELIVERED).join(from));
            process::output(command.arg(directory.join("etc/strongswan.d").join(to)))
        };
        copy("strongswan.d", "")?;
        copy("plugins", "charon")?;
        let log = format!(
            "charon-systemd {{\n filelog {{\n log {{\n path = {}\n default = 1\n \
             flush_line = yes\n }}\n }}\n}}\n",
            directory.join("log").display()
        );
        let own = [
            ("swanctl/swanctl.conf", "include conf.d/*.conf\n"),
            ("strongswan.d/charon/kernel-libipsec.conf", "kernel-libipsec {\n load = yes\n}\n"),
            ("strongswan.d/log.conf", &log),
        ];
        for (file, text) in own.iter().chain(files) {
            let path = directory.join("etc").join(file);
            fs::write(&path, text).with_context(|| path.display().to_string())?;
            fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        }
        Ok(Self { name: name.to_owned(), network: network.to_owned(), directory, process: None })
    }

    /// Starts it as its unit does: the daemon, then everything is loaded.
    pub(crate) async fn start(&mut self) -> Result<()> {
        const SCRIPT: &str = r#"
            mount --bind "$0/etc/swanctl" /etc/swanctl
            mount --bind "$0/etc/strongswan.d" /etc/strongswan.d
            mount --bind "$0/run" /run
            exec /usr/sbin/charon-systemd"#;
        let socket = self.directory.join("run/charon.vici");
        if socket.exists() {
            fs::remove_file(&socket)?;
        }
        let output = self.directory.join("output");
        let mut process = Process::start(&self.name, Path::new("nsenter"), &output, |command| {
            command.arg(format!("--net={}", self.network.display()));
            command.args(["unshare", "--mount", "sh", "-ec", SCRIPT]).arg(&self.directory);
        })?;
        let deadline = Instant::now() + PATIENCE;
        while !socket.exists() {
            process.still_runs()?;
            ensure!(Instant::now() < deadline, "{} opens no socket:\n{}", self.name, self.log());
            tokio::time::sleep(GLANCE).await;
        }
        self.process = Some(process);
        let loaded = self.swanctl(&["--load-all", "--noprompt"])?;
        ensure!(loaded.contains("successfully loaded 1 connections"), "{}: {loaded}", self.name);
        Ok(())
    }

    /// Ends it without a word to the other end.
    pub(crate) async fn kill(&mut self) -> Result<()> {
        let mut process = self.process.take().context("it does not run")?;
        process.signal(Signal::SIGKILL);
        process.wait(PATIENCE).await.map(drop)
    }

    /// Runs `swanctl`, and returns what it printed.
    pub(crate) fn swanctl(&self, arguments: &[&str]) -> Result<String> {
        let process = self.process.as_ref().context("it does not run")?;
        let mut command = Command::new("nsenter");
        command.args(["--target", &process.pid().to_string(), "--mount", "--net", "swanctl"]);
        process::output(command.args(arguments)).with_context(|| self.log())
    }

    /// Whether the tunnel is up, as README.md tells to see it.
    pub(crate) fn is_up(&self) -> Result<bool> {
        Ok(self.swanctl(&["--list-sas", "--child", "retention"])?.contains("INSTALLED"))
    }

    /// Waits until the tunnel is up, or until it is not.
    pub(crate) async fn wait(&self, up: bool) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while self.is_up()? != up {
            if Instant::now() > deadline {
                bail!("{}: the tunnel is not as expected; up: {up}\n{}", self.name, self.log());
            }
            tokio::time::sleep(GLANCE).await;
        }
        Ok(())
    }

    /// What it says that it did.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }
}

/// How maaiiconnect's gateway is set up: one proposal of each kind, and what tells the two ends.
///
/// `ours` and `theirs` are lines of the sections `local` and `remote`.
pub(crate) fn gateway(ours: &str, theirs: &str, proposal: &str, esp_proposal: &str) -> String {
    format!(
        "connections {{\n customer {{\n version = 2\n local_addrs = {GATEWAY}\n \
         proposals = {proposal}\n unique = replace\n \
         local {{\n{ours}\n }}\n remote {{\n{theirs}\n }}\n \
         children {{\n retention {{\n local_ts = {MAAIICONNECT}\n remote_ts = {TUNNEL}/32\n \
         esp_proposals = {esp_proposal}\n }}\n }}\n }}\n}}\n"
    )
}
