//! `retention setup`: from a machine with the package to an appliance that works.
//!
//! ```text
//! answers ─┐
//! machine ─┼─▶ plan ─▶ perform ─▶ sheet
//! present ─┘  (pure)   (each step
//!                       idempotent)
//! ```
//!
//! - [`answers`]: what the administrator said, in a file or when asked
//! - [`machine`]: what the machine is like, and whether that will do
//! - [`present`]: what an earlier run, or a hand, has left
//! - [`plan`]: what is to be done, decided without doing anything
//! - [`perform`]: does it, step by step, and says what it did
//! - [`sheet`]: what is to be typed into maaiiconnect
//! - [`check`]: looks at all of it later, and changes nothing
//!
//! It can be run again at any time: what is there stays, unless the answers say
//! otherwise. This module must never throw a key, a secret or a hand-written line of
//! the configuration away, never print a stored secret, and never touch the host's
//! own sshd.

pub mod answers;
pub mod check;
pub mod file;
pub mod finding;
pub mod machine;
pub mod perform;
pub mod plan;
pub mod present;
pub mod sheet;
mod units;

use std::path::Path;

use crate::{
    appliance,
    config::{Config, Spec},
    steps::{Step, Steps},
    store,
    trial::{self, Subject, Trial},
};
use answers::Answers;
use finding::Finding;
use machine::Machine;
use plan::{Facts, Fresh, Plan};
use present::{Database, Existing, Kept};
use sheet::Sheet;

/// The length of passwords that are made up and have to be typed somewhere.
const PASSWORD_CHARS: usize = 20;

/// How long the key is that settings are sealed with: more than 256 bits of letters and digits.
const SETTINGS_KEY_CHARS: usize = 44;

/// What went wrong before anything was done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What is there already cannot be understood.
    #[error(transparent)]
    Present(#[from] present::Error),
    /// What is wanted is no configuration.
    #[error(transparent)]
    Configuration(#[from] crate::config::Error),
    /// No passwords can be made up.
    #[error("{0}")]
    Random(String),
}

/// What can be known before anything is decided.
#[derive(Clone, Debug)]
pub struct Known {
    /// What the machine is like.
    pub machine: Machine,
    /// The configuration that is there.
    pub existing: Existing,
    /// The secrets that are there.
    pub kept: Kept,
    /// What the database says.
    pub database: Database,
}

impl Known {
    /// Looks at everything that the answers are about.
    pub async fn look(path: &Path, answers: &Answers) -> Result<Self, Error> {
        let existing = Existing::read(path)?;
        let state = answers.state_directory.as_ref().unwrap_or(&existing.spec.state_directory);
        let user = answers.sftp.user.as_ref().unwrap_or(&existing.spec.sftp.user);
        let machine = Machine::look(state, user);
        let spec = plan::wanted(answers, &existing, &machine);
        let kept = Kept::read(&Config::new(spec.clone(), path)?)?;
        let database = Database::ask(&settings(&spec, answers, &kept)).await;
        Ok(Self { machine, existing, kept, database })
    }
}

/// How the database is reached with what is known of its user.
fn settings(spec: &Spec, answers: &Answers, kept: &Kept) -> store::Settings {
    let section = spec.mongodb.clone();
    let password = answers.mongodb.password.as_ref().or(kept.mongodb_password.as_ref());
    store::Settings {
        user: password
            .filter(|_| !section.user.is_empty())
            .map(|password| (section.user, password.clone())),
        host: section.host,
        auth_db: section.auth_db,
        target_db: section.target_db,
        replica_set: Some(section.replica_set).filter(|name| !name.is_empty()),
        tls: section.tls.then_some(section.tls_ca_file),
    }
}

/// Decides what is to be done, or says why it cannot be.
pub fn decide(
    path: &Path,
    answers: &Answers,
    known: &Known,
) -> Result<Result<Plan, Vec<Finding>>, Error> {
    let fresh = |chars| {
        let password = appliance::new_password(chars);
        password.map_err(|error| Error::Random(format!("{error:#}")))
    };
    let fresh = Fresh {
        mongodb: fresh(PASSWORD_CHARS)?,
        administrator: fresh(PASSWORD_CHARS)?,
        admin: fresh(PASSWORD_CHARS)?,
        settings_key: fresh(SETTINGS_KEY_CHARS)?,
    };
    let Known { machine, existing, kept, database } = known;
    Ok(plan::plan(Facts { path, answers, machine, existing, kept, database, fresh: &fresh }))
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The steps, in their order.
    pub steps: Vec<Step>,
    /// The trials at the end, if the steps were done and the services run.
    pub trials: Vec<Trial>,
    /// What is to be typed into maaiiconnect, if the steps were done.
    pub sheet: Option<Sheet>,
    /// What was made up by steps that were done before one failed.
    pub once: sheet::Once,
    /// Whether all steps and trials were done.
    pub ok: bool,
}

/// Carries a plan out, tries everything, and fills the sheet.
pub async fn carry_out(plan: &Plan, known: &Known, report: &mut dyn FnMut(&Step)) -> Outcome {
    let mut steps = Steps::new(report);
    let done = perform::perform(plan, &known.machine, &mut steps).await;
    let (mut ok, steps) = (steps.all_done(), steps.into_list());
    let mut trials = Vec::new();
    for subject in subjects(plan, known).into_iter().filter(|_| ok) {
        trials.push(trial::run(&plan.config, subject, report).await);
    }
    let filled = Sheet::new(&plan.config, &done);
    let (once, sheet) = (filled.once.clone(), ok.then_some(filled));
    ok &= trials.iter().all(|trial| trial.ok);
    Outcome { steps, trials, sheet, once, ok }
}

/// What can be tried: the database always, and the rest where the services were started.
fn subjects(plan: &Plan, known: &Known) -> Vec<Subject> {
    let started = plan.start && known.machine.systemd;
    let can = |subject: &Subject| started || *subject == Subject::Mongodb;
    Subject::ALL.into_iter().filter(|subject| plan.test && can(subject)).collect()
}
