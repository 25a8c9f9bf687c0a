//! What a backup holds, and its deletion.
//!
//! A backup holds every record that is older than its limit, the lists as they are, and the media
//! that these name. Which records it held, and how each was, is noted when the archive is made;
//! what is deleted follows from that note and from nothing else. Whatever has changed since is
//! not what was backed up, and stays; so do lists and accounts, and media that something else
//! still names.
//!
//! A deletion is cut off anywhere and taken up again: records are marked first, counted once, and
//! then removed by their mark.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::TryStreamExt;
use jiff::Timestamp;
use mongodb::bson::{Bson, Document, doc};
use retention::{backup::JobId, records::Dataset};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::Sender;

use super::{Error, Live, during};
use crate::{
    archive::Piece,
    job::{self, Takes},
    record::FILES,
};

/// How many records one note has.
const NOTE: usize = 500;

/// A record that a backup held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Item {
    key: String,
    digest: String,
}

/// Some records of one dataset that a backup held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    #[serde(rename = "_id")]
    id: String,
    job: JobId,
    dataset: Dataset,
    items: Vec<Item>,
    /// The media that they name.
    names: Vec<String>,
}

/// All that a backup holds.
#[derive(Debug, Default)]
pub(crate) struct Held {
    items: BTreeMap<Dataset, Vec<(Item, Vec<String>)>>,
}

/// Records and media that are marked to be deleted. Nothing is added meanwhile.
#[derive(Debug)]
pub(crate) struct Marked<'a> {
    live: &'a Live,
    job: &'a JobId,
    takes: Takes,
    _writing: tokio::sync::MutexGuard<'a, ()>,
}

impl Marked<'_> {
    /// How much it is.
    pub(crate) fn takes(&self) -> &Takes {
        &self.takes
    }

    /// Deletes it. With `fail` it gives up when half of the records are gone.
    pub(crate) async fn remove(self, fail: bool) -> Result<(), Error> {
        self.live.remove_marked(self.job, fail).await
    }
}

impl Live {
    /// Hands over what a backup of everything older than `before` is made of.
    pub(crate) async fn choose(
        &self,
        before: Timestamp,
        to: &Sender<Piece>,
    ) -> Result<Held, Error> {
        let reading = || during("read the records of a backup");
        let send = async |piece| to.send(piece).await.map_err(|_| Error::NoTaker);
        let mut held = Held::default();
        let mut names = BTreeSet::new();
        for (dataset, file) in FILES {
            let mut filter = doc! { "dataset": dataset.as_str() };
            if !job::stays(dataset) {
                filter.insert("at", doc! { "$lt": before.as_millisecond() });
            }
            let find = self.records.find(filter).sort(doc! { "at": 1, "_id": 1 });
            let mut found = find.await.map_err(reading())?;
            let mut begun = dataset != Dataset::Other;
            if begun {
                send(Piece::Begin(file.to_owned())).await?;
            }
            let items = held.items.entry(dataset).or_default();
            while let Some(record) = found.try_next().await.map_err(reading())? {
                // Records of no known kind are rare: without any there is no file for them.
                if !std::mem::replace(&mut begun, true) {
                    send(Piece::Begin(file.to_owned())).await?;
                }
                let start = if items.is_empty() { "[\n" } else { ",\n" };
                send(Piece::Bytes(format!("{start}{}", record.json).into_bytes())).await?;
                names.extend(record.names.iter().cloned());
                items.push((Item { key: record.key, digest: record.digest }, record.names));
            }
            if begun {
                let end: &[u8] = if items.is_empty() { b"[]\n" } else { b"\n]\n" };
                send(Piece::Bytes(end.to_vec())).await?;
            }
        }
        for name in names {
            let medium = self.media.find_one(doc! { "_id": name }).await;
            let Some(medium) = medium.map_err(during("read the media of a backup"))? else {
                continue;
            };
            let path = medium.get_str("path").map(str::to_owned);
            let bytes = medium.get_binary_generic("bytes").cloned();
            let (Ok(path), Ok(bytes)) = (path, bytes) else {
                return Err(Error::Unreadable("a medium".to_owned()));
            };
            send(Piece::Begin(path)).await?;
            send(Piece::Bytes(bytes)).await?;
        }
        send(Piece::End).await?;
        Ok(held)
    }

    /// Notes what the archive of a job holds, in the place of any note from before.
    pub(crate) async fn hold(&self, job: &JobId, held: Held) -> Result<(), Error> {
        let notes = &self.notes;
        let writing = || during("note what a backup holds");
        notes.delete_many(doc! { "job": job.as_str() }).await.map_err(writing())?;
        let mut number = 0;
        for (dataset, items) in held.items {
            for some in items.chunks(NOTE) {
                let names: BTreeSet<&String> = some.iter().flat_map(|(_, names)| names).collect();
                let note = Note {
                    id: format!("{job}/{number}"),
                    job: job.clone(),
                    dataset,
                    items: some.iter().map(|(item, _)| item.clone()).collect(),
                    names: names.into_iter().cloned().collect(),
                };
                notes.insert_one(note).await.map_err(writing())?;
                number += 1;
            }
        }
        Ok(())
    }

