//! *Test this configuration now*: does each part do its work, from end to end?
//!
//! A trial goes the way that the real thing goes, with the real parts, and tells of
//! each step whether it was done. The first that fails ends the trial, so that what
//! failed has one name.
//!
//! - [`sftp`]: an upload through the endpoint, with a key that lives only that long
//! - [`database`]: a write that most members acknowledge
//! - [`portal`]: a sign-in over HTTPS, with an account that lives only that long
//! - [`alerts`]: a message to those who are told when something is wrong
//!
//! A trial must leave nothing behind, however it ends, must never count as a backup,
//! and must never need less than what the real thing needs: no door is opened for it
//! that would not be there otherwise.

pub mod alerts;
pub mod database;
pub mod portal;
pub mod sftp;

use serde::Serialize;

use crate::{
    config::Config,
    steps::{Failure, Outcome, Step, Steps},
};

/// What can be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Subject {
    /// An upload.
    Sftp,
    /// A write.
    Mongodb,
    /// A sign-in.
    Portal,
    /// A message.
    Alerts,
}

impl Subject {
    /// All of them, each after what it needs.
    pub const ALL: [Self; 4] = [Self::Mongodb, Self::Sftp, Self::Portal, Self::Alerts];

    /// The name as it is typed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sftp => "sftp",
            Self::Mongodb => "mongodb",
            Self::Portal => "portal",
            Self::Alerts => "alerts",
        }
    }
}

/// A trial that has ended.
#[derive(Clone, Debug, Serialize)]
pub struct Trial {
    /// What was tried.
    pub subject: Subject,
    /// Whether every step was done.
    pub ok: bool,
    /// The steps, in their order.
    pub steps: Vec<Step>,
}

/// Tries `subject` out, and reports each step as soon as it has ended.
pub async fn run(config: &Config, subject: Subject, report: &mut dyn FnMut(&Step)) -> Trial {
    let mut steps = Steps::new(report);
    match subject {
        Subject::Sftp => sftp::run(config, &mut steps).await,
        Subject::Mongodb => database::run(config, &mut steps).await,
        Subject::Portal => portal::run(config, &mut steps).await,
        Subject::Alerts => alerts::run(config, &mut steps).await,
    }
    let (ok, steps) = (steps.all_done(), steps.into_list());
    Trial { subject, ok, steps }
}

/// Tries the database of a configuration out, as steps of something larger.
pub async fn database(config: &Config, steps: &mut Steps<'_>) {
    database::run(config, steps).await;
}

/// A word that no other trial has, for the names of what a trial makes.
fn token() -> String {
    uuid::Uuid::now_v7().simple().to_string()
}
