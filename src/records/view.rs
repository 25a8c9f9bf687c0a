//! The fields of a record that the portal lists, sorts and filters by.
//!
//! They are derived from the record and can be derived again; the record itself
//! is kept beside them as it was delivered.

use super::{Dataset, Fields, Scalar};

/// How many bytes of a text are kept as a view field, and so can be searched. The
/// record keeps all of them. The store has room for this many in each of a
/// dataset's fields beside the largest record.
pub const TEXT_LIMIT_BYTES: usize = 24 * 1024;

/// How a view field is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The first text among the sources.
    Text,
    /// The texts of all sources, the first name before the last, as names are written.
    Joined,
    /// A whole number: seconds, bytes or a count, as the field's name says.
    Number,
    /// A point in time.
    Time,
    /// Yes or no.
    Flag,
    /// How many values a list has.
    Length,
}

/// One view field.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name in the stored document.
    pub name: &'static str,
    /// How it is read.
    pub kind: Kind,
    /// Where in the record it is looked for, the best place first.
    pub from: &'static [&'static str],
}

/// A view field's value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A text of at most [`TEXT_LIMIT_BYTES`].
    Text(String),
    /// A whole number.
    Number(i64),
    /// A point in time, in milliseconds since 1970.
    Time(i64),
    /// Yes or no.
    Flag(bool),
}

const fn field(name: &'static str, kind: Kind, from: &'static [&'static str]) -> Field {
    Field { name, kind, from }
}

use Kind::{Flag, Joined, Length, Number, Text, Time};

const CALL: &[Field] = &[
    field("direction", Text, &["callDirection"]),
    field("call_type", Text, &["callType"]),
    field("from", Text, &["callerInfo.displayName", "caller", "callerInfo.phoneNumber"]),
    field("from_number", Text, &["callerInfo.phoneNumber", "caller"]),
    field("from_eid", Text, &["fromEID", "callerInfo.eid"]),
    field("to", Text, &["calleeInfo.displayName", "callee", "calleeInfo.phoneNumber"]),
    field("to_number", Text, &["calleeInfo.phoneNumber", "callee"]),
    field("to_eid", Text, &["toEID", "calleeInfo.eid"]),
    field("ended", Time, &["callEndTime"]),
    field("duration_seconds", Number, &["callDuration"]),
    field("status", Text, &["status"]),
    field("media_type", Text, &["mediaType"]),
    field("case_number", Text, &["displayCaseNumber"]),
    field("enquiry", Text, &["inquiryID"]),
    field("room", Text, &["roomID"]),
    field("call", Text, &["callID"]),
];

const CONFERENCE: &[Field] = &[
    field("topic", Text, &["topic"]),
    field("host_eid", Text, &["fromEID"]),
    field("participants", Length, &["callConferenceList"]),
    field("duration_seconds", Number, &["callDuration"]),
    field("status", Text, &["status"]),
    field("room", Text, &["roomID"]),
    field("conference", Text, &["conferenceID"]),
];

const MESSAGE: &[Field] = &[
    field("text", Text, &["msgText", "content.msg.text"]),
    field("file_name", Text, &["content.msg.file.fileName"]),
    field("from_eid", Text, &["fromEID"]),
    field("to_eid", Text, &["toEID"]),
    field("content_type", Text, &["msgContentType"]),
    field("room", Text, &["roomID"]),
    field("seq", Number, &["seq"]),
    field("file", Text, &["content.msg.file.fileID"]),
    field("enquiry", Text, &["inquiryID"]),
];

const VOICEMAIL: &[Field] = &[
    field("from", Text, &["callerInfo.displayName", "callerInfo.phoneNumber"]),
    field("from_number", Text, &["callerInfo.phoneNumber"]),
    field("from_eid", Text, &["callerInfo.eid"]),
    field("to", Text, &["calleeInfo.displayName", "calleeInfo.phoneNumber"]),
    field("to_number", Text, &["calleeInfo.phoneNumber"]),
    field("to_eid", Text, &["calleeInfo.eid"]),
    field("duration_seconds", Number, &["duration"]),
    field("room", Text, &["roomID"]),
    field("call", Text, &["callID"]),
    field("file", Text, &["fileID"]),
];

const RECORDING: &[Field] = &[
    field("recording_type", Text, &["recordingType"]),
    field("room_type", Text, &["roomType"]),
    field("staff_eid", Text, &["staffEID"]),
    field("duration_seconds", Number, &["duration"]),
    field("size_bytes", Number, &["size"]),
    field("room", Text, &["roomID"]),
    field("call", Text, &["callID"]),
    field("file", Text, &["fileID"]),
];

const FILE: &[Field] = &[
    field("name", Text, &["fileName", "tag", "path"]),
    field("kind", Text, &["kind"]),
    field("mime", Text, &["mimeType"]),
    field("size_bytes", Number, &["size"]),
    field("uploader_eid", Text, &["uploaderEID", "staffID"]),
    field("room", Text, &["roomID"]),
    field("path", Text, &["path"]),
    field("file", Text, &["fileID"]),
];

const STAFF: &[Field] = &[
    field("eid", Text, &["id", "_id"]),
    field("name", Text, &["displayName"]),
    field("full_name", Joined, &["firstName", "lastName"]),
    field("status", Text, &["status"]),
    field("role", Text, &["role"]),
    field("department", Text, &["department"]),
    field("job_title", Text, &["jobTitle"]),
    field("email", Text, &["email"]),
    field("phone", Text, &["phone"]),
    field("extension", Text, &["extensionNumber"]),
    field("two_factor", Flag, &["twoFactorAuthentication"]),
];

const CONTACT: &[Field] = &[
    field("eid", Text, &["id", "_id"]),
    field("name", Joined, &["firstName", "lastName"]),
    field("company", Text, &["companyName"]),
    field("job_title", Text, &["jobTitle"]),
    field("phone", Text, &["mobilePhone", "workPhone", "homePhone", "otherPhone"]),
    field("email", Text, &["email", "personalEmail", "otherEmail"]),
    field("customer_type", Text, &["customerType"]),
    field("level", Text, &["level"]),
    field("owner_eid", Text, &["ownerId"]),
    field("language", Text, &["language"]),
];

const ENQUIRY: &[Field] = &[
    field("enquiry", Text, &["id", "_id"]),
    field("case_number", Text, &["displayCaseNumber"]),
    field("visitor", Text, &["visitor.displayName"]),
    field("visitor_eid", Text, &["visitor.eid"]),
    field("handler_eid", Text, &["handlerEID"]),
    field("channel", Text, &["channel", "initChannel"]),
    field("platform", Text, &["omniType"]),
    field("status", Text, &["status"]),
    field("closed", Time, &["closedAt"]),
    field("tag", Text, &["tag"]),
    field("room", Text, &["roomID"]),
];

const OTHER: &[Field] = &[
    field("name", Text, &["name", "title", "topic", "subject", "fileName"]),
    field("text", Text, &["text", "comment", "description", "msgText"]),
    field("type", Text, &["type"]),
    field("enquiry", Text, &["inquiryID"]),
    field("room", Text, &["roomID"]),
    field("file", Text, &["fileID"]),
];

/// The view fields of a dataset.
pub fn fields(dataset: Dataset) -> &'static [Field] {
    match dataset {
        Dataset::Call => CALL,
        Dataset::Conference => CONFERENCE,
        Dataset::Message => MESSAGE,
        Dataset::Voicemail => VOICEMAIL,
        Dataset::Recording => RECORDING,
        Dataset::File | Dataset::Avatar | Dataset::TagIcon => FILE,
        Dataset::Staff => STAFF,
        Dataset::Contact => CONTACT,
        Dataset::Enquiry => ENQUIRY,
        Dataset::Other => OTHER,
    }
}

