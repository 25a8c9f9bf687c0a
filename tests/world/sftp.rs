//! maaiiconnect's side of the endpoint, played by the stock `sftp` client.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::{Context, bail};

use super::process::{self, Process};

/// A client with a key of its own. It knows the endpoint's host key and accepts no other.
pub(crate) struct Sftp {
    directory: PathBuf,
    port: u16,
    user: String,
    runs: AtomicU32,
}

impl Sftp {
    /// A client that signs in as `user`; its files are kept in `directory`.
    pub(crate) fn new(directory: &Path, port: u16, user: &str) -> anyhow::Result<Self> {
        let client = Self {
            directory: directory.to_owned(),
            port,
            user: user.to_owned(),
            runs: AtomicU32::new(0),
        };
        if !client.identity().exists() {
            let mut keygen = Command::new("ssh-keygen");
            keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", "maaiiconnect", "-f"]);
            process::output(keygen.arg(client.identity()))?;
        }
        Ok(client)
    }

    /// Remembers the endpoint by the host key in `file`.
    pub(crate) fn trust(&self, file: &Path) -> anyhow::Result<()> {
        let key = fs::read_to_string(file)
            .with_context(|| format!("cannot read the host key {}", file.display()))?;
        let line = format!("[127.0.0.1]:{} {key}", self.port);
        fs::write(self.directory.join("known_hosts"), line).context("cannot write known_hosts")
    }

    /// The file with the private key.
    pub(crate) fn identity(&self) -> PathBuf {
        self.directory.join("identity")
    }

    /// The file with the public key.
    pub(crate) fn public_key(&self) -> PathBuf {
        self.directory.join("identity.pub")
    }

    /// The user it signs in as.
    pub(crate) fn user(&self) -> &str {
        &self.user
    }

    /// Uploads `file` under `name`.
    pub(crate) async fn put(&self, file: &Path, name: &str) -> anyhow::Result<()> {
        self.batch(&format!("put {} {}", self.quoted_file(file)?, quoted(name))).await.map(drop)
    }

    /// Runs the commands of a batch, and returns what the client printed.
    pub(crate) async fn batch(&self, commands: &str) -> anyhow::Result<String> {
        let mut process = self.start(commands, &[])?;
        let status = process.wait(Duration::from_secs(3600)).await?;
        if !status.success() {
            bail!("sftp failed ({status}): {}", process.last_words());
        }
        Ok(process.last_words())
    }

    /// Begins an upload of `file` under `name` at no more than `kbit_per_second`.
    ///
    /// Dropping what is returned kills the client.
    pub(crate) fn begin_slow_put(
        &self,
        file: &Path,
        name: &str,
        kbit_per_second: u32,
    ) -> anyhow::Result<Process> {
        let put = format!("put {} {}", self.quoted_file(file)?, quoted(name));
        self.start(&put, &["-l", &kbit_per_second.to_string()])
    }

    /// Begins to run the commands of a batch.
    ///
    /// Dropping what is returned kills the client.
    pub(crate) fn begin(&self, commands: &str) -> anyhow::Result<Process> {
        self.start(commands, &[])
    }

    /// A name for a local file that stands in a batch without meaning anything else there.
    pub(crate) fn quoted_file(&self, file: &Path) -> anyhow::Result<String> {
        // The client expands wildcards in the names of local files, even quoted ones.
        let link = self.next("file");
        symlink(file.canonicalize().with_context(|| file.display().to_string())?, &link)?;
        Ok(quoted(&link.to_string_lossy()))
    }

    fn start(&self, commands: &str, options: &[&str]) -> anyhow::Result<Process> {
        let (batch, log) = (self.next("batch"), self.next("log"));
        fs::write(&batch, format!("{commands}\n"))?;
        let setting = |name: &str, value: &Path| format!("{name}={}", value.display());
        Process::start("sftp", Path::new("/usr/bin/sftp"), &log, |command| {
            command.args(["-q", "-F", "none", "-P", &self.port.to_string()]).args(options);
            command.arg("-i").arg(self.identity()).arg("-b").arg(batch);
            for option in [
                "BatchMode=yes",
                "IdentitiesOnly=yes",
                "IdentityAgent=none",
                "StrictHostKeyChecking=yes",
                &setting("UserKnownHostsFile", &self.directory.join("known_hosts")),
                "GlobalKnownHostsFile=none",
            ] {
                command.args(["-o", option]);
            }
            command.arg(format!("{}@127.0.0.1", self.user));
        })
    }

    fn next(&self, what: &str) -> PathBuf {
        let number = self.runs.fetch_add(1, Ordering::Relaxed);
        self.directory.join(format!("{what}-{number}"))
    }
}

/// A name as it stands in a batch.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
}
