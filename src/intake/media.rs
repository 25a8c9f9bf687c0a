//! Which medium a record means, and which media no record means.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{
    archive::{Archive, Digests, EntryId},
    backup::MediumId,
    records::{Reference, rules::MEDIA_FOLDER},
};

/// The media of one archive, by path and by file id.
#[derive(Debug)]
pub struct Catalogue<'a> {
    archive: &'a Archive,
    by_path: Vec<EntryId>,
    by_stem: Vec<EntryId>,
    contents: Digests,
    /// What no record need name any more, by its place in the archive.
    named: Vec<AtomicBool>,
    aliases: RwLock<Aliases>,
}

/// File ids that are no stem: a record said by path which entry they mean.
///
/// Every record may teach one, and there may be many more records than entries. So
/// there is room for one of each entry, and for as many again, of a few bytes each.
#[derive(Debug)]
struct Aliases {
    /// By the hash of the file id. With all the room taken, a file id that nobody
    /// taught is mistaken for another once in 30 million million times.
    entries: HashMap<u64, EntryId>,
    hasher: RandomState,
    /// Which entries have one, by their place in the archive.
    known: Vec<bool>,
    /// Beyond the first of each entry no more than so many in all.
    limit: usize,
}

impl Aliases {
    /// Room for an archive of so many entries, of which so many are media.
    fn new(entries: usize, media: usize) -> Self {
        Self {
            entries: HashMap::new(),
            hasher: RandomState::new(),
            known: vec![false; entries],
            limit: media,
        }
    }

    fn learn(&mut self, file_id: &str, entry: EntryId) {
        let hash = self.hasher.hash_one(file_id);
        let first = !std::mem::replace(&mut self.known[entry.index()], true);
        if first || self.entries.len() < self.limit || self.entries.contains_key(&hash) {
            self.entries.insert(hash, entry);
        }
    }

    fn find(&self, file_id: &str) -> Option<EntryId> {
        self.entries.get(&self.hasher.hash_one(file_id)).copied()
    }
}

impl<'a> Catalogue<'a> {
    /// All entries of the media folder, before their contents are known.
    pub fn new(archive: &'a Archive) -> Self {
        let prefix = format!("{MEDIA_FOLDER}/");
        let mut by_path: Vec<EntryId> = archive
            .entries()
            .map(|(id, _)| id)
            .filter(|id| archive.name(*id).starts_with(&prefix))
            .collect();
        let mut by_stem = by_path.clone();
        by_path.sort_unstable_by_key(|id| archive.name(*id));
        by_stem.sort_by_key(|id| stem(archive.name(*id)));
        let count = archive.entries().len();
        Self {
            archive,
            aliases: RwLock::new(Aliases::new(count, by_path.len())),
            by_path,
            by_stem,
            contents: Digests::new(archive),
            named: std::iter::repeat_with(AtomicBool::default).take(count).collect(),
        }
    }

    /// Notes which medium an entry holds.
    pub fn set(&self, id: EntryId, medium: MediumId) {
        self.contents.note(id, medium);
    }

    /// Notes what an entry holds that is no medium, so that no record has to name it.
    pub fn set_records(&self, id: EntryId, contents: MediumId) {
        self.named[id.index()].store(true, Ordering::Relaxed);
        self.contents.note(id, contents);
    }

    /// What each entry holds.
    pub fn into_contents(self) -> Digests {
        self.contents
    }

    /// The medium that a record means: by path, else by file id. A record that has
    /// both teaches which entry its file id means.
    pub fn resolve(&self, reference: &Reference) -> Option<(MediumId, u64)> {
        let by_path = reference.path.as_deref().and_then(|path| self.find_path(path));
        let found = match (by_path, reference.file_id.as_deref()) {
            (Some(found), file_id) => {
                self.learn(file_id, found);
                found
            }
            (None, Some(file_id)) => {
                self.find_stem(file_id).or_else(|| self.find_alias(file_id))?
            }
            (None, None) => return None,
        };
        self.named[found.index()].store(true, Ordering::Relaxed);
        Some((self.contents.get(found)?, self.archive.entry(found).size_bytes()))
    }

