//! Making a server ready for the appliance: its replica set and its users.
//!
//! What is asked for here needs an administrator's rights, or a server that lets in
//! anybody: because access control is off, or because it has no user yet and is asked
//! from its own machine (MongoDB's *localhost exception*).
//!
//! This module must never take a right or a user away, and never keep what it signs
//! in with.

use std::time::Duration;

use bson::{Bson, Document, doc};
use mongodb::{
    Client,
    error::ErrorKind,
    options::{ClientOptions, ConnectionString},
};

use super::{Error, Settings, options};
use crate::config::Secret;

/// What MongoDB answers to somebody who may not ask.
const UNAUTHORIZED: i32 = 13;
/// Somebody has initiated the set already.
const ALREADY_INITIALIZED: i32 = 23;

/// What a server says of itself to somebody who has not signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Its version.
    pub version: String,
    /// Its replica set.
    pub set: ReplicaSet,
    /// Whom it lets in.
    pub access: Access,
}

/// The replica set that a server belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplicaSet {
    /// It was started without `--replSet`.
    None,
    /// It was started with `--replSet`, and nobody has initiated the set.
    NotInitiated {
        /// The set's name, where the server says it to anybody.
        name: Option<String>,
    },
    /// It is a member.
    Member {
        /// The set's name.
        name: String,
        /// Whether it is the primary.
        primary: bool,
    },
}

/// Whom a server lets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anybody: access control is off.
    Open,
    /// Anybody on its own machine, until the first user is made.
    NoUserYet,
    /// Its users.
    Users,
}

/// What became of a user that was to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserChange {
    /// It was made.
    Made,
    /// It was there, and its password or rights were changed.
    Changed,
}

/// How an administrator signs in.
#[derive(Clone, Debug)]
pub enum Administrator {
    /// Not at all: the server lets in anybody.
    Nobody,
    /// With a `mongodb://` address, which may hold a password.
    Uri(Secret),
    /// As a user of the database `auth_db`.
    User {
        /// The user.
        name: String,
        /// The password.
        password: Secret,
        /// The database that knows the user.
        auth_db: String,
    },
}

/// A server as an administrator sees it.
#[derive(Clone, Debug)]
pub struct Administration {
    client: Client,
}

impl Administration {
    /// Prepares a connection to the server that `settings` name. Nothing is sent yet.
    pub fn connect(settings: &Settings, who: &Administrator) -> Result<Self, Error> {
        let mut settings = settings.clone();
        settings.user = match who {
            Administrator::User { name, password, auth_db } => {
                settings.auth_db.clone_from(auth_db);
                Some((name.clone(), password.clone()))
            }
            Administrator::Nobody | Administrator::Uri(_) => None,
        };
        let mut options = options(&settings)?;
        if let Administrator::Uri(uri) = who {
            options = with_uri(options, uri)?;
        }
        let client = Client::with_options(options).map_err(Error::Settings)?;
        Ok(Self { client })
    }

    /// Asks the server what it is. Needs no right.
    pub async fn probe(&self) -> Result<Probe, Error> {
        let hello =
            self.run(doc! { "isMaster": 1 }).await.map_err(Error::database("reach MongoDB"))?;
        let build = self.run(doc! { "buildInfo": 1 }).await;
        let build = build.map_err(Error::database("ask for MongoDB's version"))?;
        let started = self.run(doc! { "getCmdLineOpts": 1 }).await;
        let access = match &started {
            Ok(_) => Access::Open,
            Err(error) if code(error) == Some(UNAUTHORIZED) => self.has_user().await,
            // A member that starts or is being changed answers with other codes.
            Err(_) => Access::Users,
        };
        let set = match hello.get_str("setName") {
            Ok(name) => ReplicaSet::Member {
                name: name.to_owned(),
                primary: hello.get_bool("ismaster").unwrap_or(false),
            },
            Err(_) if hello.get_bool("isreplicaset").unwrap_or(false) => {
                let mut name = started.ok().as_ref().and_then(set_name);
                if name.is_none() {
                    name = self.ask_for_name().await;
                }
                ReplicaSet::NotInitiated { name }
            }
            Err(_) => ReplicaSet::None,
        };
        let version = build.get_str("version").unwrap_or("unknown").to_owned();
        Ok(Probe { version, set, access })
    }

