//! Real programs that run beside a test or a demonstration and never outlive it.
//!
//! Each program has a process group of its own, writes to a log file of its own, and is killed
//! when its handle is dropped, or by the kernel when this process dies in whatever way.

use std::{
    collections::HashSet,
    ffi::{OsStr, OsString},
    fs::{self, File, OpenOptions},
    io,
    net::{Ipv4Addr, TcpListener},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Mutex, OnceLock, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};

/// Between two looks at something that tells nobody when it changes.
pub(crate) const GLANCE: Duration = Duration::from_millis(20);

/// How many of a log's last bytes are shown when something went wrong.
const TAIL_BYTES: usize = 6000;

/// A program that runs.
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    ended: Option<ExitStatus>,
}

impl Process {
    /// Starts `program`, with what `arrange` adds to its command line and environment.
    ///
    /// What it says is appended to `log`.
    pub(crate) fn start(
        name: &str,
        program: &Path,
        log: &Path,
        arrange: impl FnOnce(&mut Command),
    ) -> anyhow::Result<Self> {
        Self::start_within(&[], name, program, log, arrange)
    }

    /// Starts `program` where the command line `enter` leads to; if it is empty, here.
    pub(crate) fn start_within(
        enter: &[OsString],
        name: &str,
        program: &Path,
        log: &Path,
        arrange: impl FnOnce(&mut Command),
    ) -> anyhow::Result<Self> {
        let open = || OpenOptions::new().create(true).append(true).open(log);
        let output = open().and_then(|file| Ok((file.try_clone()?, file)));
        let (output, errors) = output.with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = within(enter, "setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(program);
        command.process_group(0).stdin(Stdio::null()).stdout(output).stderr(errors);
        arrange(&mut command);
        let child = spawn(command).with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name: name.to_owned(), child, log: log.to_owned(), ended: None })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().ok().flatten();
        }
        self.ended
    }

    /// Fails if it has ended, with what it said last.
    pub(crate) fn still_runs(&mut self) -> anyhow::Result<()> {
        match self.ended() {
            Some(status) => {
                bail!("{} ended ({status}); it said:\n{}", self.name, self.last_words())
            }
            None => Ok(()),
        }
    }

    /// Sends it a signal; to a program that has ended nothing is sent.
    pub(crate) fn signal(&mut self, signal: Signal) {
        if self.ended().is_none() {
            // It may end just now, which is what most signals are sent for.
            let _ = kill(self.pid(), signal);
        }
    }

    /// Waits until it ends.
    pub(crate) async fn wait(&mut self, patience: Duration) -> anyhow::Result<ExitStatus> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.ended() {
                return Ok(status);
            }
            if Instant::now() > deadline {
                bail!(
                    "{} still runs after {patience:?}; it said:\n{}",
                    self.name,
                    self.last_words()
                );
            }
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// The end of its log.
    pub(crate) fn last_words(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let from = text.len().saturating_sub(TAIL_BYTES);
        String::from_utf8_lossy(&text[from..]).into_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended().is_none() {
            // What it started itself is in its group.
            let _ = killpg(self.pid(), Signal::SIGKILL);
            let _ = self.child.wait();
        }
    }
}

/// Starts a program from a thread that lives as long as this process.
///
/// The kernel kills a child when the *thread* that started it ends, and threads of a test or of
/// an executor come and go.
fn spawn(command: Command) -> io::Result<Child> {
    type Order = (Command, mpsc::Sender<io::Result<Child>>);
    static ORDERS: OnceLock<mpsc::Sender<Order>> = OnceLock::new();
    let orders = ORDERS.get_or_init(|| {
        let (orders, taken) = mpsc::channel::<Order>();
        thread::spawn(move || {
            for (mut command, answer) in taken {
                let _ = answer.send(command.spawn());
            }
        });
        orders
    });
    let (answer, child) = mpsc::channel();
    let gone = |_| io::Error::other("the thread that starts programs is gone");
    orders.send((command, answer)).map_err(|_| gone(mpsc::RecvError))?;
    child.recv().map_err(gone)?
}

/// A loopback port that nobody listens on, and that this process has not handed out before.
///
/// Another process may take it before it is used; whoever starts a server on it tries again then.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    static HANDED_OUT: Mutex<Option<HashSet<u16>>> = Mutex::new(None);
    let mut handed_out = HANDED_OUT.lock().unwrap_or_else(PoisonError::into_inner);
    let handed_out = handed_out.get_or_insert_default();
    for _ in 0..1000 {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        if handed_out.insert(port) {
            return Ok(port);
        }
    }
    bail!("no loopback port is free");
}

/// Whether an error tells that a port was taken by somebody else in the meantime.
pub(crate) fn lost_a_port(error: &anyhow::Error) -> bool {
    let text = format!("{error:#}").to_lowercase();
    text.contains("address already in use") || text.contains("addrinuse")
}

/// A command that runs where the command line `enter` leads to; if it is empty, here.
pub(crate) fn within(enter: &[OsString], program: impl AsRef<OsStr>) -> Command {
    let Some((first, more)) = enter.split_first() else {
        return Command::new(program);
    };
    let mut command = Command::new(first);
    command.args(more).arg(program);
    command
}

/// Runs a short program to its end and returns what it printed. What it says is in the error,
/// unless the command has a place for it.
pub(crate) fn output(command: &mut Command) -> anyhow::Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot run {name}"))?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if !output.status.success() {
        bail!("{name} failed ({}): {said}", output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Writes a file that only its owner can read.
pub(crate) fn write_secret(path: &Path, text: &str) -> anyhow::Result<()> {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    let mut options = File::options();
    options.write(true).create(true).truncate(true).mode(0o600);
    let written = options.open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.with_context(|| format!("cannot write {}", path.display()))
}
