//! The shapes of the records, field by field as the service names them.
//!
//! Shapes only: nothing here counts or decides, apart from new ids.

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use serde_json::{Value, json};

use super::{chance::Chance, people::Person};

/// A file that some record names.
#[derive(Clone, Debug)]
pub(super) struct SharedFile {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) mime: &'static str,
    pub(super) room: String,
    pub(super) uploader: String,
    pub(super) created: Timestamp,
    pub(super) kind: &'static str,
}

impl SharedFile {
    pub(super) fn path(&self) -> String {
        let ending = self.name.rsplit('.').next().unwrap_or("bin");
        format!("data-retention/{}/{}.{ending}", self.room, self.id)
    }
}

/// How a call ended, in the words of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) status: &'static str,
    pub(super) code: u16,
    pub(super) bye: &'static str,
}

/// A call that is to be written.
#[derive(Clone, Debug)]
pub(super) struct Call<'a> {
    pub(super) room: &'a str,
    pub(super) seq: i64,
    pub(super) from: &'a Person,
    pub(super) to: &'a Person,
    pub(super) start: Timestamp,
    pub(super) seconds: i64,
    pub(super) end: End,
    pub(super) enquiry: Option<&'a Value>,
}

/// A message that is to be written.
#[derive(Clone, Debug)]
pub(super) struct Message<'a> {
    pub(super) room: &'a str,
    pub(super) seq: i64,
    pub(super) from: &'a str,
    pub(super) to: &'a str,
    pub(super) at: Timestamp,
    pub(super) text: &'a str,
    pub(super) file: Option<(&'a SharedFile, usize)>,
    pub(super) enquiry: Option<&'a str>,
}