    /// Makes a replica set of this one member, which others will reach at `host`. `name` has
    /// to be the one that the server was started with.
    pub async fn initiate(&self, name: &str, host: &str) -> Result<(), Error> {
        match self.run(initiate(name, host)).await {
            Err(error) if code(&error) == Some(ALREADY_INITIALIZED) => Ok(()),
            other => other.map(drop).map_err(Error::database("initiate the replica set")),
        }
    }

    /// Waits until the server accepts writes, for at most about `patience`.
    pub async fn wait_writable(&self, patience: Duration) -> Result<bool, Error> {
        const GLANCE: Duration = Duration::from_millis(100);
        for _ in 0..=patience.as_millis() / GLANCE.as_millis() {
            let hello = self.run(doc! { "isMaster": 1 }).await;
            if hello.is_ok_and(|hello| hello.get_bool("ismaster").unwrap_or(false)) {
                return Ok(true);
            }
            tokio::time::sleep(GLANCE).await;
        }
        Ok(false)
    }

    /// Makes an administrator of users and of the replica set, who can do nothing else
    /// until it grants itself more. On a server without users this has to be the first.
    pub async fn make_administrator(&self, name: &str, password: &Secret) -> Result<(), Error> {
        let roles = ["userAdminAnyDatabase", "clusterAdmin"];
        let roles = roles.map(|role| doc! { "role": role, "db": "admin" });
        self.run(doc! { "createUser": name, "pwd": password.reveal(), "roles": roles.to_vec() })
            .await
            .map(drop)
            .map_err(Error::database("make the administrator of MongoDB"))
    }

    /// Makes the user that the appliance signs in as, or sets its password and gives it
    /// what it lacks.
    ///
    /// What needs which right:
    /// - `readWrite` on the target database: everything that is stored and read there,
    ///   its collections and indexes (`insert`, `update`, `delete`, `find`, `aggregate`,
    ///   `createIndexes`, `drop`, `collStats`, `dbStats`).
    /// - `clusterMonitor`: `replSetGetStatus`, `replSetGetConfig`, `serverStatus`,
    ///   `getParameter` and reading `local.oplog.rs`, for the state of the members, their
    ///   lag and the room in the oplog. Without it backups are stored all the same.
    pub async fn ensure_user(
        &self,
        auth_db: &str,
        name: &str,
        password: &Secret,
        target_db: &str,
    ) -> Result<UserChange, Error> {
        let failed = "make the user of MongoDB";
        let database = self.client.database(auth_db);
        let known = doc! { "usersInfo": { "user": name, "db": auth_db } };
        let known = database.run_command(known).await.map_err(Error::database(failed))?;
        let is_known = known.get_array("users").is_ok_and(|users| !users.is_empty());
        let roles = vec![
            doc! { "role": "readWrite", "db": target_db },
            doc! { "role": "clusterMonitor", "db": "admin" },
        ];
        if !is_known {
            let make = doc! { "createUser": name, "pwd": password.reveal(), "roles": roles };
            database.run_command(make).await.map_err(Error::database(failed))?;
            return Ok(UserChange::Made);
        }
        let failed = "change the user of MongoDB";
        let set = doc! { "updateUser": name, "pwd": password.reveal() };
        database.run_command(set).await.map_err(Error::database(failed))?;
        let grant = doc! { "grantRolesToUser": name, "roles": roles };
        database.run_command(grant).await.map_err(Error::database(failed))?;
        Ok(UserChange::Changed)
    }

    /// The set's name from a server that does not let us see how it was started: it refuses
    /// to initiate a set of any other name, and says its own. Nothing changes.
    async fn ask_for_name(&self) -> Option<String> {
        let nobodys = uuid::Uuid::now_v7().to_string();
        let refusal = self.run(initiate(&nobodys, "localhost:1")).await.err()?;
        real_name(&refusal.to_string())
    }

