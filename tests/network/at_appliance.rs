//! The tunnel ends at the appliance, behind a router that masks its address.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, ensure};

use crate::{
    apart::{apart, run, said},
    appliance,
    examples::Example,
    site::{
        ADMINISTRATOR, APPLIANCE, Answer, GATEWAY, MAAIICONNECT, OFFICE, Site, TUNNEL, UPLOADER,
    },
    store, store_unseen,
    strongswan::{self, Peer},
    uploader::Uploader,
    world::{
        World,
        process::{self, Process},
        until,
    },
};

/// A port that is nobody's business.
const MONGODB: u16 = 27017;

/// How the appliance is known to the gateway: the router's address, which is not its own.
const OUR_ID: &str = "198.18.0.20";
const SECRET: &str = "0sdGhlIGtleSBvZiB0aGlzIHRlc3QgYW5kIG5vIG90aGVy";

#[test]
fn an_upload_comes_through_the_tunnel_and_nobody_else_gets_in() -> Result<()> {
    apart("at_appliance::an_upload_comes_through_the_tunnel_and_nobody_else_gets_in", || async {
        let site = Site::lay()?;
        let mut world = appliance().await?;
        let uploader = Uploader::new(&world)?;
        let own_ssh = OwnSsh::start(&world).await?;
        add_tunnel_address()?;
        protect(&world)?;
        nobody_gets_in(&site, &world)?;

        // As after a reboot while the gateway is away.
        let mut tunnel = our_end(&world)?;
        tunnel.start().await?;
        ensure!(!tunnel.is_up()?, "a tunnel to nobody");
        let mut gateway = their_end(&world)?;
        gateway.start().await?;
        tunnel.wait(true).await?;

        store_unseen(&site, &mut world, &uploader, 1).await?;
        let portal = site.reach("cloud", UPLOADER, TUNNEL, world.portal_port())?;
        ensure!(portal == Answer::Taken, "the portal inside the tunnel: {portal:?}");
        let other = site.reach("cloud", UPLOADER, TUNNEL, MONGODB)?;
        ensure!(other == Answer::Forbidden, "another port inside the tunnel: {other:?}");
        own_ssh.is_what_answers_to_the_administrator()?;
        Ok(())
    })
}

#[test]
fn the_tunnel_comes_back_by_itself_after_a_cut_and_after_the_gateway_was_lost() -> Result<()> {
    let name =
        "at_appliance::the_tunnel_comes_back_by_itself_after_a_cut_and_after_the_gateway_was_lost";
    apart(name, || async {
        let site = Site::lay()?;
        let mut world = appliance().await?;
        let uploader = Uploader::new(&world)?;
        add_tunnel_address()?;
        protect(&world)?;
        let (mut tunnel, mut gateway) = (our_end(&world)?, their_end(&world)?);
        gateway.start().await?;
        tunnel.start().await?;
        tunnel.wait(true).await?;
        store(&mut world, &uploader, 1).await?;

        site.cut()?;
        tunnel.wait(false).await?;
        let answer = site.reach("cloud", UPLOADER, TUNNEL, 22)?;
        ensure!(answer == Answer::Silence, "the line is cut: {answer:?}");
        site.mend()?;
        tunnel.wait(true).await?;
        store_unseen(&site, &mut world, &uploader, 2).await?;

        // A gateway that starts anew knows nothing of the tunnel that was.
        gateway.kill().await?;
        gateway.start().await?;
        until("the gateway has a tunnel again", || async { gateway.is_up() }).await?;
        tunnel.wait(true).await?;
        store_unseen(&site, &mut world, &uploader, 3).await?;

        // One that takes the tunnel down has it put up again.
        gateway.swanctl(&["--terminate", "--ike", "customer"])?;
        until("the gateway has a tunnel again", || async { gateway.is_up() }).await?;
        store_unseen(&site, &mut world, &uploader, 4).await
    })
}

/// Before there is a tunnel: who reaches what, by plain routes.
fn nobody_gets_in(site: &Site, world: &World) -> Result<()> {
    let (endpoint, portal) = (world.sftp_port(), world.portal_port());
    use Answer::{Forbidden, Silence, Taken};
    for (from, source, target, port, expected) in [
        // Somebody who says to be maaiiconnect.
        ("cloud", UPLOADER, TUNNEL, 22, Silence),
        ("cloud", UPLOADER, TUNNEL, endpoint, Silence),
        ("cloud", UPLOADER, TUNNEL, portal, Silence),
        ("cloud", UPLOADER, APPLIANCE, endpoint, Silence),
        // The gateway itself, as anybody in the world.
        ("cloud", GATEWAY, TUNNEL, 22, Forbidden),
        ("cloud", GATEWAY, APPLIANCE, 22, Forbidden),
        ("cloud", GATEWAY, APPLIANCE, endpoint, Forbidden),
        ("cloud", GATEWAY, APPLIANCE, portal, Forbidden),
        ("cloud", GATEWAY, APPLIANCE, MONGODB, Forbidden),
        ("router", OFFICE, APPLIANCE, endpoint, Taken),
        ("router", OFFICE, APPLIANCE, portal, Taken),
        ("router", OFFICE, APPLIANCE, 22, Forbidden),
        ("router", OFFICE, APPLIANCE, MONGODB, Forbidden),
        ("router", ADMINISTRATOR, APPLIANCE, 22, Taken),
        ("router", ADMINISTRATOR, APPLIANCE, endpoint, Forbidden),
        ("router", ADMINISTRATOR, APPLIANCE, portal, Forbidden),
    ] {
        let answer = site.reach(from, source, target, port)?;
        ensure!(answer == expected, "{source} to {target}:{port}: {answer:?}");
    }
    Ok(())
}

