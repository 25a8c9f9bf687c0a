//! What is still to be delivered: a file for each message and way, until it arrived.
//!
//! ```text
//! queue/WAY/ID.json    the message, how often it was tried, and when it is tried next
//! ```
//!
//! A way that is away is tried again after 5 seconds, then after twice as long each time, at
//! most an hour. What could not be delivered in three days is given up, and said in the journal.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Error, message::Message};
use crate::health::check::Verdict;

/// Pauses between attempts, in seconds: the first, and the longest.
const PAUSE_SECONDS: (i64, i64) = (5, 3600);

/// How long a message is tried, in hours.
const GIVE_UP_HOURS: i64 = 72;

/// How many messages wait for one way at most.
const LIMIT: usize = 200;

/// A message that waits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Waiting {
    /// The message.
    pub message: Message,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried next.
    pub next: Timestamp,
    /// Why it did not arrive the last time.
    pub error: String,
}

/// The queues of all ways.
#[derive(Clone, Debug)]
pub struct Queue {
    directory: PathBuf,
}

impl Queue {
    /// The queues below this directory.
    pub fn new(directory: &Path) -> Self {
        Self { directory: directory.join("queue") }
    }

    /// Makes the place of a way.
    pub fn prepare(&self, way: &str) -> Result<(), Error> {
        super::make(&self.directory.join(way))
    }

    /// Lays a message down for a way. One that lies there already is left as it is.
    pub fn put(&self, way: &str, message: &Message, now: Timestamp) -> Result<(), Error> {
        let path = self.path(way, &message.id);
        if path.exists() {
            return Ok(());
        }
        let mut waiting = self.list(way);
        while waiting.len() >= LIMIT {
            let oldest = waiting.remove(0);
            tracing::error!(
                way,
                subject = oldest.message.subject,
                "too many alerts wait; the oldest is given up"
            );
            self.delivered(way, &oldest.message.id)?;
        }
        let error = String::new();
        super::write(&path, &Waiting { message: message.clone(), attempts: 0, next: now, error })
    }

    /// What is to be tried now, the oldest first.
    pub fn due(&self, way: &str, now: Timestamp) -> Vec<Waiting> {
        self.list(way).into_iter().filter(|waiting| waiting.next <= now).collect()
    }

    /// Takes a message out that arrived.
    pub fn delivered(&self, way: &str, id: &str) -> Result<(), Error> {
        let path = self.path(way, id);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error { operation: "remove", path, source: error })
            }
            _ => Ok(()),
        }
    }

    /// Notes that a message did not arrive, and when it is tried again.
    pub fn failed(
        &self,
        way: &str,
        waiting: Waiting,
        error: String,
        now: Timestamp,
    ) -> Result<(), Error> {
        let id = waiting.message.id.clone();
        let age = now.duration_since(waiting.message.at);
        if age >= SignedDuration::from_hours(GIVE_UP_HOURS) {
            tracing::error!(way, subject = waiting.message.subject, "an alert is given up");
            return self.delivered(way, &id);
        }
        let attempts = waiting.attempts.saturating_add(1);
        let next = now + pause(attempts);
        super::write(&self.path(way, &id), &Waiting { attempts, next, error, ..waiting })
    }

    /// Whether nothing waits at all.
    pub fn is_empty(&self) -> bool {
        self.ways().iter().all(|way| self.list(way).is_empty())
    }

    /// How deliveries fare, as a check.
    pub fn verdict(&self, _now: Timestamp) -> Verdict {
        for way in self.ways() {
            let waiting = self.list(&way);
            let mut failing = waiting.iter().filter(|waiting| waiting.attempts > 0);
            if let Some(last) = failing.next_back() {
                let number = waiting.len();
                let alerts = if number == 1 { "alert waits" } else { "alerts wait" };
                return Verdict::warning(
                    format!("{number} {alerts} for {way}: {}.", last.error),
                    "Mend that way; they are delivered by themselves then. `retention alerts test` \
                     tries each way and names the step that fails.",
                );
            }
        }
        Verdict::ok("No alert waits to be delivered.")
    }

    /// What waits for a way, the oldest first.
    pub fn list(&self, way: &str) -> Vec<Waiting> {
        let entries = fs::read_dir(self.directory.join(way)).into_iter().flatten().flatten();
        let paths = entries.map(|entry| entry.path());
        let paths = paths.filter(|path| path.extension().is_some_and(|ending| ending == "json"));
        let read = |path: PathBuf| super::read::<Waiting>(&path).ok().flatten();
        let mut waiting: Vec<Waiting> = paths.filter_map(read).collect();
        waiting.sort_by(|a, b| (a.message.at, &a.message.id).cmp(&(b.message.at, &b.message.id)));
        waiting
    }

    /// The ways that have a queue.
    pub fn ways(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.directory).into_iter().flatten().flatten();
        let mut ways: Vec<String> =
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        ways.sort_unstable();
        ways
    }

    fn path(&self, way: &str, id: &str) -> PathBuf {
        self.directory.join(way).join(format!("{id}.json"))
    }
}

/// The pause after so many attempts.
fn pause(attempts: u32) -> SignedDuration {
    let doubled = PAUSE_SECONDS.0.saturating_mul(1_i64 << attempts.saturating_sub(1).min(20));
    SignedDuration::from_secs(doubled.min(PAUSE_SECONDS.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_waits_until_it_arrives_and_is_tried_ever_more_seldom() {
        let scratch = tempfile::tempdir().expect("scratch");
        let queue = Queue::new(scratch.path());
        queue.prepare("mail").expect("prepared");
        let at = |second| Timestamp::from_second(second).expect("a time");
        let message = Message::test("here", at(0));
        queue.put("mail", &message, at(0)).expect("laid down");
        queue.put("mail", &message, at(5)).expect("laid down once");
        let mut now = 0;
        for pause in [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600] {
            let due = queue.due("mail", at(now));
            assert_eq!(due.len(), 1, "at {now}");
            queue.failed("mail", due[0].clone(), "away".into(), at(now)).expect("noted");
            assert_eq!(queue.due("mail", at(now + pause - 1)), []);
            now += pause;
        }
        let verdict = queue.verdict(at(now));
        assert_eq!(verdict.sentence, "1 alert waits for mail: away.");
        let due = queue.due("mail", at(300_000));
        queue.failed("mail", due[0].clone(), "away".into(), at(300_000)).expect("given up");
        assert!(queue.is_empty());
    }

    #[test]
    fn a_queue_does_not_grow_for_ever() {
        let scratch = tempfile::tempdir().expect("scratch");
        let queue = Queue::new(scratch.path());
        queue.prepare("mail").expect("prepared");
        for second in 0..=i64::try_from(LIMIT).expect("fits") {
            let at = Timestamp::from_second(second).expect("a time");
            queue.put("mail", &Message::test("here", at), at).expect("laid down");
        }
        let waiting = queue.list("mail");
        assert_eq!(waiting.len(), LIMIT);
        assert_eq!(waiting[0].message.at.as_second(), 1);
    }
}
