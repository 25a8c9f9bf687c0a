//! All of MongoDB: what is stored there, how it gets in, and how it is found.
//!
//! Only this module knows the driver and BSON. Writing is idempotent: whatever
//! is cut off can be done again from its start. What a backup brought is found
//! only once the whole backup is stored.

pub mod accounts;
pub mod administration;
pub mod audit;
pub mod backups;
pub mod brought;
pub mod browse;
pub mod cloud;
pub mod copies;
mod cursor;
mod deletion;
pub mod document;
pub mod media;
mod nodes;
pub mod readability;
pub mod receipts;
pub mod records;
mod schema;
pub mod settings;
pub mod signers;
pub mod transcode;
mod trial;
pub mod verification;
pub mod vitals;

use std::{path::PathBuf, time::Duration};

use mongodb::{
    Client, Database,
    bson::{Bson, Document, doc, oid::ObjectId},
    options::{
        Acknowledgment, ClientOptions, Credential, ReadConcern, ReadPreference, SelectionCriteria,
        ServerAddress, Tls, TlsOptions, WriteConcern,
    },
};

use crate::{backup::UploadId, config::Secret};

pub use cursor::Cursor;
pub use document::RecordKey;

/// What went wrong with the database.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The settings cannot be used.
    #[error("the database settings cannot be used")]
    Settings(#[source] mongodb::error::Error),
    /// An administrator's address is none. What it says stays out of the message.
    #[error("the administrator's address is not one that begins with mongodb:// and can be read")]
    Uri,
    /// The database did not answer, or answered with an error.
    #[error("cannot {operation}")]
    Database {
        /// What was to be done.
        operation: &'static str,
        /// Why it failed.
        source: mongodb::error::Error,
    },
    /// A stored document is not what this version writes.
    #[error("the stored {what} {id} cannot be read: {why}")]
    Unreadable {
        /// Which kind of document.
        what: &'static str,
        /// Which one.
        id: String,
        /// What is wrong with it.
        why: String,
    },
    /// A backup is in another state than was thought.
    #[error("the backup {upload} is no longer {expected}")]
    StateMoved {
        /// Which upload.
        upload: String,
        /// The state it was thought to be in.
        expected: crate::backup::State,
    },
}

impl Error {
    fn database(operation: &'static str) -> impl FnOnce(mongodb::error::Error) -> Self {
        move |source| Self::Database { operation, source }
    }

    /// Whether the database could not be reached, so that trying again later makes sense.
    pub fn is_away(&self) -> bool {
        use mongodb::error::ErrorKind;
        match self {
            Self::Database { source, .. } => match source.kind.as_ref() {
                ErrorKind::Io(_)
                | ErrorKind::ServerSelection { .. }
                | ErrorKind::ConnectionPoolCleared { .. }
                | ErrorKind::DnsResolve { .. } => true,
                // Not primary, stepping down, shutting down, interrupted.
                ErrorKind::Command(error) => {
                    [11600, 11602, 10107, 13435, 13436, 189, 91, 7, 6, 89, 9001, 262]
                        .contains(&error.code)
                }
                _ => {
                    source.contains_label("RetryableWriteError")
                        || source.contains_label("TransientTransactionError")
                        || source.contains_label("SystemOverloadedError")
                }
            },
            _ => false,
        }
    }
}

/// Where the database is and who we are there.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Host and port, or several with commas between them.
    pub host: String,
    /// User and password, where the database asks for them.
    pub user: Option<(String, Secret)>,
    /// The database that knows the user.
    pub auth_db: String,
    /// The database that backups are stored in.
    pub target_db: String,
    /// The replica set's name, if it has one.
    pub replica_set: Option<String>,
    /// Whether to speak TLS, and whose certificates to trust.
    pub tls: Option<Option<PathBuf>>,
}

/// The database that backups are stored in. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    db: Database,
    /// How records and media are acknowledged, of which there are many.
    bulk: WriteConcern,
}

impl Store {
    /// Prepares the connection. Nothing is sent yet, so that the database may be away.
    pub fn connect(settings: &Settings) -> Result<Self, Error> {
        let client = Client::with_options(options(settings)?).map_err(Error::Settings)?;
        let bulk = bulk(settings.replica_set.is_some());
        Ok(Self { db: client.database(&settings.target_db), bulk })
    }