/// When what the record tells of took place, in milliseconds since 1970.
pub fn time(dataset: Dataset, record: &(impl Fields + ?Sized)) -> Option<i64> {
    let from: &[&str] = match dataset {
        Dataset::Call => &["callDate", "callStartTime", "createdAt", "date"],
        Dataset::Conference => &["callDate", "createdAt"],
        Dataset::Message => &["ts", "content.ts", "createdAt"],
        Dataset::Enquiry => &["createdAt", "closedAt"],
        Dataset::Other => &["createdAt", "ts", "date", "timestamp", "answeredAt", "updatedAt"],
        _ => &["createdAt", "ts", "date"],
    };
    from.iter().find_map(|path| record.get(path)?.time())
}

/// The id of a record, unless it has none: then its digest serves.
pub fn id(dataset: Dataset, record: &(impl Fields + ?Sized)) -> Option<String> {
    ["_id", "id"].into_iter().chain(dataset.own_id()).find_map(|name| record.text(name))
}

impl Field {
    /// The field's value in `record`.
    pub fn read(&self, record: &(impl Fields + ?Sized)) -> Option<Value> {
        let mut found = self.from.iter().filter_map(|path| record.get(path));
        match self.kind {
            Kind::Text => found
                .find_map(|value| {
                    value.text().filter(|text| !text.is_empty()).map(|text| cut(&text))
                })
                .map(Value::Text),
            Kind::Joined => {
                let parts: Vec<String> =
                    found.filter_map(|value| Some(value.text()?.into_owned())).collect();
                let joined = joined(&parts);
                Some(Value::Text(cut(joined.trim()))).filter(|_| !joined.trim().is_empty())
            }
            Kind::Number => found.find_map(|value| value.integer()).map(Value::Number),
            Kind::Time => found.find_map(|value| value.time()).map(Value::Time),
            Kind::Flag => found.find_map(|value| match value {
                Scalar::Flag(flag) => Some(Value::Flag(flag)),
                _ => None,
            }),
            Kind::Length => found.find_map(|value| match value {
                Scalar::List(length) => Some(Value::Number(length.try_into().ok()?)),
                _ => None,
            }),
        }
    }
}

