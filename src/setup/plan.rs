//! What is to be done, decided without doing anything.
//!
//! The same answers on the same machine give the same plan; nothing is decided while
//! it is being carried out. What cannot work is said here, before anything was touched.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{
    answers::{Answers, Given},
    file,
    finding::Finding,
    machine::{self, Machine},
    present::{Database, Existing, Kept},
};
use crate::{
    config::{Config, Secret, Spec},
    portal::password,
    settings::archive_key,
    sftp::keys::AuthorizedKey,
    store::administration::{Access, Administrator, ReplicaSet},
};

/// The user that the appliance signs in to MongoDB as, unless the answers name another.
pub const MONGODB_USER: &str = "retention";
/// The administrator that is made where MongoDB has no user at all yet.
pub const MONGODB_ADMINISTRATOR: &str = "admin";
/// The replica set's name where nobody says another.
const SET_NAME: &str = "rs0";

/// Passwords that are made up beforehand, in case one is needed.
#[derive(Clone, Debug)]
pub struct Fresh {
    /// For the user of MongoDB.
    pub mongodb: Secret,
    /// For the administrator of MongoDB.
    pub administrator: Secret,
    /// For the portal's `Admin`.
    pub admin: Secret,
    /// What settings are sealed with.
    pub settings_key: Secret,
}

/// What is to be done, in this order.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The configuration, valid.
    pub config: Config,
    /// The text of its file.
    pub text: String,
    /// Whether that differs from what is there.
    pub text_changes: bool,
    /// Files of the secrets directory that are to be written.
    pub secrets: BTreeMap<String, Secret>,
    /// What is to be done to MongoDB.
    pub mongodb: Mongodb,
    /// maaiiconnect's keys that may upload.
    pub keys: Vec<String>,
    /// The names of the portal's certificate, if a private authority is to sign it.
    pub certificate_names: Option<Vec<String>>,
    /// The password of `Admin`.
    pub admin: Admin,
    /// Whether services are started.
    pub start: bool,
    /// Whether everything is tried out at the end.
    pub test: bool,
    /// What is remarkable, and stops nothing.
    pub remarks: Vec<Finding>,
}

/// What is to be done to MongoDB.
#[derive(Clone, Debug, Default)]
pub struct Mongodb {
    /// The replica set to initiate: its name and the host of its one member.
    pub initiate: Option<(String, String)>,
    /// The administrator to make, on a server that has no user.
    pub make_administrator: Option<(String, Secret)>,
    /// The user to make or to change.
    pub user: Option<User>,
    /// The password of a user that is there and stays as it is, where it is not stored yet.
    pub password: Option<Secret>,
}

/// A user of MongoDB that is to be there.
#[derive(Clone, Debug)]
pub struct User {
    /// Who makes it.
    pub by: Administrator,
    /// Its password.
    pub password: Secret,
    /// Whether the password was made up, so that it has to be handed over once.
    pub is_fresh: bool,
}

/// The password of the portal's `Admin`.
#[derive(Clone, Debug)]
pub enum Admin {
    /// Set it to this.
    Set(Secret),
    /// Set it to this, which was made up, if there is no such account yet.
    IfMissing(Secret),
}

/// Everything that a plan is made from.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Where the configuration is, or will be.
    pub path: &'a Path,
    /// What the administrator said.
    pub answers: &'a Answers,
    /// What the machine is like.
    pub machine: &'a Machine,
    /// The configuration that is there.
    pub existing: &'a Existing,
    /// The secrets that are there.
    pub kept: &'a Kept,
    /// What the database says.
    pub database: &'a Database,
    /// Passwords that nobody has used.
    pub fresh: &'a Fresh,
}

