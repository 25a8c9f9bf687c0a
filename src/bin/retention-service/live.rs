//! All of MongoDB: the data of the service account, and its Backup Log.
//!
//! | collection | `_id` | what it is |
//! |---|---|---|
//! | `records` | `DATASET/ID` | a record, its JSON as it stands in a backup; `gone_with` once it is being deleted |
//! | `media` | file id | bytes, and where they lie in a backup |
//! | `rooms` | room id | the title; rooms stay when their messages go, with `deleted_until` |
//! | `business` | `business` | how many days the invented business has had |
//! | `backups` | job id | the Backup Log ([`log`]) |
//! | `held` | `JOB/N` | which records a backup held, and how they were ([`held`]) |
//!
//! Only this module knows the driver. Every write is acknowledged by most members and can be done
//! again. It must never delete what no backup held.

pub(crate) mod held;
pub(crate) mod log;
mod seen;

use std::collections::{BTreeMap, HashSet};

use futures_util::TryStreamExt;
use jiff::{Span, civil::Date};
use mongodb::{
    Client, Collection, Database, IndexModel,
    bson::{Binary, Document, doc, spec::BinarySubtype},
    options::{Acknowledgment, ClientOptions, WriteConcern},
};
use retention::config::Secret;
use serde::{Deserialize, Serialize};

use crate::{
    company::{Company, Counters, Day},
    job,
    record::{Medium, Record, Room},
};

/// What went wrong with the database.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The address cannot be used.
    #[error("the address of MongoDB cannot be used")]
    Address(#[source] mongodb::error::Error),
    /// A command line can be read by everybody on the machine.
    #[error("the address of MongoDB has a password in it: use --mongodb-password-file")]
    Password,
    /// It did not answer, or answered with an error.
    #[error("cannot {operation}")]
    Database {
        /// What was to be done.
        operation: &'static str,
        /// Why it failed.
        source: mongodb::error::Error,
    },
    /// Something in it is not what this version writes.
    #[error("{0} in the database cannot be understood")]
    Unreadable(String),
    /// The archive is not made any more, for a reason that its maker tells.
    #[error("nobody takes what the archive is made of")]
    NoTaker,
    /// A misdeed.
    #[error("the deletion was told to fail")]
    ToldToFail,
}

/// Says what was being done.
fn during(operation: &'static str) -> impl FnOnce(mongodb::error::Error) -> Error {
    move |source| Error::Database { operation, source }
}

/// How far the invented business is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Business {
    #[serde(rename = "_id")]
    id: String,
    /// Its first day.
    first: Date,
    /// How many days it has had.
    days: u32,
    /// How many messages and calls each room has had.
    counters: Counters,
}

/// The database.
#[derive(Debug)]
pub(crate) struct Live {
    database: Database,
    records: Collection<Record>,
    media: Collection<Document>,
    rooms: Collection<Room>,
    business: Collection<Business>,
    notes: Collection<held::Note>,
    /// Whoever adds or deletes records holds it, so that no medium goes that is just being named.
    writing: tokio::sync::Mutex<()>,
}

impl Live {
    /// The database of this name. Nothing is asked of it yet.
    pub(crate) async fn connect(
        uri: &str,
        password: Option<&Secret>,
        name: &str,
    ) -> Result<Self, Error> {
        let mut options = ClientOptions::parse(uri).await.map_err(Error::Address)?;
        if options.credential.as_ref().is_some_and(|it| it.password.is_some()) {
            return Err(Error::Password);
        }
        if let (Some(credential), Some(password)) = (&mut options.credential, password) {
            credential.password = Some(password.reveal().to_owned());
        }
        let safe = WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build();
        options.write_concern = Some(safe);
        options.app_name = Some("retention-service".to_owned());
        let database = Client::with_options(options).map_err(Error::Address)?.database(name);
        Ok(Self {
            records: database.collection("records"),
            media: database.collection("media"),
            rooms: database.collection("rooms"),
            business: database.collection("business"),
            notes: database.collection("held"),
            writing: tokio::sync::Mutex::default(),
            database,
        })
    }

    /// Builds the indexes that are missing.
    pub(crate) async fn prepare(&self) -> Result<(), Error> {
        for (collection, keys, unique) in [
            ("records", doc! { "dataset": 1, "at": 1, "_id": 1 }, false),
            ("records", doc! { "room": 1, "seq": 1 }, false),
            ("records", doc! { "names": 1 }, false),
            ("records", doc! { "gone_with": 1 }, false),
            ("media", doc! { "gone_with": 1 }, false),
            ("held", doc! { "job": 1 }, false),
            ("backups", doc! { "created": 1 }, true),
            ("backups", doc! { "revision": 1 }, false),
        ] {
            let options = mongodb::options::IndexOptions::builder().unique(unique).build();
            let index = IndexModel::builder().keys(keys).options(options).build();
            let collection = self.database.collection::<Document>(collection);
            collection.create_index(index).await.map_err(during("build an index"))?;
        }
        Ok(())
    }

    /// The Backup Log.
    pub(crate) async fn log(&self) -> Result<log::Log, Error> {
        log::Log::open(self.database.collection("backups")).await
    }

