//! What is to be said: a function of the report, of what was said before, and of the time.
//!
//! - What has become worse is told once it has been so for a moment; what is well again, too.
//! - *Unknown* is told to nobody: it follows from something else, or from a right that is missing.
//! - What follows from a cause that is in trouble itself is told with the cause, and not by itself.
//! - All that changed since the last look is one message.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp, civil::Time, tz::TimeZone};
use serde::{Deserialize, Serialize};

use super::{
    message::{Contents, Event, Message},
    silence::{self, Silence},
};
use crate::health::{
    Report,
    check::{Check, Kind, State},
};

/// How long a check that is no longer there is remembered, in days.
const FORGET_DAYS: i64 = 7;

/// When somebody is told.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// How long something has to be as it is.
    pub settle: SignedDuration,
    /// After how long one is reminded; zero for never.
    pub reminder: SignedDuration,
    /// The hour of the day, in UTC, of the digest; nothing for none.
    pub digest_hour: Option<u8>,
}

/// What was told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    told: BTreeMap<String, Told>,
    digested: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Told {
    state: State,
    at: Timestamp,
}

/// What is to be said now, and what is to be remembered once it is in the queue.
pub fn plan(
    report: &Report,
    memory: &Memory,
    silences: &[Silence],
    rules: &Rules,
    host: &str,
    now: Timestamp,
) -> (Vec<Message>, Memory) {
    let mut next = memory.clone();
    let (mut news, mut due) = (Contents::default(), Contents::default());
    for check in report.checks.iter().filter(|check| check.kind != Kind::Alerts) {
        let key = check.key();
        let told = memory.told.get(&key).copied();
        let silenced = silence::covers(silences, check, now);
        let settled = now.duration_since(check.since) >= rules.settle;
        match (check.state, told) {
            (State::Ok, Some(_)) if settled => {
                next.told.remove(&key);
                if !silenced {
                    news.recovered.push(check);
                }
            }
            (state, _) if !state.is_trouble() || !settled || silenced => {}
            (state, Some(told)) if state <= told.state => {
                let since = now.duration_since(told.at);
                if rules.reminder > SignedDuration::ZERO && since >= rules.reminder {
                    due.troubles.push(check);
                }
                // What has become lighter is told again if it becomes heavier.
                next.told.insert(key, Told { state, ..told });
            }
            (_, None) if follows(check, report) => {}
            (state, _) => {
                next.told.insert(key, Told { state, at: now });
                news.troubles.push(check);
            }
        }
    }
    forget(&mut next, report, now);
    let mut messages = Vec::new();
    if !news.troubles.is_empty() || !news.recovered.is_empty() {
        news.consequences = consequences(&news.troubles, report, &next);
        messages.push(Message::new(Event::Change, &news, report, host, now));
    }
    if !due.troubles.is_empty() {
        for check in &due.troubles {
            next.told.insert(check.key(), Told { state: check.state, at: now });
        }
        due.consequences = consequences(&due.troubles, report, &next);
        messages.push(Message::new(Event::Reminder, &due, report, host, now));
    }
    if let Some(hour) = rules.digest_hour
        && let Some(message) = digest(hour, report, &mut next, silences, host, now)
    {
        messages.push(message);
    }
    (messages, next)
}

/// Whether a cause of the check is in trouble.
fn follows(check: &Check, report: &Report) -> bool {
    let causes = check.kind.follows_from();
    report.checks.iter().any(|cause| cause.state.is_trouble() && causes.contains(&cause.kind))
}

/// What is in trouble because of these checks, and is not told by itself.
fn consequences<'a>(causes: &[&Check], report: &'a Report, told: &Memory) -> Vec<&'a Check> {
    let because =
        |check: &&Check| causes.iter().any(|cause| check.kind.follows_from().contains(&cause.kind));
    let in_trouble =
        |check: &&Check| check.state.is_trouble() && !told.told.contains_key(&check.key());
    report.checks.iter().filter(in_trouble).filter(because).collect()
}

/// Forgets what has not been there for long.
fn forget(memory: &mut Memory, report: &Report, now: Timestamp) {
    let limit = SignedDuration::from_hours(24 * FORGET_DAYS);
    memory.told.retain(|key, told| {
        now.duration_since(told.at) < limit || report.checks.iter().any(|check| check.key() == *key)
    });
}

