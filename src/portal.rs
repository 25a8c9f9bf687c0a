//! The Retention Portal: what authorised people see of what was kept.
//!
//! ```text
//! listener   TCP, TLS, limits on connections
//!    |
//! routes     the table of all routes; each names who may
//!    |
//! gate       checks session and permission, and alone makes the values in
//!    |       `permit` without which a handler cannot be called
//!    |
//! views      ask `library` and `office` for data, which write the audit log
//!    |       before they return any, and fill one template each
//! answer     pages, redirects, media; `errors` alone knows status codes
//! ```
//!
//! Everything is rendered here and works without scripts; the one script shows
//! progress and tells us the viewer's time zone. This module must never reach
//! the store from a view, send a byte of personal data before the audit log has
//! it, or write such data or a password to the journal.

mod answer;
mod assets;
mod cells;
pub mod certificate;
mod chart;
mod columns;
mod disposition;
mod errors;
mod filter;
mod gate;
mod listener;
mod mime;
pub mod password;
mod range;
mod request;
pub mod routes;
mod shell;
mod tree;
mod views;
pub mod visit;
mod zone;

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use jiff::Timestamp;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    audit::Event,
    backup::verdict::Kept,
    config::{Audience, Modes, Mongodb, Secret, Secrets},
    connector::Connection,
    health::watch::{Reports, SharedHistory},
    settings::{Change, Defaults, seal::Seal, sheet::Sheet},
    sftp::Endpoint,
    shelf::Shelf,
    steps::Step,
    store::{Store, accounts::PasswordHash, backups::Backup},
};
use gate::Gate;

/// Where the portal listens and with which certificate.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Address and port to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The certificate chain in PEM.
    pub certificate: PathBuf,
    /// Its private key in PEM.
    pub key: PathBuf,
    /// Who may read `/healthz`, `/readyz` and `/metrics` without signing in.
    pub metrics: Audience,
    /// How often health is looked at, in seconds: a report that is much older counts for nothing.
    pub look_seconds: u64,
}

/// What the portal shows that is not in the database.
#[derive(Clone, Debug)]
pub struct Watched {
    /// What lies in the inbox.
    pub arriving: ArrivingUploads,
    /// How the appliance is.
    pub reports: Reports,
    /// How it was.
    pub history: SharedHistory,
    /// By which ways alerts go, to be tried out.
    pub alerts: Arc<crate::alerts::Settings>,
    /// Which archives are kept.
    pub archives: Archives,
    /// What is in archives that are kept.
    pub shelf: Shelf,
    /// Who is told that a deletion was asked for and follows it; where there is nobody, an
    /// administrator does it by hand and says what came of it.
    pub connector: Option<Connection>,
    /// What the Settings tab goes by.
    pub setting: Setting,
}

/// What the Settings tab needs that is not in the database.
#[derive(Clone)]
pub struct Setting {
    /// What holds where nothing was set.
    pub defaults: Defaults,
    /// Seals and opens settings that are secret; none where there is no key for it.
    pub seal: Option<Seal>,
    /// The secrets of the configuration.
    pub secrets: Secrets,
    /// The SFTP endpoint.
    pub endpoint: Endpoint,
    /// To be told that something was set.
    pub wake: Arc<Notify>,
    /// The setup sheet as it is now.
    pub sheet: Arc<dyn Fn() -> Sheet + Send + Sync>,
    /// What only those above the portal can do.
    pub tools: Tools,
}

impl std::fmt::Debug for Setting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Setting(…)")
    }
}

/// What the portal offers and those above it do.
#[derive(Clone)]
pub struct Tools {
    /// *Test this configuration now*: begins a trial of that name, whose steps come as they end;
    /// nothing if there is no such trial.
    pub trial: Arc<Trial>,
    /// Tries another database, and takes it into use if every step is done.
    pub database: Arc<DatabaseChange>,
    /// All parts are to begin anew, with another database.
    pub again: Arc<Notify>,
}

/// MongoDB Permissions as somebody typed them.
#[derive(Debug)]
pub struct NewDatabase {
    /// Host.
    pub host: String,
    /// User; empty where the database asks for none.
    pub user: String,
    /// Password; none to keep the one that is known.
    pub password: Option<Secret>,
    /// AuthDB.
    pub auth_db: String,
    /// TargetDB.
    pub target_db: String,
}

