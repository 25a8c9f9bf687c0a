//! Backups and what is on the shelves as a whole: for everybody who is signed in, for it tells of
//! backups and not of people. What names files is for administrators.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::Stream;

use super::permit::{Administrator, SignedIn};
use crate::{
    accounts::DataType,
    audit::Action,
    backup::{JobId, State, UploadId, usual::LIKE},
    portal::{errors::Error, request::Request},
    receipt::listing::{self, Place},
    store::{
        self,
        backups::Backup,
        browse::{Query, Total},
        receipts::Receipt,
    },
};

/// A receipt that may be taken away.
pub(in crate::portal) struct TakenReceipt {
    /// The receipt.
    pub(in crate::portal) receipt: Receipt,
    store: store::Store,
}

impl TakenReceipt {
    /// Its statement.
    pub(in crate::portal) fn statement(
        &self,
    ) -> impl Stream<Item = Result<Bytes, store::Error>> + Send + 'static {
        self.store.statement(&self.receipt)
    }
}

impl SignedIn {
    /// The backup of an upload, or of a job: then the one that counts of its uploads.
    pub(in crate::portal) async fn backup(
        &self,
        request: &Request,
        id: &str,
    ) -> Result<Backup, Error> {
        self.write_down(request, Action::View, request.path(), None).await?;
        self.found(id).await
    }

    pub(super) async fn found(&self, id: &str) -> Result<Backup, Error> {
        let (Ok(upload), Ok(job)) = (id.parse::<UploadId>(), id.parse::<JobId>()) else {
            return Err(Error::NotFound);
        };
        if let Some(backup) = self.gate.store.backup(&upload).await? {
            return Ok(backup);
        }
        let mut uploads = self.gate.store.backups_of_job(&job).await?;
        let stored = uploads.iter().position(|backup| backup.state == State::Stored);
        let index = stored.or(uploads.len().checked_sub(1)).ok_or(Error::NotFound)?;
        Ok(uploads.swap_remove(index))
    }

    /// The receipt of an upload or of a job, to be taken away.
    pub(in crate::portal) async fn take_receipt(
        &self,
        request: &Request,
        id: &str,
    ) -> Result<TakenReceipt, Error> {
        let (Ok(upload), Ok(job)) = (id.parse::<UploadId>(), id.parse::<JobId>()) else {
            return Err(Error::NotFound);
        };
        let store = self.gate.store.clone();
        let receipt = match store.receipt(&upload).await? {
            Some(receipt) => receipt,
            None => store.receipt_of_job(&job).await?.ok_or(Error::NotFound)?,
        };
        let detail = Some(format!("receipt {}, sha256 {}", receipt.number, receipt.id));
        self.write_down(request, Action::Download, request.path(), detail).await?;
        Ok(TakenReceipt { receipt, store })
    }

    /// Other uploads of a backup's job.
    pub(in crate::portal) async fn siblings(&self, backup: &Backup) -> Result<Vec<Backup>, Error> {
        let mut uploads = self.gate.store.backups_of_job(&backup.job).await?;
        uploads.retain(|other| other.upload != backup.upload);
        Ok(uploads)
    }

    /// How many records of each dataset a backup was the first to bring.
    pub(in crate::portal) async fn brought(
        &self,
        backup: &Backup,
    ) -> Result<BTreeMap<String, u64>, Error> {
        Ok(self.gate.store.count_brought(&backup.job).await?)
    }

    /// Those before a backup of the same service that are stored, the newest first: what is usual.
    pub(in crate::portal) async fn before(&self, backup: &Backup) -> Result<Vec<Backup>, Error> {
        let Backup { service, taken, .. } = backup;
        Ok(self.gate.store.stored_before(service, *taken, LIKE).await?)
    }

    /// How many records, or people, there are of each data type that the account may see.
    pub(in crate::portal) async fn totals(&self) -> Result<BTreeMap<DataType, Total>, Error> {
        let mut totals = self.gate.store.totals().await?;
        totals.retain(|data_type, _| self.account().access(*data_type).see);
        for (data_type, total) in &mut totals {
            // Staff and contacts come with every backup: people are counted, not records.
            if matches!(data_type, DataType::Staff | DataType::Contacts) {
                let query = Query { limit: 1, ..Query::new(*data_type) };
                *total = self.gate.store.page(&query).await?.total;
            }
        }
        Ok(totals)
    }
}

impl Administrator {
    /// A backup with a page of its entries, as its receipt names them; without one where there is no
    /// receipt. Names of files may tell of people.
    pub(in crate::portal) async fn entries(
        &self,
        request: &Request,
        id: &str,
        place: Place,
        limit: usize,
    ) -> Result<(Backup, Option<listing::Page>), Error> {
        let detail = Some("names of its files".to_owned());
        self.who.write_down(request, Action::View, request.path(), detail).await?;
        let (backup, store) = (self.who.found(id).await?, &self.who.gate.store);
        let Some(receipt) = store.receipt(&backup.upload).await? else { return Ok((backup, None)) };
        match listing::page(store, &receipt, place, limit).await {
            Ok(page) => Ok((backup, Some(page))),
            Err(listing::Error::Store(error)) => Err(error.into()),
            Err(listing::Error::Place(_)) => {
                Err(Error::Input("That is not a place in this list.".into()))
            }
        }
    }
}