/// The firewall of the appliance.
fn protect(world: &World) -> Result<()> {
    let rules = Example::new("nftables/appliance.nft")?
        .fill("maaiiconnect", &format!("{{ {MAAIICONNECT} }}"))?
        .fill("gateway", &GATEWAY.to_string())?
        .fill("tunnel_address", &TUNNEL.to_string())?
        .keep("tunnel_interface")?
        .fill("offices", &format!("{{ {OFFICE} }}"))?
        .fill("administrators", &format!("{{ {ADMINISTRATOR} }}"))?
        .keep("administrators_v6")?
        .keep("ssh_port")?
        .fill("endpoint_port", &world.sftp_port().to_string())?
        .fill("portal_port", &world.portal_port().to_string())?
        .text()?;
    let file = world.directory().join("retention.nft");
    fs::write(&file, rules)?;
    run(&format!("nft -f {}", file.display()))
}

/// Our end of the tunnel, known by a pre-shared key.
fn our_end(world: &World) -> Result<Peer> {
    let (us, them) = (OUR_ID, &GATEWAY.to_string());
    let connection = Example::new("swanctl/maaiiconnect-psk.conf")?
        .fill("remote_addrs", them)?
        .fill("dpd_delay", "1s")?
        .fill("id", us)?
        .fill("id", them)?
        .fill("local_ts", &format!("{TUNNEL}/32"))?
        .fill("remote_ts", MAAIICONNECT)?
        .fill("id-1", us)?
        .fill("id-2", them)?
        .fill("secret", SECRET)?
        .text()?;
    let files = [
        ("swanctl/conf.d/maaiiconnect.conf", connection.as_str()),
        ("strongswan.d/retention.conf", &soon_lost()?),
    ];
    Peer::new("appliance", Path::new("/proc/self/ns/net"), world.directory(), &files)
}

/// A gateway that does not answer is lost after 3 s, so that a test does not take minutes.
fn soon_lost() -> Result<String> {
    Example::new("strongswan.d/retention.conf")?
        .fill("retransmit_timeout", "0.5")?
        .fill("retransmit_tries", "2")?
        .text()
}

/// maaiiconnect's end.
fn their_end(world: &World) -> Result<Peer> {
    let ours = format!("auth = psk\nid = {GATEWAY}");
    let theirs = format!("auth = psk\nid = {OUR_ID}");
    let proposal = "aes256gcm16-prfsha384-ecp384";
    let connection = strongswan::gateway(&ours, &theirs, proposal, "aes256gcm16-ecp384");
    let secrets = format!(
        "secrets {{\n ike-customer {{\n id-1 = {GATEWAY}\n id-2 = {OUR_ID}\n \
         secret = {SECRET}\n }}\n}}\n"
    );
    let files = [
        ("swanctl/conf.d/customer.conf", connection.as_str()),
        ("swanctl/conf.d/secrets.conf", &secrets),
        // It finds out as soon as we do.
        ("strongswan.d/retention.conf", &soon_lost()?),
    ];
    Peer::new("gateway", Path::new("/run/netns/cloud"), world.directory(), &files)
}

/// Runs what the unit's drop-in runs before strongSwan.
fn add_tunnel_address() -> Result<()> {
    let drop_in = Example::new("strongswan.service.d/retention.conf")?
        .fill("ExecStartPre", &format!("/sbin/ip address replace {TUNNEL}/32 dev lo"))?
        .text()?;
    let line = drop_in.lines().find_map(|line| line.strip_prefix("ExecStartPre="));
    run(line.context("no ExecStartPre")?)
}

/// The host's own SSH server, which has nothing to do with the endpoint.
struct OwnSsh {
    key: String,
    _process: Process,
}

impl OwnSsh {
    async fn start(world: &World) -> Result<Self> {
        let place = world.directory().join("own-ssh");
        fs::create_dir(&place)?;
        let (key, config) = (place.join("host_key"), place.join("config"));
        let mut keygen = Command::new("ssh-keygen");
        keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", "own", "-f"]).arg(&key);
        process::output(&mut keygen)?;
        fs::write(&config, format!("Port 22\nHostKey {}\nPidFile none\n", key.display()))?;
        let log = place.join("log");
        let mut process =
            Process::start("the host's own sshd", "/usr/sbin/sshd".as_ref(), &log, |command| {
                command.args(["-D", "-e", "-f"]).arg(&config);
            })?;
        until("the host's own sshd listens", || async {
            Ok(tokio::net::TcpStream::connect((APPLIANCE, 22)).await.is_ok())
        })
        .await?;
        process.still_runs()?;
        let key = fs::read_to_string(place.join("host_key.pub"))?;
        Ok(Self { key, _process: process })
    }

    fn is_what_answers_to_the_administrator(&self) -> Result<()> {
        let scan = format!("ip netns exec router ssh-keyscan -t ed25519 {APPLIANCE}");
        let found = said(&scan)?;
        let key = |line: &str| {
            line.split_whitespace().find(|word| word.starts_with("AAAA")).map(str::to_owned)
        };
        ensure!(key(&found).is_some() && key(&found) == key(&self.key), "found {found}");
        Ok(())
    }
}
