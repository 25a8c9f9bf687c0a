//! Which medium a record means, and which media no record means.

use std::{
    collections::HashMap,
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{
    archive::{Archive, EntryId},
    backup::MediumId,
    records::{Reference, rules::MEDIA_FOLDER},
};

/// The media of one archive, by path and by file id.
#[derive(Debug)]
pub struct Catalogue<'a> {
    archive: &'a Archive,
    by_path: Vec<EntryId>,
    by_stem: Vec<EntryId>,
    contents: Vec<Option<MediumId>>,
    named: Vec<AtomicBool>,
    /// File ids that are no stem: a record said by path which entry they mean.
    aliases: RwLock<HashMap<String, EntryId>>,
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
            by_path,
            by_stem,
            contents: vec![None; count],
            aliases: RwLock::default(),
            named: std::iter::repeat_with(AtomicBool::default).take(count).collect(),
        }
    }

    /// Notes what an entry's contents are.
    pub fn set(&mut self, id: EntryId, medium: MediumId) {
        self.contents[id.index()] = Some(medium);
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
        Some((self.contents[found.index()]?, self.archive.entry(found).size_bytes()))
    }

    /// The media that no record has named so far.
    pub fn unnamed(&self) -> impl Iterator<Item = (EntryId, MediumId)> {
        self.archive.entries().filter_map(|(id, _)| {
            let medium = self.contents[id.index()]?;
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
        if let Some(file_id) = unlike {
            let mut aliases = self.aliases.write().unwrap_or_else(PoisonError::into_inner);
            aliases.insert(file_id.to_owned(), found);
        }
    }

    fn find_alias(&self, file_id: &str) -> Option<EntryId> {
        self.aliases.read().unwrap_or_else(PoisonError::into_inner).get(file_id).copied()
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
    use super::stem;

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
