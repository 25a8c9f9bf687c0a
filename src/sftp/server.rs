//! sshd's part: where it is, which version, and the `sshd_config` that it is given.
//!
//! The configuration says no to everything and then yes to one thing: the one user,
//! with a key, may move files. Nothing of `/etc/ssh` is read or written, so the host's
//! own sshd stays as it was.
//!
//! This module must never put a configuration in place that sshd has not accepted.

use std::{
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use super::{Endpoint, directories, door, host_keys::HostKey};
use crate::files;

/// Where distributions put programs. An absolute path, because sshd starts itself
/// anew for every connection.
const PLACES: [&str; 6] =
    ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin", "/sbin", "/bin"];

/// What sshd says when the directory is missing in which it locks up its own
/// unprivileged half. Distributions make it with the unit of the host's sshd, which
/// may never have run.
const MISSING_DIRECTORY: &str = "Missing privilege separation directory: ";

/// What went wrong with sshd or its configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program is not installed.
    #[error("cannot find {name}; install the package {package}")]
    Find {
        /// The program.
        name: &'static str,
        /// The Debian package that has it.
        package: &'static str,
    },
    /// A program cannot be started.
    #[error("cannot run {}", path.display())]
    Run {
        /// The program.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The configuration cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The directory that sshd needs for itself cannot be made.
    #[error(transparent)]
    Prepare(#[from] directories::Error),
    /// sshd refuses the configuration. The one before it is still in place.
    #[error("sshd refuses its configuration: {message}")]
    Validate {
        /// What sshd said.
        message: String,
    },
}

/// The programs of OpenSSH on this machine.
#[derive(Clone, Debug)]
pub(super) struct Programs {
    pub(super) sshd: PathBuf,
    pub(super) keygen: PathBuf,
    version: Version,
}

impl Programs {
    pub(super) fn find() -> Result<Self, Error> {
        let sshd = find("sshd", "openssh-server")?;
        let keygen = find("ssh-keygen", "openssh-client")?;
        // Before 9.2 there is no `-V`, and the complaint about it names the version.
        let output = run(Command::new(&sshd).arg("-V"), &sshd)?;
        let version = Version::parse(&String::from_utf8_lossy(&output.stderr));
        Ok(Self { sshd, keygen, version })
    }
}

/// A version of OpenSSH: `(9, 2)`. One that cannot be told is taken for a new one.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Version(u32, u32);

impl Version {
    const NEW: Self = Self(u32::MAX, 0);

    fn parse(text: &str) -> Self {
        let parse = || {
            let (_, rest) = text.split_once("OpenSSH_")?;
            let (major, rest) = rest.split_once('.')?;
            let minor: String = rest.chars().take_while(char::is_ascii_digit).collect();
            Some(Self(major.parse().ok()?, minor.parse().ok()?))
        };
        parse().unwrap_or(Self::NEW)
    }
}

/// What the configuration is made from.
pub(super) struct Config<'a> {
    pub(super) endpoint: &'a Endpoint,
    pub(super) programs: &'a Programs,
    pub(super) host_keys: &'a [HostKey],
    /// Whether sshd checks the directories of the authorised keys once more.
    pub(super) strict_modes: bool,
}

impl Config<'_> {
    /// Puts the configuration in place, once sshd has accepted it.
    pub(super) fn install(&self, path: &Path) -> Result<(), Error> {
        let candidate = path.with_extension("candidate");
        let write = |path: &Path, source| Error::Write { path: path.to_owned(), source };
        super::write_readable(&candidate, &self.text())
            .map_err(|source| write(&candidate, source))?;
        validate(&self.programs.sshd, &candidate)?;
        fs::rename(&candidate, path)
            .and_then(|()| files::sync_parent(path))
            .map_err(|source| write(path, source))
    }

    fn text(&self) -> String {
        let mut text = String::from(
            "# Written by `retention` at every start of the endpoint; changes are lost.\n",
        );
        let mut add = |line: std::fmt::Arguments<'_>| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{line}");
        };
        let endpoint = self.endpoint;
        let (door, keeper) = endpoint.door();
        let session = door::session(&door.start, &door.umask, None);
        add(format_args!(
            "AddressFamily {}",
            if endpoint.listen.is_ipv4() { "inet" } else { "inet6" }
        ));
        add(format_args!("ListenAddress {}", endpoint.listen));
        for key in self.host_keys {
            add(format_args!("HostKey {}", key.path.display()));
        }
        let plus = if endpoint.sha1_rsa { "+ssh-rsa" } else { "-ssh-rsa*" };
        add(format_args!("HostKeyAlgorithms {plus}"));
        // Old versions accept SHA-1 unless told otherwise, new ones the other way round.
        let accepted = self.accepted_algorithms();
        add(format_args!("{accepted} -ssh-rsa*"));
        if self.programs.version >= Version(9, 1) {
            add(format_args!("RequiredRSASize {}", super::keys::MIN_RSA_BITS));
        }
        // All senders may come from one address, and so does whoever asks how the endpoint is:
        // a penalty for one would shut out all.
        if self.programs.version >= Version(9, 8) {
            add(format_args!("PerSourcePenalties no"));
        }
        add(format_args!("AllowUsers {}", endpoint.user));
        match keeper {
            // Each key comes with the session that it opens. Of two lines the first counts.
            Some(program) => {
                add(format_args!("AuthorizedKeysFile none"));
                add(format_args!("AuthorizedKeysCommand {}", door.command(program)));
                add(format_args!("AuthorizedKeysCommandUser {}", endpoint.user));
            }
            None => add(format_args!("AuthorizedKeysFile {}", door.keys.display())),
        }
        add(format_args!("StrictModes {}", yes(self.strict_modes)));
        add(format_args!("{}", FIXED.trim()));
        if let Some(chroot) = &endpoint.chroot {
            add(format_args!("ChrootDirectory {}", chroot.display()));
        }
        add(format_args!("Subsystem sftp {session}"));
        if keeper.is_none() {
            add(format_args!("ForceCommand {session}"));
        }
        if endpoint.sha1_rsa {
            add(format_args!(
                "# For senders whose ssh library knows no newer signature.\nMatch User {}",
                endpoint.user
            ));
            add(format_args!("    {accepted} +ssh-rsa"));
        }
        text
    }

    /// OpenSSH 8.5 renamed the keyword.
    fn accepted_algorithms(&self) -> &'static str {
        if self.programs.version < Version(8, 5) {
            "PubkeyAcceptedKeyTypes"
        } else {
            "PubkeyAcceptedAlgorithms"
        }
    }
}

