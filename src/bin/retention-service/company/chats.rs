//! The conversations of a day, with the files that are shared in them.

use jiff::Timestamp;
use retention::records::Dataset;
use serde_json::Value;

use super::{
    Diary, Volume,
    chance::Chance,
    data::{STAFF, cell, list},
    media,
    people::Person,
    shapes::{self, Message, SharedFile, after},
    talk::{Scripts, Topic},
};
use crate::record::Medium;

/// A room, and who may speak in it under which letter of a script.
struct Partners {
    room: String,
    voices: Vec<(char, Person)>,
    language: &'static str,
    customer: Option<Person>,
    silent_since: Option<Timestamp>,
}

impl Partners {
    fn voice(&self, letter: char) -> Option<&Person> {
        let found = self.voices.iter().find(|(voice, _)| *voice == letter);
        found.or(self.voices.first()).map(|(_, person)| person)
    }

    /// Whom a message is to: the other one, or the room where there are several.
    fn recipient(&self, sender: &str) -> String {
        let other = self.voices.iter().map(|(_, person)| person.eid()).find(|eid| eid != sender);
        other.filter(|_| self.voices.len() == 2).unwrap_or_else(|| self.room.clone())
    }
}

/// Writes conversations until the day has enough messages.
pub(super) fn write(diary: &mut Diary<'_>, scripts: &Scripts, volume: Volume) {
    let mut chance = diary.chance("chats");
    let mut rooms = customer_rooms(diary, &mut chance, volume.customer_rooms);
    rooms.extend(staff_rooms(diary, &mut chance, volume.staff_rooms));
    let (mut written, mut enquiries) = (0, volume.enquiries_by_chat);
    while written < volume.messages && !rooms.is_empty() {
        for partners in &mut rooms {
            let with_enquiry = partners.customer.is_some() && enquiries > 0;
            enquiries -= usize::from(with_enquiry);
            written += conversation(diary, scripts, &mut chance, partners, with_enquiry);
        }
    }
}

fn customer_rooms(diary: &mut Diary<'_>, chance: &mut Chance, count: usize) -> Vec<Partners> {
    let (contacts, handlers) = (diary.contacts.clone(), diary.handlers());
    let chosen = chance.sample(&contacts, count);
    let partners = chosen.into_iter().map(|contact| {
        let handler = chance.choice(&handlers).clone();
        Partners {
            room: diary.room_between(&contact, &handler),
            language: contact.language,
            voices: vec![('C', contact.clone()), ('S', handler)],
            customer: Some(contact),
            silent_since: None,
        }
    });
    partners.collect()
}

fn staff_rooms(diary: &mut Diary<'_>, chance: &mut Chance, count: usize) -> Vec<Partners> {
    let at_work = diary.at_work();
    let groups = chance.sample(list(&STAFF, "groups"), count);
    let partners = groups.iter().map(|group| {
        let present: Vec<Person> = list_of(&group[1])
            .filter_map(|name| at_work.iter().find(|it| it.text("firstName") == name))
            .cloned()
            .collect();
        Partners {
            room: diary.room(cell(group, 0), cell(group, 0)),
            voices: "STU".chars().zip(chance.sample(&present, 3)).collect(),
            language: if chance.happens(0.5) { "en" } else { "zh" },
            customer: None,
            silent_since: None,
        }
    });
    partners.collect()
}

