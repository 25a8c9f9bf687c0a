//! What each view lists, and how each field is shown.
//!
//! The only place that knows which columns a view has and what a field is called.

use std::collections::HashMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{
    cells::{Cell, Head, duration, size},
    mime,
    zone::Zone,
};
use crate::{
    accounts::DataType,
    records::{Dataset, view::Value},
    store::{RecordKey, browse::Row},
};

/// How a column takes its value from a row.
#[derive(Clone, Copy, Debug)]
pub(super) enum Show {
    /// The row's own time.
    At,
    /// A field, in the way that its name and value call for.
    Field(&'static str),
    /// A person: name, number, id.
    Person(&'static str, &'static str, &'static str),
    /// The first of the fields that is there.
    FirstOf(&'static str, &'static str),
    /// How something ended or stands.
    Status(&'static str),
    /// Which way a call went.
    Direction,
    /// The medium, to listen to.
    Play,
    /// The medium as a small picture, or what kind of file it is.
    Thumbnail,
    /// A message's text, or the file that it brought.
    Message,
    /// The record's id.
    Id,
}

/// A column.
pub(super) struct Column {
    pub(super) head: Head,
    pub(super) show: Show,
}

const fn column(title: &'static str, show: Show) -> Column {
    Column { head: Head::new(title), show }
}

const fn number(title: &'static str, show: Show) -> Column {
    Column { head: Head::number(title), show }
}

use Show::{At, Direction, Field, FirstOf, Id, Message, Person, Play, Status, Thumbnail};

const CALLS: &[Column] = &[
    column("Date and time", At),
    column("Direction", Direction),
    column("From", Person("from", "from_number", "from_eid")),
    column("To", Person("to", "to_number", "to_eid")),
    number("Duration", Field("duration_seconds")),
    column("Status", Status("status")),
    column("Type", Field("call_type")),
    column("Case", Field("case_number")),
];

const CONFERENCES: &[Column] = &[
    column("Date and time", At),
    column("Topic", Field("topic")),
    column("Host", Person("", "", "host_eid")),
    number("Participants", Field("participants")),
    number("Duration", Field("duration_seconds")),
    column("Status", Status("status")),
];

const FILES: &[Column] = &[
    column("Preview", Thumbnail),
    column("Name", Field("name")),
    column("Kind", Field("kind")),
    number("Size", Field("size_bytes")),
    column("From", Person("", "", "uploader_eid")),
    column("Date and time", At),
];

const VOICEMAILS: &[Column] = &[
    column("Date and time", At),
    column("From", Person("from", "from_number", "from_eid")),
    column("To", Person("to", "to_number", "to_eid")),
    number("Duration", Field("duration_seconds")),
    column("Listen", Play),
];

const RECORDINGS: &[Column] = &[
    column("Date and time", At),
    column("Staff", Person("", "", "staff_eid")),
    column("Recorded", Field("recording_type")),
    column("Room", Field("room_type")),
    number("Duration", Field("duration_seconds")),
    number("Size", Field("size_bytes")),
    column("Listen", Play),
];

const MESSAGES: &[Column] = &[
    column("Date and time", At),
    column("From", Person("", "", "from_eid")),
    column("To", Person("", "", "to_eid")),
    column("Message", Message),
];

const STAFF: &[Column] = &[
    column("Name", FirstOf("name", "full_name")),
    column("Role", Field("role")),
    column("Department", Field("department")),
    column("Job title", Field("job_title")),
    column("E-mail", Field("email")),
    column("Phone", Field("phone")),
    column("Extension", Field("extension")),
    column("Status", Status("status")),
];

const CONTACTS: &[Column] = &[
    column("Name", Field("name")),
    column("Company", Field("company")),
    column("Job title", Field("job_title")),
    column("Phone", Field("phone")),
    column("E-mail", Field("email")),
    column("Customer type", Field("customer_type")),
    column("Owner", Person("", "", "owner_eid")),
];

const ENQUIRIES: &[Column] = &[
    column("Opened", At),
    column("Closed", Field("closed")),
    column("Case", Field("case_number")),
    column("Visitor", Person("visitor", "", "visitor_eid")),
    column("Handled by", Person("", "", "handler_eid")),
    column("Channel", Field("channel")),
    column("Platform", Field("platform")),
    column("Status", Status("status")),
];

const OTHER: &[Column] = &[
    column("Id", Id),
    column("Name", Field("name")),
    column("Type", Field("type")),
    column("Date and time", At),
];

/// The columns of a view.
pub(super) fn columns(data_type: DataType) -> &'static [Column] {
    match data_type {
        DataType::Calls => CALLS,
        DataType::Conferences => CONFERENCES,
        DataType::Files => FILES,
        DataType::Voicemails => VOICEMAILS,
        DataType::Recordings => RECORDINGS,
        DataType::Messages => MESSAGES,
        DataType::Staff => STAFF,
        DataType::Contacts => CONTACTS,
        DataType::Enquiries => ENQUIRIES,
        DataType::Other => OTHER,
    }
}

/// What a field is called on the page of a record.
pub(super) fn label(name: &str) -> String {
    let known = match name {
        "call" => "Call id",
        "call_type" => "Call type",
        "case_number" => "Case number",
        "closed" => "Closed",
        "conference" => "Conference id",
        "content_type" => "Content",
        "customer_type" => "Customer type",
        "duration_seconds" => "Duration",
        "eid" => "Id at maaiiconnect",
        "email" => "E-mail",
        "ended" => "Ended",
        "enquiry" => "Enquiry id",
        "file" => "File id",
        "file_name" => "File name",
        "from_eid" => "From (account)",
        "from_number" => "From (number)",
        "full_name" => "Full name",
        "handler_eid" => "Handled by",
        "host_eid" => "Host",
        "job_title" => "Job title",
        "media_type" => "Media",
        "mime" => "Media type",
        "owner_eid" => "Owner",
        "recording_type" => "Recorded",
        "room" => "Room id",
        "room_type" => "Room",
        "seq" => "Number in its room",
        "size_bytes" => "Size",
        "staff_eid" => "Staff",
        "to_eid" => "To (account)",
        "to_number" => "To (number)",
        "two_factor" => "Two-factor sign-in",
        "uploader_eid" => "From",
        "visitor_eid" => "Visitor (account)",
        _ => "",
    };
    if !known.is_empty() {
        return known.to_owned();
    }
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect::<String>().replace('_', " ")
    })
}

