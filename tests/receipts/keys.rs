//! Receipts by a key that was replaced since, by another node's, and by one that nobody knows.

use std::{fs, process::Command};

use anyhow::{Context, Result, ensure};
use mongodb::bson::{Document, doc};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::{said, ssh_keygen, stored, verify};
use crate::{
    archives::{Sample, job},
    world::{
        self, Options, Program, World,
        daemon::Daemon,
        process::{self, output},
        until,
    },
};

/// The file of the public key, and what its directory is.
const KEY: &str = "receipts/signing_key.pub";

/// Stores a backup, and waits until its archive is where it is kept.
async fn kept(world: &mut World, n: u32) -> Result<()> {
    stored(world, n, &Sample::new(n as usize * 10).bytes()?).await?;
    let claimed = world.state_directory().join("claimed");
    until("the archive is kept", || async { Ok(fs::read_dir(&claimed)?.next().is_none()) }).await
}

/// Loses the signing key and its public half, so that another one is made.
async fn lose_the_key(world: &mut World) -> Result<String> {
    world.daemon.stop(Signal::SIGTERM).await?;
    let public = world.state_directory().join(KEY);
    let lost = fs::read_to_string(&public)?;
    fs::remove_file(&public)?;
    fs::remove_file(public.with_extension(""))?;
    world.start_daemon().await?;
    ensure!(fs::read_to_string(&public)? != lost, "it is the same key");
    Ok(lost)
}

