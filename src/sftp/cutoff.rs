//! Cuts off uploads that have begun, before the disk is full.
//!
//! The door ([`super::door`]) turns an upload away at its sign-in. One that began while there was
//! room would go on until nothing is left, and MongoDB would end with it if its data is on the same
//! disk. So a process beside sshd looks at the disk each second, and ends the sessions of uploads
//! once less than half of the reserve is free. What has arrived stays; the client sees a broken
//! connection, is told why at its next sign-in, and resumes once there is room.
//!
//! ```text
//! retention sftp serve, which became sshd
//!   |-- connection -- session        of a client, by sshd
//!   |-- connection -- session
//!   `-- retention sftp cut-off       this; started before the first connection
//! ```
//!
//! Whether a session may write was decided by the door. A connection that came while it was shut can
//! only read its reason, and is left to do so.
//!
//! This module must never end anything but connections that its own sshd has begun: they are the
//! children of that one process, and remembered when it has ended before them. It needs neither the
//! daemon nor MongoDB, and what it cannot find out ends nothing.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::{
        prctl,
        signal::{Signal, kill},
    },
    unistd::{Pid, getpid, getppid},
};
use procfs::{ProcResult, process::Process};
use tokio::signal::unix::{SignalKind, signal};

use crate::files;

/// How often the disk is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// How many looks a session has to end before it is killed.
const PATIENCE: u32 = 5;

/// How many processes below a connection are followed: sshd starts no more than three.
const DEEPEST: u32 = 4;

/// How it is called, which is for nobody but [`Endpoint::cut_off`](super::Endpoint::cut_off).
pub const COMMAND: &str = "cut-off";

/// The process cannot do its work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody would tell it that sshd has ended.
    #[error("cannot ask to be told when sshd ends")]
    Follow(#[from] Errno),
    /// The same signal cannot be received.
    #[error("cannot receive signals")]
    Signals(#[from] std::io::Error),
}

/// What it goes by. All of it comes on the command line: nothing is read once it runs.
#[derive(Clone, Debug, clap::Args)]
pub struct CutOff {
    /// Where uploads arrive.
    #[arg(long)]
    pub inbox: PathBuf,
    /// Uploads are refused while less than this is free, in bytes, and cut off below half of it.
    #[arg(long)]
    pub reserve_bytes: u64,
    /// The process that becomes sshd, and has started this.
    #[arg(long)]
    pub sshd: i32,
}

impl CutOff {
    /// The command that starts it, beside this process.
    pub(super) fn command(program: &Path, inbox: &Path, reserve_bytes: u64) -> Command {
        let mut command = Command::new(program);
        command.args(["sftp", COMMAND, "--inbox"]).arg(inbox);
        command.arg("--reserve-bytes").arg(reserve_bytes.to_string());
        command.arg("--sshd").arg(getpid().to_string());
        // sshd alone speaks with systemd.
        command.env_remove("NOTIFY_SOCKET").current_dir("/");
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    /// Watches until sshd and all the sessions that it has begun are gone.
    pub async fn run(self) -> Result<(), Error> {
        let sshd = Pid::from_raw(self.sshd);
        let mut woken = signal(SignalKind::terminate())?;
        prctl::set_pdeathsig(Signal::SIGTERM)?;
        let mut known = Known::default();
        loop {
            let goes_on = getppid() == sshd;
            let present = if goes_on { connections(sshd) } else { known.still_there() };
            if !goes_on && present.is_empty() {
                return Ok(());
            }
            self.step(&mut known, &present);
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                _ = woken.recv() => {}
            }
        }
    }

    fn step(&self, known: &mut Known, present: &[Connection]) {
        let free = files::free_bytes(&self.inbox).ok();
        let told = known.step(room(free, self.reserve_bytes), present);
        let begun = told.iter().filter(|(_, signal)| *signal == Told::First).count();
        if begun > 0 {
            let megabytes = |bytes: u64| bytes / 1_000_000;
            let sessions = if begun == 1 { "session" } else { "sessions" };
            tracing::warn!(
                "only {} MB are free on the disk of the inbox: cut off {begun} {sessions} that could \
                 upload, before it is full; clients can resume once {} MB are free",
                megabytes(free.unwrap_or(0)),
                megabytes(self.reserve_bytes),
            );
        }
        for (connection, told) in told {
            match told {
                // sshd passes it on, and the session ends in order.
                Told::First | Told::Again => {
                    let _ = kill(connection.pid(), Signal::SIGTERM);
                }
                Told::Killed => kill_all(connection.pid(), DEEPEST),
            }
        }
    }
}

/// How much room there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    /// The door is open.
    Open,
    /// The door is shut; uploads that have begun go on.
    Refused,
    /// They are cut off.
    Short,
}

/// Judges the free bytes. What cannot be found out opens the door, here as there.
fn room(free_bytes: Option<u64>, reserve_bytes: u64) -> Room {
    match free_bytes {
        Some(free) if free < reserve_bytes / 2 => Room::Short,
        Some(free) if free < reserve_bytes => Room::Refused,
        _ => Room::Open,
    }
}

/// A process of sshd's for one client. Its number alone could be given to another one later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Connection {
    pid: i32,
    started: u64,
}

impl Connection {
    /// The process with this number, if there is one.
    fn find(pid: i32) -> ProcResult<Self> {
        Ok(Self { pid, started: Process::new(pid)?.stat()?.starttime })
    }

