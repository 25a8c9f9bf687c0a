//! Record files: checked as a whole, then handed over record by record.

use std::io::{Cursor, Read};

use sha2::{Digest, Sha256};

use super::{
    BATCH_RECORDS, IN_MEMORY_BYTES, Reading, Stop, Taker,
    media::{NAMELESS, part},
};
use crate::{
    archive::{self, EntryId, Unlocked},
    backup::{FindingKind, MediumId},
    intake::media::Catalogue,
    records::{Dataset, Fields, Layout, Piece, Reference, Splitter, Survey, view},
    store::{
        document::{NewRecord, Raw},
        transcode::{self, RECORD_LIMIT_BYTES, transcode},
    },
};

/// Records are handed over with so many bytes at a time at most.
const BATCH_BYTES: usize = 1024 * 1024;

/// After so many pieces that are no JSON, the rest of a file is not looked at.
const BAD_PIECES: u32 = 1000;

/// What a look at a record file told.
struct Surveyed {
    layout: Layout,
    begins_like_json: bool,
    bytes: u64,
    held: Option<Vec<u8>>,
    digest: Option<MediumId>,
}

/// Records of one file on their way.
struct Batches<'a, T: Taker> {
    taker: &'a T,
    waiting: Vec<(Dataset, Vec<NewRecord>, usize)>,
}

impl<T: Taker> Batches<'_, T> {
    fn add(&mut self, dataset: Dataset, record: NewRecord) -> Result<(), Stop> {
        let at =
            self.waiting.iter().position(|(known, ..)| *known == dataset).unwrap_or_else(|| {
                self.waiting.push((dataset, Vec::new(), 0));
                self.waiting.len() - 1
            });
        let (_, records, bytes) = &mut self.waiting[at];
        *bytes += record.size_bytes();
        records.push(record);
        if records.len() >= BATCH_RECORDS || *bytes >= BATCH_BYTES {
            *bytes = 0;
            self.taker.take_records(dataset, std::mem::take(records))?;
        }
        Ok(())
    }

    fn finish(self) -> Result<(), Stop> {
        for (dataset, records, _) in self.waiting {
            if !records.is_empty() {
                self.taker.take_records(dataset, records)?;
            }
        }
        Ok(())
    }
}

