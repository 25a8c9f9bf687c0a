//! What people and tests see of the data: rooms with their messages, names, ids.
//!
//! It must never change anything.

use std::collections::BTreeMap;

use futures_util::TryStreamExt;
use jiff::Timestamp;
use mongodb::bson::doc;
use retention::records::Dataset;
use serde::{Deserialize, Serialize};

use super::{Error, Live, during};

/// A room and what is said in it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Talk {
    /// Its id.
    pub(crate) room: String,
    /// What people call it.
    pub(crate) title: String,
    /// Up to when its messages were deleted; nothing where none were.
    pub(crate) deleted_until: Option<Timestamp>,
    /// The messages that are there, in their order.
    pub(crate) messages: Vec<Said>,
}

/// A room with what is noted of its deleted messages.
#[derive(Deserialize)]
struct Told {
    #[serde(rename = "_id")]
    id: String,
    title: String,
    deleted_until: Option<i64>,
}

/// A message as one sees it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Said {
    /// Its id.
    pub(crate) id: String,
    /// Which one it is in the room.
    pub(crate) seq: i64,
    /// Who said it.
    pub(crate) from: String,
    /// When.
    pub(crate) at: String,
    /// What.
    pub(crate) text: String,
}

impl Live {
    /// Every room, and what is said in it.
    pub(crate) async fn talks(&self) -> Result<Vec<Talk>, Error> {
        let reading = || during("read the rooms");
        let rooms = self.rooms.clone_with_type::<Told>();
        let rooms = rooms.find(doc! {}).sort(doc! { "title": 1, "_id": 1 });
        let rooms: Vec<Told> =
            rooms.await.map_err(reading())?.try_collect().await.map_err(reading())?;
        let mut messages: BTreeMap<String, Vec<Said>> = BTreeMap::new();
        let filter = doc! { "dataset": Dataset::Message.as_str() };
        let mut found = self.records.find(filter).await.map_err(reading())?;
        while let Some(record) = found.try_next().await.map_err(reading())? {
            let json: serde_json::Value = serde_json::from_str(&record.json)
                .map_err(|_| Error::Unreadable(record.key.clone()))?;
            let text = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
            let said = Said {
                id: record.id,
                seq: record.seq.unwrap_or(0),
                from: text("fromEID"),
                at: text("ts"),
                text: text("msgText"),
            };
            messages.entry(record.room.unwrap_or_default()).or_default().push(said);
        }
        let talks = rooms.into_iter().map(|Told { id, title, deleted_until }| {
            let deleted_until = deleted_until.and_then(|at| Timestamp::from_millisecond(at).ok());
            let mut messages = messages.remove(&id).unwrap_or_default();
            messages.sort_by_key(|message| message.seq);
            Talk { room: id, title, deleted_until, messages }
        });
        Ok(talks.collect())
    }

    /// Names of people by their ids.
    pub(crate) async fn names(&self) -> Result<BTreeMap<String, String>, Error> {
        let reading = || during("read the lists");
        let lists = [Dataset::Staff.as_str(), Dataset::Contact.as_str()];
        let found = self.records.find(doc! { "dataset": { "$in": lists } });
        let mut found = found.await.map_err(reading())?;
        let mut names = BTreeMap::new();
        while let Some(record) = found.try_next().await.map_err(reading())? {
            let json: serde_json::Value = serde_json::from_str(&record.json)
                .map_err(|_| Error::Unreadable(record.key.clone()))?;
            let text = |name: &str| json[name].as_str().unwrap_or_default();
            let full = format!("{} {}", text("firstName"), text("lastName"));
            let name = Some(text("displayName")).filter(|name| !name.is_empty());
            names.insert(text("id").to_owned(), name.unwrap_or(&full).to_owned());
        }
        Ok(names)
    }

    /// The ids of all records that are here, by their dataset.
    pub(crate) async fn ids(&self) -> Result<BTreeMap<Dataset, Vec<String>>, Error> {
        let reading = || during("read the records");
        let mut found =
            self.records.find(doc! {}).sort(doc! { "_id": 1 }).await.map_err(reading())?;
        let mut ids: BTreeMap<Dataset, Vec<String>> = BTreeMap::new();
        while let Some(record) = found.try_next().await.map_err(reading())? {
            ids.entry(record.dataset).or_default().push(record.id);
        }
        Ok(ids)
    }

    /// Where all media that are here lie in a backup.
    pub(crate) async fn media_paths(&self) -> Result<Vec<String>, Error> {
        let paths = self.media.distinct("path", doc! {}).await;
        let paths = paths.map_err(during("read the media"))?;
        Ok(paths.iter().filter_map(|path| path.as_str()).map(str::to_owned).collect())
    }
}