    fn pid(self) -> Pid {
        Pid::from_raw(self.pid)
    }
}

/// What a connection is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// To end.
    First,
    /// The same once more.
    Again,
    /// Nothing: it did not listen.
    Killed,
}

/// What is known of the connections.
#[derive(Debug)]
struct Known {
    /// Whether the door was open when it was last looked.
    was_open: bool,
    connections: BTreeMap<Connection, Seen>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// Whether the door may have let it write.
    may_write: bool,
    /// How often it was told to end.
    told: u32,
}

impl Default for Known {
    fn default() -> Self {
        Self { was_open: true, connections: BTreeMap::new() }
    }
}

impl Known {
    /// Takes note of the connections that are there, and says which are told what.
    fn step(&mut self, room: Room, present: &[Connection]) -> Vec<(Connection, Told)> {
        self.connections.retain(|connection, _| present.contains(connection));
        // Whoever came since the last look, when the door was open still, may have passed it.
        let lets_in = room == Room::Open || self.was_open;
        self.was_open = room == Room::Open;
        let mut all = Vec::new();
        for connection in present {
            let seen = self.connections.entry(*connection).or_default();
            seen.may_write |= lets_in;
            if room != Room::Short || !seen.may_write {
                continue;
            }
            seen.told += 1;
            all.push((
                *connection,
                match seen.told {
                    1 => Told::First,
                    told if told <= PATIENCE => Told::Again,
                    _ => Told::Killed,
                },
            ));
        }
        all
    }

    /// Those of the known connections that have not ended.
    fn still_there(&self) -> Vec<Connection> {
        let same =
            |known: &&Connection| Connection::find(known.pid).is_ok_and(|found| found == **known);
        self.connections.keys().filter(same).copied().collect()
    }
}

/// The connections that sshd has begun. One that ends meanwhile is left out.
fn connections(sshd: Pid) -> Vec<Connection> {
    let own = getpid().as_raw();
    let all = children(sshd.as_raw()).into_iter().filter(|pid| *pid != own);
    all.filter_map(|pid| Connection::find(pid).ok()).collect()
}

/// The processes that a process has begun.
fn children(pid: i32) -> Vec<i32> {
    let found = Process::new(pid).and_then(|process| process.task_main_thread()?.children());
    found.unwrap_or_default().into_iter().filter_map(|pid| pid.try_into().ok()).collect()
}

/// Ends a process and all below it, whatever they do.
fn kill_all(pid: Pid, deepest: u32) {
    let below = if deepest == 0 { Vec::new() } else { children(pid.as_raw()) };
    let _ = kill(pid, Signal::SIGKILL);
    for pid in below {
        kill_all(Pid::from_raw(pid), deepest - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uploads_are_cut_off_below_half_of_what_the_door_keeps_free() {
        for (free, expected) in [
            (Some(10), Room::Open),
            (Some(9), Room::Refused),
            (Some(5), Room::Refused),
            (Some(4), Room::Short),
            (Some(0), Room::Short),
            (None, Room::Open),
        ] {
            assert_eq!(room(free, 10), expected, "{free:?}");
        }
        assert_eq!(room(Some(0), 0), Room::Open);
    }

    #[test]
    fn whoever_could_write_is_told_to_end_and_whoever_was_turned_away_is_left() {
        let [early, late, turned_away] =
            [1, 2, 3].map(|pid| Connection { pid, started: pid.unsigned_abs().into() });
        let mut known = Known::default();
        let mut step = |room, present: &[Connection]| -> Vec<(i32, Told)> {
            let told = known.step(room, present).into_iter();
            told.map(|(connection, told)| (connection.pid, told)).collect()
        };
        assert_eq!(step(Room::Open, &[early]), []);
        // The door may have been open a moment ago, when this one came.
        assert_eq!(step(Room::Refused, &[early, late]), []);
        assert_eq!(step(Room::Refused, &[early, late, turned_away]), []);
        let all = [early, late, turned_away];
        assert_eq!(step(Room::Short, &all), [(1, Told::First), (2, Told::First)]);
        for _ in 1..PATIENCE {
            assert_eq!(step(Room::Short, &[late, turned_away]), [(2, Told::Again)]);
        }
        assert_eq!(step(Room::Short, &[late, turned_away]), [(2, Told::Killed)]);
        assert_eq!(step(Room::Short, &[turned_away]), []);
        // Another process may get its number.
        let another = Connection { pid: 2, started: 9 };
        assert_eq!(step(Room::Short, &[turned_away, another]), []);
        // With room again, all of them may write.
        assert_eq!(step(Room::Open, &[turned_away]), []);
        assert_eq!(step(Room::Short, &[turned_away]), [(3, Told::First)]);
    }

    #[test]
    fn a_process_is_known_by_its_number_and_its_beginning() {
        let mut child = Command::new("sleep").arg("60").spawn().expect("a process");
        let pid = i32::try_from(child.id()).expect("a number");
        let found = Connection::find(pid).expect("it is there");
        let mut known = Known::default();
        known.step(Room::Open, &[found, Connection { started: found.started + 1, ..found }]);
        assert_eq!(known.still_there(), [found]);
        kill_all(found.pid(), DEEPEST);
        child.wait().expect("it has ended");
        assert_eq!(known.still_there(), []);
    }
}
