//! The account that uploads.
//!
//! sshd turns a locked account away with a word in its log and none to the client.
//! What it would object to is looked for here beforehand, and said.
//!
//! An account as `systemd-sysusers` and `useradd` make it counts as locked, because it has
//! no password and /etc/shadow says so with a `!`. The unit retention-sftp.service hides
//! /etc/shadow from sshd, which then asks for the key alone. So it depends on who starts
//! sshd whether a lock matters, and it is looked for only by whoever does.
//!
//! This module must never change an account.

use std::{
    ffi::CString,
    fs::{self, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::PathBuf,
};

use nix::unistd::{Gid, Group, Uid, User, geteuid, getgrouplist};

/// What is wrong with the account or its group.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system's list of users or groups cannot be read.
    #[error("cannot look up {name}")]
    LookUp {
        /// The user or group.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// There is no such user or group.
    #[error("there is no {what} {name} on this machine")]
    FindName {
        /// `user` or `group`.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// The account cannot be used for uploads.
    #[error("{name} cannot upload: {why}")]
    UseAccount {
        /// The user.
        name: String,
        /// What is wrong, and what to do.
        why: String,
    },
}

/// The one account that may upload.
#[derive(Clone, Debug)]
pub struct Account {
    pub(super) name: String,
    pub(super) uid: Uid,
    pub(super) gid: Gid,
    groups: Vec<Gid>,
    pub(super) home: PathBuf,
}

impl Account {
    /// Finds the account and makes sure that uploads can be left to it.
    pub fn find(name: &str) -> Result<Self, Error> {
        let unusable = |why: String| Error::UseAccount { name: name.to_owned(), why };
        if !is_plain_name(name) {
            return Err(unusable(
                "its name has characters that sshd_config cannot hold".to_owned(),
            ));
        }
        let look_up =
            |errno: nix::Error| Error::LookUp { name: name.to_owned(), source: errno.into() };
        let user = User::from_name(name)
            .map_err(look_up)?
            .ok_or_else(|| Error::FindName { what: "user", name: name.to_owned() })?;
        if geteuid().is_root() {
            if user.uid.is_root() {
                return Err(unusable(
                    "nothing can lock root in; name a user made for uploads".to_owned(),
                ));
            }
        } else if user.uid != geteuid() {
            return Err(unusable(
                "without root, sshd can serve only the user who starts it".to_owned(),
            ));
        }
        let c_name = CString::new(name).map_err(|_| unusable("its name holds a NUL".to_owned()))?;
        let groups = getgrouplist(&c_name, user.gid).map_err(look_up)?;
        Ok(Self { name: name.to_owned(), uid: user.uid, gid: user.gid, groups, home: user.dir })
    }

    /// Makes sure that an sshd which is started from here would let the account in.
    pub(super) fn refuse_locked(&self) -> Result<(), Error> {
        // Whoever cannot read it starts an sshd that cannot read it either.
        let shadow = fs::read_to_string("/etc/shadow").unwrap_or_default();
        if !is_locked(&self.name, &shadow) {
            return Ok(());
        }
        let why = format!(
            "the account is locked, and sshd lets no locked account in; start the endpoint with \
             its unit, which hides that from sshd, or open the account to keys, still without \
             a password: usermod -p '*' {}",
            self.name
        );
        Err(Error::UseAccount { name: self.name.clone(), why })
    }

    /// Whether the account can pass through a directory.
    pub(super) fn may_enter(&self, directory: &Metadata) -> bool {
        let bit = if directory.uid() == self.uid.as_raw() {
            0o100
        } else if self.groups.iter().any(|group| group.as_raw() == directory.gid()) {
            0o010
        } else {
            0o001
        };
        directory.mode() & bit != 0
    }
}

/// Finds the number of a group.
pub(super) fn find_group(name: &str) -> Result<Gid, Error> {
    Group::from_name(name)
        .map_err(|errno| Error::LookUp { name: name.to_owned(), source: errno.into() })?
        .map(|group| group.gid)
        .ok_or_else(|| Error::FindName { what: "group", name: name.to_owned() })
}

/// Whether a user's name means itself in `sshd_config`, where commas and stars do not.
fn is_plain_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('-')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

/// Whether sshd, which does without PAM here, takes the account for locked: its
/// password begins with `!`, as `useradd` and `systemd-sysusers` leave it.
fn is_locked(name: &str, shadow: &str) -> bool {
    shadow
        .lines()
        .filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .any(|rest| rest.starts_with('!'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_locked_by_an_exclamation_mark_alone() {
        let shadow = "root:!:1:::::\nnobody:*:1:::::\na:!*:1:::::\nab:$y$x:1:::::\nempty::1:::::\n";
        for (name, expected) in [
            ("root", true),
            ("nobody", false),
            ("a", true),
            ("ab", false),
            ("b", false),
            ("empty", false),
        ] {
            assert_eq!(is_locked(name, shadow), expected, "{name}");
        }
    }

    #[test]
    fn only_names_that_mean_themselves_are_plain() {
        for (name, expected) in [
            ("retention-sftp", true),
            ("a.b_1", true),
            ("", false),
            ("-D", false),
            ("a,b", false),
            ("*", false),
            ("!a", false),
            ("a b", false),
            ("a\nPermitTTY yes", false),
        ] {
            assert_eq!(is_plain_name(name), expected, "{name:?}");
        }
    }
}
