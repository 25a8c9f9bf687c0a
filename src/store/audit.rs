//! The audit log: written before the data is sent, and only ever added to.

use bson::{DateTime, Document, doc, oid::ObjectId};
use futures_util::TryStreamExt;
use jiff::Timestamp;
use serde::Deserialize;

use super::{
    Cursor, Error, Store,
    backups::{date, from_document, to_bson},
    schema,
};
use crate::audit::{Action, Event};

/// A page of the audit log, the newest first.
#[derive(Clone, Debug, Default)]
pub struct AuditPage {
    /// Its lines.
    pub events: Vec<Event>,
    /// Where older events begin.
    pub next: Option<Cursor>,
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

    /// Events older than `before`, the newest first; of one account if it is named.
    pub async fn audit_page(
        &self,
        account: Option<&str>,
        before: Option<&Cursor>,
        limit: u16,
    ) -> Result<AuditPage, Error> {
        let failed = "read the audit log";
        let mut filter = Document::new();
        if let Some(account) = account {
            filter.insert("account", account);
        }
        if let Some((cursor, id)) =
            before.and_then(|cursor| Some((cursor, ObjectId::parse_str(&cursor.id).ok()?)))
        {
            let at = DateTime::from_millis(cursor.millis.unwrap_or(i64::MAX));
            filter.insert(
                "$or",
                [doc! { "at": { "$lt": at } }, doc! { "at": at, "_id": { "$lt": id } }],
            );
        }
        let found = self
            .collection(schema::AUDIT)
            .find(filter)
            .sort(doc! { "at": -1, "_id": -1 })
            .limit(i64::from(limit) + 1)
            .await
            .map_err(Error::database(failed))?;
        let mut documents: Vec<Document> =
            found.try_collect().await.map_err(Error::database(failed))?;
        let more = documents.len() > usize::from(limit);
        documents.truncate(limit.into());
        let place = |document: &Document| {
            Some(Cursor {
                millis: Some(document.get_datetime("at").ok()?.timestamp_millis()),
                name: None,
                id: document.get_object_id("_id").ok()?.to_hex(),
            })
        };
        let next = documents.last().filter(|_| more).and_then(place);
        let events = documents.into_iter().map(read).collect::<Result<_, _>>()?;
        Ok(AuditPage { events, next })
    }
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