/// A time as the service writes it.
pub(super) fn time(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

pub(super) fn after(at: Timestamp, seconds: i64) -> Timestamp {
    at + SignedDuration::from_secs(seconds)
}

pub(super) fn file(chance: &mut Chance, file: &SharedFile, size: usize) -> Value {
    json!({
        "_id": chance.object_id(), "fileID": file.id, "fileName": file.name,
        "mimeType": file.mime, "size": size, "roomID": file.room, "uploaderEID": file.uploader,
        "createdAt": time(file.created), "kind": file.kind, "path": file.path(),
    })
}

pub(super) fn message(chance: &mut Chance, message: &Message<'_>) -> Value {
    let content = match message.file {
        Some((file, size)) => json!({
            "type": 2,
            "file": {
                "fileID": file.id, "fileName": file.name, "size": size, "mimeType": file.mime,
            },
        }),
        None => json!({ "type": 1, "text": message.text }),
    };
    let mut record = json!({
        "_id": chance.object_id(), "hid": chance.object_id(), "msgID": chance.object_id(),
        "roomID": message.room, "seq": message.seq, "type": "im",
        "fromEID": message.from, "toEID": message.to,
        "msgContentType": if message.file.is_some() { "TYPE_FILE" } else { "TYPE_TEXT" },
        "msgEventType": "TYPE_MESSAGE",
        "msgText": message.file.map_or(message.text, |(file, _)| &file.name),
        "ts": time(message.at),
        "content": { "ts": message.at.as_millisecond(), "msg": content },
    });
    if let Some(enquiry) = message.enquiry {
        record["inquiryID"] = enquiry.into();
    }
    record
}

/// One end of a call or voicemail.
fn party(person: &Person, service: &str) -> Value {
    let mut info = json!({
        "displayName": person.name, "eid": person.eid(), "isStaff": person.is_staff,
        "phoneNumber": person.phone,
    });
    let (name, value) = match person.is_staff {
        true => ("serviceId", service),
        false => ("countryCode", person.country.as_str()),
    };
    info[name] = value.into();
    info
}

pub(super) fn call(chance: &mut Chance, service: &str, call: &Call<'_>) -> Value {
    let inside = call.from.is_staff && call.to.is_staff;
    let outside = *chance.choice(&["offnet", "offnet", "smartcall"]);
    let mut record = json!({
        "_id": chance.object_id(), "hid": chance.object_id(), "svcID": service,
        "date": call.start.to_zoned(TimeZone::UTC).strftime("%Y%m%d").to_string(),
        "roomID": call.room, "seq": call.seq, "type": "call",
        "fromEID": call.from.eid(), "toEID": call.to.eid(), "callID": chance.uuid(),
        "callDirection": if call.from.is_staff { "Outbound" } else { "Inbound" },
        "callType": if inside { "onnet" } else { outside },
        "caller": call.from.phone, "callee": call.to.phone,
        "callDate": time(call.start), "callEndTime": time(after(call.start, call.seconds)),
        "callDuration": call.seconds, "status": call.end.status,
        "lastResponseCode": call.end.code, "byeReason": call.end.bye,
        "releaseParty": *chance.choice(&["Caller", "Callee"]),
        "mediaType": if inside && chance.happens(0.3) { "video" } else { "audio" },
        "callerInfo": party(call.from, service), "calleeInfo": party(call.to, service),
    });
    if let Some(enquiry) = call.enquiry {
        record["inquiryID"] = enquiry["id"].clone();
        record["displayCaseNumber"] = enquiry["displayCaseNumber"].clone();
    }
    record
}

/// A message that was left at the end of an unanswered call.
pub(super) fn voicemail(chance: &mut Chance, of: &Value, file: &SharedFile, seconds: i64) -> Value {
    json!({
        "_id": chance.object_id(), "voicemailID": chance.object_id(), "callID": of["callID"],
        "roomID": of["roomID"], "fileID": file.id, "callerInfo": of["callerInfo"],
        "calleeInfo": of["calleeInfo"], "duration": seconds, "createdAt": time(file.created),
    })
}

/// The recording of a call.
pub(super) fn recording(
    chance: &mut Chance,
    of: &Value,
    file: &SharedFile,
    (seconds, size): (i64, usize),
    staff: &str,
) -> Value {
    let by_enquiry = of.get("inquiryID").is_some();
    json!({
        "_id": chance.object_id(), "recordingID": chance.object_id(), "callID": of["callID"],
        "roomID": of["roomID"], "roomType": if by_enquiry { "Enquiry" } else { "Direct" },
        "recordingType": "Call", "fileID": file.id, "size": size, "duration": seconds,
        "createdAt": time(file.created), "staffEID": staff,
    })
}

/// A conference. Each leg is when its member joined and how long they stayed, in seconds.
pub(super) fn conference(
    chance: &mut Chance,
    room: &str,
    topic: &str,
    start: Timestamp,
    legs: &[(String, i64, i64)],
) -> Value {
    let host = legs.first().map(|(eid, ..)| eid.clone());
    let leg = |(eid, joined, stayed): &(String, i64, i64)| {
        json!({
            "hid": chance.object_id(), "roomID": room, "fromEID": host, "toEID": eid,
            "content": {
                "callID": chance.uuid(), "callStartTime": time(after(start, *joined)),
                "callEndTime": time(after(start, joined + stayed)), "callDuration": stayed,
                "byeReason": "Normal Call Clearing", "callType": "onnet",
            },
        })
    };
    let list: Vec<Value> = legs.iter().map(leg).collect();
    json!({
        "_id": chance.object_id(), "conferenceID": chance.object_id(), "roomID": room,
        "topic": topic, "fromEID": host, "status": "Call Ended",
        "createdAt": time(start), "callDate": time(start),
        "callDuration": legs.iter().map(|(_, joined, stayed)| joined + stayed).max(),
        "callConferenceList": list,
    })
}

/// A closed enquiry.
pub(super) fn enquiry(
    chance: &mut Chance,
    service: &str,
    (room, by_phone): (&str, bool),
    (visitor, handler): (&Person, &Person),
    opened: Timestamp,
    tag: Option<&str>,
) -> Value {
    let written = [
        (Some("WhatsApp"), "WHATSAPP"),
        (Some("WeChat"), "WECHAT"),
        (Some("LINE"), "LINE"),
        (None, "Weblink"),
    ];
    let (platform, channel) =
        if by_phone { (None, "VirtualNumber") } else { *chance.choice(&written) };
    json!({
        "_id": chance.object_id(), "id": chance.object_id(), "svcID": service,
        "createdAt": time(opened), "closedAt": time(opened), "roomID": room,
        "initChannel": if by_phone { "CALL" } else { "IM" }, "omniType": platform,
        "channel": channel, "status": "closed",
        "displayCaseNumber": format!("C{}", chance.range(200_000, 999_999)),
        "visitor": { "eid": visitor.eid(), "displayName": visitor.name },
        "handlerEID": handler.eid(), "tag": tag,
    })
}