impl NewDatabase {
    /// Where it is and as whom it is used, for the audit log.
    fn said(&self) -> String {
        let Self { host, user, auth_db, target_db, .. } = self;
        let user = if user.is_empty() { "nobody" } else { user };
        format!("{host} as {user} of {auth_db}, {target_db}")
    }

    /// Whether it is another one than is in use, as far as its address says.
    fn is_elsewhere(&self, used: &Mongodb) -> bool {
        self.host != used.host || self.target_db != used.target_db
    }

    /// Whether it is the one that is in use, under the same user.
    fn is(&self, used: &Mongodb) -> bool {
        !self.is_elsewhere(used)
            && self.user == used.user
            && self.auth_db == used.auth_db
            && self.password.is_none()
    }
}

/// Another database that is to be taken into use, and what is set with it: all of it, or nothing.
#[derive(Debug)]
pub struct Move {
    /// Which one.
    pub database: NewDatabase,
    /// What becomes of a backup from then on.
    pub modes: Modes,
    /// A new password of `Admin`, if one was set.
    pub admin_password: Option<PasswordHash>,
    /// Who wants it.
    pub change: Change,
    /// What its audit log is to say.
    pub events: Vec<Event>,
}

/// The step that takes another database into use: once it is done, it is in use.
pub const TAKEN: &str = "take it into use";

/// Begins a trial of that name: of what is saved, or of a database that was typed and is not saved.
pub type Trial = dyn Fn(&str, Option<NewDatabase>) -> Option<StepsToCome> + Send + Sync;

/// Begins to take a database into use.
pub type DatabaseChange = dyn Fn(Move) -> StepsToCome + Send + Sync;

/// Steps that come as they end.
pub type StepsToCome = mpsc::Receiver<Step>;

impl std::fmt::Debug for Tools {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tools(…)")
    }
}

/// Tells whether the archive of a stored backup is where it has to be.
#[derive(Clone)]
pub struct Archives(Arc<dyn Fn(&Backup) -> Kept + Send + Sync>);

impl Archives {
    /// Asks `look` about each.
    pub fn new(look: impl Fn(&Backup) -> Kept + Send + Sync + 'static) -> Self {
        Self(Arc::new(look))
    }

    fn look(&self, backup: &Backup) -> Kept {
        (self.0)(backup)
    }
}

impl std::fmt::Debug for Archives {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Archives(…)")
    }
}

/// An upload that is not in the database yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arriving {
    /// The file's name.
    pub file: String,
    /// How much of it has arrived.
    pub size_bytes: u64,
    /// When it began.
    pub since: Timestamp,
    /// How many bytes a second come, by what the inbox saw over the last seconds.
    pub bytes_per_second: Option<u64>,
    /// Whether the client has gone away; it may come back and resume.
    pub interrupted: bool,
}

/// Uploads on their way, as the inbox sees them now.
pub type ArrivingUploads = watch::Receiver<Arc<Vec<Arriving>>>;

/// What went wrong with the portal as a whole.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The certificate or its key cannot be used.
    #[error(transparent)]
    Certificate(#[from] certificate::Error),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
}

/// The portal, listening and ready to serve.
#[derive(Debug)]
pub struct Portal {
    listener: listener::Listener,
    gate: Arc<Gate>,
}

impl Portal {
    /// Reads the certificate and takes the address, so that what is wrong with
    /// either is known before the appliance says that it is ready.
    ///
    /// `clock` tells the time. The database may be away.
    pub async fn new(
        settings: &Settings,
        store: Store,
        watched: Watched,
        clock: fn() -> Timestamp,
    ) -> Result<Self, Error> {
        let tls = certificate::server_config(&settings.certificate, &settings.key)?;
        let listener = listener::Listener::bind(settings.listen, tls)
            .await
            .map_err(|source| Error::Listen { address: settings.listen, source })?;
        Ok(Self { listener, gate: Arc::new(Gate::new(settings, store, watched, clock)) })
    }

    /// The address that is really listened on.
    pub fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// Serves until `stop` is cancelled. Requests under way are given 3 seconds to end.
    pub async fn serve(self, stop: CancellationToken) {
        let routes = routes::filter(&self.gate);
        self.listener.serve(routes, stop).await;
    }
}
