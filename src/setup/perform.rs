//! Carries a plan out, step by step.
//!
//! Each step can be done again, and says what it did or that there was nothing to do.
//! After one that fails the others are not done; running setup again goes on from
//! there. What was made up on the way and has to be handed over once is in [`Done`],
//! and nowhere else.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::PermissionsExt,
    path::Path,
    time::Duration,
};

use super::{
    machine::Machine,
    plan::{Admin, Plan},
    present, units,
};
use crate::{
    accounts::ADMIN,
    appliance,
    config::{Config, Secret},
    files,
    portal::{
        certificate::{
            authority::{Authority, Change},
            inspect::{self, Certificate},
        },
        password::Passwords,
    },
    sftp::{host_keys::HostKey, keys},
    steps::{Failure, Steps},
    store::{
        self,
        administration::{Administration, Administrator, UserChange},
    },
    trial::database::patiently,
};

/// How long a new replica set may take to have a primary.
const ELECTION: Duration = Duration::from_secs(12);

/// What there is to hand over when all is done.
#[derive(Clone, Debug, Default)]
pub struct Done {
    /// By which clients know the endpoint.
    pub host_keys: Vec<HostKey>,
    /// The password of the MongoDB user, if it was made up just now.
    pub mongodb_password: Option<Secret>,
    /// Name and password of the MongoDB administrator that was made.
    pub administrator: Option<(String, Secret)>,
    /// The password of `Admin`, if it was made up just now.
    pub admin_password: Option<Secret>,
}

/// Does what the plan says.
pub async fn perform(plan: &Plan, machine: &Machine, steps: &mut Steps<'_>) -> Done {
    let mut done = Done::default();
    let config = &plan.config;
    steps.step("directories", async { directories(config) }).await;
    initiate(plan, steps).await;
    // Before the user is made, so that its password is never lost.
    secrets(plan, steps).await;
    users(plan, steps, &mut done).await;
    configuration(plan, steps).await;
    let endpoint = steps.step("SFTP endpoint", async { endpoint(config) }).await;
    done.host_keys = endpoint.unwrap_or_default();
    authorised_keys(plan, steps).await;
    certificate(plan, machine, steps).await;
    done.admin_password = steps.step("account Admin", admin(plan)).await.flatten();
    services(plan, machine, steps).await;
    done
}

/// What went wrong with a file, and which.
fn at(path: &Path) -> impl FnOnce(io::Error) -> Failure {
    let path = path.display().to_string();
    move |error| Failure::new(format!("{path}: {error}"), "Run this as root, and see `df`.")
}

fn directories(config: &Config) -> Result<((), String), Failure> {
    let above = config.path().parent().unwrap_or(Path::new("/"));
    let state = config.state_directory();
    let mut made = Vec::new();
    for (path, mode) in [(above, 0o755), (state, 0o711), (config.secrets_directory(), 0o700)] {
        if path.is_dir() {
            continue;
        }
        fs::create_dir_all(path).map_err(at(path))?;
        fs::set_permissions(path, Permissions::from_mode(mode)).map_err(at(path))?;
        made.push(path.display().to_string());
    }
    let said = if made.is_empty() { "all are there".to_owned() } else { made.join(", ") };
    Ok(((), said))
}

async fn secrets(plan: &Plan, steps: &mut Steps<'_>) {
    if plan.secrets.is_empty() {
        steps.kept("secrets", "as they are");
        return;
    }
    let write = async {
        let directory = plan.config.secrets_directory();
        fs::set_permissions(directory, Permissions::from_mode(0o700)).map_err(at(directory))?;
        for (name, secret) in &plan.secrets {
            let path = directory.join(name);
            let text = zeroize::Zeroizing::new(format!("{}\n", secret.reveal()));
            files::write_whole(&path, text.as_bytes(), 0o600).map_err(at(&path))?;
        }
        let names: Vec<_> = plan.secrets.keys().map(String::as_str).collect();
        Ok(((), format!("{} in {}", names.join(", "), directory.display())))
    };
    steps.step("secrets", write).await;
}

