//! What the machine is like, and whether that will do.
//!
//! Facts are gathered here and judged in [`judge`], which is pure.

pub mod judge;

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
};

use nix::{
    sys::statvfs::statvfs,
    unistd::{User, geteuid, gethostname},
};
use procfs::{Current, net::TcpState, process::FDTarget};

use crate::appliance::address;

/// What the machine is like. What cannot be found out is left open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// Whether this runs as root.
    pub root: bool,
    /// The machine's name.
    pub host: String,
    /// Its addresses, but those that only it can reach.
    pub addresses: Vec<IpAddr>,
    /// Whether systemd started it.
    pub systemd: bool,
    /// Processor cores.
    pub cores: Option<usize>,
    /// Memory, in bytes.
    pub memory_bytes: Option<u64>,
    /// Whether the processor has AVX, without which MongoDB 5 and later do not start.
    pub avx: Option<bool>,
    /// The file system that the state directory is on, or will be.
    pub disk: Option<Disk>,
    /// Whether the clock is set by a time server.
    pub clock_synchronised: Option<bool>,
    /// Whether OpenSSH's server is installed.
    pub sshd: bool,
    /// Who listens.
    pub listeners: Vec<Listener>,
    /// Whether the uploading user exists.
    pub uploader_exists: bool,
}

/// A file system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Disk {
    /// Where it is mounted.
    pub mounted_at: PathBuf,
    /// Its kind: `ext4`, `xfs`, …
    pub kind: String,
    /// How many bytes it has.
    pub total_bytes: u64,
    /// How many of them are free for us.
    pub free_bytes: u64,
    /// Whether it is mounted read-only.
    pub read_only: bool,
}

/// A program that listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Where.
    pub address: SocketAddr,
    /// Its name, where that can be seen.
    pub program: Option<String>,
    /// The arguments that it was started with.
    pub arguments: Vec<String>,
    /// Its process id.
    pub pid: Option<i32>,
}

impl Machine {
    /// Looks at the machine. `state` is where the state will be, `uploader` who uploads.
    pub fn look(state: &Path, uploader: &str) -> Self {
        Self {
            root: geteuid().is_root(),
            host: gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default(),
            addresses: address::all(),
            // As sd_booted(3) tells it.
            systemd: Path::new("/run/systemd/system").is_dir(),
            cores: std::thread::available_parallelism().ok().map(usize::from),
            memory_bytes: procfs::Meminfo::current().ok().map(|memory| memory.mem_total),
            avx: avx(),
            disk: disk(state),
            clock_synchronised: clock_synchronised(),
            sshd: ["/usr/sbin/sshd", "/usr/local/sbin/sshd"]
                .iter()
                .any(|it| Path::new(it).is_file()),
            listeners: listeners(),
            uploader_exists: matches!(User::from_name(uploader), Ok(Some(_))),
        }
    }

    /// The address by which others reach this machine, as far as one can guess it.
    pub fn address(&self) -> IpAddr {
        address::likely(&self.addresses)
    }

    /// Whoever listens where `wanted` would, if anybody does.
    pub fn holder(&self, wanted: SocketAddr) -> Option<&Listener> {
        self.listeners.iter().find(|listener| {
            let (a, b) = (listener.address, wanted);
            let all = |address: SocketAddr| address.ip().is_unspecified();
            a.port() == b.port() && (a.ip() == b.ip() || all(a) || all(b))
        })
    }
}

fn avx() -> Option<bool> {
    let processors = procfs::CpuInfo::current().ok()?;
    let flags = processors.flags(0)?;
    Some(flags.contains(&"avx"))
}

fn disk(path: &Path) -> Option<Disk> {
    // What is not there yet will be where its nearest parent is.
    let path = path.ancestors().find(|path| path.exists())?.canonicalize().ok()?;
    let numbers = statvfs(&path).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(numbers.fragment_size());
    let mounts = procfs::process::Process::myself().and_then(|own| own.mountinfo()).ok()?;
    let mount = mounts
        .into_iter()
        .filter(|mount| path.starts_with(&mount.mount_point))
        .max_by_key(|mount| mount.mount_point.components().count());
    let (mounted_at, kind) = mount.map(|mount| (mount.mount_point, mount.fs_type))?;
    Some(Disk {
        mounted_at,
        kind,
        total_bytes: bytes(numbers.blocks()),
        free_bytes: bytes(numbers.blocks_available()),
        read_only: numbers.flags().contains(nix::sys::statvfs::FsFlags::ST_RDONLY),
    })
}

/// What the kernel knows of it, which whoever sets the clock tells it.
fn clock_synchronised() -> Option<bool> {
    let mut ask = Command::new("timedatectl");
    let output = ask.args(["show", "--property=NTPSynchronized", "--value"]).output().ok()?;
    match String::from_utf8_lossy(&output.stdout).trim() {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

fn listeners() -> Vec<Listener> {
    let entries = procfs::net::tcp().into_iter().chain(procfs::net::tcp6()).flatten();
    let listening: Vec<_> = entries.filter(|entry| entry.state == TcpState::Listen).collect();
    let mut found: Vec<Listener> = Vec::new();
    let owners = if listening.is_empty() { Vec::new() } else { owners() };
    for entry in listening {
        let owner = owners.iter().find(|(inode, _)| *inode == entry.inode).map(|(_, pid)| *pid);
        let process = owner.and_then(|pid| procfs::process::Process::new(pid).ok());
        let program = process.as_ref().and_then(|process| Some(process.stat().ok()?.comm));
        let arguments = process.and_then(|process| process.cmdline().ok()).unwrap_or_default();
        found.push(Listener { address: entry.local_address, program, arguments, pid: owner });
    }
    found
}

/// Sockets and the processes that have them open.
fn owners() -> Vec<(u64, i32)> {
    let mut found = Vec::new();
    for process in procfs::process::all_processes().into_iter().flatten().flatten() {
        for descriptor in process.fd().into_iter().flatten().flatten() {
            if let FDTarget::Socket(inode) = descriptor.target {
                found.push((inode, process.pid()));
            }
        }
    }
    found
}

/// Whether a mount that is for programs only stands between us and a path: units hide it.
pub(super) fn is_hidden_from_services(path: &Path) -> bool {
    ["/home", "/root", "/run/user", "/tmp", "/var/tmp"]
        .iter()
        .any(|hidden| fs::canonicalize(path).unwrap_or(path.to_owned()).starts_with(hidden))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn this_machine_can_be_looked_at() {
        let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = socket.local_addr().expect("its address");
        let machine = Machine::look(Path::new("/nowhere/at/all"), "root");
        assert!(machine.cores.is_some_and(|cores| cores > 0));
        assert!(machine.memory_bytes.is_some_and(|bytes| bytes > 1 << 20));
        assert!(machine.disk.as_ref().is_some_and(|disk| !disk.kind.is_empty()));
        assert!(machine.uploader_exists && !machine.host.is_empty());
        let holder = machine.holder(address).expect("we listen");
        assert_eq!(holder.pid, Some(std::process::id().cast_signed()));
        let all = SocketAddr::new([0, 0, 0, 0].into(), address.port());
        assert!(machine.holder(all).is_some(), "all addresses are this one, too");
    }
}