fn list_of(value: &Value) -> impl Iterator<Item = &str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// Writes one conversation, and says how many messages it had.
fn conversation(
    diary: &mut Diary<'_>,
    scripts: &Scripts,
    chance: &mut Chance,
    partners: &mut Partners,
    with_enquiry: bool,
) -> usize {
    let script = scripts.draw(partners.customer.is_some(), partners.language, chance);
    let subject = match &partners.customer {
        Some(customer) => customer.clone(),
        None => chance.choice(&diary.contacts).clone(),
    };
    let Some(staff) = partners.voice('S').cloned() else { return 0 };
    let topic = Topic::new(chance, &subject, &staff, partners.language);
    // Never into its own conversation: messages are counted in the order of time.
    let mut at = match partners.silent_since {
        Some(silent) => after(silent, chance.range(1200, 9000)),
        None => diary.moment(chance, 0.5),
    };
    let mut enquiry = with_enquiry.then(|| {
        let tags: Vec<&str> = list(&STAFF, "tags").iter().map(|tag| cell(tag, 0)).collect();
        let tag = chance.happens(0.6).then(|| *chance.choice(&tags));
        let service = service_id();
        shapes::enquiry(chance, service, (&partners.room, false), (&subject, &staff), at, tag)
    });
    let enquiry_id = enquiry.as_ref().and_then(|it| it["id"].as_str()).map(str::to_owned);
    let mut written = 0;
    for turn in &script.turns {
        at = after(at, chance.range(12, 150));
        let Some(sender) = partners.voice(turn.who).map(Person::eid) else { continue };
        if let Some(kind) = &turn.attachment {
            let made = media::attachment(kind, &topic, at, partners.language, chance);
            let file = SharedFile {
                id: chance.object_id(),
                name: made.name,
                mime: made.mime,
                room: partners.room.clone(),
                uploader: sender.clone(),
                created: at,
                kind: "chat",
            };
            let size = made.bytes.len();
            diary.share(chance, &file, made.bytes);
            say(diary, chance, partners, &sender, at, "", Some((&file, size)), &enquiry_id);
            written += 1;
            at = after(at, 4);
        }
        let text = topic.said(turn, chance);
        if !text.is_empty() {
            say(diary, chance, partners, &sender, at, &text, None, &enquiry_id);
            written += 1;
        }
    }
    if let Some(enquiry) = &mut enquiry {
        enquiry["closedAt"] = shapes::time(after(at, chance.range(120, 1800))).into();
        diary.add(Dataset::Enquiry, enquiry);
    }
    partners.silent_since = Some(at);
    written
}

#[expect(clippy::too_many_arguments, reason = "who, where, when and what of one message")]
fn say(
    diary: &mut Diary<'_>,
    chance: &mut Chance,
    partners: &Partners,
    sender: &str,
    at: Timestamp,
    text: &str,
    file: Option<(&SharedFile, usize)>,
    enquiry: &Option<String>,
) {
    let message = Message {
        room: &partners.room,
        seq: diary.next("message", &partners.room),
        from: sender,
        to: &partners.recipient(sender),
        at,
        text,
        file,
        enquiry: enquiry.as_deref(),
    };
    let record = shapes::message(chance, &message);
    diary.add(Dataset::Message, &record);
}

/// Somebody shares a large file that cannot be compressed.
pub(super) fn share_noise(diary: &mut Diary<'_>, bytes: usize) {
    let mut chance = diary.chance("noise");
    let (Some(one), Some(other)) = (diary.at_work().first().cloned(), diary.at_work().pop()) else {
        return;
    };
    let room = diary.room_between(&one, &other);
    let at = diary.moment(&mut chance, 0.5);
    let file = SharedFile {
        id: chance.object_id(),
        name: "showroom scan.bin".to_owned(),
        mime: "application/octet-stream",
        room: room.clone(),
        uploader: one.eid(),
        created: at,
        kind: "chat",
    };
    let noise = chance.noise(bytes);
    let record = shapes::file(&mut chance, &file, bytes);
    diary.add(Dataset::File, &record);
    diary.day.media.push(Medium { id: file.id.clone(), path: file.path(), bytes: noise });
    let message = Message {
        room: &room,
        seq: diary.next("message", &room),
        from: &one.eid(),
        to: &other.eid(),
        at,
        text: "",
        file: Some((&file, bytes)),
        enquiry: None,
    };
    let record = shapes::message(&mut chance, &message);
    diary.add(Dataset::Message, &record);
}

/// The service id that records bear.
pub(super) fn service_id() -> &'static str {
    STAFF["service_id"].as_str().unwrap_or("service.example")
}