    async fn has_user(&self) -> Access {
        // The exception allows this one command, and nobody else may run it unknown.
        match self.run(doc! { "replSetGetStatus": 1 }).await {
            Err(error) if code(&error) == Some(UNAUTHORIZED) => Access::Users,
            _ => Access::NoUserYet,
        }
    }

    async fn run(&self, command: Document) -> mongodb::error::Result<Document> {
        self.client.database("admin").run_command(command).await
    }
}

fn initiate(name: &str, host: &str) -> Document {
    let member = doc! { "_id": 0, "host": host };
    doc! { "replSetInitiate": { "_id": name, "members": [member] } }
}

/// The options that the appliance uses, with the address and the credentials of `uri`.
fn with_uri(mut options: ClientOptions, uri: &Secret) -> Result<ClientOptions, Error> {
    // What the driver says of an address that it cannot read may hold the password.
    let parsed = ConnectionString::parse(uri.reveal()).map_err(|_| Error::Uri)?;
    options.credential = parsed.credential;
    if let mongodb::options::HostInfo::HostIdentifiers(hosts) = parsed.host_info {
        options.hosts = hosts;
    }
    if parsed.tls.is_some() {
        options.tls = parsed.tls;
    }
    options.direct_connection = Some(options.hosts.len() == 1);
    options.repl_set_name = None;
    Ok(options)
}

fn code(error: &mongodb::error::Error) -> Option<i32> {
    match error.kind.as_ref() {
        ErrorKind::Command(error) => Some(error.code),
        _ => None,
    }
}

/// The set's name out of `getCmdLineOpts`; the file and the command line call it differently.
fn set_name(started: &Document) -> Option<String> {
    let replication = started.get_document("parsed").ok()?.get_document("replication").ok()?;
    let name = ["replSetName", "replSet"].into_iter().find_map(|key| replication.get(key))?;
    let name = name.as_str()?;
    Some(name.split('/').next().unwrap_or(name).to_owned())
}

/// The set's name out of the server's refusal to initiate one of another name.
fn real_name(refusal: &str) -> Option<String> {
    // As 4.2 says it, and as 4.4 and later do.
    let said = ["command line reports ", "command line set name: "];
    let (_, rest) = said.into_iter().find_map(|said| refusal.split_once(said))?;
    let name = rest.split([';', ',', ' ']).next()?;
    (!name.is_empty()).then(|| name.to_owned())
}

/// What a signed-in user may do, as far as the appliance asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rights {
    /// Whether the server asks nobody for rights.
    pub anybody: bool,
    /// What is missing to store and read backups.
    pub missing_for_storing: Vec<String>,
    /// What is missing to watch the replica set.
    pub missing_for_watching: Vec<String>,
    /// Roles that allow far more than the appliance needs.
    pub too_many: Vec<String>,
}

const STORING: [&str; 8] = [
    "find",
    "insert",
    "update",
    "remove",
    "createCollection",
    "createIndex",
    "dropCollection",
    "collStats",
];
const WATCHING: [&str; 2] = ["replSetGetStatus", "serverStatus"];
const MIGHTY: [&str; 7] = [
    "root",
    "__system",
    "readWriteAnyDatabase",
    "dbAdminAnyDatabase",
    "userAdminAnyDatabase",
    "clusterAdmin",
    "userAdmin",
];

impl super::Store {
    /// Asks what the user whom we sign in as may do.
    pub async fn rights(&self) -> Result<Rights, Error> {
        let admin = self.db.client().database("admin");
        let asked = admin.run_command(doc! { "connectionStatus": 1, "showPrivileges": true }).await;
        let status = asked.map_err(Error::database("ask for our rights"))?;
        let status = status.get_document("authInfo").cloned().unwrap_or_default();
        Ok(rights(&status, self.db.name()))
    }
}

