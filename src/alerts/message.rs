//! What is said: once, in words for people and in fields for programs.

use std::fmt::Write;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::health::{
    Report,
    check::{Check, State, span},
};

/// Why something is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Event {
    /// Something has changed.
    Change,
    /// Something is still wrong.
    Reminder,
    /// How it is, once a day.
    Digest,
    /// Somebody tries whether it arrives.
    Test,
}

/// A message, the same for every way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// The same event has the same id.
    pub id: String,
    /// When it was made.
    pub at: Timestamp,
    /// Why.
    pub event: Event,
    /// Which machine says so.
    pub host: String,
    /// In a line.
    pub subject: String,
    /// In full, for people.
    pub text: String,
    /// The weightiest state of what is in trouble.
    pub state: State,
    /// What is in trouble, without the measures.
    pub troubles: Vec<Check>,
    /// What is well again.
    pub recovered: Vec<Check>,
}

/// What a message is made of.
#[derive(Clone, Debug, Default)]
pub(super) struct Contents<'a> {
    /// What is in trouble.
    pub(super) troubles: Vec<&'a Check>,
    /// What follows from that.
    pub(super) consequences: Vec<&'a Check>,
    /// What is well again.
    pub(super) recovered: Vec<&'a Check>,
    /// What is in trouble and silenced.
    pub(super) silenced: Vec<&'a Check>,
}

impl Message {
    /// A message about these checks.
    pub(super) fn new(
        event: Event,
        contents: &Contents<'_>,
        report: &Report,
        host: &str,
        now: Timestamp,
    ) -> Self {
        let all = contents.troubles.iter().chain(&contents.recovered);
        let mut hash = Sha256::new();
        for check in all {
            hash.update(format!("{} {} {}\n", check.key(), check.state, check.since));
        }
        // What is said again is another message each time.
        if event != Event::Change {
            hash.update(now.to_string());
        }
        let copy = |checks: &[&Check]| -> Vec<Check> {
            let bare = |check: &&Check| Check { measures: Vec::new(), ..(*check).clone() };
            checks.iter().map(bare).collect()
        };
        let troubles = copy(&contents.troubles);
        Self {
            id: hex::encode(&hash.finalize()[..16]),
            at: now,
            event,
            host: host.to_owned(),
            subject: format!("[retention {host}] {}", subject(event, contents)),
            text: text(event, contents, report, host, now),
            state: crate::health::check::worst(&troubles),
            troubles,
            recovered: copy(&contents.recovered),
        }
    }

    /// A message by which somebody tries whether it arrives.
    pub fn test(host: &str, now: Timestamp) -> Self {
        Self {
            id: format!("test-{}", now.as_millisecond()),
            at: now,
            event: Event::Test,
            host: host.to_owned(),
            subject: format!("[retention {host}] A test"),
            text: format!(
                "This is a test of the alerts of the retention appliance on {host}. Nothing is \
                 wrong, and nothing has to be done.\n"
            ),
            state: State::Ok,
            troubles: Vec::new(),
            recovered: Vec::new(),
        }
    }
}

fn subject(event: Event, contents: &Contents<'_>) -> String {
    let Contents { troubles, recovered, .. } = contents;
    let worst = troubles.iter().map(|check| check.state).max().unwrap_or(State::Ok);
    let about = |checks: &[&Check]| match checks {
        [one] => one.title(),
        several => format!("{} checks", several.len()),
    };
    match (event, troubles.as_slice(), recovered.as_slice()) {
        (Event::Digest, [], _) => "All is well".to_owned(),
        (Event::Digest, some, _) => format!("Digest: {} in trouble ({worst})", about(some)),
        (Event::Reminder, some, _) => format!("Still {worst}: {}", about(some)),
        (_, [], some) => format!("Well again: {}", about(some)),
        (_, some, _) => format!("{}: {}", capital(worst), about(some)),
    }
}

fn capital(state: State) -> &'static str {
    match state {
        State::Ok => "OK",
        State::Unknown => "Unknown",
        State::Warning => "Warning",
        State::Critical => "Critical",
    }
}

fn text(
    event: Event,
    contents: &Contents<'_>,
    report: &Report,
    host: &str,
    now: Timestamp,
) -> String {
    let mut text = String::new();
    let mut section = |title: &str, checks: &[&Check]| {
        if checks.is_empty() {
            return;
        }
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{title}\n");
        for check in checks {
            let since = check.since.strftime("%Y-%m-%d %H:%M:%S UTC");
            let _ = writeln!(text, "* {} ({}): {}", check.title(), check.state, check.sentence);
            if !check.advice.is_empty() {
                let _ = writeln!(text, "  {}", check.advice);
            }
            let lasting = span(now.duration_since(check.since).as_secs());
            let _ = writeln!(text, "  Since {since}, for {lasting}. Check: {}\n", check.key());
        }
    };
    let title = match event {
        Event::Reminder => "This still needs attention:",
        _ => "This needs attention:",
    };
    section(title, &contents.troubles);
    section("Which has brought about:", &contents.consequences);
    section("This is well again:", &contents.recovered);
    section("This is in trouble, and silenced:", &contents.silenced);
    if event == Event::Digest {
        digest(&mut text, contents, report);
    }
    let _ = writeln!(
        text,
        "-- \nThe retention appliance on {host}. `retention status` shows everything;\n\
         `retention alerts silence CHECK --for 2h` keeps a check quiet for a while."
    );
    text
}

fn digest(text: &mut String, contents: &Contents<'_>, report: &Report) {
    if contents.troubles.is_empty() {
        let _ = writeln!(text, "All is well: {} checks.\n", report.checks.len());
    }
    if let Ok(lines) = report.backups.answer()
        && !lines.is_empty()
    {
        let _ = writeln!(text, "The newest backups:\n");
        for line in lines {
            let changed = line.changed.strftime("%Y-%m-%d %H:%M UTC");
            let _ = writeln!(text, "* {}: {} since {changed}", line.file, line.state);
        }
        text.push('\n');
    }
}
