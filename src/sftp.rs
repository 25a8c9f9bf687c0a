//! The SFTP endpoint: an OpenSSH server of its own, through which backups arrive.
//!
//! [`Endpoint::prepare`] makes all that sshd needs, and can be repeated at every start:
//!
//! ```text
//! directory/  host_key_ed25519, host_key_rsa (and .pub)   made once, never replaced
//!             authorized_keys                             see [`keys`]
//!             sshd_config                                 written anew, see [`server`]
//!             off, full                                   why nobody may upload, see [`door`]
//! chroot/     root's own                                  as root only
//!   inbox/    the one place that the uploading user can write
//!   uploads-refused-…/   where a session begins that may not, see [`door`]
//!   dev/      log: where the journal listens, or nobody
//! ```
//!
//! sshd then runs by itself, as a unit or a child: it is not in this process, and a
//! trouble of ours never stops an upload. Beside it runs [`cutoff`], which cuts uploads off before
//! the disk is full. This module must never touch the host's own
//! sshd, and never see what is uploaded.
//!
//! # What is logged where
//! Seen with OpenSSH 9.2 and `sshd -D -e`: sign-ins and sign-outs go to sshd's standard
//! error. The lines of `internal-sftp` (`open`, `close "…" bytes read N written N`,
//! `forced close` where the client died) do not, chroot or not: they go to `/dev/log` as
//! the session sees it. (`internal-sftp -e` is no way out: it ends the session.) In a
//! chroot that is [`Prepared::log_socket`]. With a datagram socket there all of the lines
//! arrive; with none they are lost, and the upload works just the same. So the unit binds
//! the journal's own socket there. Whoever else listens must keep reading: with a reader
//! that had stopped, uploads stopped too, because `syslog(3)` waits.

pub mod account;
pub mod cutoff;
pub mod directories;
pub mod door;
mod full;
pub mod host_keys;
pub mod keys;
pub mod server;

use std::{
    fs::{self, File, Permissions},
    io,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Component, Path, PathBuf},
    process::Command,
};

use jiff::Timestamp;
use nix::{
    fcntl::{Flock, FlockArg},
    unistd::geteuid,
};

use account::Account;
use cutoff::CutOff;
use door::Door;
use host_keys::HostKey;
use keys::AuthorizedKeys;
use server::{Config, Programs};

use crate::files;

/// Permissions of what is no secret, and what sshd reads as the uploading user.
const READABLE: u32 = 0o644;

