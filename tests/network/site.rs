//! The network around an appliance, each part in a namespace.
//!
//! ```text
//!     cloud                         router                      appliance (where the test runs)
//!     maaiiconnect ── 198.18.0.0/24 ── the customer's ── 192.168.11.0/24 ── lo: the tunnel address
//!     lo: 10.61.0.5                    lo: 192.168.21.5, an office
//! ```
//!
//! The router masks the appliance's address, as routers do. Everybody has a plain route to
//! everybody: what is refused is refused by a firewall and not for want of a way.

use std::{
    fs::{self, File},
    io,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use nix::sched::{CloneFlags, setns};
use tokio::{net::TcpSocket, time::timeout};

use crate::apart::{run, said};

/// maaiiconnect's gateway, at the other end of the tunnel. Without the tunnel it is a stranger.
pub(crate) const GATEWAY: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 10);
/// The host at maaiiconnect that uploads, and the prefix that it belongs to.
pub(crate) const UPLOADER: Ipv4Addr = Ipv4Addr::new(10, 61, 0, 5);
pub(crate) const MAAIICONNECT: &str = "10.61.0.0/24";
/// The address that maaiiconnect uploads to.
pub(crate) const TUNNEL: Ipv4Addr = Ipv4Addr::new(10, 71, 0, 1);
/// The appliance in its own network.
pub(crate) const APPLIANCE: Ipv4Addr = Ipv4Addr::new(192, 168, 11, 20);
/// Who administers it, in the same network.
pub(crate) const ADMINISTRATOR: Ipv4Addr = Ipv4Addr::new(192, 168, 11, 1);
/// Somebody in an office.
pub(crate) const OFFICE: Ipv4Addr = Ipv4Addr::new(192, 168, 21, 5);

/// For how long nothing has to come for it to be silence.
const SILENCE: Duration = Duration::from_millis(1200);

/// What a connection comes to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Answer {
    /// Somebody took it.
    Taken,
    /// A firewall said no.
    Forbidden,
    /// Nobody said anything.
    Silence,
}

/// What went over the line between maaiiconnect and the router, so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wire {
    /// Bytes of ESP in UDP, from and to maaiiconnect.
    pub(crate) esp_sent_bytes: u64,
    pub(crate) esp_received_bytes: u64,
    /// Packets that are neither this nor IKE.
    pub(crate) plain_packets: u64,
}

/// Namespaces and links.
pub(crate) struct Site;

impl Site {
    /// Lays everything. The tunnel address is routed to the appliance.
    pub(crate) fn lay() -> Result<Self> {
        for line in LAYOUT.lines().map(str::trim).filter(|line| !line.is_empty()) {
            run(line)?;
        }
        enter("router", || fs::write("/proc/sys/net/ipv4/ip_forward", "1"))?;
        firewall("router", MASQUERADE)?;
        firewall("cloud", COUNTERS)?;
        Ok(Self)
    }

    /// Pulls the cable between maaiiconnect and the router.
    pub(crate) fn cut(&self) -> Result<()> {
        run("ip -n cloud link set cable down")
    }

    /// Puts it back.
    pub(crate) fn mend(&self) -> Result<()> {
        run("ip -n cloud link set cable up")?;
        // Routes go with a link.
        cloud_routes()
    }

    /// Tries a connection, from an address of a namespace.
    pub(crate) fn reach(
        &self,
        namespace: &str,
        source: Ipv4Addr,
        target: Ipv4Addr,
        port: u16,
    ) -> Result<Answer> {
        let outcome = enter(namespace, || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let socket = TcpSocket::new_v4()?;
                socket.bind(SocketAddr::from((source, 0)))?;
                let connect = socket.connect(SocketAddrV4::new(target, port).into());
                Ok(timeout(SILENCE, connect).await)
            })
        })?;
        match outcome {
            Err(_) => Ok(Answer::Silence),
            Ok(Ok(_)) => Ok(Answer::Taken),
            // What "communication administratively prohibited" is to a client.
            Ok(Err(error)) if error.kind() == io::ErrorKind::HostUnreachable => {
                Ok(Answer::Forbidden)
            }
            Ok(Err(error)) => bail!("{source} to {target}:{port}: {error}"),
        }
    }

    /// What went over the line.
    pub(crate) fn wire(&self) -> Result<Wire> {
        let listed = said("ip netns exec cloud nft -j list counters table inet wire")?;
        let listed: serde_json::Value = serde_json::from_str(&listed)?;
        let objects = listed["nftables"].as_array().context("no list")?;
        let count = |name: &str, unit: &str| {
            let counter = objects.iter().find(|object| object["counter"]["name"] == name);
            counter.and_then(|counter| counter["counter"][unit].as_u64()).context(unit.to_owned())
        };
        Ok(Wire {
            esp_sent_bytes: count("esp_sent", "bytes")?,
            esp_received_bytes: count("esp_received", "bytes")?,
            plain_packets: count("plain", "packets")?,
        })
    }
}

