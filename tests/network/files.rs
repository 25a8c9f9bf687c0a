//! The files as they are delivered: each is good by itself, and none harms what is there already.

use std::fs;

use anyhow::{Context, Result, ensure};

use crate::{
    apart::{apart, run, said},
    examples::path,
};

const FIREWALLS: [&str; 2] = ["nftables/appliance.nft", "nftables/router.nft"];

/// What somebody else has set up: rules of their own, which let everything through.
const OTHERS: &str = "
table inet others {
    chain input {
        type filter hook input priority 0; policy accept;
        tcp dport 9999 counter packets 0 bytes 0 accept
    }
}
";

#[test]
fn a_firewall_can_be_loaded_again_and_leaves_the_rules_of_others_alone() -> Result<()> {
    let name = "files::a_firewall_can_be_loaded_again_and_leaves_the_rules_of_others_alone";
    apart(name, || async {
        fs::write("/run/others.nft", OTHERS)?;
        run("nft -f /run/others.nft")?;
        let others = said("nft list table inet others")?;
        for file in FIREWALLS {
            let file = path(file).display().to_string();
            run(&format!("nft -c -f {file}"))?;
            run(&format!("nft -f {file}"))?;
            let once = said("nft list ruleset")?;
            run(&format!("nft -f {file}"))?;
            ensure!(said("nft list ruleset")? == once, "{file}: loaded twice it is another");
            ensure!(said("nft list table inet others")? == others, "{file} changes others");
            ensure!(once.matches("table ").count() == 3, "{file}:\n{once}");
            for table in ["inet retention", "ip retention", "ip retention_nat"] {
                // Of these the one file has the first and the third, the other the last two.
                let _ = run(&format!("nft delete table {table}"));
            }
        }
        Ok(())
    })
}

#[test]
fn what_the_guide_adds_to_nftables_conf_loads_the_firewall_at_every_start() -> Result<()> {
    let name = "files::what_the_guide_adds_to_nftables_conf_loads_the_firewall_at_every_start";
    apart(name, || async {
        let guide = fs::read_to_string(path("README.md"))?;
        let include = guide.lines().map(str::trim).find(|line| line.starts_with("include "));
        let include = include.context("the guide has no line with include")?;
        ensure!(include.contains("\"/etc/nftables.d/"), "{include}");
        fs::create_dir("/run/nftables.d")?;
        fs::copy(path(FIREWALLS[0]), "/run/nftables.d/retention.nft")?;
        // How the packages of Debian and Ubuntu deliver it: everything goes first.
        let text = format!("flush ruleset\n{}\n", include.replace("/etc/", "/run/"));
        fs::write("/run/nftables.conf", text)?;
        for _ in 0..2 {
            run("nft -f /run/nftables.conf")?;
            run("nft list table inet retention")?;
            run("nft list table ip retention_nat")?;
        }
        Ok(())
    })
}

#[test]
fn systemd_understands_the_drop_in_for_strongswan() -> Result<()> {
    let name = "files::systemd_understands_the_drop_in_for_strongswan";
    apart(name, || async {
        fs::create_dir_all("/run/units/strongswan.service.d")?;
        fs::copy("/lib/systemd/system/strongswan.service", "/run/units/strongswan.service")?;
        let drop_in = "strongswan.service.d/retention.conf";
        fs::copy(path(drop_in), format!("/run/units/{drop_in}"))?;
        // It also complains of the units that ours depends on; only ours is looked at.
        run("systemd-analyze verify --recursive-errors=no --man=no /run/units/strongswan.service")
    })
}