/// What is the same on every site.
///
/// - A sign-in has 30 s and 4 attempts, and 32 may be at it at once, so that ten
///   senders behind one address never push one another out.
/// - A client that has gone silent is let go after 2 minutes: until then its upload
///   would count as going on.
/// - Backups are ZIPs and gain nothing from compression.
const FIXED: &str = "
AuthenticationMethods publickey
PubkeyAuthentication yes
PasswordAuthentication no
KbdInteractiveAuthentication no
HostbasedAuthentication no
PermitEmptyPasswords no
PermitRootLogin no
UsePAM no
AuthorizedKeysCommand none
AuthorizedPrincipalsFile none
TrustedUserCAKeys none
PermitUserEnvironment no
PermitUserRC no
PermitTTY no
DisableForwarding yes
AllowTcpForwarding no
AllowStreamLocalForwarding no
AllowAgentForwarding no
X11Forwarding no
GatewayPorts no
PermitTunnel no
PermitOpen none
PermitListen none
Banner none
PrintMotd no
PrintLastLog no
VersionAddendum none
Compression no
UseDNS no
TCPKeepAlive yes
PidFile none
LogLevel INFO
LoginGraceTime 30
MaxAuthTries 4
MaxSessions 4
MaxStartups 32:30:64
ClientAliveInterval 30
ClientAliveCountMax 4
";

