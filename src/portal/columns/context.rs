//! Rows shown: each value of a record in the way that its column calls for.

use std::collections::HashMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::Show::{
    self, At, Direction, Field, FileKind, FileName, FirstOf, Id, Message, Named, Person, Play,
    Status, Thumbnail,
};
use crate::{
    accounts::DataType,
    portal::{
        cells::{Cell, duration, size},
        mime,
        zone::Zone,
    },
    records::{Dataset, view::Value},
    store::{RecordKey, browse::Row},
};

/// What rows are shown with.
pub(in crate::portal) struct Context<'a> {
    /// The viewer's zone.
    pub(in crate::portal) zone: &'a Zone,
    /// What people are called, by their ids.
    pub(in crate::portal) names: &'a HashMap<String, String>,
}

/// The ids of all people that rows name.
pub(in crate::portal) fn people<'a>(rows: impl IntoIterator<Item = &'a Row>) -> Vec<String> {
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
pub(in crate::portal) fn address(data_type: DataType, key: &RecordKey) -> String {
    format!("/records/{}/{}", data_type.as_str(), part(&key.to_string()))
}

/// A text as one part of a path.
pub(in crate::portal) fn part(text: &str) -> String {
    const PART: &AsciiSet =
        &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'@');
    utf8_percent_encode(text, PART).to_string()
}

impl Context<'_> {
    /// A row's value in a column.
    pub(in crate::portal) fn cell(&self, row: &Row, show: Show) -> Cell {
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
            Named(name, other, detail) => match text(row, name).or(text(row, other)) {
                Some(name) => Cell::Person {
                    name: name.to_owned(),
                    detail: text(row, detail).unwrap_or_default().to_owned(),
                },
                None => self.cell(row, Field(detail)),
            },
            FileName => self.file_name(row),
            FileKind => match row.dataset {
                Dataset::Avatar => Cell::Text("avatar".into()),
                Dataset::TagIcon => Cell::Text("tag icon".into()),
                _ => self.cell(row, Field("kind")),
            },
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
    pub(in crate::portal) fn field(&self, name: &str, value: &Value) -> Cell {
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
                None => Cell::Id(eid.clone()),
            },
            Value::Text(text) => Cell::Text(text.clone()),
        }
    }

    /// Avatars have no name of their own: they are called after whom they show.
    fn file_name(&self, row: &Row) -> Cell {
        let staff = text(row, "uploader_eid").and_then(|eid| self.names.get(eid));
        match (row.dataset, staff, text(row, "name")) {
            (Dataset::Avatar, Some(staff), _) => Cell::Text(format!("Avatar of {staff}")),
            (_, _, Some(name)) => Cell::Text(last_part(name).to_owned()),
            (_, _, None) => Cell::Id(row.id.clone()),
        }
    }

    fn person(&self, row: &Row, name: &str, number: &str, eid: &str) -> Cell {
        let to_room = eid == "to_eid" && text(row, eid) == text(row, "room");
        let eid = text(row, eid);
        let known = eid.and_then(|eid| self.names.get(eid)).map(String::as_str);
        let Some(name) = text(row, name).or(known).or(text(row, number)) else {
            return match eid {
                Some(_) if to_room => Cell::Text("Whole room".into()),
                Some(eid) => Cell::Id(eid.to_owned()),
                None => Cell::Empty,
            };
        };
        let detail = text(row, number).filter(|number| *number != name).unwrap_or_default();
        Cell::Person { name: name.to_owned(), detail: detail.to_owned() }
    }
}

/// What a message holds, of maaiiconnect's `TYPE_TEXT` and the like.
pub(in crate::portal) fn content(kind: &str) -> String {
    let words = kind.strip_prefix("TYPE_").unwrap_or(kind).replace('_', " ").to_lowercase();
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// The name of a file without the folders before it.
pub(in crate::portal) fn last_part(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

/// A row's field, where it is a text.
pub(in crate::portal) fn text<'a>(row: &'a Row, name: &str) -> Option<&'a str> {
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
            text(row, "content_type").map_or(Cell::Empty, |kind| Cell::Text(content(kind)))
        }
        (None, None) => Cell::Empty,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_and_names_are_said_for_people() {
        for (kind, expected) in [("TYPE_TEXT", "Text"), ("TYPE_CALL_LOG", "Call log"), ("", "")] {
            assert_eq!(content(kind), expected);
        }
        for (path, expected) in [("a/b/c.png", "c.png"), ("c.png", "c.png"), ("a\\c.png", "c.png")]
        {
            assert_eq!(last_part(path), expected);
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
    }
}