async fn initiate(plan: &Plan, steps: &mut Steps<'_>) {
    let Some((name, host)) = plan.mongodb.initiate.clone() else {
        return;
    };
    let settings = server(&plan.config);
    let work = async {
        let set = name.clone();
        let working = async move {
            let server = Administration::connect(&settings, &Administrator::Nobody)?;
            server.initiate(&name, &host).await?;
            server.wait_writable(ELECTION).await
        };
        let todo = "See MongoDB's own log.";
        match patiently(working).await?.map_err(|error| Failure::of(&error, todo))? {
            true => Ok(((), format!("{set}, of this one machine"))),
            false => Err(Failure::new(format!("{set} elects no primary"), todo)),
        }
    };
    steps.step("replica set", work).await;
}

async fn users(plan: &Plan, steps: &mut Steps<'_>, done: &mut Done) {
    // The first user can be made only from the machine itself; later ones wherever the
    // primary is.
    let is_first = plan.mongodb.make_administrator.is_some();
    let settings = if is_first { server(&plan.config) } else { whole(&plan.config) };
    let todo = "The administrator needs the role userAdmin or userAdminAnyDatabase.";
    let failed = |error: store::Error| Failure::of(&error, todo);
    if let Some((name, password)) = plan.mongodb.make_administrator.clone() {
        let settings = settings.clone();
        let made = done.administrator.insert((name.clone(), password.clone()));
        let made = made.0.clone();
        let work = async {
            let working = async move {
                let server = Administration::connect(&settings, &Administrator::Nobody)?;
                server.make_administrator(&name, &password).await
            };
            patiently(working).await?.map_err(failed)?;
            Ok(((), format!("{made}, the first user of this MongoDB")))
        };
        if steps.step("MongoDB administrator", work).await.is_none() {
            done.administrator = None;
        }
    }
    let section = plan.config.mongodb().clone();
    let Some(user) = plan.mongodb.user.clone() else {
        let who = if section.user.is_empty() { "nobody" } else { &section.user };
        steps.kept("MongoDB user", format!("{who}, as it is"));
        return;
    };
    let password = user.password.clone();
    let (name, target) = (section.user.clone(), section.target_db.clone());
    let work = async {
        let working = async move {
            let server = Administration::connect(&settings, &user.by)?;
            server
                .ensure_user(&section.auth_db, &section.user, &user.password, &section.target_db)
                .await
        };
        let what = match patiently(working).await?.map_err(failed)? {
            UserChange::Made => "made",
            UserChange::Changed => "changed",
        };
        Ok(((), format!("{name} {what}: readWrite on {target}, clusterMonitor")))
    };
    let made = steps.step("MongoDB user", work).await;
    if made.is_some() && user.is_fresh {
        done.mongodb_password = Some(password);
    }
}

/// The server itself, whatever it is in its replica set.
fn server(config: &Config) -> store::Settings {
    present::direct(&whole(config))
}

/// The database, wherever its primary is.
fn whole(config: &Config) -> store::Settings {
    let section = config.mongodb().clone();
    store::Settings {
        host: section.host,
        user: None,
        auth_db: section.auth_db,
        target_db: section.target_db,
        replica_set: Some(section.replica_set).filter(|name| !name.is_empty()),
        tls: section.tls.then_some(section.tls_ca_file),
    }
}

async fn configuration(plan: &Plan, steps: &mut Steps<'_>) {
    let path = plan.config.path();
    if !plan.text_changes {
        steps.kept("configuration", format!("{} says all of it already", path.display()));
        return;
    }
    let write = async {
        files::write_whole(path, plan.text.as_bytes(), 0o644).map_err(at(path))?;
        fs::set_permissions(path, Permissions::from_mode(0o644)).map_err(at(path))?;
        Ok(((), path.display().to_string()))
    };
    steps.step("configuration", write).await;
}

fn endpoint(config: &Config) -> Result<(Vec<HostKey>, String), Failure> {
    let todo = "Mend what it names, and run `retention setup` again.";
    let prepared = appliance::endpoint(config).prepare();
    let prepared = prepared.map_err(|error| Failure::of(&error, todo))?;
    let keys = prepared.host_keys().to_vec();
    let said = format!(
        "{}, which sshd accepts; {} host keys",
        prepared.config_path().display(),
        keys.len()
    );
    Ok((keys, said))
}

