//! Finding records: pages of a view, one record in full, names of people.
//!
//! What belongs to a backup that is not stored is never found. Which backups
//! those are is asked before and after a page is read; a page during which one
//! began is read again.

use std::collections::{BTreeMap, HashMap};

use bson::{Bson, DateTime, Document, doc};
use futures_util::TryStreamExt;
use jiff::Timestamp;

use super::{Cursor, Error, RecordKey, Store, backups::date, schema};
use crate::{
    accounts::DataType,
    backup::{JobId, MediumId},
    records::{Dataset, view},
};

mod filter;
mod people;

pub(super) use filter::pattern;

/// The most rows that are counted; more are said to be more.
pub const COUNT_LIMIT: u64 = 10_000;

/// Where in a list a page is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Position {
    /// At its beginning.
    #[default]
    First,
    /// After this row.
    After(Cursor),
    /// Before this row.
    Before(Cursor),
    /// At its end.
    Last,
}

impl Position {
    /// Whether there is a page before and one after a page at this place, if there
    /// is `more` on the way that it was read.
    pub fn neighbours(&self, more: bool) -> (bool, bool) {
        match self {
            Self::First => (false, more),
            Self::After(_) => (true, more),
            Self::Before(_) => (more, true),
            Self::Last => (more, false),
        }
    }
}

/// Which end of time comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The newest first.
    #[default]
    NewestFirst,
    /// The oldest first.
    OldestFirst,
}

/// What a page is asked for.
#[derive(Clone, Debug)]
pub struct Query {
    /// Which view.
    pub data_type: DataType,
    /// Nothing before this time.
    pub from: Option<Timestamp>,
    /// Nothing at or after this time.
    pub until: Option<Timestamp>,
    /// Only records without a time, which lie in no range of times.
    pub undated: bool,
    /// A text that one of the view's fields holds, or the name of a person in it.
    pub text: Option<String>,
    /// Staff and contacts as they were then; as they are now where it is missing.
    pub as_of: Option<Timestamp>,
    /// Only what this backup brought first.
    pub backup: Option<JobId>,
    /// Only rows whose view field has exactly this value.
    pub equal: Option<(&'static str, String)>,
    /// Where in the list.
    pub position: Position,
    /// How many rows.
    pub limit: u16,
    /// In which order.
    pub order: Order,
}

impl Query {
    /// The first page of a view.
    pub fn new(data_type: DataType) -> Self {
        Self {
            data_type,
            from: None,
            until: None,
            undated: false,
            text: None,
            as_of: None,
            backup: None,
            equal: None,
            position: Position::First,
            limit: 50,
            order: Order::NewestFirst,
        }
    }
}

/// How many rows a list has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total {
    /// So many.
    pub count: u64,
    /// Or more, if this is false.
    pub exact: bool,
}

/// A page of a view.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Its rows.
    pub rows: Vec<Row>,
    /// Where the page before it ends.
    pub previous: Option<Cursor>,
    /// Where the page after it begins.
    pub next: Option<Cursor>,
    /// How many rows there are on all pages.
    pub total: Total,
    /// How many records a range of times leaves out because they have no time.
    pub undated: Total,
}

/// A record in a list.
#[derive(Clone, Debug)]
pub struct Row {
    /// Which document it is.
    pub key: RecordKey,
    /// Its dataset.
    pub dataset: Dataset,
    /// Its id.
    pub id: String,
    /// Which version of that id.
    pub version: i32,
    /// When what it tells of took place.
    pub at: Option<Timestamp>,
    /// The backup that first brought it.
    pub backup: JobId,
    /// The medium it names.
    pub medium: Option<MediumId>,
    /// Its view fields by name.
    pub fields: BTreeMap<String, view::Value>,
}

/// One version of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Which document it is.
    pub key: RecordKey,
    /// Its number.
    pub version: i32,
    /// The backup that first brought it.
    pub backup: JobId,
    /// When that backup was made.
    pub taken: Timestamp,
}