    /// Asks the database whether it is there and accepts writes.
    pub async fn ping(&self) -> Result<Server, Error> {
        let run = |command: Document| {
            let db = self.db.client().database("admin");
            async move { db.run_command(command).await }
        };
        let hello = run(doc! { "isMaster": 1 }).await.map_err(Error::database("reach MongoDB"))?;
        let build = run(doc! { "buildInfo": 1 })
            .await
            .map_err(Error::database("ask for MongoDB's version"))?;
        Ok(Server {
            version: build.get_str("version").unwrap_or("unknown").to_owned(),
            writable: hello.get_bool("ismaster").unwrap_or(false),
            replica_set: hello.get_str("setName").ok().map(str::to_owned),
        })
    }

    /// Which election made the server primary that answers now.
    pub async fn election(&self) -> Result<Election, Error> {
        let admin = self.db.client().database("admin");
        let hello = admin.run_command(doc! { "isMaster": 1 }).await;
        let hello = hello.map_err(Error::database("ask which server is primary"))?;
        Ok(Election(hello.get_object_id("electionId").ok()))
    }

    /// Makes sure that what was read since `election` is held by most members, by a write to the line
    /// of `upload`; returns false if it may be undone.
    ///
    /// A primary that most others have left goes on answering for a while, and what it
    /// says may be undone. Of one election there is one primary; if most members
    /// acknowledge a write of it, they hold everything that it held before.
    pub async fn confirm_since(
        &self,
        upload: &UploadId,
        election: &Election,
    ) -> Result<bool, Error> {
        self.confirm_backup(upload).await?;
        Ok(self.election().await? == *election)
    }

    /// How many bytes are free on the disk of the server's data, if it says so.
    pub async fn free_bytes(&self) -> Result<Option<u64>, Error> {
        Ok(self.space().await?.map(|space| space.free_bytes))
    }

    /// Builds what is missing of collections and indexes. Does nothing where all is there.
    pub async fn prepare(&self) -> Result<(), Error> {
        schema::prepare(&self.db).await
    }

    fn collection(&self, name: &str) -> mongodb::Collection<Document> {
        self.db.collection(name)
    }
}

/// An election that a replica set has held; none where there is no set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Election(Option<ObjectId>);

/// A number that servers send in one type or another.
fn whole(number: &Bson) -> Option<u64> {
    match number {
        Bson::Int32(number) => u64::try_from(*number).ok(),
        Bson::Int64(number) => u64::try_from(*number).ok(),
        #[expect(clippy::cast_possible_truncation, reason = "sizes of disks are far below 2^53")]
        Bson::Double(number) if *number >= 0.0 => Some(*number as u64),
        _ => None,
    }
}

/// What the database says of itself.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Server {
    /// Its version.
    pub version: String,
    /// Whether it accepts writes.
    pub writable: bool,
    /// The replica set it belongs to.
    pub replica_set: Option<String>,
}

fn options(settings: &Settings) -> Result<ClientOptions, Error> {
    let hosts: Result<Vec<ServerAddress>, _> =
        settings.host.split(',').map(|host| ServerAddress::parse(host.trim())).collect();
    let mut options = ClientOptions::builder().hosts(hosts.map_err(Error::Settings)?).build();
    options.app_name = Some("retention".into());
    options.repl_set_name = settings.replica_set.clone();
    options.direct_connection =
        Some(settings.replica_set.is_none() && !settings.host.contains(','));
    options.connect_timeout = Some(Duration::from_secs(5));
    options.server_selection_timeout = Some(Duration::from_secs(5));
    options.heartbeat_freq = Some(Duration::from_secs(2));
    options.max_pool_size = Some(16);
    options.retry_writes = Some(settings.replica_set.is_some());
    options.read_concern = Some(ReadConcern::local());
    options.selection_criteria = Some(SelectionCriteria::ReadPreference(ReadPreference::Primary));
    options.write_concern = Some(majority());
    if let Some((user, password)) = &settings.user {
        let credential = Credential::builder()
            .username(user.clone())
            .password(password.reveal().to_owned())
            .source(settings.auth_db.clone());
        options.credential = Some(credential.build());
    }
    if let Some(authority) = &settings.tls {
        let tls = TlsOptions::builder().ca_file_path(authority.clone()).build();
        options.tls = Some(Tls::Enabled(tls));
    }
    Ok(options)
}

/// How records and media are acknowledged: by the primary, before its journal is written.
///
/// They are relied upon only after a later write of the same election was acknowledged by
/// most members, who hold everything before it as well. To wait for the disks of most with
/// each batch was measured to take three times as long. A server that is in no set holds no
/// elections, and could lose what it acknowledged unseen: there the journal is waited for.
fn bulk(has_elections: bool) -> WriteConcern {
    WriteConcern::builder().w(Acknowledgment::Nodes(1)).journal(!has_elections).build()
}

/// Acknowledged by most members, each with its journal on the disk.
fn majority() -> WriteConcern {
    WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build()
}
