//! Media that stay in their archive: with Offline mode alone nothing is unpacked.
//!
//! Each is taken out into a file that has no name, checked as it comes out, decoded like any other, and
//! gone. The same contents count once. What came of them stands on the backup's line, for there is
//! nothing else to put it beside. Which mode a backup was stored in was not always noted: where none of
//! its media are in the store, its archive is what has them.
//!
//! This module must never write what an archive holds where anybody could find it.

use std::{
    collections::HashSet,
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::{
    Examination,
    child::{Error, Source},
};
use crate::{
    archive::{Archive, EntryId, KeyRing, Limits},
    backup::{
        MediumId, Readability,
        examined::{self, DamagedMedium, Finding, NAMED, Outcome, RULES},
    },
    cause::chain,
    config::{Secret, Secrets},
    files,
    records::{Rules, rules::Holds},
    settings::seal::Seal,
    store::backups::Backup,
};

/// Room that stays free on the disk when a medium is taken out, in bytes.
const RESERVE_BYTES: u64 = 1 << 30;

/// How much of an entry is taken out at once.
const PIECE_BYTES: usize = 128 * 1024;

/// Finds the archive of a backup, if it is on this machine.
pub type Find = dyn Fn(&Backup) -> Option<PathBuf> + Send + Sync;

/// Where archives are on this machine, and what opens them.
#[derive(Clone)]
pub struct Shelf {
    /// The archive of a backup, if it is on this machine.
    pub find: Arc<Find>,
    /// What an archive may be.
    pub limits: Limits,
    /// Which entries hold media.
    pub rules: Rules,
    /// Where the Archive Keys of the configuration are.
    pub secrets: Secrets,
    /// Opens the Archive Keys that were set in the portal.
    pub seal: Option<Seal>,
    /// A directory on a disk with room, closed to others.
    pub scratch: PathBuf,
}

/// An archive that is being looked through.
struct Opened {
    archive: Archive,
    keys: KeyRing,
}

/// An entry that was taken out.
struct Taken {
    id: MediumId,
    file: OnDisk,
}

impl Examination {
    /// Examines the media of backups that are in their archives alone, where those are here. One that
    /// cannot be looked through now holds up no other.
    pub(super) async fn shelved(&self) -> Result<(), Error> {
        let mut trouble = None;
        for backup in self.store.shelved_to_examine(RULES).await? {
            self.idle.rest().await?;
            let Some(path) = (self.shelf.find)(&backup) else { continue };
            let found = match self.look_through(path).await {
                Ok(found) => found,
                Err(error @ (Error::Stopped | Error::Store(_))) => return Err(error),
                Err(error) => {
                    // Whether the archive is still what was stored, `verification` finds out and tells.
                    let is_ours =
                        !matches!(&error, Error::TakeOut(error) if error.rejection().is_some());
                    let error =
                        Error::Archive { file: backup.file.clone(), source: Box::new(error) };
                    if is_ours && trouble.is_none() {
                        trouble = Some(error);
                    } else {
                        tracing::warn!(job = %backup.job, "media are examined later: {}", chain(&error));
                    }
                    continue;
                }
            };
            self.store.note_readability(&backup.upload, &found, RULES).await?;
            tracing::info!(job = %backup.job, "the media in {} were examined", backup.file);
        }
        trouble.map_or(Ok(()), Err)
    }

    async fn look_through(&self, path: PathBuf) -> Result<Readability, Error> {
        let (keys, limits) = (self.keys().await?, self.shelf.limits);
        let opened = blocking(move || {
            let archive = Archive::open(File::open(path)?, &limits);
            Ok(archive.map(|archive| Opened { archive, keys: KeyRing::new(keys) }))
        });
        let opened = Arc::new(opened.await?.map_err(Error::TakeOut)?);
        self.media_of(&opened).await
    }

    async fn keys(&self) -> Result<Vec<Secret>, Error> {
        let settings = self.store.settings().await?;
        let configured = self.shelf.secrets.archive_keys();
        let configured = configured.map_err(|error| Error::Keys(chain(&error)))?;
        let known = settings.known_keys(self.shelf.seal.as_ref(), configured);
        // An archive that none of these opens is looked through once the others are there.
        Ok(known.open.into_iter().map(|known| known.key).collect())
    }

    /// What came of all media of an archive. What is our own trouble, a full disk or one that fails,
    /// a key that is missing, an archive that has changed since, is an error, and never an outcome:
    /// what is noted of a medium stays.
    async fn media_of(&self, opened: &Arc<Opened>) -> Result<Readability, Error> {
        let archive = &opened.archive;
        let holds = |id: EntryId| self.shelf.rules.entry(archive.name(id));
        let may_be = |id: &EntryId| matches!(holds(*id), Holds::Medium | Holds::Unsure);
        let media: Vec<EntryId> = archive.entries().map(|(id, _)| id).filter(may_be).collect();
        // Before the first is decoded: it is tried again and again until there is room for all.
        let largest = media.iter().map(|id| archive.entry(*id).size_bytes()).max().unwrap_or(0);
        self.room_for(largest)?;
        let (mut found, mut seen) = (Readability::default(), HashSet::new());
        for id in media {
            self.idle.rest().await?;
            let entry = archive.name(id).to_owned();
            self.room_for(archive.entry(id).size_bytes())?;
            let (opened, scratch) = (Arc::clone(opened), self.shelf.scratch.clone());
            let taken = blocking(move || Ok(opened.take_out(id, &scratch))).await?;
            let taken = taken.map_err(Error::TakeOut)?;
            let records = holds(id) == Holds::Unsure && taken.file.may_be_json();
            if records || !seen.insert(taken.id) {
                continue;
            }
            let finding = self.decoder.examine(&taken.file, self.idle.stop()).await?;
            let Finding { kind, outcome } = finding;
            let says_so = examined::says_so(&entry);
            match if says_so { outcome.of_what_says_so() } else { outcome } {
                Outcome::Readable { whole: true, .. } => found.readable += 1,
                Outcome::Readable { whole: false, .. } => found.readable_in_part += 1,
                Outcome::NotExamined { .. } => found.not_examined += 1,
                Outcome::NotDecoded { why } => {
                    *found.not_decoded.entry(kind).or_default() += 1;
                    name(&mut found, entry, why);
                }
                Outcome::Damaged { why } => {
                    found.damaged += 1;
                    name(&mut found, entry, why);
                }
            }
        }
        Ok(found)
    }

    fn room_for(&self, needed_bytes: u64) -> Result<(), Error> {
        let free = files::free_bytes(&self.shelf.scratch).map_err(Error::File)?;
        if free < needed_bytes.saturating_add(RESERVE_BYTES) {
            return Err(Error::NoRoom { needed_bytes });
        }
        Ok(())
    }
}

impl Opened {
    /// Takes an entry out into a file without a name, and makes sure of its contents.
    fn take_out(&self, id: EntryId, scratch: &Path) -> Result<Taken, crate::archive::Error> {
        let Self { archive, keys } = self;
        let unlocked = archive.unlock(&[id], keys)?.pop();
        let mut unlocked = unlocked
            .ok_or(crate::archive::Error::NoKnownKey { entry: archive.name(id).to_owned() })?;
        archive.check(id, keys, &mut unlocked, |contents| {
            let mut file = nameless(scratch)?;
            let (mut hash, mut length) = (Sha256::new(), 0);
            let mut piece = vec![0; PIECE_BYTES];
            loop {
                let read = contents.read(&mut piece)?;
                if read == 0 {
                    break;
                }
                hash.update(&piece[..read]);
                file.write_all(&piece[..read])?;
                length += read as u64;
            }
            let id = MediumId::new(hash.finalize().into());
            Ok(Taken { id, file: OnDisk { file, length } })
        })
    }
}

/// Makes the directory where media are taken out, or empties it of what a power cut left there.
pub fn prepare(scratch: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(scratch)?;
    for left in fs::read_dir(scratch)? {
        fs::remove_file(left?.path())?;
    }
    Ok(())
}

/// A file that is gone when it is closed, whatever happens.
fn nameless(scratch: &Path) -> io::Result<File> {
    let path = scratch.join(uuid::Uuid::now_v7().to_string());
    let mut options = File::options();
    let file = options.read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

/// Names a medium that is damaged or was not decoded.
fn name(found: &mut Readability, entry: String, why: String) {
    if found.examples.len() < NAMED {
        found.examples.push(DamagedMedium { entry, why });
    }
}

/// Does what takes its time on a thread that may wait.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(Error::File),
        Err(_) => Err(Error::Stopped),
    }
}

/// A medium in a file.
#[derive(Debug)]
pub struct OnDisk {
    /// The file.
    pub file: File,
    /// How many bytes it has.
    pub length: u64,
}

impl OnDisk {
    /// Whether it begins as JSON does.
    fn may_be_json(&self) -> bool {
        let mut head = [0; 512];
        let read = self.file.read_at(&mut head, 0).unwrap_or(0);
        let first = head[..read].iter().find(|byte| !byte.is_ascii_whitespace());
        matches!(first, Some(b'{' | b'['))
    }
}

impl Source for OnDisk {
    fn length_bytes(&self) -> u64 {
        self.length
    }

    async fn bytes(&self, start: u64, end: u64) -> Result<Bytes, Error> {
        let mut bytes = vec![0; usize::try_from(end.saturating_sub(start)).unwrap_or(0)];
        self.file.read_exact_at(&mut bytes, start).map_err(Error::File)?;
        Ok(bytes.into())
    }
}