fn fingerprint(world: &World, public: &str) -> Result<String> {
    let path = world.directory().join("some.pub");
    fs::write(&path, public)?;
    let said = output(Command::new("ssh-keygen").arg("-lf").arg(path))?;
    Ok(said.split(' ').nth(1).context("a fingerprint")?.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_by_a_key_that_was_replaced_stay_intact_and_say_so() -> Result<()> {
    let mut world = World::start(Options::default()).await?;
    kept(&mut world, 1).await?;
    let lost = lose_the_key(&mut world).await?;
    kept(&mut world, 2).await?;
    let (code, first) = verify(&world, &job(1))?;
    ensure!(code == Some(0), "{first}");
    let signed = format!("Signed by {}: the key of ", fingerprint(&world, &lost)?);
    ensure!(first.contains(&signed) && first.contains(", noted on 20"), "{first}");
    let (code, second) = verify(&world, &job(2))?;
    ensure!(code == Some(0) && second.contains("2 receipts of the chain"), "{second}");
    ensure!(!second.contains(", noted on"), "{second}");
    // Anybody can check both with what the appliance says of its keys.
    let all = said(&world, &["key", "--all"])?;
    ensure!(all.lines().count() == 2 && all.starts_with(&said(&world, &["key"])?), "{all}");
    for n in ["1", "2"] {
        let signature = said(&world, &["show", n, "--signature"])?;
        let accepted = ssh_keygen(&world, &said(&world, &["show", n])?, &signature, &all)?;
        ensure!(accepted.status.success(), "{accepted:?}");
    }

    // The archive is missed here as well, whichever key was in use when it came.
    let line = world.backup(&job(1)).await?.context("its line")?;
    let archive = world.state_directory().join("archive/2021").join(line.get_str("file")?);
    fs::rename(&archive, archive.with_extension("away"))?;
    let (code, missed) = verify(&world, &job(1))?;
    ensure!(code == Some(1) && missed.contains("is not where it was kept"), "{missed}");
    fs::rename(archive.with_extension("away"), &archive)?;

    // With another settings-key nothing vouches for the older key any more. It is accepted while it
    // lies beside the new one, and no longer.
    process::write_secret(&world.secret("settings-key"), "another one")?;
    let (code, unknown) = verify(&world, &job(1))?;
    ensure!(code == Some(1) && unknown.contains("none of the keys"), "{unknown}");
    let earlier = world.state_directory().join("receipts/earlier.pub");
    fs::write(&earlier, &lost)?;
    let (code, beside) = verify(&world, &job(1))?;
    ensure!(code == Some(0) && beside.contains(": earlier.pub on "), "{beside}");
    world.daemon.stop(Signal::SIGTERM).await?;
    world.start_daemon().await?;
    fs::remove_file(&earlier)?;
    let (code, withdrawn) = verify(&world, &job(1))?;
    ensure!(code == Some(1) && withdrawn.contains("none of the keys"), "{withdrawn}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_somebody_writes_into_the_database_is_not_accepted() -> Result<()> {
    let mut world = World::start(Options::default()).await?;
    kept(&mut world, 1).await?;
    // A statement that was changed, signed anew by a key of the forger's own.
    let place = |name: &str| world.directory().join(name);
    let key = place("forger");
    output(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key))?;
    fs::write(place("statement"), said(&world, &["show", "1"])?)?;
    let mut sign = Command::new("ssh-keygen");
    sign.args(["-q", "-Y", "sign", "-n", "retention-receipt", "-f"]).arg(&key);
    output(sign.arg(place("statement")))?;
    let signature = fs::read_to_string(place("statement.sig"))?;
    let receipts = world.database().collection::<Document>("receipts.files");
    let forged = doc! { "$set": { "metadata.signature": signature } };
    receipts.update_one(doc! {}, forged).await?;
    let refused = |why: &str| -> Result<()> {
        let (code, said) = verify(&world, &job(1))?;
        ensure!(
            code == Some(1) && said.contains("none of the keys that are accepted"),
            "{why}: {said}"
        );
        ensure!(!said.contains("Signed by"), "{why}: {said}");
        Ok(())
    };
    refused("an unknown key")?;

    let keys = world.database().collection::<Document>("receipts.keys");
    let ours = keys.find_one(doc! {}).await?.context("the own key is noted")?;
    let public = fs::read_to_string(key.with_extension("pub"))?;
    let mut theirs = ours.clone();
    theirs.insert("_id", fingerprint(&world, &public)?);
    theirs.insert("line", public.trim());
    keys.insert_one(&theirs).await?;
    refused("the voucher of another key")?;
    theirs.remove("voucher");
    keys.replace_one(doc! { "_id": theirs.get_str("_id")? }, &theirs).await?;
    refused("no voucher")?;
    let set = doc! { "$set": { "line": public.trim() } };
    keys.update_one(doc! { "_id": ours.get_str("_id")? }, set).await?;
    refused("in the place of ours")
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_accept_the_receipts_of_each_other() -> Result<()> {
    let mut world = World::start(Options::default()).await?;
    kept(&mut world, 1).await?;
    // A second node: another directory and other ports, the same database.
    let (state, portal) = (world.directory().join("other"), process::free_port()?);
    let text = fs::read_to_string(world.directory().join("retention.toml"))?
        .replace(&format!("{:?}", world.state_directory()), &format!("{state:?}"))
        .replace(&world.sftp_port().to_string(), &process::free_port()?.to_string())
        .replace(&world.portal_port().to_string(), &portal.to_string());
    let config = world.directory().join("other.toml");
    fs::write(&config, text)?;
    let program = Program { path: world::binary()?, config, disks: None };
    output(program.command().args(["sftp", "prepare"]))?;
    let (log, notify) = (world.directory().join("other.log"), world.directory().join("other.sock"));
    let mut daemon = Daemon::new(program.clone(), &log, notify, None);
    daemon.launch()?;
    daemon.ready(super::PATIENCE).await?;
    let there = fs::read_to_string(state.join(KEY))?;
    ensure!(there != fs::read_to_string(world.state_directory().join(KEY))?);

    let said = output(program.command().args(["receipt", "verify", &job(1), "--json"]))?;
    let said: Value = serde_json::from_str(&said)?;
    let whose = said["checked"]["signed_by"]["whose"].as_str().context("somebody's")?;
    ensure!(said["ok"] == true && whose.contains(", noted on 20"), "{said}");
    // It keeps the archive of none of them, and misses none.
    ensure!(said["checked"]["archive"] == false, "{said}");
    ensure!(super::said(&world, &["key", "--all"])?.contains(there.trim()));
    daemon.stop(Signal::SIGTERM).await?;
    Ok(())
}
