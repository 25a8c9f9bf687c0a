//! An invented business, and what happens in it on a day: the one of the demonstration.
//!
//! Its people, its goods and what they say to each other are the files of
//! `packaging/demo_company/data`, shared with the demonstration and not copied. What happens
//! follows from a seed and the number of the day alone, so that a day that was cut off can be
//! written again. It must never hold a real person's data.

mod calls;
mod chance;
mod chats;
mod data;
mod media;
mod people;
mod pictures;
mod shapes;
mod talk;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};
use retention::records::Dataset;
use serde_json::Value;

use crate::record::{Medium, Record, Room};

use chance::Chance;
use people::{People, Person};

/// When the shop opens, in hours UTC.
const OPENS: i8 = 3;

/// For how long it is open.
const OPEN_SECONDS: i64 = 8 * 3600;

/// How much happens on a day.
#[derive(Clone, Copy, Debug)]
struct Volume {
    customer_rooms: usize,
    staff_rooms: usize,
    messages: usize,
    calls: usize,
    voicemails: usize,
    recordings: usize,
    conferences: usize,
    enquiries_by_chat: usize,
    enquiries_by_phone: usize,
}

const FULL: Volume = Volume {
    customer_rooms: 14,
    staff_rooms: 4,
    messages: 240,
    calls: 80,
    voicemails: 4,
    recordings: 6,
    conferences: 3,
    enquiries_by_chat: 8,
    enquiries_by_phone: 5,
};

const QUICK: Volume = Volume {
    customer_rooms: 3,
    staff_rooms: 1,
    messages: 40,
    calls: 12,
    voicemails: 1,
    recordings: 1,
    conferences: 1,
    enquiries_by_chat: 2,
    enquiries_by_phone: 1,
};

/// How many messages and calls each room has had. It goes on from day to day.
pub(crate) type Counters = BTreeMap<String, i64>;

/// The business.
#[derive(Debug)]
pub(crate) struct Company {
    seed: u64,
    volume: Volume,
    people: People,
    talk: talk::Scripts,
}

/// What a day leaves behind.
#[derive(Debug, Default)]
pub(crate) struct Day {
    /// Its records, and the lists as they are on that day.
    pub(crate) records: Vec<Record>,
    /// The media that they name.
    pub(crate) media: Vec<Medium>,
    /// The rooms that they are in.
    pub(crate) rooms: Vec<Room>,
}

impl Company {
    /// The business that a seed makes.
    pub(crate) fn new(seed: u64, quick: bool) -> Self {
        let volume = if quick { QUICK } else { FULL };
        Self { seed, volume, people: People::new(seed, quick), talk: talk::Scripts::read() }
    }

    /// What happens on its day with this number, which is this date. With `noise_bytes` somebody
    /// also shares a file of that size that cannot be compressed.
    pub(crate) fn day(
        &self,
        number: u32,
        date: Date,
        counters: &mut Counters,
        noise_bytes: usize,
    ) -> Day {
        let opens = date.at(OPENS, 0, 0, 0).to_zoned(TimeZone::UTC);
        let opens = opens.map_or(Timestamp::UNIX_EPOCH, |time| time.timestamp());
        let mut diary = Diary {
            seed: self.seed,
            number,
            opens,
            staff: self.people.staff_on(number),
            contacts: self.people.contacts_on(number),
            counters,
            day: Day::default(),
        };
        self.people.lists(&mut diary);
        chats::write(&mut diary, &self.talk, self.volume);
        calls::write(&mut diary, self.volume);
        if noise_bytes > 0 {
            chats::share_noise(&mut diary, noise_bytes);
        }
        diary.day
    }
}

/// A day as far as it has been written.
struct Diary<'a> {
    seed: u64,
    number: u32,
    opens: Timestamp,
    staff: Vec<Person>,
    contacts: Vec<Person>,
    counters: &'a mut Counters,
    day: Day,
}

