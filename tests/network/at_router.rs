//! The tunnel ends at the customer's router, which hands uploads on to the appliance.

use std::{fs, path::Path};

use anyhow::{Result, ensure};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use crate::{
    apart::{apart, run},
    appliance,
    examples::Example,
    site::{
        ADMINISTRATOR, APPLIANCE, Answer, GATEWAY, MAAIICONNECT, OFFICE, Site, TUNNEL, UPLOADER,
    },
    store_unseen,
    strongswan::{self, Peer},
    uploader::Uploader,
    world::World,
};

const OUR_NAME: &str = "retention.acme.test";
const THEIR_NAME: &str = "gateway.maaiiconnect.test";

#[test]
fn an_upload_goes_through_the_router_to_the_appliance_and_nobody_else_gets_in() -> Result<()> {
    let name =
        "at_router::an_upload_goes_through_the_router_to_the_appliance_and_nobody_else_gets_in";
    apart(name, || async {
        let site = Site::lay()?;
        let mut world = appliance().await?;
        let uploader = Uploader::new(&world)?;
        run(&format!("ip -n router address replace {TUNNEL}/32 dev lo"))?;
        protect_router(&world)?;
        protect_appliance(&world)?;
        nobody_gets_in(&site, &world)?;

        let authority = Authority::new()?;
        let mut gateway = their_end(&world, &authority)?;
        gateway.start().await?;
        let mut tunnel = our_end(&world, &authority)?;
        tunnel.start().await?;
        tunnel.wait(true).await?;

        store_unseen(&site, &mut world, &uploader, 1).await?;
        let portal = site.reach("cloud", UPLOADER, TUNNEL, world.portal_port())?;
        ensure!(portal == Answer::Taken, "the portal inside the tunnel: {portal:?}");
        Ok(())
    })
}

/// Before there is a tunnel: who reaches what, by plain routes.
fn nobody_gets_in(site: &Site, world: &World) -> Result<()> {
    let (endpoint, portal) = (world.sftp_port(), world.portal_port());
    use Answer::{Forbidden, Silence, Taken};
    for (from, source, target, port, expected) in [
        ("cloud", UPLOADER, TUNNEL, 22, Silence),
        ("cloud", UPLOADER, TUNNEL, portal, Silence),
        ("cloud", UPLOADER, APPLIANCE, endpoint, Silence),
        ("cloud", GATEWAY, APPLIANCE, endpoint, Forbidden),
        ("cloud", GATEWAY, APPLIANCE, portal, Forbidden),
        ("router", OFFICE, APPLIANCE, endpoint, Taken),
        ("router", OFFICE, APPLIANCE, portal, Taken),
        ("router", ADMINISTRATOR, APPLIANCE, endpoint, Forbidden),
        ("router", ADMINISTRATOR, APPLIANCE, portal, Forbidden),
    ] {
        let answer = site.reach(from, source, target, port)?;
        ensure!(answer == expected, "{source} to {target}:{port}: {answer:?}");
    }
    Ok(())
}

fn protect_router(world: &World) -> Result<()> {
    let rules = Example::new("nftables/router.nft")?
        .fill("maaiiconnect", &format!("{{ {MAAIICONNECT} }}"))?
        .fill("tunnel_address", &TUNNEL.to_string())?
        .keep("tunnel_interface")?
        .fill("appliance", &APPLIANCE.to_string())?
        .fill("endpoint_port", &world.sftp_port().to_string())?
        .fill("portal_port", &world.portal_port().to_string())?
        .fill("offices", &format!("{{ {OFFICE} }}"))?
        .text()?;
    let file = world.directory().join("router.nft");
    fs::write(&file, rules)?;
    run(&format!("ip netns exec router nft -f {}", file.display()))
}

/// The appliance's firewall, where what comes from the router has come through the tunnel.
fn protect_appliance(world: &World) -> Result<()> {
    let rules = Example::new("nftables/appliance.nft")?
        .fill("maaiiconnect", &format!("{{ {MAAIICONNECT} }}"))?
        .keep("gateway")?
        .fill("tunnel_address", &APPLIANCE.to_string())?
        .fill("tunnel_interface", "\"eth0\"")?
        .fill("offices", &format!("{{ {OFFICE} }}"))?
        .keep("administrators")?
        .keep("administrators_v6")?
        .keep("ssh_port")?
        .fill("endpoint_port", &world.sftp_port().to_string())?
        .fill("portal_port", &world.portal_port().to_string())?
        .text()?;
    let file = world.directory().join("retention.nft");
    fs::write(&file, rules)?;
    run(&format!("nft -f {}", file.display()))
}

/// Our end of the tunnel, known by a certificate.
fn our_end(world: &World, authority: &Authority) -> Result<Peer> {
    let connection = Example::new("swanctl/maaiiconnect-cert.conf")?
        .fill("remote_addrs", &GATEWAY.to_string())?
        .keep("dpd_delay")?
        .fill("id", OUR_NAME)?
        .fill("id", THEIR_NAME)?
        .fill("local_ts", &format!("{TUNNEL}/32"))?
        .fill("remote_ts", MAAIICONNECT)?
        .text()?;
    let charon = Example::new("strongswan.d/retention.conf")?
        .keep("retransmit_timeout")?
        .keep("retransmit_tries")?
        .text()?;
    let (certificate, key) = authority.sign(OUR_NAME)?;
    let files = [
        ("swanctl/conf.d/maaiiconnect.conf", connection.as_str()),
        ("swanctl/x509/retention.pem", &certificate),
        ("swanctl/private/retention.pem", &key),
        ("swanctl/x509ca/maaiiconnect.pem", &authority.certificate),
        ("strongswan.d/retention.conf", &charon),
    ];
    Peer::new("router", Path::new("/run/netns/router"), world.directory(), &files)
}

/// maaiiconnect's end: an older gateway, which knows the last of our proposals alone.
fn their_end(world: &World, authority: &Authority) -> Result<Peer> {
    let ours = format!("auth = pubkey\ncerts = gateway.pem\nid = {THEIR_NAME}");
    let theirs = format!("auth = pubkey\nid = {OUR_NAME}");
    let connection =
        strongswan::gateway(&ours, &theirs, "aes256-sha256-modp2048", "aes256-sha256-modp2048");
    let (certificate, key) = authority.sign(THEIR_NAME)?;
    let files = [
        ("swanctl/conf.d/customer.conf", connection.as_str()),
        ("swanctl/x509/gateway.pem", &certificate),
        ("swanctl/private/gateway.pem", &key),
        ("swanctl/x509ca/maaiiconnect.pem", &authority.certificate),
    ];
    Peer::new("gateway", Path::new("/run/netns/cloud"), world.directory(), &files)
}

/// Who signs both ends' certificates.
struct Authority {
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Result<Self> {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.distinguished_name.push(DnType::CommonName, "authority.test");
        let key = KeyPair::generate()?;
        let certificate = parameters.self_signed(&key)?.pem();
        Ok(Self { certificate, issuer: Issuer::new(parameters, key) })
    }

    /// A certificate for a name, and its private key.
    fn sign(&self, name: &str) -> Result<(String, String)> {
        let mut parameters = CertificateParams::new([name.to_owned()])?;
        parameters.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate()?;
        let certificate = parameters.signed_by(&key, &self.issuer)?.pem();
        Ok((certificate, key.serialize_pem()))
    }
}