/// Decides what is to be done, or says why it cannot be.
pub fn plan(given: Facts<'_>) -> Result<Plan, Vec<Finding>> {
    let Facts { path, answers, machine, existing, kept, database, fresh } = given;
    let mut wrong = Vec::new();
    let mut spec = wanted(answers, existing, machine);
    let mut remarks = machine::judge::all(
        machine,
        &spec.sftp.user,
        machine::judge::Ports { sftp: spec.sftp.listen, portal: spec.portal.listen },
    );
    let mut secrets = secrets(answers, kept, fresh, &mut wrong);
    let mongodb = match mongodb(answers, &mut spec, kept, database, fresh) {
        Ok((mongodb, remark)) => {
            remarks.extend(remark);
            mongodb
        }
        Err(finding) => {
            wrong.push(finding);
            Mongodb::default()
        }
    };
    let password = mongodb.user.as_ref().map(|user| &user.password).or(mongodb.password.as_ref());
    if let Some(password) = password {
        secrets.insert("mongodb-password".to_owned(), password.clone());
    }
    wrong.extend(keys(answers));
    if machine.systemd {
        wrong.extend(hidden_paths(&spec));
    }
    let admin = match &answers.portal.admin_password {
        Some(password) => {
            let objection = password::objection(password.reveal());
            wrong.extend(objection.map(|said| {
                Finding::error("portal.admin_password", said, "Choose another password.")
            }));
            Admin::Set(password.clone())
        }
        None => Admin::IfMissing(fresh.admin.clone()),
    };
    wrong.extend(remarks.iter().filter(|it| it.grade == super::finding::Grade::Error).cloned());
    let text = file::render(existing.text.as_deref(), &spec, &answers.configuration);
    let text = text.map_err(|error| {
        Finding::error("configuration", error.to_string(), "Mend it, or move the file away.")
    });
    let config = text.and_then(|text| {
        let refuse = |said: String| {
            Finding::error("configuration", said, "Mend the answers, or the file by hand.")
        };
        let spec: Spec = toml::from_str(&text).map_err(|error| refuse(error.to_string()))?;
        let config = Config::new(spec, path).map_err(|error| refuse(error.to_string()))?;
        Ok((config, text))
    });
    match config {
        Ok((config, text)) if wrong.is_empty() => Ok(Plan {
            text_changes: existing.text.as_deref() != Some(&text),
            certificate_names: config
                .portal()
                .certificate
                .is_none()
                .then(|| certificate_names(&config, machine)),
            config,
            text,
            secrets,
            mongodb,
            keys: answers.sftp.keys.clone(),
            admin,
            start: answers.start.unwrap_or(true),
            test: answers.test.unwrap_or(true),
            remarks,
        }),
        Ok(_) => Err(wrong),
        Err(finding) => {
            wrong.push(finding);
            Err(wrong)
        }
    }
}

/// What the configuration is to say: the answers over what is there over the defaults.
pub fn wanted(answers: &Answers, existing: &Existing, machine: &Machine) -> Spec {
    fn put<T: Clone>(into: &mut T, answer: Option<&T>) {
        if let Some(answer) = answer {
            into.clone_from(answer);
        }
    }
    let mut spec = existing.spec.clone();
    put(&mut spec.state_directory, answers.state_directory.as_ref());
    put(&mut spec.secrets_directory, answers.secrets_directory.as_ref());
    let sftp = &answers.sftp;
    put(&mut spec.sftp.listen, sftp.listen.as_ref());
    put(&mut spec.sftp.address, sftp.address.as_ref());
    put(&mut spec.sftp.user, sftp.user.as_ref());
    put(&mut spec.sftp.sha1_rsa, sftp.sha1_rsa.as_ref());
    let mongodb = &answers.mongodb;
    if existing.text.is_none() {
        MONGODB_USER.clone_into(&mut spec.mongodb.user);
    }
    put(&mut spec.mongodb.host, mongodb.host.as_ref());
    put(&mut spec.mongodb.user, mongodb.user.as_ref());
    put(&mut spec.mongodb.auth_db, mongodb.auth_db.as_ref());
    put(&mut spec.mongodb.target_db, mongodb.target_db.as_ref());
    put(&mut spec.mongodb.replica_set, mongodb.replica_set.as_ref());
    put(&mut spec.mongodb.tls, mongodb.tls.as_ref());
    if mongodb.tls_ca_file.is_some() {
        spec.mongodb.tls_ca_file.clone_from(&mongodb.tls_ca_file);
    }
    let portal = &answers.portal;
    put(&mut spec.portal.listen, portal.listen.as_ref());
    if existing.text.is_none() {
        spec.portal.names = vec![machine.host.clone()];
    }
    put(&mut spec.portal.names, portal.names.as_ref());
    if portal.certificate.is_some() || portal.key.is_some() {
        spec.portal.certificate.clone_from(&portal.certificate);
        spec.portal.key.clone_from(&portal.key);
    }
    put(&mut spec.modes.online, answers.modes.online.as_ref());
    put(&mut spec.modes.offline, answers.modes.offline.as_ref());
    spec
}