    /// Gives a business that is new a past of `history` days. Returns whether it was.
    pub(crate) async fn found(
        &self,
        company: &Company,
        today: Date,
        history: u16,
    ) -> Result<bool, Error> {
        let days = Span::new().days(i64::from(history));
        let first = today.saturating_sub(days);
        // Cut off, it is not new any more, and its past is not over.
        let business = self.progress(first).await?;
        if business.first.saturating_add(days) <= business.date() {
            return Ok(false);
        }
        let until = business.first.saturating_add(days);
        self.go_on(company, business, until).await?;
        Ok(true)
    }

    /// Lets the business go on, up to the day before `today`. Returns how many days were added.
    pub(crate) async fn catch_up(&self, company: &Company, today: Date) -> Result<u32, Error> {
        let business = self.progress(today).await?;
        self.go_on(company, business, today).await
    }

    async fn go_on(
        &self,
        company: &Company,
        mut business: Business,
        today: Date,
    ) -> Result<u32, Error> {
        let writing = self.writing.lock().await;
        let mut added = 0;
        while business.date() < today {
            // Lists are as of the last day; what they were before that is not kept here.
            let last = business.date().saturating_add(Span::new().days(1)) >= today;
            self.one_more(company, &mut business, last, 0).await?;
            added += 1;
        }
        drop(writing);
        Ok(added)
    }

    /// Lets the business go on for a day, whatever the date. Returns which day that was.
    pub(crate) async fn add_day(
        &self,
        company: &Company,
        today: Date,
        noise_bytes: usize,
    ) -> Result<Date, Error> {
        let writing = self.writing.lock().await;
        let mut business = self.progress(today).await?;
        let date = business.date();
        self.one_more(company, &mut business, true, noise_bytes).await?;
        drop(writing);
        Ok(date)
    }

    /// Adds a day that somebody else brings, with the lists as they are on it.
    pub(crate) async fn bring(&self, day: Day) -> Result<(), Error> {
        let writing = self.writing.lock().await;
        self.write(day, true).await?;
        drop(writing);
        Ok(())
    }

    async fn progress(&self, first: Date) -> Result<Business, Error> {
        let found = self.business.find_one(doc! {}).await;
        let found = found.map_err(during("look how far the business is"))?;
        let id = "business".to_owned();
        Ok(found.unwrap_or(Business { id, first, days: 0, counters: Counters::new() }))
    }

    async fn one_more(
        &self,
        company: &Company,
        business: &mut Business,
        with_lists: bool,
        noise_bytes: usize,
    ) -> Result<(), Error> {
        let mut next = business.clone();
        let date = business.date();
        let day = company.day(business.days, date, &mut next.counters, noise_bytes);
        next.days += 1;
        self.write(day, with_lists).await?;
        // Last: a day that was cut off is written again, and is the same.
        let write = self.business.replace_one(doc! {}, &next).upsert(true);
        write.await.map_err(during("note how far the business is"))?;
        *business = next;
        Ok(())
    }

    /// Writes what is new of a day.
    async fn write(&self, day: Day, with_lists: bool) -> Result<(), Error> {
        let adding = during("add records");
        let Day { records, media, rooms } = day;
        let records: Vec<Record> =
            records.into_iter().filter(|it| with_lists || !job::stays(it.dataset)).collect();
        let known = self.known(&records).await?;
        let (old, new): (Vec<_>, Vec<_>) =
            records.into_iter().partition(|record| known.contains_key(&record.key));
        for record in old.iter().filter(|it| known.get(&it.key) != Some(&it.digest)) {
            let replace = self.records.replace_one(doc! { "_id": &record.key }, record);
            replace.await.map_err(during("change a record"))?;
        }
        self.add_media(media).await?;
        for room in &rooms {
            let title = doc! { "$set": { "title": &room.title } };
            let add = self.rooms.update_one(doc! { "_id": &room.id }, title).upsert(true);
            add.await.map_err(during("add a room"))?;
        }
        if !new.is_empty() {
            self.records.insert_many(&new).await.map_err(adding)?;
        }
        Ok(())
    }

    /// The digests of those of some records that are there.
    async fn known(&self, records: &[Record]) -> Result<BTreeMap<String, String>, Error> {
        let keys: Vec<&str> = records.iter().map(|record| record.key.as_str()).collect();
        let reading = || during("look for records");
        let found = self.records.find(doc! { "_id": { "$in": keys } });
        let mut found = found.await.map_err(reading())?;
        let mut known = BTreeMap::new();
        while let Some(record) = found.try_next().await.map_err(reading())? {
            known.insert(record.key, record.digest);
        }
        Ok(known)
    }

    async fn add_media(&self, media: Vec<Medium>) -> Result<(), Error> {
        let ids: Vec<&str> = media.iter().map(|medium| medium.id.as_str()).collect();
        let there = self.media.distinct("_id", doc! { "_id": { "$in": ids } }).await;
        let there = there.map_err(during("look for media"))?;
        let there: HashSet<&str> = there.iter().filter_map(|id| id.as_str()).collect();
        let new: Vec<Document> = media
            .iter()
            .filter(|medium| !there.contains(medium.id.as_str()))
            .map(|medium| {
                let bytes = medium.bytes.clone();
                let bytes = Binary { subtype: BinarySubtype::Generic, bytes };
                doc! { "_id": &medium.id, "path": &medium.path, "bytes": bytes }
            })
            .collect();
        if !new.is_empty() {
            self.media.insert_many(new).await.map_err(during("add media"))?;
        }
        Ok(())
    }
}

impl Business {
    /// Its next day.
    fn date(&self) -> Date {
        self.first.saturating_add(Span::new().days(i64::from(self.days)))
    }
}