    /// The ids of the records that a backup held, by their dataset.
    pub(crate) async fn held_ids(
        &self,
        job: &JobId,
    ) -> Result<BTreeMap<Dataset, Vec<String>>, Error> {
        let mut ids: BTreeMap<Dataset, Vec<String>> = BTreeMap::new();
        for note in self.noted(job).await? {
            let found = note.items.into_iter().map(|item| {
                let (_, id) = item.key.split_once('/').unwrap_or_default();
                id.to_owned()
            });
            ids.entry(note.dataset).or_default().extend(found);
        }
        ids.values_mut().for_each(|ids| ids.sort());
        Ok(ids)
    }

    /// Marks what a backup held and can go, and counts it. Nothing is deleted yet.
    pub(crate) async fn deletion<'a>(&'a self, job: &'a JobId) -> Result<Marked<'a>, Error> {
        let writing = self.writing.lock().await;
        let takes = self.mark(job).await?;
        Ok(Marked { live: self, job, takes, _writing: writing })
    }

    async fn mark(&self, job: &JobId) -> Result<Takes, Error> {
        let marking = || during("mark what is to be deleted");
        let mark = doc! { "$set": { "gone_with": job.as_str() } };
        let mut takes = Takes::default();
        let mut names = BTreeSet::new();
        for note in self.noted(job).await?.into_iter().filter(|note| !job::stays(note.dataset)) {
            let same = |item: &Item| doc! { "_id": &item.key, "digest": &item.digest };
            let same: Vec<Document> = note.items.iter().map(same).collect();
            let filter = doc! { "$or": same };
            self.records.update_many(filter, mark.clone()).await.map_err(marking())?;
            let keys: Vec<&str> = note.items.iter().map(|item| item.key.as_str()).collect();
            let marked = doc! { "_id": { "$in": &keys }, "gone_with": job.as_str() };
            let marked = self.records.count_documents(marked).await.map_err(marking())?;
            *takes.records.entry(note.dataset).or_default() += marked;
            let others = doc! { "_id": { "$in": keys }, "gone_with": { "$ne": job.as_str() } };
            takes.kept += self.records.count_documents(others).await.map_err(marking())?;
            names.extend(note.names);
        }
        takes.records.retain(|_, count| *count > 0);
        let names: Vec<String> = names.into_iter().collect();
        for some in names.chunks(NOTE) {
            let filter = doc! { "names": { "$in": some }, "gone_with": { "$ne": job.as_str() } };
            let named = self.records.distinct("names", filter).await.map_err(marking())?;
            let named: BTreeSet<&str> = named.iter().filter_map(Bson::as_str).collect();
            let unnamed: Vec<&String> =
                some.iter().filter(|name| !named.contains(name.as_str())).collect();
            let filter = doc! { "_id": { "$in": unnamed } };
            self.media.update_many(filter, mark.clone()).await.map_err(marking())?;
        }
        let marked = doc! { "gone_with": job.as_str() };
        takes.media = self.media.count_documents(marked).await.map_err(marking())?;
        Ok(takes)
    }

    async fn remove_marked(&self, job: &JobId, fail: bool) -> Result<(), Error> {
        let deleting = || during("delete what a backup held");
        let marked = doc! { "gone_with": job.as_str() };
        self.tell_rooms(job).await?;
        if fail {
            let count = self.records.count_documents(marked.clone()).await.map_err(deleting())?;
            let half = i64::try_from(count / 2).unwrap_or(1).max(1);
            let some = self.records.find(marked).limit(half);
            let some: Vec<_> = some
                .await
                .map_err(deleting())?
                .map_ok(|record| record.key)
                .try_collect()
                .await
                .map_err(deleting())?;
            let filter = doc! { "_id": { "$in": some }, "gone_with": job.as_str() };
            self.records.delete_many(filter).await.map_err(deleting())?;
            return Err(Error::ToldToFail);
        }
        self.records.delete_many(marked.clone()).await.map_err(deleting())?;
        self.media.delete_many(marked).await.map_err(deleting())?;
        Ok(())
    }

    /// Notes with each room up to when its messages are being deleted, so that people see why there
    /// are none.
    async fn tell_rooms(&self, job: &JobId) -> Result<(), Error> {
        let telling = || during("tell rooms what is deleted");
        let marked = doc! { "gone_with": job.as_str(), "dataset": Dataset::Message.as_str() };
        let mut found = self.records.find(marked).await.map_err(telling())?;
        let mut newest: BTreeMap<String, i64> = BTreeMap::new();
        while let Some(record) = found.try_next().await.map_err(telling())? {
            let until = newest.entry(record.room.unwrap_or_default()).or_insert(record.at);
            *until = record.at.max(*until);
        }
        for (room, until) in newest {
            let later = doc! { "$max": { "deleted_until": until } };
            let tell = self.rooms.update_one(doc! { "_id": room }, later).await;
            tell.map_err(telling())?;
        }
        Ok(())
    }

    async fn noted(&self, job: &JobId) -> Result<Vec<Note>, Error> {
        let reading = || during("read what a backup held");
        let find = self.notes.find(doc! { "job": job.as_str() }).sort(doc! { "_id": 1 });
        find.await.map_err(reading())?.try_collect().await.map_err(reading())
    }
}