/// A record in full.
#[derive(Clone, Debug)]
pub struct Detail {
    /// What lists show of it.
    pub row: Row,
    /// The record as delivered: JSON, Extended where BSON has more types.
    pub raw: String,
    /// The medium that holds the record, where it is too long for a document.
    pub raw_medium: Option<MediumId>,
    /// All its versions, the newest first.
    pub versions: Vec<Version>,
}

impl Store {
    /// A page of a view.
    pub async fn page(&self, query: &Query) -> Result<Page, Error> {
        let mut hidden = self.hidden_jobs().await?;
        loop {
            let page = match query.data_type {
                DataType::Staff | DataType::Contacts => self.people_page(query, &hidden).await?,
                _ => self.events_page(query, &hidden).await?,
            };
            let now = self.hidden_jobs().await?;
            if now.iter().all(|job| hidden.contains(job)) {
                return Ok(page);
            }
            hidden = now;
        }
    }

    async fn events_page(&self, query: &Query, hidden: &[String]) -> Result<Page, Error> {
        let failed = "read a page of records";
        let people = self.people_named(query).await?;
        let base = filter::base(query, hidden, &people);
        let step = filter::Step::new(query);
        let mut filter = base.clone();
        if let Some(beyond) = step.beyond(query) {
            filter.insert("$and", [beyond]);
        }
        let collection = self.collection(schema::table(query.data_type));
        let found = collection
            .find(filter)
            .sort(step.sort())
            .limit(i64::from(query.limit) + 1)
            .projection(doc! { "raw": 0 })
            .await
            .map_err(Error::database(failed))?;
        let documents: Vec<Document> =
            found.try_collect().await.map_err(Error::database(failed))?;
        let undated = match filter::without_time(query, &base) {
            Some(filter) => self.total(query.data_type, filter).await?,
            None => Total { count: 0, exact: true },
        };
        let total = self.total(query.data_type, base).await?;
        Ok(Page { undated, ..page(query, documents, total)? })
    }

    async fn total(&self, data_type: DataType, filter: Document) -> Result<Total, Error> {
        let count = self
            .collection(schema::table(data_type))
            .count_documents(filter)
            .limit(COUNT_LIMIT + 1)
            .await
            .map_err(Error::database("count records"))?;
        Ok(Total { count: count.min(COUNT_LIMIT), exact: count <= COUNT_LIMIT })
    }

    /// How many records each view has that can be seen.
    pub async fn totals(&self) -> Result<BTreeMap<DataType, Total>, Error> {
        let hidden = self.hidden_jobs().await?;
        let mut totals = BTreeMap::new();
        for data_type in DataType::ALL {
            let mut visible = Document::new();
            if !hidden.is_empty() {
                visible.insert("backup", doc! { "$nin": &hidden });
            }
            totals.insert(data_type, self.total(data_type, visible).await?);
        }
        Ok(totals)
    }

    /// One record in full, with its versions.
    pub async fn record(
        &self,
        data_type: DataType,
        key: &RecordKey,
    ) -> Result<Option<Detail>, Error> {
        let failed = "read a record";
        let hidden = self.hidden_jobs().await?;
        let collection = self.collection(schema::table(data_type));
        let found = collection
            .find_one(doc! { "_id": &key.0, "backup": { "$nin": &hidden } })
            .await
            .map_err(Error::database(failed))?;
        let Some(document) = found else {
            return Ok(None);
        };
        let row = row(&document)?;
        let prefix = format!("{}#", row.id);
        let beyond = format!("{}$", row.id);
        let versions = collection
            .find(doc! { "_id": { "$gt": prefix, "$lt": beyond }, "id": &row.id, "dataset": row.dataset.as_str(), "backup": { "$nin": &hidden } })
            .projection(doc! { "version": 1, "backup": 1, "taken": 1 })
            .await
            .map_err(Error::database(failed))?;
        let versions: Vec<Document> =
            versions.try_collect().await.map_err(Error::database(failed))?;
        let mut versions: Vec<Version> = versions.iter().filter_map(version).collect();
        versions.sort_by_key(|version| std::cmp::Reverse((version.taken, version.version)));
        let raw_medium = document.get_str("raw_medium").ok().and_then(|id| id.parse().ok());
        let raw = match document.get("raw") {
            Some(Bson::String(text)) => text.clone(),
            Some(raw) => {
                let json = raw.clone().into_relaxed_extjson();
                serde_json::to_string_pretty(&json).unwrap_or_else(|_| json.to_string())
            }
            None => String::new(),
        };
        Ok(Some(Detail { row, raw, raw_medium, versions }))
    }

