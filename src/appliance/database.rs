//! Which database is in use: the one of the configuration, or one that was set in the portal.
//!
//! The settings are in the database, so that which one it is has to be noted on the node as well:
//! in `database.json` of the state directory, with the password sealed. The note says what it stands in
//! the place of; once the configuration names another database than that, the configuration counts.
//!
//! Another database is taken into use only after it was tried out, and after accounts and settings were
//! copied to it, so that nobody is locked out. What is stored stays where it is.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{seal, store};
use crate::{
    accounts::ADMIN,
    cause,
    config::{Config, Mongodb},
    files,
    portal::{Move, NewDatabase},
    settings::{
        Change, Database, MONGODB_PASSWORD,
        seal::{self, Sealed},
    },
    store::Store,
};

/// What a node cannot find out by itself while its database does not answer.
pub const MISSED: &str = "If another database was set in the portal while this node was down, and \
    the one that it uses is gone, it has to be told: see OPERATIONS.md, section 6, a node that \
    missed another database.";

/// How often the settings are asked whether another database was set on another node.
const PAUSE: Duration = Duration::from_secs(10);

/// The note.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    instead_of: Named,
    database: Named,
    sealed_password: Option<Sealed>,
}

/// A database by what names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Named {
    host: String,
    user: String,
    auth_db: String,
    target_db: String,
    replica_set: String,
}

impl Named {
    fn of(section: &Mongodb) -> Self {
        let Mongodb { host, user, auth_db, target_db, replica_set, .. } = section.clone();
        Self { host, user, auth_db, target_db, replica_set }
    }

    fn set(database: &Database) -> Self {
        let Database { host, user, auth_db, target_db, replica_set, .. } = database.clone();
        Self { host, user, auth_db, target_db, replica_set }
    }

    fn with_password(self, password: Option<Sealed>) -> Database {
        let Self { host, user, auth_db, target_db, replica_set } = self;
        Database { host, user, password, auth_db, target_db, replica_set }
    }
}

impl Note {
    /// The note, if it counts.
    fn read(config: &Config) -> anyhow::Result<Option<Self>> {
        Ok(Self::any(config)?.filter(|note| note.instead_of == Named::of(config.mongodb())))
    }

    fn any(config: &Config) -> anyhow::Result<Option<Self>> {
        let path = path(config.state_directory());
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.with_context(|| format!("cannot read {}", path.display()))?,
        };
        let note = serde_json::from_str(&text)
            .with_context(|| format!("{} is not what was written there", path.display()))?;
        Ok(Some(note))
    }

    fn write(&self, state: &Path) -> anyhow::Result<()> {
        let (path, text) = (path(state), serde_json::to_string_pretty(self)?);
        files::write_whole(&path, text.as_bytes(), 0o600)
            .with_context(|| format!("cannot write {}", path.display()))
    }
}

fn path(state: &Path) -> PathBuf {
    state.join("database.json")
}

/// The configuration with the database that is in use.
pub fn in_force(config: Config) -> anyhow::Result<Config> {
    match Note::read(&config)? {
        Some(Note { database, sealed_password, .. }) => {
            with(config, &database.with_password(sealed_password))
        }
        None => Ok(config),
    }
}

/// A configuration with a database that was set.
fn with(config: Config, database: &Database) -> anyhow::Result<Config> {
    let password = match &database.password {
        Some(sealed) => Some(seal::open(seal(&config)?.as_ref(), sealed, MONGODB_PASSWORD)?),
        None => None,
    };
    let section = database.over(config.mongodb());
    Ok(config.with_database(section, password))
}

/// The configuration with the database that somebody typed, to be tried out.
///
/// The name of the replica set is asked of the database, where it is another host.
pub async fn typed(config: &Config, new: &NewDatabase) -> anyhow::Result<Config> {
    let now = config.mongodb();
    let mut section = Mongodb {
        host: new.host.clone(),
        user: new.user.clone(),
        auth_db: new.auth_db.clone(),
        target_db: new.target_db.clone(),
        ..now.clone()
    };
    if section.host != now.host {
        section.replica_set = String::new();
        let first = section.host.split(',').next().unwrap_or_default().trim().to_owned();
        let alone = Mongodb { host: first, user: String::new(), ..section.clone() };
        let asked = store(&config.clone().with_database(alone, None))?;
        section.replica_set = asked.ping().await?.replica_set.unwrap_or_default();
    }
    let password = new.password.clone().or_else(|| config.mongodb_password().cloned());
    Ok(config.clone().with_database(section, password))
}