fn rights(status: &Document, target_db: &str) -> Rights {
    let list = |name: &str| status.get_array(name).cloned().unwrap_or_default();
    let anybody = list("authenticatedUsers").is_empty();
    let privileges = list("authenticatedUserPrivileges");
    let privileges: Vec<&Document> = privileges.iter().filter_map(Bson::as_document).collect();
    let allows = |action: &str, covers: &dyn Fn(&Document) -> bool| {
        privileges.iter().any(|privilege| {
            let actions = privilege.get_array("actions");
            actions.is_ok_and(|actions| {
                actions.iter().any(|known| matches!(known.as_str(), Some(known) if known == action || known == "anyAction"))
            }) && privilege.get_document("resource").is_ok_and(covers)
        })
    };
    let any = |resource: &Document| resource.get_bool("anyResource").unwrap_or(false);
    let target = |resource: &Document| {
        let whole = resource.get_str("collection").is_ok_and(str::is_empty);
        let database = resource.get_str("db");
        any(resource) || whole && database.is_ok_and(|db| db == target_db || db.is_empty())
    };
    let cluster =
        |resource: &Document| any(resource) || resource.get_bool("cluster").unwrap_or(false);
    let missing = |wanted: &[&str], covers: &dyn Fn(&Document) -> bool| {
        let lacking = wanted.iter().filter(|action| !anybody && !allows(action, covers));
        lacking.map(|action| (*action).to_owned()).collect()
    };
    let roles = list("authenticatedUserRoles");
    let roles = roles.iter().filter_map(|role| role.as_document()?.get_str("role").ok());
    Rights {
        anybody,
        missing_for_storing: missing(&STORING, &target),
        missing_for_watching: missing(&WATCHING, &cluster),
        too_many: roles.filter(|role| MIGHTY.contains(role)).map(str::to_owned).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_set_is_found_where_the_server_says_it() {
        let refusal = "Attempting to initiate a replica set with name rs0, but command line \
                       reports records; rejecting";
        assert_eq!(real_name(refusal).as_deref(), Some("records"));
        let refusal = "Rejecting initiate with a set name that differs from command line set name, \
                       initiate set name: rs0, command line set name: records, labels: {}";
        assert_eq!(real_name(refusal).as_deref(), Some("records"));
        assert_eq!(real_name("something else"), None);
        for (replication, expected) in [
            (doc! { "replSet": "a" }, Some("a")),
            (doc! { "replSetName": "b" }, Some("b")),
            (doc! { "replSet": "a/h1,h2" }, Some("a")),
            (doc! {}, None),
        ] {
            let started = doc! { "parsed": { "replication": replication } };
            assert_eq!(set_name(&started).as_deref(), expected);
        }
    }

    #[test]
    fn rights_that_are_missing_or_too_many_are_named() {
        let privilege = |resource: Document, actions: &[&str]| doc! { "resource": resource, "actions": actions.to_vec() };
        let signed_in = |role: &str, privileges: Vec<Document>| {
            doc! { "authenticatedUsers": [{ "user": "r" }], "authenticatedUserRoles": [{ "role": role }],
            "authenticatedUserPrivileges": privileges }
        };
        let storing = |db: &str| privilege(doc! { "db": db, "collection": "" }, &STORING);
        let watching = || privilege(doc! { "cluster": true }, &WATCHING);
        for (status, storing, watching, too_many) in [
            (doc! { "authenticatedUsers": [] }, 0, 0, 0),
            (signed_in("readWrite", vec![storing("retention"), watching()]), 0, 0, 0),
            (signed_in("readWrite", vec![storing("retention")]), 0, 2, 0),
            (signed_in("readWrite", vec![storing("other"), watching()]), 8, 0, 0),
            (
                signed_in(
                    "read",
                    vec![privilege(
                        doc! { "db": "retention", "collection": "" },
                        &["find", "collStats"],
                    )],
                ),
                6,
                2,
                0,
            ),
            (
                signed_in("root", vec![privilege(doc! { "anyResource": true }, &["anyAction"])]),
                0,
                0,
                1,
            ),
        ] {
            let rights = rights(&status, "retention");
            assert_eq!(rights.missing_for_storing.len(), storing, "{status}");
            assert_eq!(rights.missing_for_watching.len(), watching, "{status}");
            assert_eq!(rights.too_many.len(), too_many, "{status}");
        }
    }
}