fn secrets(
    answers: &Answers,
    kept: &Kept,
    fresh: &Fresh,
    wrong: &mut Vec<Finding>,
) -> BTreeMap<String, Secret> {
    let mut secrets = BTreeMap::new();
    if !kept.settings_key {
        secrets.insert("settings-key".to_owned(), fresh.settings_key.clone());
    }
    if let Some(key) = &answers.archive.key {
        match archive_key::objection(key.reveal()) {
            Some(said) => {
                let todo = "Choose the key that maaiiconnect has as well.";
                wrong.push(Finding::error("archive.key", said, todo));
            }
            None => {
                if let Some(keys) = archive_key::joined(key, &kept.archive_keys) {
                    let lines: Vec<_> = keys.iter().map(Secret::reveal).collect();
                    secrets.insert("archive-keys".to_owned(), Secret::new(lines.join("\n")));
                }
            }
        }
    }
    for (name, given) in &answers.secrets {
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || !name.chars().all(is_name) {
            let said = "a secret's name has only small letters, digits and -";
            wrong.push(Finding::error("secrets", said, "Write it as the manual names it."));
        } else if let Given::Text(secret) = given {
            secrets.insert(name.clone(), secret.clone());
        }
    }
    secrets
}

/// What is to be done to MongoDB. Puts the replica set's name into the configuration.
fn mongodb(
    answers: &Answers,
    spec: &mut Spec,
    kept: &Kept,
    database: &Database,
    fresh: &Fresh,
) -> Result<(Mongodb, Vec<Finding>), Finding> {
    let host = spec.mongodb.host.clone();
    let (probe, own) = match database {
        Database::There { probe, own } => (probe, own),
        Database::Away { why } => {
            let said = format!("MongoDB does not answer at {host}: {why}");
            let todo = "Start it (`systemctl enable --now mongod`), or name another mongodb.host.";
            return Err(Finding::error("mongodb", said, todo));
        }
    };
    let mut remarks = vec![version(&probe.version)];
    if remarks[0].grade == super::finding::Grade::Error {
        return Err(remarks.remove(0));
    }
    let mut done = Mongodb::default();
    match &probe.set {
        ReplicaSet::None => remarks.push(Finding::warning(
            "replica set",
            "MongoDB runs without a replica set",
            "Put `replication.replSetName: rs0` into /etc/mongod.conf, restart mongod and run \
             `retention setup` again: without it writes are not tried again after a failure.",
        )),
        ReplicaSet::Member { name, .. } => name.clone_into(&mut spec.mongodb.replica_set),
        ReplicaSet::NotInitiated { name } => {
            let names = [name.clone(), answers.mongodb.replica_set.clone()];
            let name = names.into_iter().flatten().find(|name| !name.is_empty());
            let name = name.unwrap_or(SET_NAME.to_owned());
            if !answers.mongodb.initiate_replica_set {
                let said =
                    format!("MongoDB at {host} waits for its replica set {name} to be initiated");
                let todo = "Answer mongodb.initiate_replica_set = true for a set of this one \
                            machine, or initiate a set of several by hand.";
                return Err(Finding::error("replica set", said, todo));
            }
            name.clone_into(&mut spec.mongodb.replica_set);
            let first = host.split(',').next().unwrap_or(&host).trim().to_owned();
            done.initiate = Some((name, first));
        }
    }
    if spec.mongodb.user.is_empty() {
        if probe.access != Access::Open {
            let said = format!("MongoDB at {host} asks for a user, and mongodb.user is empty");
            return Err(Finding::error("mongodb.user", said, "Name the user to make."));
        }
        remarks.push(open_to_all());
        return Ok((done, remarks));
    }
    let given = answers.mongodb.password.as_ref();
    let is_new = given.is_some_and(|given| kept.mongodb_password.as_ref() != Some(given));
    let password = given.or(kept.mongodb_password.as_ref()).unwrap_or(&fresh.mongodb).clone();
    let is_fresh = password == fresh.mongodb;
    let by = match (&answers.mongodb.admin_uri, probe.access) {
        (Some(uri), Access::Users) => Some(Administrator::Uri(uri.clone())),
        (_, Access::Users) => None,
        (_, Access::Open) => {
            remarks.push(open_to_all());
            Some(Administrator::Nobody)
        }
        (_, Access::NoUserYet) => {
            let name = MONGODB_ADMINISTRATOR.to_owned();
            done.make_administrator = Some((name.clone(), fresh.administrator.clone()));
            let password = fresh.administrator.clone();
            Some(Administrator::User { name, password, auth_db: "admin".to_owned() })
        }
    };
    // A user that works is left alone.
    let works = own.as_ref().is_some_and(|own| !own.anybody && own.missing_for_storing.is_empty());
    let watches = own.as_ref().is_some_and(|own| own.missing_for_watching.is_empty());
    match by {
        _ if works && watches && !is_new => {}
        Some(by) => done.user = Some(User { by, password, is_fresh }),
        None if works => {
            // Made by hand, with the password that was answered.
            done.password = is_new.then_some(password);
            if !watches {
                remarks.push(Finding::warning(
                    "mongodb.user",
                    "the user may not watch the replica set",
                    "Give it the role clusterMonitor, or answer mongodb.admin_uri once.",
                ));
            }
        }
        None => {
            let user = &spec.mongodb.user;
            let (auth_db, target) = (&spec.mongodb.auth_db, &spec.mongodb.target_db);
            let said = format!("{user} cannot sign in to MongoDB, or may not write to {target}");
            let todo = format!(
                "Answer mongodb.admin_uri once, or make the user by hand and answer its password: \
                 db.getSiblingDB(\"{auth_db}\").createUser({{user: \"{user}\", pwd: \
                 passwordPrompt(), roles: [{{role: \"readWrite\", db: \"{target}\"}}, {{role: \
                 \"clusterMonitor\", db: \"admin\"}}]}})"
            );
            return Err(Finding::error("mongodb.user", said, todo));
        }
    }
    Ok((done, remarks))
}

