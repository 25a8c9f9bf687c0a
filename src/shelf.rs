//! Archives that are kept, opened again for what is in them alone.
//!
//! An entry is taken out into a file that has no name, checked as it comes out, and gone when that file
//! is closed. This module must never write what an archive holds where anybody could find it, and never
//! hand out an entry that does not pass its checks.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use sha2::{Digest, Sha256};

use crate::{
    archive::{self, Archive, EntryId, KeyRing, Limits},
    backup::{DirectoryId, MediumId},
    cause::chain,
    config::Secrets,
    files,
    records::{Rules, rules::Holds},
    settings::seal::Seal,
    store::{self, Store, backups::Backup},
};

/// Room that stays free on the disk when an entry is taken out, in bytes.
const RESERVE_BYTES: u64 = 1 << 30;

/// How much of an entry is taken out at once.
const PIECE_BYTES: usize = 128 * 1024;

/// Why an entry cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The Archive Keys cannot be had.
    #[error("the Archive Keys cannot be used: {0}")]
    Keys(String),
    /// Our own disk.
    #[error("cannot read the file")]
    File(#[source] io::Error),
    /// There is no room to take it out.
    #[error("there is no room to take {needed_bytes} bytes out of an archive")]
    NoRoom {
        /// How large it is.
        needed_bytes: u64,
    },
    /// The archive, which was whole when it was stored.
    #[error("cannot take it out of its archive")]
    TakeOut(#[source] archive::Error),
    /// The work was cut off.
    #[error("the work was interrupted")]
    CutOff,
}

/// Finds the archive of a backup, if it is on this machine.
pub type Find = dyn Fn(&Backup) -> Option<PathBuf> + Send + Sync;

/// Where archives are on this machine, and what opens them.
#[derive(Clone)]
pub struct Shelf {
    /// The archive of a backup, if it is on this machine.
    pub find: Arc<Find>,
    /// Which state directory this is.
    pub directory: DirectoryId,
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

impl std::fmt::Debug for Shelf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shelf(…)")
    }
}

/// An archive that is being looked through.
pub struct Opened {
    archive: Archive,
    keys: KeyRing,
}

/// An entry that was taken out.
#[derive(Debug)]
pub struct Taken {
    /// The SHA-256 of its contents.
    pub id: MediumId,
    /// Its contents, with the cursor after them.
    pub file: File,
    /// How many bytes it has.
    pub length_bytes: u64,
}

impl Shelf {
    /// Opens an archive, with the Archive Keys that can be used now.
    pub async fn open(&self, store: &Store, path: PathBuf) -> Result<Arc<Opened>, Error> {
        let settings = store.settings().await?;
        let configured = self.secrets.archive_keys().map_err(|error| Error::Keys(chain(&error)))?;
        // An archive that none of these opens is looked through once the others are there.
        let known = settings.known_keys(self.seal.as_ref(), configured);
        let keys = known.open.into_iter().map(|known| known.key).collect();
        let limits = self.limits;
        let opened = blocking(move || {
            let archive = Archive::open(File::open(path).map_err(Error::File)?, &limits);
            let archive = archive.map_err(Error::TakeOut)?;
            Ok(Opened { archive, keys: KeyRing::new(keys) })
        });
        opened.await.map(Arc::new)
    }

    /// What an entry of this name holds.
    pub fn holds(&self, name: &str) -> Holds {
        self.rules.entry(name)
    }

    /// Makes sure that so many bytes can be taken out.
    pub fn room_for(&self, needed_bytes: u64) -> Result<(), Error> {
        let free = files::free_bytes(&self.scratch).map_err(Error::File)?;
        if free < needed_bytes.saturating_add(RESERVE_BYTES) {
            return Err(Error::NoRoom { needed_bytes });
        }
        Ok(())
    }

    /// Takes an entry out, and makes sure of its contents.
    pub async fn take_out(&self, opened: &Arc<Opened>, id: EntryId) -> Result<Taken, Error> {
        self.room_for(opened.archive.entry(id).size_bytes())?;
        let (opened, scratch) = (Arc::clone(opened), self.scratch.clone());
        blocking(move || opened.take_out(id, &scratch).map_err(Error::TakeOut)).await
    }
}

impl Opened {
    /// The archive.
    pub fn archive(&self) -> &Archive {
        &self.archive
    }

    /// The entry of this name, if there is one. No two entries have one name.
    pub fn entry(&self, name: &str) -> Option<EntryId> {
        let mut entries = self.archive.entries().map(|(id, _)| id);
        entries.find(|id| self.archive.name(*id) == name)
    }

    fn take_out(&self, id: EntryId, scratch: &Path) -> Result<Taken, archive::Error> {
        let Self { archive, keys } = self;
        let unlocked = archive.unlock(&[id], keys)?.pop();
        let mut unlocked =
            unlocked.ok_or(archive::Error::NoKnownKey { entry: archive.name(id).to_owned() })?;
        archive.check(id, keys, &mut unlocked, |contents| {
            let mut file = nameless(scratch)?;
            let (mut hash, mut length_bytes) = (Sha256::new(), 0);
            let mut piece = vec![0; PIECE_BYTES];
            loop {
                let read = contents.read(&mut piece)?;
                if read == 0 {
                    break;
                }
                hash.update(&piece[..read]);
                file.write_all(&piece[..read])?;
                length_bytes += read as u64;
            }
            Ok(Taken { id: MediumId::new(hash.finalize().into()), file, length_bytes })
        })
    }
}

/// Makes the directory where entries are taken out, or empties it of what a power cut left there.
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

/// Does what takes its time on a thread that may wait.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Error::CutOff)?
}
