//! A message to those who are told when something is wrong.

use super::{Failure, Steps};
use crate::{alerts::trial, appliance, config::Config};

/// Sends a message by every way that is configured, past the queue. One that fails does not
/// keep the others from being tried.
pub(super) async fn run(config: &Config, steps: &mut Steps<'_>) {
    let outcomes = trial::trial(&appliance::alerts(config), appliance::now()).await;
    if outcomes.is_empty() {
        let todo = "Fill in [alerts] in the configuration, so that somebody is told.".to_owned();
        steps.not_done("send a message", "no way to send alerts is configured", Some(todo));
    }
    for trial::Outcome { way, failed } in outcomes {
        let name = format!("send a message by {way}");
        match failed {
            None => steps.done(&name, "it was delivered"),
            Some(why) => steps.failed(&name, Failure::new(why, "")),
        }
    }
}
