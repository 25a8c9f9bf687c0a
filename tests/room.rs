//! Room before harm: an upload that has begun is cut off before the disk is full, and the door of
//! the endpoint follows MongoDB's own disk as well.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use retention::{
    backup::State,
    store::{self, Store},
};
use sha2::{Digest, Sha256};

use crate::{
    archives::{self, Sample, job, name},
    world::{
        Options, World,
        disks::{Ballast, free_bytes},
        process::{self, GLANCE, Process},
        sftp::Sftp,
        until,
    },
};

const PATIENCE: Duration = Duration::from_secs(120);

const MIB: u64 = 1 << 20;

/// Uploads are refused below this, and cut off below half of it.
const RESERVE: u64 = 64 * MIB;

/// A backup of so many MiB that nothing compresses, written to a file of the test.
fn backup(world: &World, n: u32, mib: u32) -> Result<std::path::PathBuf> {
    let block = |i: u32| Sha256::digest([n.to_le_bytes(), i.to_le_bytes()].concat());
    let noise: Vec<u8> = (0..mib * 32 * 1024).flat_map(block).collect();
    let sample = Sample::new(20).with("data-retention/noise.bin", noise);
    archives::write(world.directory(), n, &sample.bytes()?)
}

/// A second SSH server of the same machine, user and directory, which is not the endpoint's.
fn another_server(world: &World, port: u16) -> Result<Process> {
    let config = world.state_directory().join("sftp-server/sshd_config");
    let config = fs::read_to_string(config)?;
    let lines = config.lines().map(|line| match line.split_once(' ') {
        Some(("ListenAddress", _)) => format!("ListenAddress 127.0.0.1:{port}\n"),
        _ => format!("{line}\n"),
    });
    let own = world.directory().join("sshd_config");
    fs::write(&own, lines.collect::<String>())?;
    let log = world.directory().join("logs/another-sshd.log");
    Process::start_within(&world.way_in(), "sshd", Path::new("/usr/sbin/sshd"), &log, |command| {
        command.args(["-D", "-e", "-f"]).arg(own);
    })
}

/// A client of that server, which stays signed in and idle until `until` is there.
async fn idle_client(world: &World, port: u16, until: &Path) -> Result<Process> {
    let directory = world.directory().join("another-client");
    fs::create_dir(&directory)?;
    for file in ["identity", "identity.pub"] {
        fs::copy(world.directory().join("client").join(file), directory.join(file))?;
    }
    let client = Sftp::new(&directory, port, world.sftp.user())?;
    client.trust(&world.state_directory().join("sftp-server/host_key_ed25519.pub"))?;
    let deadline = Instant::now() + PATIENCE;
    while client.batch("pwd").await.is_err() {
        ensure!(Instant::now() < deadline, "the other server lets nobody in");
        tokio::time::sleep(GLANCE).await;
    }
    let wait = format!("!while [ ! -e '{}' ]; do sleep 0.1; done", until.display());
    client.begin(&format!("pwd\n{wait}\nls /inbox"))
}