/// Takes a database into use that was tried out: from the next start of the parts on.
pub async fn adopt(configured: &Config, tried: &Config, wanted: &Move) -> anyhow::Result<()> {
    let Move { database: new, modes, admin_password, change, events } = wanted;
    let seal = seal(configured)?;
    let password = match (&new.password, tried.mongodb_password()) {
        (Some(password), _) | (None, Some(password)) => {
            let seal = seal.as_ref().ok_or(seal::Error::NoKey)?;
            Some(seal.close(password, MONGODB_PASSWORD)?)
        }
        (None, None) => None,
    };
    let database = Named::of(tried.mongodb()).with_password(password);
    let (old, next) = (store(&in_force(configured.clone())?)?, store(tried)?);
    next.prepare().await?;
    for account in old.accounts().await? {
        if let Some((account, hash)) = old.account(&account.name).await? {
            next.create_account(&account, &hash).await?;
        }
    }
    // The old database says where it went, for nodes that still use it. Written first: with the same
    // database under another user there is but one document.
    let mut settings = old.settings().await?;
    settings.revision += 1;
    settings.changed = Some(change.clone());
    settings.modes = Some(*modes);
    settings.mongodb = Some(database.clone());
    anyhow::ensure!(
        old.change_settings(&settings).await?,
        "somebody else changed the settings meanwhile; try again"
    );
    if let Some(hash) = admin_password {
        next.set_password(ADMIN, hash, change.at).await?;
    }
    let mut theirs = next.settings().await?;
    if theirs.mongodb.as_ref() != Some(&database) {
        for event in events {
            next.audit(event).await?;
        }
    }
    if theirs.revision == 0 {
        next.begin_settings(&settings).await?;
    } else if theirs.mongodb.as_ref() != Some(&database) {
        theirs.revision += 1;
        theirs.modes = Some(*modes);
        theirs.mongodb = Some(database.clone());
        anyhow::ensure!(
            next.change_settings(&theirs).await?,
            "the settings there are being changed"
        );
    }
    note(configured, &database)
}

fn note(configured: &Config, database: &Database) -> anyhow::Result<()> {
    let note = Note {
        instead_of: Named::of(configured.mongodb()),
        database: Named::set(database),
        sealed_password: database.password.clone(),
    };
    note.write(configured.state_directory())
}

/// Watches whether another database was set on another node, and says `again` once it is noted here.
pub(super) async fn follow(
    configured: Config,
    used: Store,
    again: Arc<Notify>,
    stop: CancellationToken,
) {
    let mut said = None;
    let mut looks_in_vain = 0_u32;
    loop {
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = stop.cancelled() => return,
        }
        match moved(&configured, &used).await {
            Ok(Seen::Away) => {
                looks_in_vain = looks_in_vain.saturating_add(1);
                // Once, and not for an election.
                if looks_in_vain == 2 {
                    tracing::warn!("MongoDB does not answer. {MISSED}");
                }
                continue;
            }
            Ok(Seen::Elsewhere) => again.notify_one(),
            Ok(Seen::Same) => said = None,
            Err(error) => {
                let why = cause::chain(error.as_ref());
                if said.as_ref() != Some(&why) {
                    tracing::warn!("another database was set, and cannot be used here: {why}");
                }
                said = Some(why);
            }
        }
        looks_in_vain = 0;
    }
}

/// What the settings say of the database.
enum Seen {
    /// Nothing: it does not answer. Others tell that.
    Away,
    /// It is the one in use.
    Same,
    /// It is another one, which is noted now.
    Elsewhere,
}

async fn moved(configured: &Config, used: &Store) -> anyhow::Result<Seen> {
    let Ok(mut settings) = used.settings().await else { return Ok(Seen::Away) };
    if Note::any(configured)?.is_some() && Note::read(configured)?.is_none() {
        // Somebody named another database in the configuration since: that is the last word.
        if settings.mongodb.take().is_some() {
            let at = super::now();
            settings.revision += 1;
            settings.changed = Some(Change { at, by: "configuration".to_owned() });
            if !used.change_settings(&settings).await? {
                return Ok(Seen::Same);
            }
        }
        let path = path(configured.state_directory());
        fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        return Ok(Seen::Same);
    }
    let Some(database) = settings.mongodb else { return Ok(Seen::Same) };
    let noted = Note::read(configured)?;
    if noted.is_some_and(|noted| {
        noted.database == Named::set(&database) && noted.sealed_password == database.password
    }) || (Note::read(configured)?.is_none()
        && database.password.is_none()
        && Named::set(&database) == Named::of(configured.mongodb()))
    {
        return Ok(Seen::Same);
    }
    let next = store(&with(configured.clone(), &database)?)?;
    let there = next.settings().await?;
    anyhow::ensure!(
        there.mongodb.as_ref() == Some(&database),
        "the database at {} names another one",
        database.host
    );
    note(configured, &database)?;
    Ok(Seen::Elsewhere)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_counts_only_in_the_place_of_the_database_that_it_replaced() {
        let scratch = tempfile::tempdir().expect("scratch");
        let config = |host: &str| {
            let text = format!(
                "state_directory = {:?}\nsecrets_directory = {:?}\n[mongodb]\nhost = {host:?}",
                scratch.path(),
                scratch.path().join("secrets")
            );
            let spec = toml::from_str(&text).expect("a configuration");
            Config::new(spec, Path::new("retention.toml")).expect("valid")
        };
        let first = config("a:1");
        assert_eq!(in_force(first.clone()).expect("no note").mongodb().host, "a:1");
        let database = Database {
            host: "b:2".into(),
            user: String::new(),
            password: None,
            auth_db: "admin".into(),
            target_db: "elsewhere".into(),
            replica_set: "rs1".into(),
        };
        note(&first, &database).expect("written");
        let used = in_force(first).expect("a note");
        assert_eq!(
            (used.mongodb().host.as_str(), used.mongodb().replica_set.as_str()),
            ("b:2", "rs1")
        );
        let changed = config("c:3");
        assert_eq!(in_force(changed.clone()).expect("another").mongodb().host, "c:3");
        assert!(
            Note::any(&changed).expect("there").is_some(),
            "it is removed once MongoDB answers"
        );
    }
}