impl Diary<'_> {
    /// A source of chance for one part of this day.
    fn chance(&self, purpose: &str) -> Chance {
        Chance::new(self.seed, purpose, u64::from(self.number))
    }

    fn add(&mut self, dataset: Dataset, record: &Value) {
        self.day.records.push(Record::new(dataset, record));
    }

    /// Staff who can sign in.
    fn at_work(&self) -> Vec<Person> {
        self.staff.iter().filter(|person| person.is_at_work()).cloned().collect()
    }

    /// Staff who speak with customers.
    fn handlers(&self) -> Vec<Person> {
        self.staff.iter().filter(|person| person.faces_customers()).cloned().collect()
    }

    /// A room, which is the same whenever the same people meet.
    fn room(&mut self, meeting: &str, title: &str) -> String {
        let id = Chance::new(self.seed, &format!("room {meeting}"), 0).object_id();
        if !self.day.rooms.iter().any(|room| room.id == id) {
            self.day.rooms.push(Room { id: id.clone(), title: title.to_owned() });
        }
        id
    }

    /// The room of two people. Whoever serves a contact, the contact's room is one.
    fn room_between(&mut self, one: &Person, other: &Person) -> String {
        match (one.is_staff, other.is_staff) {
            (false, _) => self.room(&one.eid(), &one.name),
            (true, false) => self.room(&other.eid(), &other.name),
            (true, true) => {
                let mut pair = [(one.eid(), &one.name), (other.eid(), &other.name)];
                pair.sort();
                let meeting = format!("{}+{}", pair[0].0, pair[1].0);
                self.room(&meeting, &format!("{}, {}", pair[0].1, pair[1].1))
            }
        }
    }

    /// The next number in a room's count of messages or of calls.
    fn next(&mut self, kind: &str, room: &str) -> i64 {
        let count = self.counters.entry(format!("{kind} {room}")).or_default();
        *count += 1;
        *count
    }

    /// A moment in the opening hours, the earlier part of them if `share` is below 1.
    fn moment(&self, chance: &mut Chance, share: f64) -> Timestamp {
        #[expect(clippy::cast_possible_truncation, reason = "some thousands of seconds")]
        let latest = (OPEN_SECONDS as f64 * share) as i64;
        self.opens + SignedDuration::from_millis(chance.range(0, latest * 1000))
    }

    /// Adds a medium, and its record.
    fn share(&mut self, chance: &mut Chance, file: &shapes::SharedFile, bytes: Vec<u8>) {
        let record = shapes::file(chance, file, bytes.len());
        self.add(Dataset::File, &record);
        self.day.media.push(Medium { id: file.id.clone(), path: file.path(), bytes });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn three_days(seed: u64) -> Vec<Day> {
        let (company, mut counters) = (Company::new(seed, true), Counters::new());
        let date = Date::constant(2026, 10, 1);
        (0..3)
            .map(|number| {
                let date = date.saturating_add(jiff::Span::new().days(number));
                company.day(u32::try_from(number).expect("small"), date, &mut counters, 0)
            })
            .collect()
    }

    #[test]
    fn the_same_seed_makes_the_same_days_and_another_makes_others() {
        let text = |days: &[Day]| format!("{days:?}");
        assert_eq!(text(&three_days(1)), text(&three_days(1)));
        assert_ne!(text(&three_days(1)), text(&three_days(2)));
    }

    #[test]
    fn a_day_has_every_kind_of_record_within_its_hours_and_every_medium_once() {
        let days = three_days(1);
        let mut seen = BTreeSet::new();
        for day in &days {
            for dataset in Dataset::ALL.into_iter().filter(|dataset| *dataset != Dataset::Other) {
                let some = day.records.iter().any(|record| record.dataset == dataset);
                assert!(some, "no {dataset}");
            }
            let ids: BTreeSet<_> = day.media.iter().map(|medium| &medium.id).collect();
            for record in &day.records {
                assert!(!record.id.is_empty(), "{}", record.json);
                assert!(record.names.iter().all(|id| ids.contains(id)), "{}", record.json);
                let lists = crate::job::stays(record.dataset);
                assert!(lists || record.at > 1_790_000_000_000, "{}", record.json);
                assert!(lists || seen.insert(record.key.clone()), "twice: {}", record.key);
            }
        }
        let messages = days.iter().flat_map(|day| &day.records);
        let messages = messages.filter(|record| record.dataset == Dataset::Message);
        let chinese = |text: &str| text.chars().any(|c| ('\u{4e00}'..'\u{9fff}').contains(&c));
        let (chinese, english): (Vec<_>, Vec<_>) = messages.partition(|it| chinese(&it.json));
        assert!(chinese.len() > 10 && english.len() > 10, "one language is missing");
    }

    #[test]
    fn messages_are_counted_on_in_their_rooms() {
        let mut last: BTreeMap<String, i64> = BTreeMap::new();
        for day in three_days(3) {
            let mut messages: Vec<_> =
                day.records.iter().filter(|it| it.dataset == Dataset::Message).collect();
            messages.sort_by_key(|message| (message.room.clone(), message.seq));
            for message in messages {
                let count = last.entry(message.room.clone().unwrap_or_default()).or_default();
                *count += 1;
                assert_eq!(message.seq, Some(*count), "{}", message.json);
            }
        }
    }
}
