//! Uploads with the stock `sftp` client, as maaiiconnect's own machines do.
//!
//! The server is known by the fingerprints that were configured, and by nothing else: its host
//! keys are asked for, those that fit are pinned for the session, and if none does nobody signs
//! in. A client must never outlive this program, or it would go on writing beside the next one.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use ssh_key::{HashAlg, PublicKey};
use tokio::{
    io::AsyncReadExt,
    process::{Child, Command},
    sync::watch,
    time::{MissedTickBehavior, interval, timeout},
};

use crate::{keys::Keys, settings::Sftp};

/// By this name the client knows the server, whatever its address.
const ALIAS: &str = "retention-appliance";

/// How long a session may take that does not upload a backup.
const PATIENCE: Duration = Duration::from_secs(30);

/// Between two looks at how far an upload is.
const GLANCE: Duration = Duration::from_millis(100);

/// How much of what a client says is kept.
const SAID_BYTES: u64 = 16 * 1024;

/// What went wrong with a session.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A program cannot be started.
    #[error("cannot run {program}")]
    Start {
        /// Which.
        program: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A file of ours cannot be written or read.
    #[error("cannot write {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Nobody answers.
    #[error("no SSH server answers at {0}")]
    Silent(String),
    /// Somebody else answers.
    #[error("the SFTP server shows another host key than was configured: {seen}")]
    HostKey {
        /// Its fingerprints.
        seen: String,
    },
    /// It does not let us in.
    #[error("the SFTP server refuses our key")]
    Refused,
    /// The session failed, or broke off.
    #[error("the connection to the SFTP server broke: {said}")]
    Broke {
        /// The last that the client said.
        said: String,
    },
    /// The session took too long.
    #[error("the SFTP server does not answer in time")]
    Slow,
}

/// How a file is sent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Manner {
    /// Go on where an earlier session broke off.
    pub(crate) resume: bool,
    /// At most so fast.
    pub(crate) kbit_per_second: Option<u32>,
    /// Break off when so much was sent.
    pub(crate) break_off_at: Option<u64>,
}

/// One server, and us there.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    server: Sftp,
    keys: Arc<Keys>,
    directory: PathBuf,
}

impl Client {
    /// A client whose own files are in `directory`.
    pub(crate) fn new(server: Sftp, keys: Arc<Keys>, directory: PathBuf) -> Self {
        Self { server, keys, directory }
    }

