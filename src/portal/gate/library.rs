//! Reading records and media, for those who may. Each read is in the audit log
//! before it returns anything.

use std::collections::HashMap;

use bytes::Bytes;
use futures_util::Stream;

use super::{
    lock,
    permit::{Download, May, Permit, See},
};
use crate::{
    audit::Action,
    portal::{errors::Error, request::Request},
    store::{
        self, RecordKey,
        browse::{Detail, Page, Query, Row},
        media::Medium,
    },
};

/// A medium that may be sent.
pub(in crate::portal) struct Opened {
    /// What is known of it.
    pub(in crate::portal) medium: Medium,
    /// The record that names it.
    pub(in crate::portal) record: Detail,
    store: store::Store,
}

impl Opened {
    /// Its bytes from `start` up to but not including `end`.
    pub(in crate::portal) fn bytes(
        &self,
        start: u64,
        end: u64,
    ) -> impl Stream<Item = Result<Bytes, store::Error>> + Send + 'static {
        self.store.medium_bytes(self.medium.id, start, end)
    }
}

impl May<See> {
    /// A page of the view. `detail` says in the audit log what was looked for.
    pub(in crate::portal) async fn page(
        &self,
        request: &Request,
        query: &Query,
        detail: Option<String>,
    ) -> Result<Page, Error> {
        let subject = format!("/records/{}", self.data_type().as_str());
        self.who.write_down(request, Action::List, &subject, detail).await?;
        let query = Query { data_type: self.data_type(), ..query.clone() };
        Ok(self.who.gate.store.page(&query).await?)
    }

    /// One record in full.
    pub(in crate::portal) async fn record(
        &self,
        request: &Request,
        key: &RecordKey,
    ) -> Result<Detail, Error> {
        self.who.write_down(request, Action::View, request.path(), None).await?;
        let found = self.who.gate.store.record(self.data_type(), key).await?;
        found.ok_or(Error::NotFound)
    }

    /// How people are called, by their ids. Not more than lists of this data type show.
    pub(in crate::portal) async fn names(
        &self,
        mut eids: Vec<String>,
    ) -> Result<HashMap<String, String>, Error> {
        eids.sort_unstable();
        eids.dedup();
        if eids.is_empty() {
            return Ok(HashMap::new());
        }
        Ok(self.who.gate.store.names(&eids).await?)
    }

    /// What is known of the medium of a record that was looked at; not its bytes.
    pub(in crate::portal) async fn described(&self, row: &Row) -> Result<Option<Medium>, Error> {
        match &row.medium {
            Some(id) => Ok(self.who.gate.store.medium(id).await?),
            None => Ok(None),
        }
    }

    /// The medium of a record, to be shown or played.
    pub(in crate::portal) async fn open(
        &self,
        request: &Request,
        key: &RecordKey,
    ) -> Result<Opened, Error> {
        open(self, request, key, Action::Play).await
    }
}

impl May<Download> {
    /// The medium of a record, to be taken away.
    pub(in crate::portal) async fn take(
        &self,
        request: &Request,
        key: &RecordKey,
    ) -> Result<Opened, Error> {
        open(self, request, key, Action::Download).await
    }

    /// The record itself, to be taken away; with the medium that holds it where it
    /// is too long for a document.
    pub(in crate::portal) async fn take_record(
        &self,
        request: &Request,
        key: &RecordKey,
    ) -> Result<(Detail, Option<Opened>), Error> {
        self.who.write_down(request, Action::Download, request.path(), None).await?;
        let store = &self.who.gate.store;
        let record = store.record(self.data_type(), key).await?.ok_or(Error::NotFound)?;
        let Some(id) = record.raw_medium else {
            return Ok((record, None));
        };
        let medium = store.medium(&id).await?.ok_or(Error::NotFound)?;
        let opened = Opened { medium, record: record.clone(), store: store.clone() };
        Ok((record, Some(opened)))
    }
}

async fn open<What>(
    may: &May<What>,
    request: &Request,
    key: &RecordKey,
    action: Action,
) -> Result<Opened, Error>
where
    May<What>: Permit,
{
    let (gate, session) = (&may.who.gate, may.who.session);
    let record = gate.store.record(may.data_type(), key).await?.ok_or(Error::NotFound)?;
    let id = record.row.medium.ok_or(Error::NotFound)?;
    let medium = gate.store.medium(&id).await?.ok_or(Error::NotFound)?;
    let subject = request.path();
    let told = lock(&gate.sessions).has_opened(session, subject, gate.now());
    if !told {
        let detail = Some(format!("sha256 {id}"));
        may.who.write_down(request, action, subject, detail).await?;
        lock(&gate.sessions).note_opened(session, subject, gate.now());
    }
    Ok(Opened { medium, record, store: gate.store.clone() })
}