/// A state directory on a small disk, and time to resume what is cut off.
fn on_a_small_disk() -> Options {
    Options {
        state_disk_bytes: Some(480 * MIB),
        grace_seconds: 600,
        sections: format!("[health]\nreserve_bytes = {RESERVE}\n"),
        ..Options::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_larger_than_the_room_is_cut_off_before_the_disk_is_full_and_resumed_later()
-> Result<()> {
    let mut world = World::start(on_a_small_disk()).await?;
    let port = process::free_port()?;
    let mut other = another_server(&world, port)?;
    let over = world.directory().join("over");
    let mut idle = idle_client(&world, port, &over).await?;
    // Neither the daemon nor MongoDB is needed for it.
    world.daemon.stop(Signal::SIGKILL).await?;
    let file = backup(&world, 1, 48)?;
    let ballast = Ballast::leaving(&world.state_directory(), RESERVE + 4 * MIB)?;

    let mut client = world.sftp.begin_slow_put(&file, &name(1), 60_000)?;
    let ended = client.wait(PATIENCE).await?;
    ensure!(!ended.success(), "the client was told that all went well");
    let left = free_bytes(&world.state_directory())?;
    ensure!(left < RESERVE / 2, "it was cut off while {left} bytes were free");
    ensure!(left > RESERVE / 8, "only {left} bytes are left");
    let said = world.sshd.last_words();
    ensure!(said.contains("cut off 1 session that could upload"), "{said}");
    let arrived = fs::metadata(world.inbox().join(name(1)))?.len();
    ensure!(arrived > 16 * MIB && arrived < fs::metadata(&file)?.len(), "{arrived} arrived");

    // The door says why, and whoever it lets look is not sent away.
    let resume = format!("reput {} {}", world.sftp.quoted_file(&file)?, name(1));
    ensure!(world.sftp.batch(&resume).await.is_err(), "it was let in");
    let refused = world.upload(&file).await.err().context("it was let in")?.to_string();
    ensure!(refused.contains("uploads-refused-no-room-on-disk"), "{refused}");
    let looks = world.sftp.batch("pwd\n!sleep 4\nls /").await?;
    ensure!(looks.contains("uploads-refused-no-room-on-disk"), "{looks}");
    let said = world.sshd.last_words();
    ensure!(said.matches("cut off").count() == 1, "it was said more than once: {said}");

    // Another server's session was none of its business.
    other.still_runs()?;
    idle.still_runs().context("the session of another server was ended")?;
    fs::write(over, "")?;
    ensure!(idle.wait(PATIENCE).await?.success(), "{}", idle.last_words());

    drop(ballast);
    world.start_daemon().await?;
    world.sftp.batch(&resume).await?;
    world.wait_state(&job(1), State::Stored, PATIENCE).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_is_cut_off_also_when_the_endpoint_has_ended_before_it() -> Result<()> {
    let mut world = World::start(on_a_small_disk()).await?;
    let file = backup(&world, 1, 48)?;
    let mut client = world.sftp.begin_slow_put(&file, &name(1), 20_000)?;
    let partial = world.inbox().join(name(1));
    until("a part has arrived", || async {
        Ok(fs::metadata(&partial).is_ok_and(|found| found.len() > 4 * MIB))
    })
    .await?;
    world.sshd.stop(Signal::SIGTERM).await?;
    world.sshd.resume().await?;
    client.still_runs().context("the upload was ended with the endpoint")?;
    let ballast = Ballast::leaving(&world.state_directory(), RESERVE / 2 - MIB)?;
    ensure!(!client.wait(PATIENCE).await?.success(), "it went on");
    let arrived = fs::metadata(&partial)?.len();
    ensure!(arrived < fs::metadata(&file)?.len(), "all of it arrived");
    drop(ballast);
    let resume = format!("reput {} {}", world.sftp.quoted_file(&file)?, name(1));
    world.sftp.batch(&resume).await?;
    world.wait_state(&job(1), State::Stored, PATIENCE).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_are_refused_while_mongodbs_own_disk_is_short_and_never_by_a_stale_note()
-> Result<()> {
    let options = Options {
        mongodb_disk_bytes: Some(1100 * MIB),
        sections: format!("[health]\ninterval_seconds = 1\nreserve_bytes = {RESERVE}\n"),
        ..Options::default()
    };
    let mut world = World::start(options).await?;
    let file = archives::write(world.directory(), 1, &Sample::new(20).bytes()?)?;
    let note = world.state_directory().join("sftp-server/full");
    let ballast = Ballast::leaving(&world.mongodb_directory(), RESERVE - 8 * MIB)?;
    until("the endpoint is told", || async { Ok(note.exists()) }).await?;
    let refused = world.upload(&file).await.err().context("it was let in")?.to_string();
    ensure!(refused.contains("uploads-refused-no-room-for-mongodb"), "{refused}");
    let room = &world.status()?["checks"];
    let room = room.as_array().into_iter().flatten().find(|check| check["id"] == "upload-room");
    let room = room.context("there is such a check")?;
    ensure!(room["state"] == "critical", "{room}");
    ensure!(
        room["sentence"].as_str().is_some_and(|said| said.contains("MongoDB's disk")),
        "{room}"
    );

    drop(ballast);
    until("the note is gone", || async { Ok(!note.exists()) }).await?;
    // What a daemon left behind that has ended since.
    world.daemon.stop(Signal::SIGKILL).await?;
    fs::write(&note, "2021-05-01T00:00:00Z\n")?;
    world.upload(&file).await?;
    world.start_daemon().await?;
    world.wait_state(&job(1), State::Stored, PATIENCE).await?;
    Ok(())
}

/// As at the first start, when the daemon looks before it has built anything.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_nothing_was_written_to_does_not_pass_for_a_full_disk() -> Result<()> {
    for series in ["4.2", "6.0"] {
        let options = Options { mongod_series: series.into(), ..Options::default() };
        let world = World::start(options).await?;
        let untouched = Store::connect(&store::Settings {
            host: world.mongod.address(),
            user: None,
            auth_db: "admin".into(),
            target_db: "untouched".into(),
            replica_set: None,
            tls: None,
        })?;
        let space = untouched.space().await?;
        ensure!(space.is_none_or(|space| space.total_bytes > 0), "{series}: {space:?}");
    }
    Ok(())
}