    /// Names of members of staff and contacts by their ids.
    pub async fn names(&self, eids: &[String]) -> Result<HashMap<String, String>, Error> {
        let mut names = HashMap::new();
        let failed = "look for names";
        let hidden = self.hidden_jobs().await?;
        for (collection, first) in [("contacts", "name"), ("staff", "name")] {
            let found = self
                .collection(collection)
                .find(doc! { "eid": { "$in": eids }, "backup": { "$nin": &hidden } })
                .projection(doc! { "eid": 1, "name": 1, "full_name": 1, "taken": 1 })
                .sort(doc! { "eid": 1, "taken": 1, "version": 1 })
                .await
                .map_err(Error::database(failed))?;
            let people: Vec<Document> =
                found.try_collect().await.map_err(Error::database(failed))?;
            for person in &people {
                let name = person.get_str(first).or_else(|_| person.get_str("full_name"));
                if let (Ok(eid), Ok(name)) = (person.get_str("eid"), name) {
                    names.insert(eid.to_owned(), name.to_owned());
                }
            }
        }
        Ok(names)
    }
}

fn version(document: &Document) -> Option<Version> {
    Some(Version {
        key: document.get_str("_id").ok()?.parse().ok()?,
        version: document.get_i32("version").ok()?,
        backup: document.get_str("backup").ok()?.parse().ok()?,
        taken: Timestamp::from_millisecond(document.get_datetime("taken").ok()?.timestamp_millis())
            .ok()?,
    })
}

/// Makes a page of up to one document more than it may have.
fn page(query: &Query, mut documents: Vec<Document>, total: Total) -> Result<Page, Error> {
    let more = documents.len() > usize::from(query.limit);
    documents.truncate(query.limit.into());
    if matches!(query.position, Position::Before(_) | Position::Last) {
        documents.reverse();
    }
    let (before, after) = query.position.neighbours(more);
    Ok(Page {
        previous: documents.first().filter(|_| before).and_then(filter::place),
        next: documents.last().filter(|_| after).and_then(filter::place),
        rows: documents.iter().map(row).collect::<Result<_, _>>()?,
        total,
        undated: Total { count: 0, exact: true },
    })
}

fn row(document: &Document) -> Result<Row, Error> {
    let read = || {
        let dataset: Dataset = document.get_str("dataset").ok()?.parse().ok()?;
        let at = document.get_datetime("at").ok();
        Some(Row {
            key: document.get_str("_id").ok()?.parse().ok()?,
            dataset,
            id: document.get_str("id").ok()?.to_owned(),
            version: document.get_i32("version").ok()?,
            at: at.and_then(|at| Timestamp::from_millisecond(at.timestamp_millis()).ok()),
            backup: document.get_str("backup").ok()?.parse().ok()?,
            medium: document.get_str("medium").ok().and_then(|id| id.parse().ok()),
            fields: view::fields(dataset)
                .iter()
                .filter_map(|field| {
                    Some((field.name.to_owned(), value(document.get(field.name)?)?))
                })
                .collect(),
        })
    };
    read().ok_or_else(|| Error::Unreadable {
        what: "record",
        id: document.get_str("_id").unwrap_or_default().to_owned(),
        why: "a field that every record has is missing".to_owned(),
    })
}

fn value(bson: &Bson) -> Option<view::Value> {
    match bson {
        Bson::String(text) => Some(view::Value::Text(text.clone())),
        Bson::Int32(number) => Some(view::Value::Number((*number).into())),
        Bson::Int64(number) => Some(view::Value::Number(*number)),
        Bson::Boolean(flag) => Some(view::Value::Flag(*flag)),
        Bson::DateTime(time) => Some(view::Value::Time(time.timestamp_millis())),
        _ => None,
    }
}

/// A bound of a range of times.
fn bound(time: Timestamp) -> DateTime {
    date(time)
}
