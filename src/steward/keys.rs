//! Which keys may upload: those of this node, and those of all nodes, brought together.
//!
//! A key that is in one place alone was either added there or removed in the other. What tells the two
//! apart is what was shared before, which each node notes together with the revision of the settings.
//! A database that is older than that, such as one that was restored or is new, has not removed
//! anything: then nothing counts as shared, and both places get all keys.

use std::{collections::BTreeSet, fs, io, path::Path};

use jiff::Timestamp;

use crate::{
    files,
    settings::{Change, Settings, SftpKey},
    sftp::keys::AuthorizedKey,
};

/// What was shared when the two were last the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shared {
    /// The revision of the settings.
    pub revision: u64,
    /// The fingerprints of the keys.
    pub keys: BTreeSet<String>,
}

impl Shared {
    /// Reads it; nothing was shared where there is no such file.
    pub(super) fn read(path: &Path) -> io::Result<Self> {
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            other => other?,
        };
        let mut lines = text.lines();
        let revision = lines.next().and_then(|line| line.parse().ok());
        // What cannot be read is taken for nothing: then both places get all keys.
        Ok(revision.map_or_else(Self::default, |revision| Self {
            revision,
            keys: lines.map(str::to_owned).collect(),
        }))
    }

    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        let mut text = format!("{}\n", self.revision);
        for key in &self.keys {
            text.push_str(key);
            text.push('\n');
        }
        files::write_whole(path, text.as_bytes(), 0o600)
    }

    /// What these settings can have known as shared.
    pub(super) fn known_by(&self, settings: &Settings) -> BTreeSet<String> {
        if settings.revision < self.revision { BTreeSet::new() } else { self.keys.clone() }
    }
}

/// What is to be done so that both are the same.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// To be authorised on this node.
    pub(super) add_here: Vec<SftpKey>,
    /// To be withdrawn on this node.
    pub(super) remove_here: Vec<String>,
    /// To be authorised on all.
    pub(super) add_to_all: Vec<AuthorizedKey>,
    /// To be withdrawn on all.
    pub(super) remove_from_all: Vec<String>,
}

impl Plan {
    /// Compares the keys of this node with those of all.
    pub(super) fn new(
        shared: &BTreeSet<String>,
        here: &[AuthorizedKey],
        all: &[SftpKey],
        now: Timestamp,
    ) -> Self {
        let mut plan = Self::default();
        let is_here = |fingerprint: &str| here.iter().any(|key| key.fingerprint == fingerprint);
        for key in all {
            let has_ended = key.until.is_some_and(|until| until <= now);
            match (has_ended, is_here(&key.fingerprint)) {
                (true, true) => {
                    plan.remove_here.push(key.fingerprint.clone());
                    plan.remove_from_all.push(key.fingerprint.clone());
                }
                (true, false) => plan.remove_from_all.push(key.fingerprint.clone()),
                (false, true) => {}
                (false, false) if shared.contains(&key.fingerprint) => {
                    plan.remove_from_all.push(key.fingerprint.clone());
                }
                (false, false) => plan.add_here.push(key.clone()),
            }
        }
        // A trial's key is gone again in a moment.
        for key in here.iter().filter(|key| !key.is_trial()) {
            if all.iter().any(|other| other.fingerprint == key.fingerprint) {
                continue;
            }
            if shared.contains(&key.fingerprint) {
                plan.remove_here.push(key.fingerprint.clone());
            } else {
                plan.add_to_all.push(key.clone());
            }
        }
        plan
    }

    /// Whether something changes for all nodes.
    pub(super) fn changes_all(&self) -> bool {
        !self.add_to_all.is_empty() || !self.remove_from_all.is_empty()
    }

    /// The settings after this.
    pub(super) fn applied(&self, mut settings: Settings, by: &Change) -> Settings {
        settings.sftp_keys.retain(|key| !self.remove_from_all.contains(&key.fingerprint));
        settings.sftp_keys.extend(self.add_to_all.iter().map(|key| SftpKey {
            fingerprint: key.fingerprint.clone(),
            line: key.line.clone(),
            added: by.clone(),
            until: None,
        }));
        settings.revision += 1;
        settings.changed = Some(by.clone());
        settings
    }
}