fn open_to_all() -> Finding {
    Finding::warning(
        "access control",
        "MongoDB lets in anybody who reaches its port",
        "Put `security.authorization: enabled` into /etc/mongod.conf (a replica set needs \
         `security.keyFile` as well) and restart mongod; the user of the appliance is there.",
    )
}

/// Whether a version of MongoDB is one that the appliance works with.
pub fn version(version: &str) -> Finding {
    let mut numbers = version.split('.').map_while(|part| part.parse::<u32>().ok());
    let series = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let said = format!("MongoDB {version}");
    match series {
        (0, _) => Finding::warning("MongoDB", said, "Its version is not known here."),
        series if series < (4, 2) => {
            let todo = "maaiiconnect prescribes 4.2; the appliance works with 4.2 and later.";
            Finding::error("MongoDB", said, todo)
        }
        series if series >= (9, 0) => {
            Finding::warning("MongoDB", said, "The appliance was made for series up to 8.")
        }
        _ => Finding::ok("MongoDB", said),
    }
}

fn keys(answers: &Answers) -> Vec<Finding> {
    let refused = answers.sftp.keys.iter().filter_map(|key| AuthorizedKey::parse(key).err());
    let todo = "Copy the SFTP public key from maaiiconnect: Administration > Security > Retention.";
    refused
        .map(|why| Finding::error("sftp.keys", format!("a key is refused: {why}"), todo))
        .collect()
}

fn hidden_paths(spec: &Spec) -> Vec<Finding> {
    let Spec { state_directory, secrets_directory, portal, .. } = spec;
    let all: [(&str, Option<&PathBuf>); 4] = [
        ("state_directory", Some(state_directory)),
        ("secrets_directory", Some(secrets_directory)),
        ("portal.certificate", portal.certificate.as_ref()),
        ("portal.key", portal.key.as_ref()),
    ];
    let hidden = all.into_iter().filter_map(|(id, path)| {
        let path = path?;
        let said = format!("the services cannot see {}", path.display());
        let todo = "Choose another place: services see no home directories and no /tmp.";
        machine::is_hidden_from_services(path).then(|| Finding::error(id, said, todo))
    });
    hidden.collect()
}

/// The names and addresses by which browsers reach the portal.
fn certificate_names(config: &Config, machine: &Machine) -> Vec<String> {
    let mut names = config.portal().names.clone();
    names.push(machine.host.clone());
    let listen = config.portal().listen.ip();
    if listen.is_unspecified() {
        names.extend(machine.addresses.iter().map(ToString::to_string));
    } else {
        names.push(listen.to_string());
    }
    let mut all = Vec::new();
    for name in names {
        if !name.is_empty() && !all.contains(&name) {
            all.push(name);
        }
    }
    all
}

#[cfg(test)]
mod tests;
