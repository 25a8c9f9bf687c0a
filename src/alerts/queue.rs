//! What is still to be delivered: a file for each message and way, until it arrived.
//!
//! ```text
//! queue/WAY/ID.json    the message, how often it was tried, and when it is tried next
//! ```
//!
//! A way that is away is tried again after 5 seconds, then after twice as long each time, at
//! most an hour. What could not be delivered in three days is given up, and said in the journal.
//!
//! A disk that is full takes no file, and just then somebody has to be told: what cannot be written
//! down waits in memory, and is said again if the daemon ends before it arrived.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Error, message::Message};
use crate::{cause::chain, health::check::Verdict};

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
#[derive(Debug)]
pub struct Queue {
    directory: PathBuf,
    /// What could not be written down, by way and id. It stands for what is on the disk, too.
    unwritten: Mutex<BTreeMap<(String, String), Waiting>>,
}

impl Queue {
    /// The queues below this directory.
    pub fn new(directory: &Path) -> Self {
        Self { directory: directory.join("queue"), unwritten: Mutex::default() }
    }

    /// Makes the place of a way.
    pub fn prepare(&self, way: &str) -> Result<(), Error> {
        super::make(&self.directory.join(way))
    }

    /// Lays a message down for a way. One that lies there already is left as it is.
    pub fn put(&self, way: &str, message: &Message, now: Timestamp) {
        let mut waiting = self.list(way);
        if waiting.iter().any(|waiting| waiting.message.id == message.id) {
            return;
        }
        while waiting.len() >= LIMIT {
            let oldest = waiting.remove(0);
            let subject = oldest.message.subject;
            tracing::error!(
                way,
                "too many alerts wait for {way}; the oldest is given up: {subject}"
            );
            self.remove(way, &oldest.message.id);
        }
        let error = String::new();
        self.keep(way, Waiting { message: message.clone(), attempts: 0, next: now, error });
    }

    /// What is to be tried now, the oldest first.
    pub fn due(&self, way: &str, now: Timestamp) -> Vec<Waiting> {
        self.list(way).into_iter().filter(|waiting| waiting.next <= now).collect()
    }

    /// Takes a message out: it arrived, or is given up.
    pub fn remove(&self, way: &str, id: &str) {
        self.unwritten().remove(&(way.to_owned(), id.to_owned()));
        let path = self.path(way, id);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                let error = Error { operation: "remove", path, source };
                tracing::error!("an alert is going to be said again: {}", chain(&error));
            }
            _ => {}
        }
    }

    /// Notes that a message did not arrive, and when it is tried again.
    pub fn failed(&self, way: &str, waiting: Waiting, error: String, now: Timestamp) {
        let age = now.duration_since(waiting.message.at);
        if age >= SignedDuration::from_hours(GIVE_UP_HOURS) {
            let subject = waiting.message.subject;
            tracing::error!(way, "an alert for {way} is given up: {subject}");
            return self.remove(way, &waiting.message.id);
        }
        let attempts = waiting.attempts.saturating_add(1);
        self.keep(way, Waiting { attempts, next: now + pause(attempts), error, ..waiting });
    }

    /// Writes down that a message waits; where that cannot be, remembers it.
    fn keep(&self, way: &str, waiting: Waiting) {
        let key = (way.to_owned(), waiting.message.id.clone());
        let written = super::write(&self.path(way, &key.1), &waiting);
        let mut unwritten = self.unwritten();
        match written {
            Ok(()) => {
                unwritten.remove(&key);
            }
            Err(error) => {
                tracing::error!("an alert waits in memory only: {}", chain(&error));
                unwritten.insert(key, waiting);
            }
        }
    }

    fn unwritten(&self) -> MutexGuard<'_, BTreeMap<(String, String), Waiting>> {
        self.unwritten.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nothing waits at all.
    pub fn is_empty(&self) -> bool {
        self.unwritten().is_empty() && self.ways().iter().all(|way| self.list(way).is_empty())
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
                    "Mend that way; they are delivered by themselves then. `retention test alerts` \
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
        for ((_, id), newer) in self.unwritten().iter().filter(|((of, _), _)| of == way) {
            waiting.retain(|older| older.message.id != *id);
            waiting.push(newer.clone());
        }
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
        queue.put("mail", &message, at(0));
        queue.put("mail", &message, at(5));
        let mut now = 0;
        for pause in [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600] {
            let due = queue.due("mail", at(now));
            assert_eq!(due.len(), 1, "at {now}");
            queue.failed("mail", due[0].clone(), "away".into(), at(now));
            assert_eq!(queue.due("mail", at(now + pause - 1)), []);
            now += pause;
        }
        let verdict = queue.verdict(at(now));
        assert_eq!(verdict.sentence, "1 alert waits for mail: away.");
        let due = queue.due("mail", at(300_000));
        queue.failed("mail", due[0].clone(), "away".into(), at(300_000));
        assert!(queue.is_empty());
    }

    #[test]
    fn what_cannot_be_written_down_waits_all_the_same() {
        let scratch = tempfile::tempdir().expect("scratch");
        let queue = Queue::new(scratch.path());
        queue.prepare("mail").expect("prepared");
        let at = |second| Timestamp::from_second(second).expect("a time");
        let messages = [Message::test("here", at(0)), Message::test("here", at(1))];
        queue.put("mail", &messages[0], at(0));
        // In the place of a directory nobody can write, not even root.
        let (place, moved) = (scratch.path().join("queue/mail"), scratch.path().join("moved"));
        fs::rename(&place, &moved).expect("moved");
        fs::write(&place, "").expect("in its place");
        queue.put("mail", &messages[1], at(1));
        let due = queue.due("mail", at(1));
        assert_eq!(due.len(), 1);
        queue.failed("mail", due[0].clone(), "away".into(), at(1));
        assert_eq!((queue.due("mail", at(5)).len(), queue.is_empty()), (0, false));

        fs::remove_file(&place).expect("gone");
        fs::rename(&moved, &place).expect("back");
        let waiting = queue.list("mail");
        assert_eq!(waiting.len(), 2);
        queue.failed("mail", waiting[1].clone(), "away".into(), at(6));
        assert_eq!(Queue::new(scratch.path()).list("mail").len(), 2, "now it is on the disk");
        waiting.iter().for_each(|one| queue.remove("mail", &one.message.id));
        assert!(queue.is_empty());
    }

    #[test]
    fn a_queue_does_not_grow_for_ever() {
        let scratch = tempfile::tempdir().expect("scratch");
        let queue = Queue::new(scratch.path());
        queue.prepare("mail").expect("prepared");
        for second in 0..=i64::try_from(LIMIT).expect("fits") {
            let at = Timestamp::from_second(second).expect("a time");
            queue.put("mail", &Message::test("here", at), at);
        }
        let waiting = queue.list("mail");
        assert_eq!(waiting.len(), LIMIT);
        assert_eq!(waiting[0].message.at.as_second(), 1);
    }
}
