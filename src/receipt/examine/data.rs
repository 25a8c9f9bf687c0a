//! The data that a receipt speaks of: the archive, media and records.

use std::{collections::HashMap, io, path::PathBuf};

use futures_util::{StreamExt, TryStreamExt, stream};
use sha2::{Digest, Sha256};
use tokio::{fs::File, io::AsyncReadExt};

use super::{Difference, Examined, Examiner, Kind, Whole};
use crate::{
    backup::{MediumId, UploadId},
    receipt::statement::{Entry, Holds},
    store,
};

/// Media that are read at once.
const AT_ONCE: usize = 4;

/// How much of an archive is read at a time.
const BUFFER_BYTES: usize = 256 * 1024;

/// Where archives are kept.
pub trait Kept {
    /// The archive of an upload, if it is on this machine.
    fn find(&self, file: &str, upload: &UploadId) -> Option<PathBuf>;

    /// Whether this machine is the one that keeps what a receipt speaks of, which is signed by the key
    /// with this fingerprint.
    fn is_here(&self, key: &str) -> bool;
}

/// A look at the data, and how far it is.
pub(super) struct Look<'a> {
    examiner: &'a Examiner<'a>,
    archive: Option<PathBuf>,
    done: u64,
    total: u64,
}

impl<'a> Look<'a> {
    /// Prepares a look at what `statement` speaks of, besides so many bytes of older statements.
    pub(super) fn new(
        examiner: &'a Examiner<'a>,
        statement: Option<&Whole>,
        chain_bytes: u64,
    ) -> Self {
        let backup = statement.map(|statement| &statement.backup);
        let archive = backup.and_then(|backup| examiner.kept.find(&backup.file, &backup.upload));
        let archive_bytes = backup.filter(|_| archive.is_some()).map_or(0, |b| b.size_bytes);
        let media_bytes = statement.filter(|statement| unpacked(statement));
        let media_bytes = media_bytes.map_or(0, |statement| statement.counts.media_bytes);
        Self { examiner, archive, done: 0, total: chain_bytes + archive_bytes + media_bytes }
    }

    /// So many bytes more are done.
    pub(super) fn done(&mut self, bytes: u64) {
        self.done += bytes;
        (self.examiner.progress)(self.done, self.total);
    }