/// A first and a last name as they are written: Chinese ones the other way round
/// and without a space, as they stand everywhere else and are looked for.
fn joined(parts: &[String]) -> String {
    let is_han = |c: char| matches!(c, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}');
    let all_han = parts.iter().all(|part| !part.is_empty() && part.chars().all(is_han));
    if parts.len() > 1 && all_han {
        return parts.iter().rev().map(String::as_str).collect();
    }
    parts.join(" ")
}

/// The beginning of a text, cut between characters.
fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(TEXT_LIMIT_BYTES)].to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_call_shows_names_before_numbers() {
        let record = json!({
            "caller": "+85212345678", "callerInfo": {"displayName": "Mei Wong"},
            "callee": "+85287654321", "callDuration": "61", "callDate": 1_619_827_200_000_i64
        });
        let read = |name: &str| {
            fields(Dataset::Call).iter().find(|f| f.name == name).and_then(|f| f.read(&record))
        };
        assert_eq!(read("from"), Some(Value::Text("Mei Wong".into())));
        assert_eq!(read("from_number"), Some(Value::Text("+85212345678".into())));
        assert_eq!(read("to"), Some(Value::Text("+85287654321".into())));
        assert_eq!(read("duration_seconds"), Some(Value::Number(61)));
        assert_eq!(read("status"), None);
        assert_eq!(time(Dataset::Call, &record), Some(1_619_827_200_000));
    }

    #[test]
    fn names_are_written_as_people_write_them() {
        for (first, last, expected) in [
            ("Mei", "Wong", Some("Mei Wong")),
            ("家豪", "梁", Some("梁家豪")),
            ("Mei", "黃", Some("Mei 黃")),
            ("家豪", "", Some("家豪")),
            ("", "", None),
        ] {
            let record = json!({ "firstName": first, "lastName": last });
            let name = CONTACT[1].read(&record);
            assert_eq!(name, expected.map(|name| Value::Text(name.into())), "{first} {last}");
        }
    }

    #[test]
    fn the_id_is_looked_for_in_order() {
        for (record, expected) in [
            (json!({"_id": {"$oid": "60a"}, "id": "b", "callID": "c"}), Some("60a")),
            (json!({"_id": null, "id": "b", "callID": "c"}), Some("b")),
            (json!({"callID": "c"}), Some("c")),
            (json!({"_id": 7}), Some("7")),
            (json!({"caller": "d"}), None),
        ] {
            assert_eq!(id(Dataset::Call, &record).as_deref(), expected, "{record}");
        }
    }

    #[test]
    fn no_view_field_takes_a_name_that_every_document_has() {
        for dataset in Dataset::ALL {
            let mut names: Vec<_> = fields(dataset).iter().map(|field| field.name).collect();
            for taken in
                ["_id", "id", "dataset", "backup", "taken", "version", "at", "medium", "raw"]
            {
                assert!(!names.contains(&taken), "{dataset}: {taken}");
            }
            names.sort_unstable();
            let all = names.len();
            names.dedup();
            assert_eq!(all, names.len(), "{dataset}");
        }
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        for (text, expected_bytes) in [
            ("x".repeat(TEXT_LIMIT_BYTES), TEXT_LIMIT_BYTES),
            ("x".repeat(TEXT_LIMIT_BYTES + 1), TEXT_LIMIT_BYTES),
            ("好".repeat(TEXT_LIMIT_BYTES / 3 + 5), TEXT_LIMIT_BYTES / 3 * 3),
            (format!("x{}", "好".repeat(TEXT_LIMIT_BYTES / 3)), TEXT_LIMIT_BYTES - 2),
        ] {
            let cut = cut(&text);
            assert_eq!(cut.len(), expected_bytes);
            assert!(text.starts_with(&cut));
        }
    }
}
