//! Media: small ones many at a time, large ones each by itself.

use std::io::Read;

use serde_json::json;
use sha2::{Digest, Sha256};

use super::{BATCH_RECORDS, CheckedMedium, Reading, Stop, Taker};
use crate::{
    archive::{EntryId, Unlocked},
    backup::{FindingKind, MediumId},
    intake::media::Catalogue,
    records::Dataset,
    store::document::{NewRecord, Raw},
};

/// Stands for what every entry holds where nobody wants to know.
pub(super) const NAMELESS: MediumId = MediumId::new([0; 32]);

impl<T: Taker> Reading<'_, T> {
    /// Reads small media once and hands them over together.
    pub(super) fn small_media(
        &self,
        ids: &[EntryId],
        catalogue: &Catalogue<'_>,
    ) -> Result<(), Stop> {
        let unlocked = self.archive.unlock(ids, self.keys)?;
        let mut media = Vec::with_capacity(ids.len());
        for (id, mut unlocked) in ids.iter().copied().zip(unlocked) {
            let bytes = self.in_memory(id, &mut unlocked)?;
            let medium = self.name(|hash| hash.update(&bytes));
            self.counters.medium(bytes.len() as u64);
            self.counters.bytes(bytes.len() as u64);
            self.counters.entry();
            catalogue.set(id, medium);
            media.push(CheckedMedium {
                id: medium,
                entry: self.archive.name(id).to_owned(),
                bytes,
            });
        }
        self.taker.take_media(media)
    }

    /// Names a medium by its bytes, if anybody wants to know.
    fn name(&self, bytes: impl FnOnce(&mut Sha256)) -> MediumId {
        if !self.digests() {
            return NAMELESS;
        }
        let mut hash = Sha256::new();
        bytes(&mut hash);
        MediumId::new(hash.finalize().into())
    }

    /// Reads an entry that fits into memory.
    pub(super) fn in_memory(&self, id: EntryId, unlocked: &mut Unlocked) -> Result<Vec<u8>, Stop> {
        let size = usize::try_from(self.archive.entry(id).size_bytes()).unwrap_or(0);
        let bytes = self.archive.check(id, self.keys, unlocked, |contents| {
            let mut bytes = Vec::with_capacity(size);
            contents.read_to_end(&mut bytes).map(|_| bytes)
        })?;
        Ok(bytes)
    }

    /// Reads a large medium to check it, and again to hand it over.
    pub(super) fn large_medium(&self, id: EntryId, catalogue: &Catalogue<'_>) -> Result<(), Stop> {
        let mut unlocked = self.unlock(id)?;
        let medium = self.archive.check(id, self.keys, &mut unlocked, |contents| {
            let mut hash = self.digests().then(Sha256::new);
            let mut counted = 0;
            let outcome = self.pump(contents, |part| {
                if let Some(hash) = &mut hash {
                    hash.update(part);
                }
                counted += part.len() as u64;
                Ok(())
            });
            let medium = hash.map_or(NAMELESS, |hash| MediumId::new(hash.finalize().into()));
            outcome.map(|()| (medium, counted))
        });
        self.interrupted()?;
        let (medium, bytes) = medium?;
        self.hand_over(id, &unlocked, medium, 0, bytes)?;
        self.counters.medium(bytes);
        self.counters.bytes(bytes);
        self.counters.entry();
        catalogue.set(id, medium);
        Ok(())
    }

    /// Hands over bytes `start` to `end` of an entry that was checked before.
    pub(super) fn hand_over(
        &self,
        id: EntryId,
        unlocked: &Unlocked,
        medium: MediumId,
        start: u64,
        end: u64,
    ) -> Result<(), Stop> {
        if !self.taker.wants(&medium, self.archive.name(id))? {
            return Ok(());
        }
        let mut part = part(self, id, unlocked, start, end)?;
        self.taker.take_large(medium, self.archive.name(id), &mut part)
    }

    /// Finds a key for one entry.
    pub(super) fn unlock(&self, id: EntryId) -> Result<Unlocked, Stop> {
        let mut unlocked = self.archive.unlock(&[id], self.keys)?;
        Ok(unlocked.remove(0))
    }

    /// Media that no record names are found among the files all the same.
    pub(super) fn unnamed_media(&self, catalogue: &Catalogue<'_>) -> Result<(), Stop> {
        let mut records = Vec::new();
        for (id, medium) in catalogue.unnamed() {
            self.counters.find(FindingKind::UnreferencedMedium, self.archive.name(id));
            records.push(self.file_of(id, medium, "unreferenced"));
            if records.len() == BATCH_RECORDS {
                self.taker.take_records(Dataset::File, std::mem::take(&mut records))?;
            }
        }
        self.taker.take_records(Dataset::File, records)
    }

    /// A line among the files for an entry that no record speaks of.
    pub(super) fn file_of(&self, id: EntryId, medium: MediumId, kind: &str) -> NewRecord {
        let path = self.archive.name(id);
        let fields = json!({
            "_id": format!("entry:{medium}:{path}"),
            "fileName": path.rsplit('/').next(),
            "path": path,
            "size": self.archive.entry(id).size_bytes(),
            "kind": kind,
        });
        NewRecord::new(Dataset::File, self.origin, &fields, Some(medium), Raw::Nothing)
    }
}

/// A part of an entry's contents.
pub(super) fn part<'a, T>(
    reading: &Reading<'a, T>,
    id: EntryId,
    unlocked: &'a Unlocked,
    start: u64,
    end: u64,
) -> Result<impl Read + 'a, Stop> {
    let mut contents = reading.counters.beating(reading.archive.contents(id, unlocked));
    std::io::copy(&mut contents.by_ref().take(start), &mut std::io::sink())
        .map_err(crate::archive::Error::from_io)?;
    Ok(contents.take(end - start))
}
