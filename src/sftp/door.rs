//! The door of the endpoint: whether a session may write.
//!
//! sshd asks a program of ours for the authorised keys at every sign-in
//! (`AuthorizedKeysCommand`), and it looks at the disk at that moment: nothing else has to run,
//! and nothing has to be undone. With room, each key comes with the session that may upload. With
//! too little, it comes with a session that can read only, in a directory whose name is the
//! reason, so that the client says why:
//!
//! ```text
//! dest open "/uploads-refused-no-room-on-disk/backup_….zip": Permission denied
//! ```
//!
//! How full MongoDB's own disk is, where it is another one, the daemon leaves in a note ([`full`]).
//! An upload that has begun is beyond the door; [`cutoff`](super::cutoff) sees to those.
//!
//! This module must never keep the door shut because something cannot be found out: a key that is
//! authorised is let in.

use std::{
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
};

use jiff::Timestamp;

use super::{
    directories, full,
    keys::{AuthorizedKey, AuthorizedKeys},
};
use crate::files;

/// Below the chroot: a directory for each reason, in which nobody can write.
const NO_ROOM: &str = "uploads-refused-no-room-on-disk";
const NO_ROOM_IN_MONGODB: &str = "uploads-refused-no-room-for-mongodb";
const SWITCHED_OFF: &str = "uploads-refused-retention-is-off";

/// Beside the authorised keys, and there while Retention is off.
const OFF: &str = "off";

/// Why nobody may upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The disk is so full that an upload could stop MongoDB.
    NoRoom,
    /// MongoDB's own disk is as full.
    NoRoomInMongodb,
    /// The administrator has switched Retention off.
    SwitchedOff,
}

impl Refusal {
    /// Every reason.
    pub(super) const ALL: [Self; 3] = [Self::NoRoom, Self::NoRoomInMongodb, Self::SwitchedOff];

    /// The directory whose name says it.
    pub(super) fn directory(self) -> &'static str {
        match self {
            Self::NoRoom => NO_ROOM,
            Self::NoRoomInMongodb => NO_ROOM_IN_MONGODB,
            Self::SwitchedOff => SWITCHED_OFF,
        }
    }
}

/// What the door goes by. All of it comes on the command line, so that a configuration that is
/// being edited shuts nobody out.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Door {
    /// The authorised keys.
    #[arg(long)]
    pub keys: PathBuf,
    /// Where uploads arrive.
    #[arg(long)]
    pub inbox: PathBuf,
    /// Uploads are refused while less than this is free, in bytes.
    #[arg(long)]
    pub reserve_bytes: u64,
    /// Where a session begins, as the user sees it.
    #[arg(long)]
    pub start: PathBuf,
    /// The umask of a session.
    #[arg(long)]
    pub umask: String,
}

impl Door {
    /// The authorised keys, each with the session that it opens now.
    pub fn answer(&self, now: Timestamp) -> io::Result<String> {
        let keys = fs::read_to_string(&self.keys)?;
        Ok(lines(&keys, &session(&self.start, &self.umask, self.refusal(now))))
    }

    /// Why nobody may upload now, if so.
    fn refusal(&self, now: Timestamp) -> Option<Refusal> {
        if self.keys.with_file_name(OFF).exists() {
            return Some(Refusal::SwitchedOff);
        }
        if files::free_bytes(&self.inbox).is_ok_and(|free| free < self.reserve_bytes) {
            return Some(Refusal::NoRoom);
        }
        let notes = self.keys.parent()?;
        full::counts(notes, now).then_some(Refusal::NoRoomInMongodb)
    }

    /// The command by which sshd asks. Paths in it have been checked to need no quotes.
    pub(super) fn command(&self, program: &Path) -> String {
        let Self { keys, inbox, reserve_bytes, start, umask } = self;
        let (program, keys, inbox) = (program.display(), keys.display(), inbox.display());
        let start = start.display();
        format!(
            "{program} sftp keys --keys {keys} --inbox {inbox} --reserve-bytes {reserve_bytes} \
             --start {start} --umask {umask}"
        )
    }
}

