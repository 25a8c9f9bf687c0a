//! Small file systems of a world's own, to be filled up.
//!
//! Each is a real tmpfs, mounted in a mount namespace that only the world's programs are in. The
//! namespace goes with the last of them, and the mounts with it, however the test ends. Whoever is
//! not root makes a user namespace first, in which mounting is allowed, and the programs get their
//! own user back in another one inside it. Where the kernel's settings allow neither, making the
//! file systems fails and says so.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use nix::{
    errno::Errno,
    fcntl::{FallocateFlags, fallocate},
    sys::statvfs::statvfs,
    unistd::{Pid, getegid, geteuid},
};

use super::process::{GLANCE, Process};

/// How long making the file systems may take.
const START: Duration = Duration::from_secs(10);

/// What the holder says when everything is mounted.
const MOUNTED: &str = "mounted";

/// The file systems. They are there as long as this or any program within is.
pub(crate) struct SmallDisks {
    holder: Process,
}

impl SmallDisks {
    /// Mounts a file system of so many bytes on each of these directories.
    pub(crate) async fn mount(disks: &[(PathBuf, u64)], log: &Path) -> anyhow::Result<Self> {
        let mounts = disks.iter().map(|(place, bytes)| {
            format!("mount -t tmpfs -o size={bytes},mode=0755 small '{}' &&", place.display())
        });
        let hold = format!(
            "{} echo {MOUNTED} && exec setpriv --pdeathsig KILL -- sleep infinity",
            mounts.collect::<Vec<_>>().join(" ")
        );
        let mut holder = Process::start("unshare", Path::new("unshare"), log, |command| {
            if !geteuid().is_root() {
                command.args(["--user", "--map-root-user"]);
            }
            command.args(["--mount", "--", "sh", "-c", &hold]);
        })?;
        let deadline = Instant::now() + START;
        while !holder.last_words().contains(MOUNTED) {
            holder.still_runs().context("this kernel lets us mount nothing of our own")?;
            if Instant::now() > deadline {
                bail!("nothing is mounted after {START:?}: {}", holder.last_words());
            }
            tokio::time::sleep(GLANCE).await;
        }
        Ok(Self { holder })
    }

    /// The command line that leads into the file systems, if there are any.
    pub(crate) fn way_into(disks: Option<&Self>) -> Vec<OsString> {
        disks.map(Self::enter).unwrap_or_default()
    }

    /// The command line that runs what follows it where the file systems are.
    fn enter(&self) -> Vec<OsString> {
        let mut words = vec!["nsenter".to_owned(), format!("--target={}", self.pid())];
        if geteuid().is_root() {
            words.extend(["--mount", "--"].map(str::to_owned));
        } else {
            words.extend(["--user", "--mount", "--preserve-credentials", "--"].map(str::to_owned));
            words.extend(["unshare", "--user"].map(str::to_owned));
            words.push(format!("--map-user={}", geteuid()));
            words.push(format!("--map-group={}", getegid()));
            words.push("--".to_owned());
        }
        words.into_iter().map(OsString::from).collect()
    }

    /// Where something in them is found from outside.
    pub(crate) fn seen_from_outside(&self, path: &Path) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.pid()));
        root.join(path.strip_prefix("/").unwrap_or(path))
    }

    fn pid(&self) -> Pid {
        self.holder.pid()
    }
}

/// How many bytes are free in the file system that a directory is in.
pub(crate) fn free_bytes(directory: &Path) -> anyhow::Result<u64> {
    let found = statvfs(directory).with_context(|| directory.display().to_string())?;
    Ok(found.blocks_available() * found.fragment_size())
}

/// A file that takes up room until it is dropped.
pub(crate) struct Ballast(PathBuf);

impl Ballast {
    /// Leaves no more than so many bytes free where `directory` is.
    pub(crate) fn leaving(directory: &Path, bytes: u64) -> anyhow::Result<Self> {
        let path = directory.join("ballast");
        let file = fs::File::create(&path).with_context(|| path.display().to_string())?;
        let ballast = Self(path);
        let mut taken = 0;
        // Others write there at the same time, and may be quicker.
        for _ in 0..1000 {
            let more = i64::try_from(free_bytes(directory)?.saturating_sub(bytes))?;
            if more == 0 {
                return Ok(ballast);
            }
            match fallocate(&file, FallocateFlags::empty(), taken, more) {
                Ok(()) => taken += more,
                Err(Errno::ENOSPC) => {}
                Err(error) => return Err(error).context("cannot take up the room"),
            }
        }
        bail!("never only {bytes} bytes free: others make room")
    }
}

impl Drop for Ballast {
    fn drop(&mut self) {
        // With the file system it goes as well.
        let _ = fs::remove_file(&self.0);
    }
}
