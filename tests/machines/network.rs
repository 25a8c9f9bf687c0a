//! The network around a machine: the customer's, the outside, and the router between them.
//!
//! ```text
//!  outside 198.51.100.0/24            inside 192.0.2.0/24
//!  client .10 ───── .1 router .1 ──┬── .10 appliance
//!                                  └── .25 mail server
//! ```
//!
//! The router lets through from the outside what it is told to forward, and nothing else. All of
//! it is in network namespaces that no file names: each is held by a process, and gone with it.

use std::{
    ffi::OsString,
    fs,
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context, Result, ensure};
use nix::unistd::geteuid;

use crate::{
    place::Place,
    process::{self, Process},
    until,
};

/// The router as the outside sees it: the address that is given to maaiiconnect.
pub(crate) const PUBLIC: &str = "198.51.100.1";

/// The router as the customer's own network sees it.
const GATEWAY: &str = "192.0.2.1";

/// For how many seconds a command may run. It is killed after that.
const LIMIT_SECONDS: &str = "180";

/// Which network somebody is in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Side {
    /// The customer's own.
    Inside,
    /// The rest of the world.
    Outside,
}

impl Side {
    fn bridge(self) -> &'static str {
        match self {
            Self::Inside => "inside",
            Self::Outside => "outside",
        }
    }

    fn router(self) -> &'static str {
        match self {
            Self::Inside => GATEWAY,
            Self::Outside => PUBLIC,
        }
    }
}

/// A network namespace.
pub(crate) struct Namespace {
    holder: Process,
}

impl Namespace {
    /// A new one, with nothing in it. Its holder's last words are written into `place`.
    pub(crate) fn new(place: &Place) -> Result<Self> {
        ensure!(geteuid().is_root(), "only root can boot machines: please run tests/run");
        let log = place.file("namespace.log");
        let holder = Process::start("a network namespace", "unshare".as_ref(), &log, |command| {
            command.args(["--net", "--", "sleep", "infinity"]);
        })?;
        let namespace = Self { holder };
        let ours = fs::read_link("/proc/self/ns/net")?;
        until("a network namespace", || {
            Ok(fs::read_link(namespace.path()).is_ok_and(|theirs| theirs != ours))
        })?;
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    /// A file that stands for it.
    pub(crate) fn path(&self) -> PathBuf {
        format!("/proc/{}/ns/net", self.holder.pid()).into()
    }

    /// The command line that leads into it, on this machine's files.
    pub(crate) fn enter(&self) -> Vec<OsString> {
        let namespace = format!("--net={}", self.path().display());
        ["nsenter", &namespace, "--"].map(OsString::from).to_vec()
    }

    /// A command that will run in it, on this machine's files.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = limited("nsenter");
        command.args(&self.enter()[1..]).arg(program);
        command
    }

    /// Runs `ip` with these words.
    pub(crate) fn ip(&self, words: &str) -> Result<String> {
        let output = process::output(self.command("ip").args(words.split(' ')));
        output.with_context(|| format!("ip {words}"))
    }
}

/// A command that is killed if it does not end.
pub(crate) fn limited(program: &str) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", LIMIT_SECONDS, program]);
    command
}

/// Both networks and the router.
pub(crate) struct Network {
    router: Namespace,
    links: AtomicU32,
    place: Place,
}

impl Network {
    /// Both networks, with nobody in them, and a router that lets nothing through.
    pub(crate) fn new() -> Result<Self> {
        let place = Place::new()?;
        let router = Namespace::new(&place)?;
        for side in [Side::Inside, Side::Outside] {
            let (bridge, address) = (side.bridge(), side.router());
            router.ip(&format!("link add {bridge} type bridge forward_delay 0"))?;
            router.ip(&format!("address add {address}/24 dev {bridge}"))?;
            router.ip(&format!("link set {bridge} up"))?;
        }
        let network = Self { router, links: AtomicU32::new(0), place };
        let forwarding = ["-c", "echo 1 >/proc/sys/net/ipv4/ip_forward"];
        process::output(network.router.command("sh").args(forwarding))?;
        network.nft(
            "table ip router {
                 chain prerouting { type nat hook prerouting priority dstnat; }
                 chain forward {
                     type filter hook forward priority filter; policy drop;
                     ct state established,related accept
                     ct status dnat accept
                     iifname inside oifname inside accept
                 }
             }",
        )?;
        Ok(network)
    }

    /// Plugs somebody into a network.
    pub(crate) fn attach(&self, guest: &Namespace, side: Side, address: &str) -> Result<()> {
        let link = format!("link{}", self.links.fetch_add(1, Ordering::Relaxed));
        let (bridge, router, pid) = (side.bridge(), side.router(), guest.holder.pid());
        self.router.ip(&format!("link add {link} type veth peer name eth0 netns {pid}"))?;
        self.router.ip(&format!("link set {link} master {bridge} up"))?;
        guest.ip(&format!("address add {address}/24 dev eth0"))?;
        guest.ip("link set eth0 up")?;
        guest.ip(&format!("route add default via {router}"))?;
        Ok(())
    }

    /// From now on, whoever comes to the router's port from the outside is brought to another.
    pub(crate) fn forward(&self, port: u16, address: &str, to: u16) -> Result<()> {
        self.nft(&format!(
            "add rule ip router prerouting ip daddr {PUBLIC} tcp dport {port} \
             dnat to {address}:{to}"
        ))
    }

    /// Has the router ask anew who has which address, as it does by itself after a while.
    pub(crate) fn forget_neighbours(&self) -> Result<()> {
        self.router.ip("neigh flush all").map(drop)
    }

    fn nft(&self, rules: &str) -> Result<()> {
        let file = self.place.file("rules.nft");
        fs::write(&file, rules)?;
        process::output(self.router.command("nft").arg("-f").arg(file)).map(drop)
    }
}