#[cfg(test)]
mod tests {
    use ssh_key::{PublicKey, public::Ed25519PublicKey};

    use super::*;

    fn here(number: u8) -> AuthorizedKey {
        let key = PublicKey::new(Ed25519PublicKey([number; 32]).into(), "sender");
        AuthorizedKey::parse(&key.to_openssh().expect("encode")).expect("a key")
    }

    fn of_all(number: u8, until: Option<i64>) -> SftpKey {
        let AuthorizedKey { fingerprint, line, .. } = here(number);
        let added = Change { at: Timestamp::UNIX_EPOCH, by: "Admin".into() };
        let until = until.map(|second| Timestamp::from_second(second).expect("a time"));
        SftpKey { fingerprint, line, added, until }
    }

    #[test]
    fn what_is_in_one_place_alone_was_added_there_or_removed_in_the_other() {
        let now = Timestamp::from_second(100).expect("a time");
        // Shared before, here, of all; then: add here, remove here, add to all, remove from all.
        type Case<'a> = (&'a [u8], &'a [u8], &'a [(u8, Option<i64>)], [&'a [u8]; 4]);
        let cases: [Case<'_>; 8] = [
            (&[], &[], &[], [&[], &[], &[], &[]]),
            (&[], &[], &[(1, None)], [&[1], &[], &[], &[]]),
            (&[], &[1], &[], [&[], &[], &[1], &[]]),
            (&[1], &[1], &[(1, None)], [&[], &[], &[], &[]]),
            (&[1], &[], &[(1, None)], [&[], &[], &[], &[1]]),
            (&[1], &[1], &[], [&[], &[1], &[], &[]]),
            (&[1], &[1, 2], &[(1, Some(101)), (3, None)], [&[3], &[], &[2], &[]]),
            (&[1], &[1, 2], &[(1, Some(100)), (2, None)], [&[], &[1], &[], &[1]]),
        ];
        for (shared, own, all, [add_here, remove_here, add_to_all, remove_from_all]) in cases {
            let names = |numbers: &[u8]| -> Vec<String> {
                numbers.iter().map(|number| here(*number).fingerprint).collect()
            };
            let own: Vec<_> = own.iter().map(|number| here(*number)).collect();
            let of_all: Vec<_> =
                all.iter().map(|(number, until)| of_all(*number, *until)).collect();
            let shared: BTreeSet<String> = names(shared).into_iter().collect();
            let plan = Plan::new(&shared, &own, &of_all, now);
            let added: Vec<_> = plan.add_here.iter().map(|key| key.fingerprint.clone()).collect();
            let to_all: Vec<_> =
                plan.add_to_all.iter().map(|key| key.fingerprint.clone()).collect();
            assert_eq!(added, names(add_here), "{all:?}");
            assert_eq!(plan.remove_here, names(remove_here), "{all:?}");
            assert_eq!(to_all, names(add_to_all), "{all:?}");
            assert_eq!(plan.remove_from_all, names(remove_from_all), "{all:?}");
        }
    }

    #[test]
    fn settings_that_are_older_than_what_was_shared_have_removed_nothing() {
        let shared = Shared { revision: 5, keys: [here(1).fingerprint].into() };
        let older = Settings { revision: 4, ..Settings::default() };
        assert!(shared.known_by(&older).is_empty());
        assert!(shared.known_by(&Settings::default()).is_empty());
        let same = Settings { revision: 5, ..Settings::default() };
        assert_eq!(shared.known_by(&same), shared.keys);
    }

    #[test]
    fn what_is_shared_is_read_as_it_was_written() {
        let scratch = tempfile::tempdir().expect("scratch");
        let path = scratch.path().join("shared-keys");
        assert_eq!(Shared::read(&path).expect("nothing"), Shared::default());
        let shared = Shared { revision: 7, keys: ["SHA256:a".into(), "SHA256:b".into()].into() };
        shared.write(&path).expect("write");
        assert_eq!(Shared::read(&path).expect("read"), shared);
    }
}
