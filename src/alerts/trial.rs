//! Whether alerts arrive: a test through every way, at once and past the queue.

use jiff::Timestamp;

use super::{Settings, message::Message};
use crate::cause::chain;

/// What came of a way's test.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Outcome {
    /// The way.
    pub way: &'static str,
    /// Which step failed and why; nothing if the test was delivered.
    pub failed: Option<String>,
}

/// Sends a test through every way that is configured, one after the other.
pub async fn trial(settings: &Settings, now: Timestamp) -> Vec<Outcome> {
    let message = Message::test(&settings.host, now);
    let mut outcomes = Vec::new();
    for way in &settings.ways {
        let failed = way.deliver(&message, now).await.err().map(|error| chain(&error));
        outcomes.push(Outcome { way: way.name(), failed });
    }
    outcomes
}