/// What rows are shown with.
pub(super) struct Context<'a> {
    /// The viewer's zone.
    pub(super) zone: &'a Zone,
    /// What people are called, by their ids.
    pub(super) names: &'a HashMap<String, String>,
}

/// The ids of all people that rows name.
pub(super) fn people<'a>(rows: impl IntoIterator<Item = &'a Row>) -> Vec<String> {
    let named = |row: &'a Row| {
        row.fields.iter().filter(|(name, _)| name.ends_with("_eid")).map(|(_, value)| value)
    };
    rows.into_iter()
        .flat_map(named)
        .filter_map(|value| match value {
            Value::Text(eid) => Some(eid.clone()),
            _ => None,
        })
        .collect()
}

/// The address of a record.
pub(super) fn address(data_type: DataType, key: &RecordKey) -> String {
    format!("/records/{}/{}", data_type.as_str(), part(&key.to_string()))
}

/// A text as one part of a path.
pub(super) fn part(text: &str) -> String {
    const PART: &AsciiSet =
        &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'@');
    utf8_percent_encode(text, PART).to_string()
}

impl Context<'_> {
    /// A row's value in a column.
    pub(super) fn cell(&self, row: &Row, show: Show) -> Cell {
        match show {
            At => row.at.map_or(Cell::Empty, |at| Cell::When(self.zone.show(at))),
            Field(name) => {
                row.fields.get(name).map_or(Cell::Empty, |value| self.field(name, value))
            }
            FirstOf(first, second) => match self.cell(row, Field(first)) {
                Cell::Empty => self.cell(row, Field(second)),
                cell => cell,
            },
            Person(name, number, eid) => self.person(row, name, number, eid),
            Status(name) => text(row, name).map_or(Cell::Empty, status),
            Direction => match text(row, "direction") {
                Some(word) if word.eq_ignore_ascii_case("inbound") => mark("in", word),
                Some(word) if word.eq_ignore_ascii_case("outbound") => mark("out", word),
                Some(word) => Cell::Text(word.to_owned()),
                None => Cell::Empty,
            },
            Play => play(row),
            Thumbnail => thumbnail(row),
            Message => message(row),
            Id => Cell::Text(row.id.clone()),
        }
    }

    /// A field in the way that its name and value call for.
    pub(super) fn field(&self, name: &str, value: &Value) -> Cell {
        match value {
            Value::Number(seconds) if name.ends_with("_seconds") => {
                Cell::Number(duration(*seconds))
            }
            Value::Number(bytes) if name.ends_with("_bytes") => match u64::try_from(*bytes) {
                Ok(bytes) => Cell::Number(size(bytes)),
                Err(_) => Cell::Number(bytes.to_string()),
            },
            Value::Number(number) => Cell::Number(number.to_string()),
            Value::Time(millis) => jiff::Timestamp::from_millisecond(*millis).map_or_else(
                |_| Cell::Text(millis.to_string()),
                |at| Cell::When(self.zone.show(at)),
            ),
            Value::Flag(true) => Cell::Text("Yes".into()),
            Value::Flag(false) => Cell::Text("No".into()),
            Value::Text(eid) if name.ends_with("_eid") => match self.names.get(eid) {
                Some(name) => Cell::Person { name: name.clone(), detail: eid.clone() },
                None => Cell::Text(eid.clone()),
            },
            Value::Text(text) => Cell::Text(text.clone()),
        }
    }

    fn person(&self, row: &Row, name: &str, number: &str, eid: &str) -> Cell {
        let eid = text(row, eid);
        let known = eid.and_then(|eid| self.names.get(eid)).map(String::as_str);
        let name = text(row, name).or(known).or(text(row, number)).or(eid);
        let Some(name) = name else {
            return Cell::Empty;
        };
        let detail = text(row, number).filter(|number| *number != name).unwrap_or_default();
        Cell::Person { name: name.to_owned(), detail: detail.to_owned() }
    }
}