/// Does something in a named namespace.
pub(crate) fn enter<T: Send>(
    namespace: &str,
    act: impl FnOnce() -> io::Result<T> + Send,
) -> Result<T> {
    let file = File::open(format!("/run/netns/{namespace}"))?;
    // A thread of its own, which ends: a namespace is a thread's.
    let outcome = thread::scope(|scope| {
        let thread = scope.spawn(move || {
            setns(file, CloneFlags::CLONE_NEWNET)?;
            act()
        });
        thread.join()
    });
    match outcome {
        Ok(outcome) => outcome.with_context(|| format!("in {namespace}")),
        Err(_) => bail!("a thread in {namespace} panicked"),
    }
}

/// Loads firewall rules in a named namespace.
fn firewall(namespace: &str, rules: &str) -> Result<()> {
    let file = format!("/run/{namespace}.nft");
    fs::write(&file, rules)?;
    run(&format!("ip netns exec {namespace} nft -f {file}"))
}

fn cloud_routes() -> Result<()> {
    run(&format!("ip -n cloud route replace {APPLIANCE} via 198.18.0.20 src {GATEWAY}"))?;
    run(&format!("ip -n cloud route replace {TUNNEL} via 198.18.0.20"))
}

const LAYOUT: &str = "
    ip netns add cloud
    ip netns add router
    ip link add cable netns cloud type veth peer name wan netns router
    ip link add lan netns router type veth peer name eth0
    ip -n cloud link set lo up
    ip -n router link set lo up
    ip -n cloud address add 198.18.0.10/24 dev cable
    ip -n cloud address add 10.61.0.5/24 dev lo
    ip -n router address add 198.18.0.20/24 dev wan
    ip -n router address add 192.168.11.1/24 dev lan
    ip -n router address add 192.168.21.5/24 dev lo
    ip address add 192.168.11.20/24 dev eth0
    ip -n cloud link set cable up
    ip -n router link set wan up
    ip -n router link set lan up
    ip link set eth0 up
    ip -n cloud route add 192.168.11.20 via 198.18.0.20
    ip -n cloud route add 10.71.0.1 via 198.18.0.20
    ip -n router route add 10.61.0.0/24 via 198.18.0.10
    ip -n router route add 10.71.0.1 via 192.168.11.20
    ip route add default via 192.168.11.1
";

const MASQUERADE: &str = r#"
table ip customer {
    chain postrouting {
        type nat hook postrouting priority 100;
        oifname "wan" masquerade
    }
}
"#;

// The first four bytes after the header of UDP are zero for IKE, and not for ESP. A NAT is kept
// awake by packets of one byte. Multicast is told to neighbours by IGMP.
const COUNTERS: &str = r#"
table inet wire {
    counter esp_sent { }
    counter esp_received { }
    counter plain { }
    chain output {
        type filter hook output priority 0;
        oifname "cable" jump sort
    }
    chain input {
        type filter hook input priority 0;
        iifname "cable" jump sort
    }
    chain sort {
        udp sport 4500 oifname "cable" @th,64,32 != 0 counter name esp_sent accept
        udp dport 4500 iifname "cable" @th,64,32 != 0 counter name esp_received accept
        udp sport { 500, 4500 } accept
        udp dport { 500, 4500 } accept
        meta nfproto ipv6 accept
        ip protocol igmp accept
        counter name plain
    }
}
"#;
