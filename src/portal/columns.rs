//! What each view lists, and how each field is shown.
//!
//! The only place that knows which columns a view has and what a field is called.

mod context;

use super::cells::Head;
use crate::accounts::DataType;

pub(super) use context::{Context, address, content, last_part, part, people, text};

/// How a column takes its value from a row.
#[derive(Clone, Copy, Debug)]
pub(super) enum Show {
    /// The row's own time.
    At,
    /// A field, in the way that its name and value call for.
    Field(&'static str),
    /// A person: name, number, id.
    Person(&'static str, &'static str, &'static str),
    /// Somebody: the first of two names that is there, and what else tells who it is.
    Named(&'static str, &'static str, &'static str),
    /// What a file is called.
    FileName,
    /// What a file was for.
    FileKind,
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

use Show::{
    At, Direction, Field, FileKind, FileName, FirstOf, Id, Message, Named, Person, Play, Status,
    Thumbnail,
};

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
    column("Name", FileName),
    column("Kind", FileKind),
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
    column("Name", Named("name", "full_name", "email")),
    column("Role", Field("role")),
    column("Department", Field("department")),
    column("Job title", Field("job_title")),
    column("Phone", Field("phone")),
    column("Extension", Field("extension")),
    column("Status", Status("status")),
];

const CONTACTS: &[Column] = &[
    column("Name", Named("name", "name", "email")),
    column("Company", Field("company")),
    column("Job title", Field("job_title")),
    column("Phone", Field("phone")),
    column("Customer type", Field("customer_type")),
    column("Owner", Person("", "", "owner_eid")),
];

const ENQUIRIES: &[Column] = &[
    column("Opened", At),
    column("Closed", Field("closed")),
    column("Case", Field("case_number")),
    column("Visitor", Person("visitor", "", "visitor_eid")),
    column("Handled by", Person("", "", "handler_eid")),
    column("Channel", FirstOf("channel", "platform")),
    column("Status", Status("status")),
];

const OTHER: &[Column] = &[
    column("Id", Id),
    column("Date and time", At),
    column("Name", Field("name")),
    column("Text", Message),
    column("Type", Field("type")),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::{Dataset, view};

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
                    Person(a, b, c) | Named(a, b, c) => vec![a, b, c],
                    _ => vec![],
                };
                for name in used.into_iter().filter(|name| !name.is_empty()) {
                    assert!(fields.contains(&name), "{data_type:?} has no field {name}");
                }
            }
        }
    }

    #[test]
    fn fields_have_names_for_people() {
        assert_eq!(label("two_factor"), "Two-factor sign-in");
        assert_eq!(label("department"), "Department");
    }
}
