//! The telephone on one day: calls, voicemail, recordings and conferences.
//!
//! A recorded call lasts as long as its recording.

use jiff::Timestamp;
use retention::records::Dataset;
use serde_json::Value;

use super::{
    Diary, Volume,
    chance::Chance,
    chats::service_id,
    data::{STAFF, cell, list},
    media,
    people::Person,
    shapes::{self, Call, End, SharedFile, after},
};

const ENDED: End = End { status: "Call Ended", code: 200, bye: "Normal Call Clearing" };
const NO_ANSWER: End = End { status: "Not Answered", code: 408, bye: "No Answer" };

/// Three of four calls are answered.
const OTHER_ENDS: [End; 7] = [
    NO_ANSWER,
    NO_ANSWER,
    End { status: "Busy", code: 486, bye: "User Busy" },
    End { status: "Declined", code: 603, bye: "Call Rejected" },
    End { status: "Cancelled", code: 487, bye: "Originator Cancel" },
    End { status: "Abandoned", code: 487, bye: "Originator Cancel" },
    End { status: "Unreachable", code: 480, bye: "Temporarily Unavailable" },
];

/// How long it rings before somebody may leave a message.
const RINGING_SECONDS: i64 = 25;

/// What can be heard of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    Recording,
    Voicemail,
    Nothing,
}

/// Writes the calls of a day in the order of time, and its conferences.
pub(super) fn write(diary: &mut Diary<'_>, volume: Volume) {
    let mut chance = diary.chance("calls");
    let heard = |n: usize| match n {
        n if n < volume.recordings => Heard::Recording,
        n if n < volume.recordings + volume.voicemails => Heard::Voicemail,
        _ => Heard::Nothing,
    };
    let mut plans: Vec<(Timestamp, Heard)> = Vec::new();
    for n in 0..volume.calls {
        plans.push((diary.moment(&mut chance, 1.0), heard(n)));
    }
    plans.sort_by_key(|(start, _)| *start);
    let mut enquiries = volume.enquiries_by_phone;
    for (start, heard) in plans {
        call(diary, &mut chance, start, heard, &mut enquiries);
    }
    for _ in 0..volume.conferences {
        conference(diary, &mut chance);
    }
}

fn call(
    diary: &mut Diary<'_>,
    chance: &mut Chance,
    start: Timestamp,
    heard: Heard,
    enquiries: &mut usize,
) {
    let (from, to) = parties(diary, chance, heard);
    let end = match heard {
        Heard::Recording => ENDED,
        Heard::Voicemail => NO_ANSWER,
        Heard::Nothing if chance.happens(0.76) => ENDED,
        Heard::Nothing => *chance.choice(&OTHER_ENDS),
    };
    let sound = (heard != Heard::Nothing).then(|| media::speech(chance));
    let sound_seconds = sound.as_ref().map_or(0, |(_, seconds)| *seconds);
    let seconds = match heard {
        Heard::Recording => sound_seconds,
        Heard::Nothing if end == ENDED => chance.range(8, 200) * chance.range(1, 8),
        _ => 0,
    };
    let room = diary.room_between(&from, &to);
    let staff = if to.is_staff { &to } else { &from };
    let mut enquiry = None;
    if end == ENDED && !from.is_staff && *enquiries > 0 {
        *enquiries -= 1;
        let mut opened =
            shapes::enquiry(chance, service_id(), (&room, true), (&from, staff), start, None);
        let closed = after(start, seconds + chance.range(60, 900));
        opened["closedAt"] = shapes::time(closed).into();
        enquiry = Some(opened);
    }
    let seq = diary.next("call", &room);
    let (room, enquiry) = (room.as_str(), enquiry.as_ref());
    let plan = Call { room, seq, from: &from, to: &to, start, seconds, end, enquiry };
    let record = shapes::call(chance, service_id(), &plan);
    diary.add(Dataset::Call, &record);
    if let Some(enquiry) = enquiry {
        diary.add(Dataset::Enquiry, enquiry);
    }
    if let Some((bytes, _)) = sound {
        heard_of(diary, chance, &record, (heard, bytes, sound_seconds), (&from, staff), start);
    }
}

/// Writes what can be heard of a call.
fn heard_of(
    diary: &mut Diary<'_>,
    chance: &mut Chance,
    call: &Value,
    (heard, bytes, seconds): (Heard, Vec<u8>, i64),
    (from, staff): (&Person, &Person),
    start: Timestamp,
) {
    let recorded = heard == Heard::Recording;
    let (kind, owner) = if recorded { ("recording", staff) } else { ("voicemail", from) };
    let created = after(start, if recorded { seconds } else { seconds + RINGING_SECONDS });
    let file = SharedFile {
        id: chance.object_id(),
        name: format!("{kind}-{}.wav", created.strftime("%Y%m%d-%H%M%S")),
        mime: "audio/wav",
        room: call["roomID"].as_str().unwrap_or_default().to_owned(),
        uploader: owner.eid(),
        created,
        kind,
    };
    let size = bytes.len();
    diary.share(chance, &file, bytes);
    if recorded {
        let record = shapes::recording(chance, call, &file, (seconds, size), &staff.eid());
        diary.add(Dataset::Recording, &record);
    } else {
        let record = shapes::voicemail(chance, call, &file, seconds);
        diary.add(Dataset::Voicemail, &record);
    }
}

/// Who calls whom: a customer one of the staff, the other way round, or two of the staff.
fn parties(diary: &Diary<'_>, chance: &mut Chance, heard: Heard) -> (Person, Person) {
    let handlers = diary.handlers();
    let customer = chance.choice(&diary.contacts).clone();
    let handler = chance.choice(&handlers).clone();
    match heard {
        Heard::Nothing if chance.happens(0.15) => {
            let mut pair = chance.sample(&diary.at_work(), 2);
            match (pair.pop(), pair.pop()) {
                (Some(one), Some(other)) => (one, other),
                _ => (customer, handler),
            }
        }
        Heard::Nothing if chance.happens(0.35) => (handler, customer),
        _ => (customer, handler),
    }
}

fn conference(diary: &mut Diary<'_>, chance: &mut Chance) {
    let group = chance.choice(list(&STAFF, "groups")).clone();
    let names = group[1].as_array().cloned().unwrap_or_default();
    let members: Vec<Person> = diary
        .at_work()
        .into_iter()
        .filter(|person| names.iter().any(|name| name == person.text("firstName")))
        .collect();
    let whole = chance.range(420, 3300);
    let legs: Vec<(String, i64, i64)> = members
        .iter()
        .enumerate()
        .map(|(n, member)| {
            let late = if n == 0 { 0 } else { chance.range(0, 120) };
            let stayed =
                if n == 0 { whole } else { chance.range((whole - late) / 2, whole - late) };
            (member.eid(), late, stayed)
        })
        .collect();
    let room = diary.room(cell(&group, 0), cell(&group, 0));
    let topic = chance.choice(list(&STAFF, "conference_topics")).clone();
    let start = diary.moment(chance, 0.9);
    let topic = topic.as_str().unwrap_or_default();
    let record = shapes::conference(chance, &room, topic, start, &legs);
    diary.add(Dataset::Conference, &record);
}