fn yes(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

fn find(name: &'static str, package: &'static str) -> Result<PathBuf, Error> {
    PLACES
        .iter()
        .map(|place| Path::new(place).join(name))
        .find(|path| path.is_file())
        .ok_or(Error::Find { name, package })
}

fn run(command: &mut Command, path: &Path) -> Result<std::process::Output, Error> {
    command.output().map_err(|source| Error::Run { path: path.to_owned(), source })
}

/// Has sshd read a configuration and the host keys in it.
fn validate(sshd: &Path, path: &Path) -> Result<(), Error> {
    for attempt in 0.. {
        let output = run(Command::new(sshd).arg("-t").arg("-f").arg(path), sshd)?;
        if output.status.success() {
            break;
        }
        let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        match message.split_once(MISSING_DIRECTORY) {
            Some((_, directory)) if attempt == 0 => {
                directories::make(Path::new(directory.trim()))?;
            }
            _ => return Err(Error::Validate { message }),
        }
    }
    Ok(())
}

/// Has sshd read a configuration that was written before. Makes nothing that is missing.
pub(super) fn check(programs: &Programs, path: &Path) -> Result<(), Error> {
    let output = run(Command::new(&programs.sshd).arg("-t").arg("-f").arg(path), &programs.sshd)?;
    let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    // sshd's own directory is made with its unit, at each start.
    if output.status.success() || message.starts_with(MISSING_DIRECTORY) {
        return Ok(());
    }
    Err(Error::Validate { message })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(chroot: Option<&str>, sha1_rsa: bool) -> Endpoint {
        Endpoint {
            listen: ([127, 0, 0, 1], 2222).into(),
            user: "nobody".to_owned(),
            group: None,
            directory: "/srv/sftp".into(),
            chroot: chroot.map(PathBuf::from),
            inbox: "/srv/jail/inbox".into(),
            sha1_rsa,
            reserve_bytes: 7,
            program: None,
        }
    }

    /// One whose door is kept by a program that only root can change.
    fn kept(chroot: Option<&str>) -> Endpoint {
        Endpoint { program: Some("/usr/bin/env".into()), ..endpoint(chroot, false) }
    }

    fn text(endpoint: &Endpoint, version: Version) -> String {
        let programs = Programs { sshd: "/s".into(), keygen: "/k".into(), version };
        Config { endpoint, programs: &programs, host_keys: &[], strict_modes: true }.text()
    }

    #[test]
    fn the_version_is_read_from_whatever_sshd_says() {
        for (said, expected) in [
            ("OpenSSH_9.2, OpenSSL 3.0.22 25 Aug 2026", Version(9, 2)),
            (
                "unknown option -- V\nOpenSSH_8.2p1 Ubuntu-4ubuntu0.13, OpenSSL 1.1.1f\n",
                Version(8, 2),
            ),
            ("OpenSSH_10.0p2 Debian-7", Version(10, 0)),
            ("OpenSSH_for_Windows", Version::NEW),
            ("", Version::NEW),
        ] {
            assert_eq!(Version::parse(said), expected, "{said}");
        }
    }

    #[test]
    fn keywords_follow_the_version_and_the_site() {
        let (jail, sha1) = (Some("/srv/jail"), true);
        for (endpoint, version, line, expected) in [
            (endpoint(jail, false), Version(9, 2), "ChrootDirectory /srv/jail", true),
            (endpoint(None, false), Version(9, 2), "ChrootDirectory", false),
            (endpoint(jail, false), Version(9, 2), "internal-sftp -d /inbox ", true),
            (endpoint(None, false), Version(9, 2), "internal-sftp -d /srv/jail/inbox ", true),
            (endpoint(jail, false), Version(9, 2), "Match", false),
            (endpoint(jail, false), Version(9, 2), "\nForceCommand internal-sftp -d ", true),
            (kept(jail), Version(9, 2), "ForceCommand", false),
            (kept(jail), Version(9, 2), "\nAuthorizedKeysFile none\nAuthorizedKeysCommand /", true),
            (kept(jail), Version(9, 2), " --reserve-bytes 7 --start /inbox --umask 0077\n", true),
            // Only a chroot has a place for the reasons.
            (kept(None), Version(9, 2), "\nForceCommand internal-sftp -d ", true),
            (endpoint(jail, false), Version(9, 2), "\nHostKeyAlgorithms -ssh-rsa*", true),
            (
                endpoint(jail, sha1),
                Version(9, 2),
                "Match User nobody\n    PubkeyAcceptedAlgorithms +ssh-rsa",
                true,
            ),
            (endpoint(jail, sha1), Version(8, 2), "\n    PubkeyAcceptedKeyTypes +ssh-rsa", true),
            (endpoint(jail, sha1), Version(8, 2), "PubkeyAcceptedAlgorithms", false),
            (endpoint(jail, sha1), Version(9, 0), "RequiredRSASize", false),
            (endpoint(jail, sha1), Version(9, 1), "\nRequiredRSASize 2048", true),
            (endpoint(jail, sha1), Version(9, 7), "PerSourcePenalties", false),
            (endpoint(jail, sha1), Version(9, 8), "\nPerSourcePenalties no\n", true),
        ] {
            let text = text(&endpoint, version);
            assert_eq!(text.contains(line), expected, "{line} in {version:?}:\n{text}");
        }
    }
}