    /// The media that no record has named so far.
    pub fn unnamed(&self) -> impl Iterator<Item = (EntryId, MediumId)> {
        self.archive.entries().filter_map(|(id, _)| {
            let medium = self.contents.get(id)?;
            (!self.named[id.index()].load(Ordering::Relaxed)).then_some((id, medium))
        })
    }

    fn find_path(&self, path: &str) -> Option<EntryId> {
        let path = path.replace('\\', "/");
        let path = path.trim_start_matches("./").trim_start_matches('/');
        let at = self.by_path.binary_search_by_key(&path, |id| self.archive.name(*id)).ok()?;
        Some(self.by_path[at])
    }

    /// Remembers a file id that cannot be told from the entry's name.
    fn learn(&self, file_id: Option<&str>, found: EntryId) {
        let unlike = file_id.filter(|file_id| stem(self.archive.name(found)) != *file_id);
        // Most records say what another said before.
        if let Some(file_id) = unlike.filter(|file_id| self.find_alias(file_id) != Some(found)) {
            let mut aliases = self.aliases.write().unwrap_or_else(PoisonError::into_inner);
            aliases.learn(file_id, found);
        }
    }

    fn find_alias(&self, file_id: &str) -> Option<EntryId> {
        self.aliases.read().unwrap_or_else(PoisonError::into_inner).find(file_id)
    }

    fn find_stem(&self, file_id: &str) -> Option<EntryId> {
        let at = self.by_stem.partition_point(|id| stem(self.archive.name(*id)) < file_id);
        self.by_stem.get(at).copied().filter(|id| stem(self.archive.name(*id)) == file_id)
    }
}

/// The file's name without its ending.
fn stem(path: &str) -> &str {
    let file = path.rsplit_once('/').map_or(path, |(_, file)| file);
    file.rsplit_once('.').map_or(file, |(stem, _)| if stem.is_empty() { file } else { stem })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use zip::{ZipWriter, write::SimpleFileOptions};

    use super::*;
    use crate::archive::Limits;

    const LIMITS: Limits = Limits { entries: 100, total_bytes: 1 << 20, entry_bytes: 1 << 20 };

    /// An archive of so many media that hold nothing.
    fn archive(media: usize) -> Archive {
        let mut file = tempfile::tempfile().expect("scratch");
        let mut zip = ZipWriter::new(&mut file);
        for n in 0..media {
            let name = format!("data-retention/m{n}.bin");
            zip.start_file(name, SimpleFileOptions::default()).expect("an entry");
        }
        zip.finish().expect("an archive").flush().expect("written");
        Archive::open(file, &LIMITS).expect("a good archive")
    }

    fn named(path: Option<&str>, file_id: &str) -> Reference {
        Reference {
            path: path.map(str::to_owned),
            file_id: Some(file_id.to_owned()),
            size_bytes: None,
        }
    }

    #[test]
    fn however_many_file_ids_are_taught_few_are_kept_and_one_of_each_medium() {
        let archive = archive(50);
        let catalogue = Catalogue::new(&archive);
        let ids: Vec<EntryId> = archive.entries().map(|(id, _)| id).collect();
        for (n, id) in ids.iter().enumerate() {
            catalogue.set(*id, MediumId::new([u8::try_from(n).expect("few"); 32]));
        }
        // A record for each of many messages that all send the same picture,
        for n in 0..10_000 {
            catalogue.resolve(&named(Some("data-retention/m0.bin"), &format!("sent{n}")));
        }
        // and those that are needed afterwards.
        for n in 0..50 {
            let path = format!("data-retention/m{n}.bin");
            catalogue.resolve(&named(Some(&path), &format!("file{n}")));
        }
        for n in 1..50_u8 {
            let found = catalogue.resolve(&named(None, &format!("file{n}")));
            assert_eq!(found.map(|(medium, _)| medium), Some(MediumId::new([n; 32])));
        }
        let kept = catalogue.aliases.read().expect("nobody panicked").entries.len();
        assert!(kept <= 100, "{kept} are kept");
    }

    #[test]
    fn the_stem_is_the_name_without_its_ending() {
        for (path, expected) in [
            ("a/b/f1.wav", "f1"),
            ("f1", "f1"),
            ("a.b/f1", "f1"),
            ("a/f1.tar.gz", "f1.tar"),
            ("a/.hidden", ".hidden"),
        ] {
            assert_eq!(stem(path), expected, "{path}");
        }
    }
}
