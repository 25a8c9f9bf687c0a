//! What the database is asked for: filters, sort orders and places in a list.

use bson::{Bson, DateTime, Document, Regex, cstr, doc};

use super::{Order, Position, Query, bound};
use crate::{
    accounts::DataType,
    records::{Dataset, view},
    store::Cursor,
};

/// The view fields in which a text is looked for.
fn searched(data_type: DataType) -> Vec<&'static str> {
    let datasets: Vec<Dataset> =
        Dataset::ALL.into_iter().filter(|dataset| DataType::of(*dataset) == data_type).collect();
    let mut names: Vec<&str> = datasets
        .iter()
        .flat_map(|dataset| view::fields(*dataset))
        .filter(|field| matches!(field.kind, view::Kind::Text | view::Kind::Joined))
        .map(|field| field.name)
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The view fields that name a person by id.
fn person_fields(data_type: DataType) -> impl Iterator<Item = &'static str> {
    searched(data_type).into_iter().filter(|name| name.ends_with("_eid"))
}

/// A text as a pattern that is found wherever it stands, without regard to case.
pub(in crate::store) fn pattern(text: &str) -> Bson {
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in text.chars().filter(|c| *c != '\0') {
        if c.is_ascii_punctuation() {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    let pattern = bson::raw::CString::try_from(escaped).expect("NULs were left out");
    Bson::RegularExpression(Regex { pattern, options: cstr!("i").to_owned() })
}

/// What every page of the list is filtered by. `people` are the ids of persons
/// whose name holds the text that is looked for.
pub(super) fn base(query: &Query, hidden: &[String], people: &[String]) -> Document {
    let mut filter = Document::new();
    let mut time = Document::new();
    if let Some(from) = query.from {
        time.insert("$gte", bound(from));
    }
    if let Some(until) = query.until {
        time.insert("$lt", bound(until));
    }
    if query.undated {
        filter.insert("at", Bson::Null);
    } else if !time.is_empty() {
        filter.insert("at", time);
    }
    let mut backup = Document::new();
    if let Some(job) = &query.backup {
        backup.insert("$eq", job.as_str());
    }
    if !hidden.is_empty() {
        backup.insert("$nin", hidden);
    }
    if !backup.is_empty() {
        filter.insert("backup", backup);
    }
    if let Some((name, value)) = &query.equal {
        filter.insert(*name, value);
    }
    if let Some(text) = query.text.as_deref().map(str::trim).filter(|text| !text.is_empty()) {
        filter.insert("$or", text_filter(query.data_type, text, people));
    }
    filter
}

/// The filter of a list with a range of times, for what the range leaves out only
/// because it has no time.
pub(super) fn without_time(query: &Query, base: &Document) -> Option<Document> {
    let ranged = !query.undated && (query.from.is_some() || query.until.is_some());
    ranged.then(|| {
        let mut filter = base.clone();
        filter.insert("at", Bson::Null);
        filter
    })
}

/// Any field that holds the text, or names one of the people.
pub(super) fn text_filter(data_type: DataType, text: &str, people: &[String]) -> Vec<Document> {
    let mut any: Vec<Document> =
        searched(data_type).into_iter().map(|name| doc! { name: pattern(text) }).collect();
    any.push(doc! { "id": text });
    if !people.is_empty() {
        any.extend(person_fields(data_type).map(|name| doc! { name: { "$in": people } }));
    }
    any
}

/// Which way a list sorted by time is walked.
pub(super) struct Step {
    descending: bool,
}

impl Step {
    pub(super) fn new(query: &Query) -> Self {
        let backwards = matches!(query.position, Position::Before(_) | Position::Last);
        Self { descending: (query.order == Order::NewestFirst) != backwards }
    }

    pub(super) fn sort(&self) -> Document {
        let direction = if self.descending { -1 } else { 1 };
        doc! { "at": direction, "_id": direction }
    }

    /// What lies beyond the cursor on the way. Records without a time count as the oldest.
    pub(super) fn beyond(&self, query: &Query) -> Option<Document> {
        let (Position::After(cursor) | Position::Before(cursor)) = &query.position else {
            return None;
        };
        let operator = if self.descending { "$lt" } else { "$gt" };
        let at = cursor
            .millis
            .map_or(Bson::Null, |millis| Bson::DateTime(DateTime::from_millis(millis)));
        let mut any = vec![doc! { "at": at.clone(), "_id": { operator: &cursor.id } }];
        match (cursor.millis, self.descending) {
            (Some(_), true) => {
                any.extend([doc! { "at": { "$lt": at } }, doc! { "at": Bson::Null }]);
            }
            (Some(_), false) => any.push(doc! { "at": { "$gt": at } }),
            (None, true) => {}
            (None, false) => any.push(doc! { "at": { "$ne": Bson::Null } }),
        }
        Some(doc! { "$or": any })
    }
}

/// The place of a document in a list.
pub(super) fn place(document: &Document) -> Option<Cursor> {
    Some(Cursor {
        millis: document.get_datetime("at").ok().map(|time| time.timestamp_millis()),
        name: document.get_str("sort_name").ok().map(str::to_owned),
        id: document.get_str("_id").ok()?.to_owned(),
    })
}