fn digest(
    hour: u8,
    report: &Report,
    memory: &mut Memory,
    silences: &[Silence],
    host: &str,
    now: Timestamp,
) -> Option<Message> {
    // The first day has said enough by itself.
    let last = *memory.digested.get_or_insert(now);
    let hour = Time::new(i8::try_from(hour).ok()?, 0, 0, 0).ok()?;
    let today = now.to_zoned(TimeZone::UTC).date().to_datetime(hour);
    let due = today.to_zoned(TimeZone::UTC).ok()?.timestamp();
    if now < due || last >= due {
        return None;
    }
    memory.digested = Some(now);
    let troubles = report.checks.iter().filter(|check| check.state.is_trouble());
    let (silenced, troubles) = troubles.partition(|check| silence::covers(silences, check, now));
    let contents = Contents { troubles, silenced, ..Contents::default() };
    Some(Message::new(Event::Digest, &contents, report, host, now))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::{check::Verdict, metrics::tests::report};

    fn rules() -> Rules {
        Rules {
            settle: SignedDuration::from_secs(60),
            reminder: SignedDuration::from_hours(24),
            digest_hour: None,
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).expect("a time")
    }

    fn check(kind: Kind, state: State, since: i64) -> Check {
        let verdict = Verdict { state, ..Verdict::warning("It is so.", "Do it.") };
        verdict.of(kind, "", at(since))
    }

    /// The subjects of what is said about these checks at a time.
    fn say(
        checks: &[Check],
        memory: &mut Memory,
        silences: &[Silence],
        second: i64,
    ) -> Vec<String> {
        let report = report(checks.to_vec(), at(second));
        let (messages, next) = plan(&report, memory, silences, &rules(), "here", at(second));
        *memory = next;
        let bare = |message: Message| message.subject.replace("[retention here] ", "");
        messages.into_iter().map(bare).collect()
    }

    #[test]
    fn what_changes_is_told_once_when_it_has_settled() {
        use State::{Critical, Ok, Unknown, Warning};
        let mut memory = Memory::default();
        for (second, state, since, said) in [
            (0, Ok, 0, None),
            (100, Warning, 100, None),
            (130, Warning, 100, None),
            (160, Warning, 100, Some("Warning: Free space")),
            (200, Warning, 100, None),
            (300, Critical, 200, Some("Critical: Free space")),
            (400, Warning, 330, None),
            (500, Critical, 430, Some("Critical: Free space")),
            // Nobody can look; that is no news, and no end.
            (600, Unknown, 510, None),
            (700, Critical, 610, None),
            (800, Ok, 790, None),
            (900, Ok, 790, Some("Well again: Free space")),
            (1000, Ok, 790, None),
        ] {
            let said_now = say(&[check(Kind::DiskSpace, state, since)], &mut memory, &[], second);
            assert_eq!(said_now, Vec::from_iter(said), "at {second}");
        }
    }

    #[test]
    fn one_cause_is_one_message() {
        use State::{Critical, Ok, Unknown, Warning};
        let mut memory = Memory::default();
        let away = [
            check(Kind::Mongodb, Critical, 0),
            check(Kind::BackupsWaiting, Warning, 0),
            check(Kind::ReplicaMembers, Unknown, 0),
        ];
        assert_eq!(say(&away, &mut memory, &[], 60), ["Critical: MongoDB"]);
        assert_eq!(say(&away, &mut memory, &[], 120), Vec::<String>::new());
        // The cause is over and what followed from it is not.
        let lasting = [check(Kind::Mongodb, Ok, 200), check(Kind::BackupsWaiting, Warning, 0)];
        assert_eq!(say(&lasting, &mut memory, &[], 260), ["Warning: Waiting backups"]);
        let well = [check(Kind::Mongodb, Ok, 200), check(Kind::BackupsWaiting, Ok, 300)];
        assert_eq!(say(&well, &mut memory, &[], 360), ["Well again: Waiting backups"]);
    }

    #[test]
    fn consequences_are_in_the_message_of_their_cause() {
        let checks = vec![
            check(Kind::Mongodb, State::Critical, 0),
            check(Kind::BackupsWaiting, State::Warning, 0),
        ];
        let report = report(checks, at(60));
        let (messages, _) = plan(&report, &Memory::default(), &[], &rules(), "here", at(60));
        let text = &messages[0].text;
        assert!(text.contains("Which has brought about:\n\n* Waiting backups"), "{text}");
        assert_eq!(messages[0].troubles.len(), 1);
    }

    #[test]
    fn one_is_reminded_of_what_is_still_wrong() {
        let mut memory = Memory::default();
        let checks =
            [check(Kind::Endpoint, State::Critical, 0), check(Kind::Clock, State::Warning, 0)];
        let day = 24 * 3600;
        assert_eq!(say(&checks, &mut memory, &[], 60), ["Critical: 2 checks"]);
        assert_eq!(say(&checks, &mut memory, &[], day), Vec::<String>::new());
        assert_eq!(say(&checks, &mut memory, &[], 60 + day), ["Still critical: 2 checks"]);
        assert_eq!(say(&checks, &mut memory, &[], 120 + day), Vec::<String>::new());
    }

    #[test]
    fn what_is_silenced_is_told_when_the_silence_is_over() {
        let mut memory = Memory::default();
        let checks = [check(Kind::Endpoint, State::Critical, 0)];
        let silence = Silence { what: "endpoint".into(), until: at(1000) };
        assert_eq!(
            say(&checks, &mut memory, std::slice::from_ref(&silence), 60),
            Vec::<String>::new()
        );
        assert_eq!(say(&checks, &mut memory, &[silence], 1001), ["Critical: SFTP endpoint"]);
    }

    #[test]
    fn the_digest_comes_once_a_day() {
        let rules = Rules { digest_hour: Some(7), ..rules() };
        let mut memory = Memory::default();
        let mut said = Vec::new();
        // Three days from 2023-11-14T22:13:20Z on, looked at each hour.
        for hour in 0..72 {
            let now = at(hour * 3600);
            let report = report(vec![check(Kind::Clock, State::Ok, 0)], now);
            let (messages, next) = plan(&report, &memory, &[], &rules, "here", now);
            memory = next;
            said.extend(messages.into_iter().map(|message| (hour, message.subject)));
        }
        let hours: Vec<i64> = said.iter().map(|(hour, _)| *hour).collect();
        assert_eq!(hours, [9, 33, 57]);
        assert_eq!(said[0].1, "[retention here] All is well");
    }
}
