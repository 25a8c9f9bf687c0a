//! A directory of its own for each machine, client and network.
//!
//! It goes with its handle. What a test process left that was killed is swept away by the next:
//! each directory holds a lock that the kernel lets go of when its owner ends.

use std::{
    fs::{self, File},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Once,
};

use anyhow::{Context, Result};
use nix::fcntl::{Flock, FlockArg};
use tempfile::TempDir;

/// Where there is room for machines, on a disk that an overlay can be laid on.
const BASE: &str = "/var/tmp";

/// How the directories' names begin. The whole name is also the machine's.
const PREFIX: &str = "retention-machine-";

/// In each directory: held by whoever uses it.
const LOCK: &str = "lock";

/// The hierarchies in which `tests/machines/boot` makes a cgroup for a machine.
const CGROUPS: [&str; 3] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"];

/// A directory.
pub(crate) struct Place {
    directory: TempDir,
    _lock: Flock<File>,
}

impl Place {
    /// A new, empty directory.
    pub(crate) fn new() -> Result<Self> {
        static SWEPT: Once = Once::new();
        SWEPT.call_once(sweep);
        let directory = tempfile::Builder::new().prefix(PREFIX).tempdir_in(BASE)?;
        // The machine's own root is below it.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o711))?;
        // Under its name only once it is held, or somebody would sweep this away.
        let candidate = directory.path().join("lock.candidate");
        let lock = Flock::lock(File::create(&candidate)?, FlockArg::LockExclusiveNonblock);
        let lock = lock.map_err(|(_, errno)| errno).context("cannot lock a new file")?;
        fs::rename(candidate, directory.path().join(LOCK))?;
        Ok(Self { directory, _lock: lock })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// A file in it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A name that nobody else has.
    pub(crate) fn name(&self) -> String {
        name(self.path())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        remove_cgroups(&self.name());
    }
}

fn name(directory: &Path) -> String {
    directory.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Removes what belongs to nobody any more.
fn sweep() {
    for entry in fs::read_dir(BASE).into_iter().flatten().flatten() {
        let directory = entry.path();
        if !name(&directory).starts_with(PREFIX) {
            continue;
        }
        let Ok(lock) = File::open(directory.join(LOCK)) else { continue };
        if Flock::lock(lock, FlockArg::LockExclusiveNonblock).is_ok() {
            remove_cgroups(&name(&directory));
            let _ = fs::remove_dir_all(&directory);
        }
    }
}

/// Removes the cgroups of a machine that has ended, which have no processes any more.
fn remove_cgroups(name: &str) {
    fn remove(directory: &Path) {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            if entry.path().is_dir() {
                remove(&entry.path());
            }
        }
        // One that is not empty yet is left to the next sweep.
        let _ = fs::remove_dir(directory);
    }
    for hierarchy in CGROUPS {
        let directory = Path::new(hierarchy).join(name);
        if directory.is_dir() {
            remove(&directory);
        }
    }
}