/// Shuts the door, or opens it again. Returns whether that changes anything.
pub fn switch(keys: &AuthorizedKeys, off: bool) -> io::Result<bool> {
    let path = keys.path().with_file_name(OFF);
    if off == path.exists() {
        return Ok(false);
    }
    if off {
        files::write_whole(&path, b"Retention is off. It is switched in the portal.\n", 0o644)?;
    } else {
        fs::remove_file(&path)?;
    }
    Ok(true)
}

/// What sshd runs for a session. It passes on no more than nine words of it.
///
/// Links would let the uploader point the daemon at files of others; who can only read can make
/// none anyway.
pub(super) fn session(start: &Path, umask: &str, refusal: Option<Refusal>) -> String {
    match refusal {
        None => {
            let start = start.display();
            format!("internal-sftp -d {start} -l INFO -u {umask} -P symlink,hardlink")
        }
        Some(refusal) => format!("internal-sftp -R -d /{} -l INFO", refusal.directory()),
    }
}

/// Each line of `authorized_keys` with the session before it. Whatever stands before a key on a
/// line that somebody wrote by hand stays; one that names a session of its own is refused by sshd.
fn lines(keys: &str, session: &str) -> String {
    let mut text = String::new();
    for line in keys.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let join = if AuthorizedKey::parse(line).is_ok() { ' ' } else { ',' };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "command=\"{session}\"{join}{line}");
    }
    text
}

/// Makes the directories whose names are reasons, where nobody but root can write.
pub(super) fn prepare(chroot: &Path) -> Result<(), directories::Error> {
    Refusal::ALL
        .into_iter()
        .try_for_each(|refusal| directories::make(&chroot.join(refusal.directory())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIO0NgAiiXxtR/tTpiEiOFsqc6GoacRPluyId64afpvR3 x";

    #[test]
    fn a_session_may_write_while_there_is_room_and_nobody_has_switched_it_off() {
        let scratch = tempfile::tempdir().expect("scratch");
        let keys = scratch.path().join("authorized_keys");
        fs::write(&keys, format!("# who may\n\n{KEY}\n")).expect("written");
        let mut door = Door {
            keys,
            inbox: scratch.path().into(),
            reserve_bytes: 1,
            start: "/inbox".into(),
            umask: "0077".into(),
        };
        let now = Timestamp::from_second(1_800_000_000).expect("a time");
        let open = door.answer(now).expect("an answer");
        assert!(open.starts_with("command=\"internal-sftp -d /inbox -l INFO "), "{open}");
        assert_eq!(open.lines().count(), 1);
        door.reserve_bytes = u64::MAX;
        let shut = door.answer(now).expect("an answer");
        assert!(shut.contains(&format!("internal-sftp -R -d /{NO_ROOM} ")), "{shut}");
        // Nobody can tell how much room there is.
        door.inbox = scratch.path().join("gone");
        assert_eq!(door.answer(now).expect("an answer"), open);
        full::note(scratch.path(), now, 60).expect("written");
        let full = door.answer(now).expect("an answer");
        assert!(full.contains(&format!("-R -d /{NO_ROOM_IN_MONGODB} ")), "{full}");
        fs::write(scratch.path().join("off"), "").expect("written");
        let off = door.answer(now).expect("an answer");
        assert!(off.contains(&format!("-R -d /{SWITCHED_OFF} ")), "{off}");
    }

    #[test]
    fn sshd_passes_on_every_word_of_a_session() {
        for refusal in Refusal::ALL.into_iter().map(Some).chain([None]) {
            let session = session(Path::new("/inbox"), "0077", refusal);
            assert!(session.split(' ').count() <= 9, "{session}");
        }
    }

    #[test]
    fn what_stands_before_a_key_stays() {
        for (line, expected) in [
            (KEY.to_owned(), format!("command=\"s\" {KEY}\n")),
            (
                format!("from=\"10.0.0.1\" {KEY}"),
                format!("command=\"s\",from=\"10.0.0.1\" {KEY}\n"),
            ),
            ("# remark".to_owned(), String::new()),
        ] {
            assert_eq!(lines(&line, "s"), expected);
        }
    }
}