    /// The archive, if it is on this machine.
    pub(super) async fn archive(
        &mut self,
        statement: &Whole,
        examined: &mut Examined,
    ) -> Result<(), store::Error> {
        let backup = &statement.backup;
        let mut differ =
            |sentence| examined.differences.push(Difference::new(Kind::Archive, sentence));
        let found = self.archive.clone();
        let found = found.or_else(|| self.examiner.kept.find(&backup.file, &backup.upload));
        let Some(path) = found else {
            let kept = statement.stored.modes.iter().any(|mode| mode == "offline");
            if kept && self.examiner.kept.is_here(&statement.appliance.key) {
                differ(format!("The archive {} is not where it was kept.", backup.file));
            }
            return Ok(());
        };
        let digested = match self.digest(&path).await {
            // Right after it was stored it is moved to where it is kept.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                match self.examiner.kept.find(&backup.file, &backup.upload) {
                    Some(moved) => self.digest(&moved).await,
                    None => Err(error),
                }
            }
            digested => digested,
        };
        match digested {
            Err(error) => differ(format!("{} cannot be read: {error}.", path.display())),
            Ok(sha256) if sha256 != backup.sha256 => differ(format!(
                "{} was changed: its SHA-256 is {sha256} and not {}.",
                path.display(),
                backup.sha256
            )),
            Ok(_) => examined.archive = true,
        }
        Ok(())
    }

    async fn digest(&mut self, path: &std::path::Path) -> io::Result<String> {
        let mut file = File::open(path).await?;
        let mut hash = Sha256::new();
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            match file.read(&mut buffer).await? {
                0 => return Ok(hex::encode(hash.finalize())),
                read => {
                    hash.update(&buffer[..read]);
                    self.done(read as u64);
                }
            }
        }
    }

    /// Each medium in the store, read again.
    pub(super) async fn media(
        &mut self,
        statement: &Whole,
        examined: &mut Examined,
    ) -> Result<(), store::Error> {
        if !unpacked(statement) {
            return Ok(());
        }
        // The same bytes are stored once, however many entries have them.
        let mut media: HashMap<MediumId, Vec<&Entry<'_>>> = HashMap::new();
        for entry in statement.entries.iter().filter(|entry| entry.holds == Holds::Medium) {
            media.entry(entry.sha256).or_default().push(entry);
        }
        let store = self.examiner.store;
        let mut looked =
            stream::iter(media.into_values())
                .map(|entries| async move {
                    (entries[0], entries.len(), fault(store, entries[0]).await)
                })
                .buffer_unordered(AT_ONCE);
        while let Some((entry, count, fault)) = looked.next().await {
            match fault? {
                None => examined.media += 1,
                Some(fault) => {
                    let also = match count - 1 {
                        0 => String::new(),
                        more => format!(" (and {more} more with the same contents)"),
                    };
                    let sentence = format!("The medium {}{also} {fault}.", entry.name);
                    examined.differences.push(Difference::new(Kind::Medium, sentence));
                }
            }
            self.done += entry.size_bytes * count as u64;
            (self.examiner.progress)(self.done, self.total);
        }
        Ok(())
    }

    /// The records that the backup was the first to bring, by dataset: how many, and whether they are
    /// what was stored.
    pub(super) async fn records(
        &mut self,
        statement: &Whole,
        examined: &mut Examined,
    ) -> Result<(), store::Error> {
        let Some(said) = &statement.counts.new_records else { return Ok(()) };
        let (store, job) = (self.examiner.store, &statement.backup.job);
        let (found, digests) = match &statement.counts.record_digests {
            Some(said) => {
                let brought = store.brought(job).await?;
                (brought.counts(), Some((said, brought.digests())))
            }
            None => (store.count_brought(job).await?, None),
        };
        examined.records = found.values().sum();
        let mut datasets: Vec<&String> = said.keys().chain(found.keys()).collect();
        datasets.sort_unstable();
        datasets.dedup();
        for dataset in datasets {
            let count = |counts: &std::collections::BTreeMap<String, u64>| {
                counts.get(dataset).copied().unwrap_or(0)
            };
            let (stored, present) = (count(said), count(&found));
            if stored != present {
                let sentence = format!(
                    "Of the records of dataset {dataset}, {present} are in the database, and \
                     {stored} were stored."
                );
                examined.differences.push(Difference::new(Kind::Records, sentence));
            } else if let Some((said, found)) = &digests
                && said.get(dataset) != found.get(dataset)
            {
                let sentence = format!(
                    "Of the {stored} records of dataset {dataset}, some are not as they were stored."
                );
                examined.differences.push(Difference::new(Kind::Records, sentence));
            }
        }
        Ok(())
    }
}

/// Whether media were stored.
fn unpacked(statement: &Whole) -> bool {
    statement.stored.modes.iter().any(|mode| mode == "online")
}

/// What is wrong with a medium in the store, if anything.
async fn fault(store: &store::Store, entry: &Entry<'_>) -> Result<Option<String>, store::Error> {
    let id = entry.sha256;
    let Some(medium) = store.medium(&id).await? else {
        return Ok(Some(format!("is missing: nothing is stored with SHA-256 {id}")));
    };
    if medium.length_bytes != entry.size_bytes {
        let (found, said) = (medium.length_bytes, entry.size_bytes);
        return Ok(Some(format!("has {found} bytes in the store and had {said}")));
    }
    let bytes = store.medium_bytes(id, 0, medium.length_bytes);
    let digested = bytes.try_fold(Sha256::new(), |mut hash, part| async move {
        hash.update(&part);
        Ok(hash)
    });
    match digested.await.map(|hash| MediumId::new(hash.finalize().into())) {
        Ok(found) if found == id => Ok(None),
        Ok(_) => Ok(Some("was changed: its bytes are not those that were received".to_owned())),
        Err(error) if error.is_away() => Err(error),
        Err(error) => Ok(Some(format!("cannot be read: {}", crate::cause::chain(&error)))),
    }
}
