//! The audit log: written before the data is sent, and only ever added to.

use bson::{DateTime, Document, doc, oid::ObjectId};
use futures_util::TryStreamExt;
use jiff::Timestamp;
use serde::Deserialize;

use super::{
    Cursor, Error, Store,
    backups::{date, from_document, to_bson},
    browse::{COUNT_LIMIT, Position, Total, pattern},
    schema,
};
use crate::audit::{Action, Event};

/// What a page of the audit log is asked for.
#[derive(Clone, Debug)]
pub struct AuditQuery {
    /// Only events of this account, named in full.
    pub account: Option<String>,
    /// Only events of this kind.
    pub action: Option<Action>,
    /// Nothing before this time.
    pub from: Option<Timestamp>,
    /// Nothing at or after this time.
    pub until: Option<Timestamp>,
    /// A text that the subject or the detail holds.
    pub text: Option<String>,
    /// Where in the log.
    pub position: Position,
    /// How many events.
    pub limit: u16,
}

/// A page of the audit log, the newest first.
#[derive(Clone, Debug, Default)]
pub struct AuditPage {
    /// Its lines.
    pub events: Vec<Event>,
    /// Where the page before it ends.
    pub previous: Option<Cursor>,
    /// Where older events begin.
    pub next: Option<Cursor>,
    /// How many events there are on all pages.
    pub total: Total,
}

impl Store {
    /// Writes an event down, acknowledged by most members.
    pub async fn audit(&self, event: &Event) -> Result<(), Error> {
        let document = doc! {
            "_id": ObjectId::new(),
            "at": date(event.at),
            "account": &event.account,
            "peer": &event.peer,
            "action": to_bson(&event.action)?,
            "subject": &event.subject,
            "detail": event.detail.clone(),
        };
        self.collection(schema::AUDIT)
            .insert_one(document)
            .await
            .map_err(Error::database("write to the audit log"))?;
        Ok(())
    }

    /// A page of the audit log.
    pub async fn audit_page(&self, query: &AuditQuery) -> Result<AuditPage, Error> {
        let failed = "read the audit log";
        let base = base(query);
        let backwards = matches!(query.position, Position::Before(_) | Position::Last);
        let mut filter = base.clone();
        if let Some(beyond) = beyond(&query.position) {
            filter.insert("$and", [beyond]);
        }
        let direction = if backwards { 1 } else { -1 };
        let collection = self.collection(schema::AUDIT);
        let found = collection
            .find(filter)
            .sort(doc! { "at": direction, "_id": direction })
            .limit(i64::from(query.limit) + 1)
            .await
            .map_err(Error::database(failed))?;
        let mut documents: Vec<Document> =
            found.try_collect().await.map_err(Error::database(failed))?;
        let count = collection
            .count_documents(base)
            .limit(COUNT_LIMIT + 1)
            .await
            .map_err(Error::database("count audit events"))?;
        let more = documents.len() > usize::from(query.limit);
        documents.truncate(query.limit.into());
        if backwards {
            documents.reverse();
        }
        let (before, after) = query.position.neighbours(more);
        Ok(AuditPage {
            previous: documents.first().filter(|_| before).and_then(place),
            next: documents.last().filter(|_| after).and_then(place),
            total: Total { count: count.min(COUNT_LIMIT), exact: count <= COUNT_LIMIT },
            events: documents.into_iter().map(read).collect::<Result<_, _>>()?,
        })
    }
}

/// What every page is filtered by.
fn base(query: &AuditQuery) -> Document {
    let mut filter = Document::new();
    if let Some(account) = &query.account {
        filter.insert("account", account);
    }
    if let Some(action) = query.action {
        filter.insert("action", action.as_str());
    }
    let mut time = Document::new();
    if let Some(from) = query.from {
        time.insert("$gte", date(from));
    }
    if let Some(until) = query.until {
        time.insert("$lt", date(until));
    }
    if !time.is_empty() {
        filter.insert("at", time);
    }
    if let Some(text) = query.text.as_deref().map(str::trim).filter(|text| !text.is_empty()) {
        let holds = pattern(text);
        filter.insert("$or", [doc! { "subject": holds.clone() }, doc! { "detail": holds }]);
    }
    filter
}

/// What lies beyond a place on the way from it.
fn beyond(position: &Position) -> Option<Document> {
    let (operator, cursor) = match position {
        Position::After(cursor) => ("$lt", cursor),
        Position::Before(cursor) => ("$gt", cursor),
        Position::First | Position::Last => return None,
    };
    let id = ObjectId::parse_str(&cursor.id).ok()?;
    let at = DateTime::from_millis(cursor.millis?);
    Some(doc! { "$or": [{ "at": { operator: at } }, { "at": at, "_id": { operator: id } }] })
}

fn place(document: &Document) -> Option<Cursor> {
    Some(Cursor {
        millis: Some(document.get_datetime("at").ok()?.timestamp_millis()),
        name: None,
        id: document.get_object_id("_id").ok()?.to_hex(),
    })
}

#[derive(Deserialize)]
struct Line {
    at: DateTime,
    account: String,
    peer: String,
    action: Action,
    subject: String,
    detail: Option<String>,
}

fn read(document: Document) -> Result<Event, Error> {
    let id = document.get_object_id("_id").map(|id| id.to_hex()).unwrap_or_default();
    let unreadable = |why: String| Error::Unreadable { what: "audit event", id: id.clone(), why };
    let line: Line = from_document(document).map_err(&unreadable)?;
    Ok(Event {
        at: Timestamp::from_millisecond(line.at.timestamp_millis())
            .map_err(|e| unreadable(e.to_string()))?,
        account: line.account,
        peer: line.peer,
        action: line.action,
        subject: line.subject,
        detail: line.detail,
    })
}