/// What went wrong with the endpoint.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A path cannot be used.
    #[error("cannot use {} as {purpose}: {why}", path.display())]
    UsePath {
        /// The path.
        path: PathBuf,
        /// What it was to be.
        purpose: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Another start of the endpoint cannot be kept out.
    #[error("cannot lock the directory {}", path.display())]
    Lock {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The account is not fit for uploads.
    #[error(transparent)]
    Account(#[from] account::Error),
    /// A directory is not fit for uploads.
    #[error(transparent)]
    Directories(#[from] directories::Error),
    /// A host key cannot be had.
    #[error(transparent)]
    HostKeys(#[from] host_keys::Error),
    /// The authorised keys cannot be had.
    #[error(transparent)]
    Keys(#[from] keys::Error),
    /// sshd is missing, or refuses its configuration.
    #[error(transparent)]
    Server(#[from] server::Error),
}

/// Where and for whom the endpoint runs.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Address and port to listen on.
    pub listen: SocketAddr,
    /// The one user who may upload. Without root, the user who runs this.
    pub user: String,
    /// The group whose members may take uploads out of the inbox; without one, only
    /// the user and root may.
    pub group: Option<String>,
    /// The endpoint's own state: host keys, `authorized_keys`, `sshd_config`. The user
    /// must be able to enter it, because sshd reads the keys as that user.
    pub directory: PathBuf,
    /// What the user takes for `/`. It and all above it belong to root, who alone can
    /// write there, so that it cannot be below `/tmp`. Needs root.
    pub chroot: Option<PathBuf>,
    /// Where uploads arrive: below the chroot, if there is one.
    pub inbox: PathBuf,
    /// Whether SHA-1 RSA signatures are accepted from the user, and RSA host keys are
    /// proven by such signatures, as old Java clients need it.
    pub sha1_rsa: bool,
    /// Uploads are refused while less than this is free on the disk of the inbox, in bytes.
    pub reserve_bytes: u64,
    /// This program, which sshd asks for the keys at every sign-in. Needs root and a program that
    /// only root can change; without it, uploads are never refused.
    pub program: Option<PathBuf>,
}

impl Endpoint {
    /// The keys that may upload.
    pub fn authorized_keys(&self) -> AuthorizedKeys {
        AuthorizedKeys::new(self.directory.join("authorized_keys"))
    }

    /// The host keys that [`Self::prepare`] made, read without any privilege.
    pub fn host_keys(&self) -> Result<Vec<HostKey>, Error> {
        Ok(host_keys::read(&self.directory)?)
    }

    /// Has sshd read the configuration that [`Self::prepare`] wrote, and changes nothing.
    /// Returns where it is.
    pub fn check(&self) -> Result<PathBuf, Error> {
        self.check_paths()?;
        let path = self.directory.join("sshd_config");
        server::check(&Programs::find()?, &path)?;
        Ok(path)
    }

    /// Makes directories, host keys and `sshd_config`, whichever are missing or out of
    /// date, and checks whatever sshd would silently turn an upload away for.
    ///
    /// A running sshd is not disturbed; it follows a changed configuration at its next
    /// start or SIGHUP.
    pub fn prepare(&self) -> Result<Prepared, Error> {
        self.check_paths()?;
        let account = Account::find(&self.user)?;
        let group = self.group.as_deref().map(account::find_group).transpose()?;
        let programs = Programs::find()?;

        directories::make(&self.directory)?;
        self.authorized_keys().ensure()?;
        let lock = |source| Error::Lock { path: self.directory.clone(), source };
        let _lock = self::lock(&self.directory).map_err(lock)?;

        directories::check_reachable(&account, None, &self.directory, "the authorised keys")?;
        let strict_modes = directories::strict_modes(&account, &self.directory)?;
        if let Some(chroot) = &self.chroot {
            directories::prepare_chroot(chroot)?;
            door::prepare(chroot)?;
            directories::make(&chroot.join("dev"))?;
        }
        directories::prepare_inbox(&self.inbox, &account, group)?;
        directories::check_reachable(&account, self.chroot.as_deref(), &self.inbox, "the inbox")?;

        let host_keys = host_keys::ensure(&self.directory, &programs.keygen)?;
        let config_path = self.directory.join("sshd_config");
        let config =
            Config { endpoint: self, programs: &programs, host_keys: &host_keys, strict_modes };
        config.install(&config_path)?;
        let log_socket = self.chroot.as_ref().map(|chroot| chroot.join("dev/log"));
        Ok(Prepared { sshd: programs.sshd, config_path, host_keys, log_socket })
    }

    /// Makes sure that the account is not locked, if sshd is to be started from here.
    pub fn refuse_locked(&self) -> Result<(), Error> {
        Ok(Account::find(&self.user)?.refuse_locked()?)
    }

    /// What cuts uploads off before the disk is full, to be started by the process that becomes
    /// sshd. Nothing where the door is never shut: whoever is cut off would be let in again.
    pub fn cut_off(&self) -> Option<Command> {
        let (door, keeper) = self.door();
        Some(CutOff::command(keeper?, &door.inbox, door.reserve_bytes))
    }

    /// Notes that MongoDB's own disk is short, so that the door is shut. The note has to be renewed
    /// each `interval_seconds`.
    pub fn note_full(&self, now: Timestamp, interval_seconds: u64) -> Result<(), files::Failed> {
        full::note(&self.directory, now, interval_seconds)
    }

    /// Notes that MongoDB's own disk has room.
    pub fn note_room(&self) -> Result<(), files::Failed> {
        full::remove(&self.directory)
    }

    /// The door, and the program that keeps it, where there is one.
    fn door(&self) -> (Door, Option<&Path>) {
        let door = Door {
            keys: self.authorized_keys().path().to_owned(),
            inbox: self.inbox.clone(),
            reserve_bytes: self.reserve_bytes,
            start: self.start_directory(),
            umask: if self.group.is_some() { "0027" } else { "0077" }.to_owned(),
        };
        let program = self.program.as_deref().filter(|program| {
            self.chroot.is_some()
                && objection(program).is_none()
                && directories::can_be_asked(program)
        });
        (door, program)
    }

    /// Where an upload begins, as the user sees it.
    fn start_directory(&self) -> PathBuf {
        match self.chroot.as_ref().and_then(|chroot| self.inbox.strip_prefix(chroot).ok()) {
            Some(below) => Path::new("/").join(below),
            None => self.inbox.clone(),
        }
    }

    fn check_paths(&self) -> Result<(), Error> {
        let all = [
            (Some(&self.directory), "the endpoint's directory"),
            (self.chroot.as_ref(), "the chroot"),
            (Some(&self.inbox), "the inbox"),
        ];
        for (path, purpose) in all {
            if let Some((path, why)) = path.and_then(|path| Some((path, objection(path)?))) {
                return Err(Error::UsePath { path: path.clone(), purpose, why });
            }
        }
        let Some(chroot) = &self.chroot else {
            return Ok(());
        };
        let refuse =
            |path: &Path, purpose, why| Err(Error::UsePath { path: path.to_owned(), purpose, why });
        if !geteuid().is_root() {
            return refuse(chroot, "the chroot", "only root can lock a user into a directory");
        }
        if self.inbox == *chroot || !self.inbox.starts_with(chroot) {
            return refuse(&self.inbox, "the inbox", "it has to be below the chroot");
        }
        if self.directory.starts_with(chroot) {
            let why = "the uploading user could see it in the chroot";
            return refuse(&self.directory, "the endpoint's directory", why);
        }
        Ok(())
    }
}

/// An endpoint that sshd can be started for.
#[derive(Clone, Debug)]
pub struct Prepared {
    sshd: PathBuf,
    config_path: PathBuf,
    host_keys: Vec<HostKey>,
    log_socket: Option<PathBuf>,
}

impl Prepared {
    /// sshd in the foreground, with its log on standard error. It ends on SIGTERM and
    /// leaves the sessions that it has begun to finish.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.sshd);
        command.arg("-D").arg("-e").arg("-f").arg(&self.config_path);
        command
    }

    /// The configuration that sshd is started with.
    pub fn config_path(&self) -> &Path {
        &self.config_path
    }

    /// The keys by which clients know the endpoint.
    pub fn host_keys(&self) -> &[HostKey] {
        &self.host_keys
    }

    /// In a chroot, where a datagram socket has to be for the log of transfers to
    /// arrive. Without a chroot that is `/dev/log`.
    pub fn log_socket(&self) -> Option<&Path> {
        self.log_socket.as_deref()
    }
}

/// Why a path cannot stand in `sshd_config`, where `%` begins a token and where
/// `internal-sftp` cuts its arguments at spaces, quoted or not.
fn objection(path: &Path) -> Option<&'static str> {
    let Some(text) = path.to_str() else {
        return Some("it is not UTF-8");
    };
    if !path.is_absolute() || path.components().any(|part| part == Component::ParentDir) {
        return Some("it has to begin with / and do without ..");
    }
    let bad =
        |c: char| c.is_whitespace() || c.is_control() || matches!(c, '%' | '"' | '\'' | '\\' | '#');
    text.contains(bad).then_some("sshd takes no spaces, quotes, backslashes, # or % in it")
}

/// Writes a file that everyone may read, whatever the umask of whoever starts this.
fn write_readable(path: &Path, contents: &str) -> io::Result<()> {
    files::write_whole(path, contents.as_bytes(), READABLE)?;
    fs::set_permissions(path, Permissions::from_mode(READABLE))
}

/// Keeps others out of what is changed in `directory`, until it is dropped.
fn lock(directory: &Path) -> io::Result<Flock<File>> {
    Flock::lock(File::open(directory)?, FlockArg::LockExclusive)
        .map_err(|(_, errno)| io::Error::from(errno))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_sshd_would_misread_are_refused() {
        for (path, fine) in [
            ("/var/lib/retention/sftp", true),
            ("/home/jörg/a-b_c.d", true),
            ("var/lib", false),
            ("/a/../b", false),
            ("/a b", false),
            ("/a%h", false),
            ("/a\"b", false),
            ("/a\nPermitTTY yes", false),
        ] {
            assert_eq!(objection(Path::new(path)).is_none(), fine, "{path:?}");
        }
    }
}