async fn authorised_keys(plan: &Plan, steps: &mut Steps<'_>) {
    let authorised = appliance::endpoint(&plan.config).authorized_keys();
    let work = async {
        let mut added = Vec::new();
        for key in &plan.keys {
            match authorised.add(key) {
                Ok(key) => added.push(key.fingerprint),
                Err(keys::Error::Refuse(keys::KeyRefusal::Duplicate { .. })) => {}
                Err(error) => return Err(Failure::of(&error, "Copy the key again.")),
            }
        }
        let listed = authorised.list().map_err(|error| Failure::of(&error, ""))?.keys;
        Ok((
            (),
            match (added.len(), listed.len()) {
                (_, 0) => "none yet: add maaiiconnect's with `retention key add`".to_owned(),
                (0, there) => format!("{there} there"),
                (_, there) => format!("added {}; {there} there", added.join(", ")),
            },
        ))
    };
    steps.step("keys that may upload", work).await;
}

async fn certificate(plan: &Plan, machine: &Machine, steps: &mut Steps<'_>) {
    let config = &plan.config;
    let work = async {
        let Some(names) = &plan.certificate_names else { return own_certificate(config) };
        let directory = appliance::portal_directory(config);
        fs::create_dir_all(&directory).map_err(at(&directory))?;
        let authority = Authority::new(&directory);
        let change = authority.ensure(&machine.host, names, appliance::now());
        let change = change.map_err(|error| Failure::of(&error, "See `df`."))?;
        let shown = names.join(", ");
        Ok((
            (),
            match change {
                Change::Kept => format!("for {shown}, as it is"),
                Change::Signed => {
                    format!("for {shown}, newly signed by the authority that is there")
                }
                Change::Made => {
                    let authority = authority.certificate();
                    format!("for {shown}; let browsers trust {}", authority.display())
                }
            },
        ))
    };
    steps.step("portal certificate", work).await;
}

/// A certificate that was given: it is looked at, and stays where it is.
fn own_certificate(config: &Config) -> Result<((), String), Failure> {
    let (certificate, key) = appliance::portal_certificate(config);
    let todo = "Give the chain in PEM, the certificate of the portal first, and the key that \
                belongs to it, without a passphrase.";
    if let Some(error) = inspect::unusable(&certificate, &key) {
        return Err(Failure::of(&error, todo));
    }
    let found = Certificate::read(&certificate).map_err(|error| Failure::of(&error, todo))?;
    let now = appliance::now();
    if found.not_after <= now || found.not_before > now {
        let why = format!("it is valid from {} to {}", found.not_before, found.not_after);
        return Err(Failure::new(why, "Have it renewed."));
    }
    let names = &config.portal().names;
    let missing: Vec<_> = names.iter().filter(|name| !found.is_for(name)).cloned().collect();
    if !missing.is_empty() {
        let why =
            format!("it is not for {}; it is for {}", missing.join(", "), found.names.join(", "));
        return Err(Failure::new(why, "Answer portal.names with names that it has."));
    }
    let until = found.not_after.strftime("%Y-%m-%d");
    Ok(((), format!("your own, for {}, until {until}", found.names.join(", "))))
}

/// Returns the password if it was made up and is now the account's.
async fn admin(plan: &Plan) -> Result<(Option<Secret>, String), Failure> {
    let failed =
        |error: anyhow::Error| Failure::new(format!("{error:#}"), "Run `retention test mongodb`.");
    let store = appliance::store(&plan.config).map_err(failed)?;
    let admin = plan.admin.clone();
    let working = async move {
        let exists = store.account(ADMIN).await?.is_some();
        match admin {
            Admin::IfMissing(_) if exists => Ok((None, "keeps its password")),
            Admin::IfMissing(password) => {
                appliance::ensure_admin(&store, &password).await?;
                Ok((Some(password), "made, with a password that is shown once"))
            }
            Admin::Set(password) if exists => {
                let hash = Passwords::default().hash(password).await?;
                store.set_password(ADMIN, &hash, appliance::now()).await?;
                Ok((None, "has the password that was answered"))
            }
            Admin::Set(password) => {
                appliance::ensure_admin(&store, &password).await?;
                Ok((None, "made, with the password that was answered"))
            }
        }
    };
    let (password, said) = patiently(working).await?.map_err(failed)?;
    Ok((password, said.to_owned()))
}

async fn services(plan: &Plan, machine: &Machine, steps: &mut Steps<'_>) {
    let name = "services";
    if !plan.start {
        steps.not_done(name, "the answers say not to start them", None);
    } else if !machine.systemd {
        let todo = "Start `retention sftp serve` and `retention run` by what runs services here.";
        steps.not_done(name, "systemd does not run this machine", Some(todo.to_owned()));
    } else {
        steps.step(name, units::start(&plan.config)).await;
    }
}
