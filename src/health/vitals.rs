//! What the database is asked for one look.
//!
//! Each question runs by itself and has a limit in time. What is not answered is said to be so.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tokio::time::timeout;

use super::{Part, Settings, backups, cloud};
use crate::{
    backup::DirectoryId,
    settings::Settings as Set,
    store::{
        self, Server, Store,
        backups::Backup,
        verification::Standing,
        vitals::{Asked, Member, Oplog, Space},
    },
};

/// How long a part may take to answer.
const PATIENCE: Duration = Duration::from_secs(6);

/// How many backups that somebody has to look after are reported.
const UNRESOLVED: i64 = 20;

/// How many of the newest backups are looked through.
const LOOKED_THROUGH: u16 = 40;

/// What the database said.
pub(super) struct Vitals {
    pub(super) server: Part<Server>,
    /// What time it was for the database when the look began.
    pub(super) time: Option<Timestamp>,
    pub(super) space: Option<Space>,
    pub(super) members: Option<Asked<Vec<Member>>>,
    pub(super) oplog: Option<Asked<Oplog>>,
    pub(super) newest: Part<Vec<Backup>>,
    pub(super) unresolved: Part<Vec<Backup>>,
    /// What was set in the portal.
    pub(super) set: Part<Set>,
    /// Those on their way whose files are elsewhere.
    pub(super) stranded: Part<Vec<Backup>>,
    /// How it stands with those that are stored.
    pub(super) standing: Part<Standing>,
    /// Deletions that are not completed.
    pub(super) deletions: Part<Vec<Backup>>,
    /// What is known of maaiiconnect; nothing where there is no connector.
    pub(super) cloud: Option<Part<cloud::Known>>,
}

impl Vitals {
    /// Asks the database everything.
    pub(super) async fn ask(
        store: &Store,
        directory: Option<DirectoryId>,
        settings: &Settings,
        now: Timestamp,
    ) -> Self {
        let server = asked(store, |store| async move { store.ping().await }).await;
        if !server.is_ok() {
            return Self::away(server, settings);
        }
        let (begun, periods) = (Instant::now(), settings.periods);
        let time = asked(store, move |store| async move {
            let asked = begun.elapsed();
            let time = store.database_time().await?;
            // It was so half-way between the question and its answer.
            Ok(time.map(|at| at - (asked + begun.elapsed()) / 2))
        });
        let of_the_server = async {
            tokio::join!(
                time,
                asked(store, |store| async move { store.space().await }),
                asked(store, |store| async move { store.members().await }),
                asked(store, |store| async move { store.oplog().await }),
            )
        };
        let of_backups = async {
            tokio::join!(
                asked(store, |store| async move { store.newest_backups(LOOKED_THROUGH).await }),
                asked(store, |store| async move { store.unresolved_backups(UNRESOLVED).await }),
                asked(store, |store| async move { store.unsettled_deletions(UNRESOLVED).await }),
                asked(store, move |store| async move {
                    match directory {
                        Some(own) => store.stranded_backups(&own, now - backups::ELSEWHERE).await,
                        None => Ok(Vec::new()),
                    }
                }),
                asked(store, move |store| async move {
                    store.verification(periods.overdue(now), now - backups::RECEIPT).await
                }),
            )
        };
        let of_maaiiconnect = async {
            match settings.connector {
                true => Some(asked(store, |store| async move { cloud(&store).await }).await),
                false => None,
            }
        };
        let set = asked(store, |store| async move { store.settings().await });
        let ((time, space, members, oplog), found, cloud, set) =
            tokio::join!(of_the_server, of_backups, of_maaiiconnect, set);
        let (newest, unresolved, deletions, stranded, standing) = found;
        Self {
            server,
            time: known(time).flatten(),
            space: known(space).flatten(),
            members: known(members),
            oplog: known(oplog),
            newest,
            unresolved,
            set,
            stranded,
            standing,
            deletions,
            cloud,
        }
    }

    /// What is known while it does not answer: nothing.
    fn away(server: Part<Server>, settings: &Settings) -> Self {
        Self {
            server,
            time: None,
            space: None,
            members: None,
            oplog: None,
            newest: away(),
            unresolved: away(),
            set: away(),
            stranded: away(),
            standing: away(),
            deletions: away(),
            cloud: settings.connector.then(away),
        }
    }
}

fn away<T>() -> Part<T> {
    Part::Error("MongoDB does not answer".to_owned())
}

async fn cloud(store: &Store) -> Result<cloud::Known, store::Error> {
    let log = store.cloud_log().await?;
    let jobs = log.iter().flat_map(|log| &log.backups).map(|backup| &backup.job);
    let here = store.jobs_here(jobs).await?;
    Ok(cloud::Known { log, here })
}

fn known<T>(part: Part<T>) -> Option<T> {
    match part {
        Part::Ok(answer) => Some(answer),
        Part::Error(why) => {
            tracing::debug!(why, "MongoDB did not answer a question about its health");
            None
        }
    }
}

async fn asked<T, F>(store: &Store, question: impl FnOnce(Store) -> F) -> Part<T>
where
    T: Send + 'static,
    F: Future<Output = Result<T, store::Error>> + Send + 'static,
{
    match timeout(PATIENCE, tokio::spawn(question(store.clone()))).await {
        Ok(Ok(answer)) => Part::new(answer),
        _ => away(),
    }
}