/// A row's field, where it is a text.
pub(super) fn text<'a>(row: &'a Row, name: &str) -> Option<&'a str> {
    match row.fields.get(name)? {
        Value::Text(text) if !text.is_empty() => Some(text),
        _ => None,
    }
}

fn mark(icon: &'static str, text: &str) -> Cell {
    Cell::Mark { icon, text: text.to_owned() }
}

fn status(word: &str) -> Cell {
    let tone = match word.to_lowercase().as_str() {
        "call ended" | "activated" => "good",
        "declined" | "busy" | "not answered" | "cancelled" | "canceled" | "abandoned"
        | "not activated" => "fair",
        "unreachable" | "call failed" | "suspended" => "bad",
        _ => "plain",
    };
    Cell::Badge { tone, text: word.to_owned() }
}

fn play(row: &Row) -> Cell {
    if row.medium.is_none() {
        return Cell::Badge { tone: "fair", text: "File missing".into() };
    }
    let src = format!("{}/medium", address(DataType::of(row.dataset), &row.key));
    Cell::Sound { src, label: format!("Listen to {}", row.id) }
}

fn thumbnail(row: &Row) -> Cell {
    let name = text(row, "path").or(text(row, "name")).unwrap_or_default();
    let kind = mime::kind(name, text(row, "mime"));
    if row.medium.is_none() {
        return Cell::Badge { tone: "fair", text: "File missing".into() };
    }
    match kind.show {
        mime::Show::Picture => Cell::Picture {
            src: format!("{}/medium", address(DataType::of(row.dataset), &row.key)),
            alt: text(row, "name").unwrap_or_default().to_owned(),
        },
        mime::Show::Sound => mark("recording", "Sound"),
        mime::Show::Film => mark("film", "Video"),
        _ => mark("file", "Document"),
    }
}

fn message(row: &Row) -> Cell {
    match (text(row, "file_name"), text(row, "text")) {
        (Some(file), _) => mark("clip", file),
        (None, Some(text)) => Cell::Long(text.to_owned()),
        (None, None) if row.dataset == Dataset::Message => {
            text(row, "content_type").map_or(Cell::Empty, |kind| Cell::Text(kind.to_owned()))
        }
        (None, None) => Cell::Empty,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::view;

    #[test]
    fn every_column_shows_a_field_that_records_have() {
        for data_type in DataType::ALL {
            let fields: Vec<&str> = Dataset::ALL
                .into_iter()
                .filter(|dataset| DataType::of(*dataset) == data_type)
                .flat_map(view::fields)
                .map(|field| field.name)
                .collect();
            for column in columns(data_type) {
                let used = match column.show {
                    Field(a) | Status(a) => vec![a],
                    FirstOf(a, b) => vec![a, b],
                    Person(a, b, c) => vec![a, b, c],
                    _ => vec![],
                };
                for name in used.into_iter().filter(|name| !name.is_empty()) {
                    assert!(fields.contains(&name), "{data_type:?} has no field {name}");
                }
            }
        }
    }

    #[test]
    fn keys_stand_in_addresses_whatever_they_hold() {
        for (key, expected) in [
            ("abc#1", "/records/calls/abc%231"),
            ("a/b?c&陈#12", "/records/calls/a%2Fb%3Fc%26%E9%99%88%2312"),
            ("..#1", "/records/calls/..%231"),
        ] {
            let key: RecordKey = key.parse().expect("a key");
            assert_eq!(address(DataType::Calls, &key), expected);
        }
        assert_eq!(label("two_factor"), "Two-factor sign-in");
        assert_eq!(label("department"), "Department");
    }
}
