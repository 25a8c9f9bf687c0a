//! Media that stay in their archive: with Offline mode alone nothing is unpacked.
//!
//! Each is [taken out](crate::shelf), decoded like any other, and gone. The same contents count once. What came of them stands on the backup's line, for there is
//! nothing else to put it beside. Which mode a backup was stored in was not always noted: where none of
//! its media are in the store, its archive is what has them.

use std::{collections::HashSet, fs::File, os::unix::fs::FileExt, path::PathBuf, sync::Arc};

use bytes::Bytes;

use super::{
    Examination,
    child::{Error, Source},
};
use crate::{
    archive::EntryId,
    backup::{
        Readability,
        examined::{self, DamagedMedium, Finding, NAMED, Outcome, RULES},
    },
    cause::chain,
    records::rules::Holds,
    shelf::{self, Opened},
};

impl Examination {
    /// Examines the media of backups that are in their archives alone, where those are here. One that
    /// cannot be looked through now holds up no other.
    pub(super) async fn shelved(&self) -> Result<(), Error> {
        let mut trouble = None;
        for backup in self.store.shelved_to_examine(&self.shelf.directory, RULES).await? {
            self.idle.rest().await?;
            let Some(path) = (self.shelf.find)(&backup) else { continue };
            let found = match self.look_through(path).await {
                Ok(found) => found,
                Err(error @ (Error::Stopped | Error::Store(_))) => return Err(error),
                Err(error) => {
                    // Whether the archive is still what was stored, `verification` finds out and tells.
                    let is_ours = !matches!(&error, Error::Shelf(shelf::Error::TakeOut(error)) if error.rejection().is_some());
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
        let opened = self.shelf.open(&self.store, path).await?;
        self.media_of(&opened).await
    }

    /// What came of all media of an archive. What is our own trouble, a full disk or one that fails,
    /// a key that is missing, an archive that has changed since, is an error, and never an outcome:
    /// what is noted of a medium stays.
    async fn media_of(&self, opened: &Arc<Opened>) -> Result<Readability, Error> {
        let archive = opened.archive();
        let holds = |id: EntryId| self.shelf.holds(archive.name(id));
        let may_be = |id: &EntryId| matches!(holds(*id), Holds::Medium | Holds::Unsure);
        let media: Vec<EntryId> = archive.entries().map(|(id, _)| id).filter(may_be).collect();
        // Before the first is decoded: it is tried again and again until there is room for all.
        let largest = media.iter().map(|id| archive.entry(*id).size_bytes()).max().unwrap_or(0);
        self.shelf.room_for(largest)?;
        let (mut found, mut seen) = (Readability::default(), HashSet::new());
        for id in media {
            self.idle.rest().await?;
            let entry = archive.name(id).to_owned();
            let taken = self.shelf.take_out(opened, id).await?;
            let file = OnDisk { file: taken.file, length: taken.length_bytes };
            let records = holds(id) == Holds::Unsure && file.may_be_json();
            if records || !seen.insert(taken.id) {
                continue;
            }
            let finding = self.decoder.examine(&file, self.idle.stop()).await?;
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
}

/// Names a medium that is damaged or was not decoded.
fn name(found: &mut Readability, entry: String, why: String) {
    if found.examples.len() < NAMED {
        found.examples.push(DamagedMedium { entry, why });
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
