//! The directories on an upload's way.
//!
//! sshd turns an upload away, with a word in its log and none to the client, when a
//! directory belongs to the wrong user or is open to others. Every one that it would
//! object to is looked for here beforehand, and named.
//!
//! This module must never change the permissions of a directory that it did not make,
//! save the chroot itself and the inbox, which are the endpoint's own.

use std::{
    fs::{self, File, Metadata, Permissions},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown, lchown},
    path::{Path, PathBuf},
};

use nix::{
    fcntl::OFlag,
    unistd::{Gid, geteuid},
};

use super::account::Account;

/// Set on a directory in which everyone may make files and nobody may touch another's.
const STICKY: u32 = 0o1000;

/// What is wrong with a directory, and which.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A directory cannot be made or given its owner and permissions.
    #[error("cannot prepare the directory {}", path.display())]
    Prepare {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A directory does not suit what is to be below it.
    #[error("sshd would refuse {purpose}, because of the directory {}: {fault}", path.display())]
    Trust {
        /// What is below the directory.
        purpose: &'static str,
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        fault: Fault,
    },
}

/// What is wrong with a directory.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Fault {
    /// It belongs to the wrong user.
    #[error("it belongs to user {owner} and has to belong to {wanted}")]
    Owner {
        /// The number of the user it belongs to.
        owner: u32,
        /// Whom it has to belong to.
        wanted: String,
    },
    /// Users other than its owner can change what is in it.
    #[error("others than its owner can write to it (mode {mode:04o}); {}", mend(*mode))]
    Writable {
        /// Its permissions.
        mode: u32,
    },
    /// The uploading user cannot pass through it.
    #[error("{user} may not enter it (mode {mode:04o}); chmod o+x would mend that")]
    Closed {
        /// The uploading user.
        user: String,
        /// Its permissions.
        mode: u32,
    },
}

/// What to do about a directory that others can write to. One like `/tmp` has to stay so.
fn mend(mode: u32) -> &'static str {
    if mode & STICKY == 0 {
        "chmod go-w would mend that"
    } else {
        "choose a place that is not below it"
    }
}

/// Makes a directory and the parents that it lacks, for all to enter whatever the umask.
pub(super) fn make(path: &Path) -> Result<(), Error> {
    let prepare = |path: &Path, source| Error::Prepare { path: path.to_owned(), source };
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        make(parent)?;
    }
    match fs::create_dir(path) {
        Ok(()) => fs::set_permissions(path, Permissions::from_mode(0o755)),
        // A second start may have been faster. A file in its place is an error.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
    .map_err(|source| prepare(path, source))
}

/// Makes the chroot and checks it as sshd does: every directory down to it belongs
/// to root, and root alone can write there.
pub(super) fn prepare_chroot(chroot: &Path) -> Result<(), Error> {
    make(chroot)?;
    let prepare = |source| Error::Prepare { path: chroot.to_owned(), source };
    // The daemon makes what is missing as well, as another user, and may have been first.
    lchown(chroot, Some(0), Some(0)).map_err(prepare)?;
    for directory in down_to(chroot) {
        let metadata = look_at(directory)?;
        let fault = if metadata.uid() != 0 {
            Fault::Owner { owner: metadata.uid(), wanted: "root".to_owned() }
        } else if metadata.mode() & 0o022 != 0 {
            Fault::Writable { mode: metadata.mode() & 0o7777 }
        } else {
            continue;
        };
        let purpose = "the chroot";
        return Err(Error::Trust { purpose, path: directory.to_owned(), fault });
    }
    fs::set_permissions(chroot, Permissions::from_mode(0o755)).map_err(prepare)
}

/// Makes the inbox and gives it to the uploading account. With a `group`, its members
/// can take files out of it, and files put into it belong to that group.
pub(super) fn prepare_inbox(
    inbox: &Path,
    account: &Account,
    group: Option<Gid>,
) -> Result<(), Error> {
    make(inbox)?;
    let prepare = |source| Error::Prepare { path: inbox.to_owned(), source };
    // Never through a link: what it points at would change hands.
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
    let directory =
        File::options().read(true).custom_flags(flags.bits()).open(inbox).map_err(prepare)?;
    if geteuid().is_root() {
        let owner = group.unwrap_or(account.gid);
        fchown(&directory, Some(account.uid.as_raw()), Some(owner.as_raw())).map_err(prepare)?;
    }
    let mode = if group.is_some() { 0o2770 } else { 0o700 };
    directory.set_permissions(Permissions::from_mode(mode)).map_err(prepare)
}