    /// The host keys that the server shows, as lines for `known_hosts`, with their fingerprints.
    pub(crate) async fn shown_host_keys(&self) -> Result<Vec<(String, String)>, Error> {
        let Sftp { address, port, .. } = &self.server;
        let mut command = Command::new("ssh-keyscan");
        command.args(["-T", "10", "-p", &port.to_string(), "--", address]).stdin(Stdio::null());
        let start = |source| Error::Start { program: "ssh-keyscan", source };
        let output = timeout(PATIENCE, command.kill_on_drop(true).output()).await;
        let output = output.map_err(|_| Error::Slow)?.map_err(start)?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let keys = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
            let (_, key) = line.split_once(' ')?;
            let fingerprint = PublicKey::from_openssh(key).ok()?.fingerprint(HashAlg::Sha256);
            Some((format!("{ALIAS} {key}\n"), fingerprint.to_string()))
        });
        let keys: Vec<_> = keys.collect();
        if keys.is_empty() {
            return Err(Error::Silent(format!("{address} port {port}")));
        }
        Ok(keys)
    }

    /// Pins the host keys that were configured, of those that the server shows.
    pub(crate) async fn pin(&self) -> Result<(), Error> {
        let shown = self.shown_host_keys().await?;
        let configured = &self.server.host_key_fingerprints;
        let (pinned, others): (Vec<_>, Vec<_>) =
            shown.into_iter().partition(|(_, fingerprint)| configured.contains(fingerprint));
        if pinned.is_empty() {
            let seen: Vec<_> = others.into_iter().map(|(_, fingerprint)| fingerprint).collect();
            return Err(Error::HostKey { seen: seen.join(", ") });
        }
        let lines: String = pinned.into_iter().map(|(line, _)| line).collect();
        let path = self.known_hosts();
        fs::write(&path, lines).map_err(|source| Error::File { path, source })
    }

    /// How large a file is there; nothing if there is none.
    pub(crate) async fn size_of(&self, name: &str) -> Result<Option<u64>, Error> {
        // A leading `-`: that there is none is no failure of the session.
        let said = self.session(&format!("-ls -ln {}\npwd\n", quoted(name))).await?;
        let line = said.lines().find(|line| line.ends_with(name) && line.starts_with('-'));
        Ok(line.and_then(|line| line.split_whitespace().nth(4)).and_then(|size| size.parse().ok()))
    }

    /// Runs the commands of a short batch, and says what the client said.
    pub(crate) async fn session(&self, batch: &str) -> Result<String, Error> {
        for key in self.keys.offered() {
            let child = self.start(&key, batch, &self.directory, None)?;
            let outcome = timeout(PATIENCE, ended(child)).await.map_err(|_| Error::Slow)?;
            if self.settles(&key, &outcome) {
                return outcome;
            }
        }
        Err(Error::Refused)
    }

    /// Whether no other key is to be tried after this outcome. One that was let in is remembered.
    fn settles<T>(&self, key: &Path, outcome: &Result<T, Error>) -> bool {
        if outcome.is_ok() {
            self.keys.let_in(key);
        }
        !matches!(outcome, Err(Error::Refused))
    }

    /// Sends a file under a name, and tells `sent` how much of it has gone out so far.
    pub(crate) async fn put(
        &self,
        file: &Path,
        name: &str,
        manner: Manner,
        sent: &watch::Sender<u64>,
    ) -> Result<(), Error> {
        // The client expands wildcards in the names of local files, even quoted ones. It runs in
        // the file's directory, whose path may hold some; the name of a backup holds none.
        let (Some(place), Some(local)) = (file.parent(), file.file_name()) else {
            let source = io::Error::from(io::ErrorKind::InvalidInput);
            return Err(Error::File { path: file.to_owned(), source });
        };
        let verb = if manner.resume { "reput" } else { "put" };
        let batch = format!("{verb} {} {}\n", quoted(&local.to_string_lossy()), quoted(name));
        for key in self.keys.offered() {
            let child = self.start(&key, &batch, place, manner.kbit_per_second)?;
            let outcome = followed(child, file, manner.break_off_at, sent).await;
            if self.settles(&key, &outcome) {
                return outcome;
            }
        }
        Err(Error::Refused)
    }

    fn start(
        &self,
        key: &Path,
        batch: &str,
        place: &Path,
        kbit: Option<u32>,
    ) -> Result<Child, Error> {
        let path = self.directory.join(format!("batch-{}", uuid::Uuid::now_v7().simple()));
        fs::write(&path, batch).map_err(|source| Error::File { path: path.clone(), source })?;
        let start = |source| Error::Start { program: "sftp", source };
        // Ourselves first, which the kernel is told to end with this process, and then the client.
        let mut command = Command::new(std::env::current_exe().map_err(start)?);
        command.args(["client", "--parent", &std::process::id().to_string(), "--batch"]);
        command.arg(&path).args(["--", "-F", "none"]).current_dir(place);
        command.args(["-P", &self.server.port.to_string(), "-b", "-"]).arg("-i").arg(key);
        if let Some(kbit) = kbit {
            command.args(["-l", &kbit.to_string()]);
        }
        for option in [
            "BatchMode=yes",
            // Quieter, it would not say that the key is refused.
            "LogLevel=ERROR",
            "IdentitiesOnly=yes",
            "IdentityAgent=none",
            "StrictHostKeyChecking=yes",
            "GlobalKnownHostsFile=none",
            "UpdateHostKeys=no",
            "ServerAliveInterval=15",
            "ServerAliveCountMax=4",
            "ConnectTimeout=20",
            &format!("HostKeyAlias={ALIAS}"),
            &format!("UserKnownHostsFile={}", self.known_hosts().display()),
        ] {
            command.args(["-o", option]);
        }
        let Sftp { user, address, .. } = &self.server;
        let host = if address.contains(':') { format!("[{address}]") } else { address.clone() };
        command.arg(format!("{user}@{host}"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.kill_on_drop(true).spawn().map_err(start)
    }

    fn known_hosts(&self) -> PathBuf {
        self.directory.join("known_hosts")
    }
}

/// Waits for the end of a client, and reads what it says meanwhile.
async fn ended(mut child: Child) -> Result<String, Error> {
    let start = |source| Error::Start { program: "sftp", source };
    let (mut out, mut err) = (String::new(), String::new());
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let read_out = async {
        if let Some(stdout) = stdout {
            let _ = stdout.take(SAID_BYTES).read_to_string(&mut out).await;
        }
    };
    let read_err = async {
        if let Some(stderr) = stderr {
            let _ = stderr.take(SAID_BYTES).read_to_string(&mut err).await;
        }
    };
    let (status, (), ()) = tokio::join!(child.wait(), read_out, read_err);
    if status.map_err(start)?.success() {
        return Ok(out);
    }
    if err.contains("Permission denied (") {
        return Err(Error::Refused);
    }
    // The last words are often only that the connection is closed; why stands before them.
    let lines: Vec<&str> = err.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let said = lines[lines.len().saturating_sub(3)..].join("; ");
    Err(Error::Broke { said: if said.is_empty() { "it said nothing".to_owned() } else { said } })
}

/// Follows an upload by how far the client has read the file.
async fn followed(
    child: Child,
    file: &Path,
    break_off_at: Option<u64>,
    sent: &watch::Sender<u64>,
) -> Result<(), Error> {
    let pid = child.id();
    let mut ending = std::pin::pin!(ended(child));
    let mut glances = interval(GLANCE);
    glances.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            outcome = &mut ending => return outcome.map(drop),
            _ = glances.tick() => {
                let Some(read) = pid.and_then(|pid| position(pid, file)) else { continue };
                sent.send_replace(read);
                if break_off_at.is_some_and(|at| read >= at) {
                    // Dropping the client kills it.
                    return Err(Error::Broke { said: "it was told to break off".to_owned() });
                }
            }
        }
    }
}

/// How far a process has read a file that it has open.
fn position(pid: u32, file: &Path) -> Option<u64> {
    for entry in fs::read_dir(format!("/proc/{pid}/fd")).ok()?.flatten() {
        if fs::read_link(entry.path()).is_ok_and(|open| open == file) {
            let name = entry.file_name();
            let info = format!("/proc/{pid}/fdinfo/{}", name.to_string_lossy());
            let text = fs::read_to_string(info).ok()?;
            return text.lines().find_map(|line| line.strip_prefix("pos:")?.trim().parse().ok());
        }
    }
    None
}

/// A name as it stands in a batch.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
}