impl<T: Taker> Reading<'_, T> {
    /// Reads a record file. `hint` is the dataset that its place suggests.
    pub(super) fn record_file(
        &self,
        id: EntryId,
        hint: Option<Dataset>,
        catalogue: &Catalogue<'_>,
    ) -> Result<(), Stop> {
        let mut unlocked = self.unlock(id)?;
        let surveyed = self.survey(id, &mut unlocked)?;
        if let Some(digest) = surveyed.digest {
            catalogue.set_records(id, digest);
        }
        let bad = if surveyed.begins_like_json {
            self.hand_over_records(id, hint, catalogue, &unlocked, &surveyed)?
        } else {
            surveyed.bytes > 0
        };
        if bad {
            self.counters.find(FindingKind::NotJson, self.archive.name(id));
            self.counters.medium(surveyed.bytes);
        }
        if bad || surveyed.layout == (Layout::Wrapper { others: true }) {
            let whole = self.part_as_medium(id, &unlocked, 0, surveyed.bytes)?;
            let kind = if bad { "not JSON" } else { "record file" };
            let line = self.file_of(id, whole, kind);
            self.taker.take_records(Dataset::File, vec![line])?;
        }
        self.counters.entry();
        Ok(())
    }

    /// Checks the whole entry and looks how it is laid out.
    fn survey(&self, id: EntryId, unlocked: &mut Unlocked) -> Result<Surveyed, Stop> {
        let in_memory = self.archive.entry(id).size_bytes() <= IN_MEMORY_BYTES;
        let surveyed = self.archive.check(id, self.keys, unlocked, |contents| {
            let mut survey = Survey::default();
            let (mut bytes, mut first) = (0, None);
            let mut held = in_memory.then(Vec::new);
            let mut hash = self.digest.then(Sha256::new);
            self.pump(contents, |part| {
                survey.feed(part);
                if let Some(hash) = &mut hash {
                    hash.update(part);
                }
                bytes += part.len() as u64;
                first = first.or_else(|| {
                    part.iter()
                        .copied()
                        .find(|byte| !byte.is_ascii_whitespace() && !b"\xef\xbb\xbf".contains(byte))
                });
                if let Some(held) = &mut held {
                    held.extend_from_slice(part);
                }
                Ok(())
            })?;
            Ok(Surveyed {
                layout: survey.layout(),
                begins_like_json: matches!(first, Some(b'{' | b'[')),
                bytes,
                held,
                digest: hash.map(|hash| MediumId::new(hash.finalize().into())),
            })
        });
        self.interrupted()?;
        Ok(surveyed?)
    }

    /// Hands over the records of a file; returns whether a part of it is not JSON.
    fn hand_over_records(
        &self,
        id: EntryId,
        hint: Option<Dataset>,
        catalogue: &Catalogue<'_>,
        unlocked: &Unlocked,
        surveyed: &Surveyed,
    ) -> Result<bool, Stop> {
        let reader: Box<dyn Read + '_> = match &surveyed.held {
            Some(bytes) => Box::new(Cursor::new(bytes)),
            None => Box::new(self.counters.beating(self.archive.contents(id, unlocked))),
        };
        let mut splitter = Splitter::new(reader, surveyed.layout, RECORD_LIMIT_BYTES);
        let mut batches = Batches { taker: self.taker, waiting: Vec::new() };
        let mut bson = Vec::new();
        let (mut bad, mut counted, mut unknown) = (0, 0, false);
        loop {
            self.interrupted()?;
            let Some(piece) = splitter.next_piece().map_err(archive::Error::from_io)? else {
                break;
            };
            let at = Place { id, hint, catalogue };
            let taken = match piece {
                Piece::Broken { .. } => None,
                Piece::TooLong { start, end } => Some(self.long_record(&at, unlocked, start, end)?),
                Piece::Record { text, offset, member } => {
                    let member = member.and_then(|member| self.rules.named(member));
                    let done = offset + text.len() as u64;
                    self.counters.bytes(done - counted);
                    counted = done;
                    self.record(&Place { hint: member.or(hint), ..at }, text, &mut bson)
                }
            };
            let Some((dataset, record)) = taken else {
                bad += 1;
                if bad >= BAD_PIECES { break } else { continue }
            };
            self.counters.records(dataset, 1);
            if dataset == Dataset::Other && !std::mem::replace(&mut unknown, true) {
                self.counters.find(FindingKind::UnknownDataset, self.archive.name(id));
            }
            if let Some(record) = record {
                batches.add(dataset, record)?;
            }
        }
        self.counters.bytes(surveyed.bytes.saturating_sub(counted));
        batches.finish()?;
        Ok(bad > 0)
    }

    /// Tells what one record is, and makes a document of it if it is kept; none if it is not JSON.
    fn record(
        &self,
        at: &Place<'_>,
        text: &[u8],
        bson: &mut Vec<u8>,
    ) -> Option<(Dataset, Option<NewRecord>)> {
        let why = match transcode(text, bson) {
            Ok(fields) => {
                let dataset = self.dataset(at, &fields);
                return Some((dataset, self.document(at, dataset, &fields, Raw::Bson(&fields))));
            }
            Err(transcode::Error::NotJson(_)) => return None,
            Err(transcode::Error::Unfit(why)) => why,
        };
        let text = std::str::from_utf8(text).ok()?;
        // Too deep for a tree, too: then its place alone tells what it is.
        let fields = serde_json::from_str(text).unwrap_or(serde_json::Value::Null);
        let dataset = self.dataset(at, &fields);
        let record = self.document(at, dataset, &fields, Raw::Text(text));
        let id = view::id(dataset, &fields).unwrap_or_default();
        let entry = self.archive.name(at.id);
        self.counters.find(FindingKind::KeptAsText, format_args!("{entry}: {dataset} {id}: {why}"));
        Some((dataset, record))
    }

    /// A record that is too long even as a text: its text becomes a medium.
    fn long_record(
        &self,
        at: &Place<'_>,
        unlocked: &Unlocked,
        start: u64,
        end: u64,
    ) -> Result<(Dataset, Option<NewRecord>), Stop> {
        let medium = self.part_as_medium(at.id, unlocked, start, end)?;
        let entry = self.archive.name(at.id);
        self.counters
            .find(FindingKind::KeptAsText, format_args!("{entry}: {} bytes long", end - start));
        let dataset = at.hint.unwrap_or(Dataset::Other);
        let nothing = serde_json::Value::Null;
        let raw = Raw::Medium(medium);
        Ok((dataset, T::KEEPS.then(|| NewRecord::new(dataset, self.origin, &nothing, None, raw))))
    }

    /// Keeps bytes `start` to `end` of an entry as a medium, which few entries need: so they
    /// are read once more to name it.
    fn part_as_medium(
        &self,
        id: EntryId,
        unlocked: &Unlocked,
        start: u64,
        end: u64,
    ) -> Result<MediumId, Stop> {
        if !T::KEEPS {
            return Ok(NAMELESS);
        }
        let mut hash = Sha256::new();
        let mut bytes = part(self, id, unlocked, start, end)?;
        self.pump(&mut bytes, |piece| {
            hash.update(piece);
            Ok(())
        })
        .map_err(archive::Error::from_io)?;
        self.interrupted()?;
        let medium = MediumId::new(hash.finalize().into());
        self.hand_over(id, unlocked, medium, start, end)?;
        Ok(medium)
    }

    /// First match wins: the record's `type`, then its place.
    fn dataset(&self, at: &Place<'_>, fields: &impl Fields) -> Dataset {
        let by_type = fields.get("type").and_then(|kind| match kind {
            crate::records::Scalar::Text(name) => self.rules.named(&name),
            _ => None,
        });
        by_type.or(at.hint).unwrap_or(Dataset::Other)
    }

    fn document(
        &self,
        at: &Place<'_>,
        dataset: Dataset,
        fields: &impl Fields,
        raw: Raw<'_>,
    ) -> Option<NewRecord> {
        let mut medium = None;
        if let Some(reference) = Reference::of(dataset, fields) {
            let example = || {
                let id = view::id(dataset, fields).unwrap_or_default();
                let named =
                    reference.path.as_deref().or(reference.file_id.as_deref()).unwrap_or_default();
                format!("{dataset} {id}: {named}")
            };
            match at.catalogue.resolve(&reference) {
                Some((found, bytes)) => {
                    medium = Some(found);
                    if reference.size_bytes.is_some_and(|said| said != bytes) {
                        self.counters.find(FindingKind::SizeDiffers, example());
                    }
                }
                None => self.counters.find(FindingKind::MissingMedium, example()),
            }
        }
        T::KEEPS.then(|| NewRecord::new(dataset, self.origin, fields, medium, raw))
    }
}

/// Where a record was found.
struct Place<'a> {
    id: EntryId,
    hint: Option<Dataset>,
    catalogue: &'a Catalogue<'a>,
}