/// Checks that the account can pass through every directory from `top` (excluded, and
/// `/` where it is absent) down to `directory` (included).
pub(super) fn check_reachable(
    account: &Account,
    top: Option<&Path>,
    directory: &Path,
    purpose: &'static str,
) -> Result<(), Error> {
    for directory in down_to(directory) {
        if top.is_some_and(|top| top.starts_with(directory)) {
            continue;
        }
        let metadata = look_at(directory)?;
        if !account.may_enter(&metadata) {
            let mode = metadata.mode() & 0o7777;
            let fault = Fault::Closed { user: account.name.clone(), mode };
            return Err(Error::Trust { purpose, path: directory.to_owned(), fault });
        }
    }
    Ok(())
}

/// Whether sshd's own `StrictModes` can stay on for a file in `directory`.
///
/// sshd knows nothing of the sticky bit and refuses everything below `/tmp`. There
/// only a file's owner can rename or remove it, so this accepts what sshd would not,
/// and the caller turns sshd's check off. Anything less safe is an error.
pub(super) fn strict_modes(account: &Account, directory: &Path) -> Result<bool, Error> {
    let prepare = |source| Error::Prepare { path: directory.to_owned(), source };
    let real = fs::canonicalize(directory).map_err(prepare)?;
    let home = fs::canonicalize(&account.home).ok();
    let mut strict = true;
    for directory in real.ancestors() {
        let metadata = look_at(directory)?;
        let mode = metadata.mode() & 0o7777;
        let trust = |fault| Error::Trust {
            purpose: "the authorised keys",
            path: directory.to_owned(),
            fault,
        };
        if metadata.uid() != 0 && metadata.uid() != account.uid.as_raw() {
            let wanted = format!("root or {}", account.name);
            return Err(trust(Fault::Owner { owner: metadata.uid(), wanted }));
        }
        match (mode & 0o022 != 0, mode & STICKY != 0) {
            (false, _) => {}
            (true, true) => strict = false,
            (true, false) => return Err(trust(Fault::Writable { mode })),
        }
        // sshd asks no further than the user's own home.
        if home.as_deref() == Some(directory) {
            break;
        }
    }
    Ok(strict)
}

/// Whether sshd can ask a program: nobody but root may change it, or sshd refuses it, and
/// everybody has to reach it, for sshd starts it as a user without rights.
pub(super) fn can_be_asked(program: &Path) -> bool {
    let fits = |found: Metadata| {
        found.uid() == 0 && found.mode() & 0o022 == 0 && found.mode() & 0o001 != 0
    };
    down_to(program).all(|path| look_at(path).is_ok_and(fits))
}

/// The directories from `/` down to `path`.
fn down_to(path: &Path) -> impl Iterator<Item = &Path> {
    let mut all: Vec<_> = path.ancestors().collect();
    all.reverse();
    all.into_iter()
}

fn look_at(path: &Path) -> Result<Metadata, Error> {
    fs::metadata(path).map_err(|source| Error::Prepare { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_everybody_reaches_and_root_alone_changes_can_be_asked() {
        assert!(can_be_asked(Path::new("/usr/bin/env")));
        let scratch = tempfile::tempdir().expect("scratch");
        let hidden = scratch.path().join("program");
        fs::copy("/usr/bin/env", &hidden).expect("copy");
        assert!(!can_be_asked(&hidden), "in a directory of its owner's alone");
        assert!(!can_be_asked(Path::new("/etc/passwd")), "no program");
    }

    #[test]
    fn a_path_is_walked_from_the_root_down() {
        let walked: Vec<_> = down_to(Path::new("/a/b")).collect();
        assert_eq!(walked, [Path::new("/"), Path::new("/a"), Path::new("/a/b")]);
    }

    #[test]
    fn directories_that_are_made_can_be_entered() {
        let scratch = tempfile::tempdir().expect("scratch");
        let made = scratch.path().join("a/b");
        make(&made).expect("make");
        make(&made).expect("make again");
        for directory in [&made, &scratch.path().join("a")] {
            let mode = fs::metadata(directory).expect("look").mode() & 0o7777;
            assert_eq!(mode, 0o755, "{}", directory.display());
        }
        fs::write(scratch.path().join("file"), "").expect("write");
        make(&scratch.path().join("file")).expect_err("a file is in the way");
    }
}
