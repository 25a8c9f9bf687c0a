//! What a page of the Backup Log is asked for: filters, sort orders and places in it.
//!
//! The verdict is not in the database, so what it tells apart is narrowed here as far as states go,
//! and whoever judges does the rest. Sorted by condition, the log is walked one condition after the
//! other ([`LogQuery::segments`]), so that a place in it stays a place.

use bson::{Bson, DateTime, Document, doc};
use jiff::Timestamp;

use super::{Backup, date};
use crate::{
    backup::{Condition, State, retention::Status},
    store::{Cursor, browse::pattern},
};

/// What the log is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogQuery {
    /// A text that the file's name or the job id holds.
    pub text: Option<String>,
    /// Nothing that was made before this time.
    pub from: Option<Timestamp>,
    /// Nothing that was made at or after this time.
    pub until: Option<Timestamp>,
    /// Only what has this status in maaiiconnect.
    pub status: Option<Status>,
    /// Only what is in this condition here, as far as its state tells.
    pub condition: Option<Condition>,
    /// By what it is sorted.
    pub by: Column,
    /// Whether the largest, or newest, comes first.
    pub descending: bool,
}

/// By what the log can be sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Column {
    /// When the cloud made it.
    #[default]
    Made,
    /// Its file's name.
    File,
    /// Its total data size.
    Size,
    /// How many entries the archive has.
    Entries,
    /// Its status, in the order of maaiiconnect's words.
    Status,
    /// Its condition, in the order of [`Condition::ALL`]; the newest first in each.
    Condition,
}

/// How a walk through the log goes.
struct Way {
    field: &'static str,
    /// Whether the field falls, and whether ids do among equals.
    falls: (bool, bool),
}

impl LogQuery {
    /// The newest first.
    pub fn newest() -> Self {
        Self { descending: true, ..Self::default() }
    }

    /// What has to be walked one after the other from a place in the log, each with where to begin.
    pub fn segments(&self, from: Option<&Cursor>, backwards: bool) -> Vec<(Self, Option<Cursor>)> {
        if self.by != Column::Condition {
            return vec![(self.clone(), from.cloned())];
        }
        let mut conditions: Vec<Condition> = match self.condition {
            Some(condition) => vec![condition],
            None => Condition::ALL.to_vec(),
        };
        if self.descending != backwards {
            conditions.reverse();
        }
        let within = from.and_then(|from| from.name.as_deref());
        let begun = conditions.iter().position(|condition| Some(condition.as_str()) == within);
        let left = conditions.into_iter().skip(begun.unwrap_or(0));
        left.map(|condition| {
            let begins = within == Some(condition.as_str());
            let query = Self { condition: Some(condition), ..self.clone() };
            (query, from.filter(|_| begins).cloned())
        })
        .collect()
    }

    /// The place of a backup, which is in this condition, in the log.
    pub fn place(&self, backup: &Backup, condition: Condition) -> Cursor {
        let number = |number: u64| Some(i64::try_from(number).unwrap_or(i64::MAX));
        let made = Some(backup.taken.as_millisecond());
        let (millis, name) = match self.by {
            Column::Made => (made, None),
            Column::File => (None, Some(backup.file.clone())),
            Column::Size => (number(backup.progress.bytes_total), None),
            Column::Entries => (number(backup.progress.entries_total), None),
            Column::Status => {
                let status = backup.deletion.as_ref().map(|deletion| deletion.step.status());
                (None, status.map(|status| status.as_str().to_owned()))
            }
            Column::Condition => (made, Some(condition.as_str().to_owned())),
        };
        Cursor { millis, name, id: backup.upload.to_string() }
    }

    /// What every page is filtered by.
    pub(super) fn base(&self) -> Document {
        let mut filter = Document::new();
        let mut made = Document::new();
        if let Some(from) = self.from {
            made.insert("$gte", date(from));
        }
        if let Some(until) = self.until {
            made.insert("$lt", date(until));
        }
        if !made.is_empty() {
            filter.insert("taken", made);
        }
        if let Some(text) = self.text.as_deref().map(str::trim).filter(|text| !text.is_empty()) {
            let holds = pattern(text);
            filter.insert("$or", [doc! { "file": holds.clone() }, doc! { "job": holds }]);
        }
        let mut all = Vec::new();
        all.extend(self.status.map(with_status));
        all.extend(self.condition.map(in_condition));
        if !all.is_empty() {
            filter.insert("$and", all);
        }
        filter
    }

    /// The order of a walk.
    pub(super) fn sort(&self, backwards: bool) -> Document {
        let Way { field, falls } = self.way(backwards);
        let direction = |falls| if falls { -1 } else { 1 };
        doc! { field: direction(falls.0), "_id": direction(falls.1) }
    }

    /// What lies beyond a place on a walk.
    pub(super) fn beyond(&self, place: &Cursor, backwards: bool) -> Document {
        let Way { field, falls } = self.way(backwards);
        let operator = |falls| if falls { "$lt" } else { "$gt" };
        let value = match (self.by, place.millis, &place.name) {
            (Column::Made | Column::Condition, Some(millis), _) => {
                Bson::DateTime(DateTime::from_millis(millis))
            }
            (Column::Size | Column::Entries, Some(number), _) => Bson::Int64(number),
            (Column::File | Column::Status, _, Some(name)) => Bson::String(name.clone()),
            _ => Bson::Null,
        };
        let mut any = vec![doc! { field: value.clone(), "_id": { operator(falls.1): &place.id } }];
        // What has no value comes before everything that has one.
        match (value, falls.0) {
            (Bson::Null, true) => {}
            (Bson::Null, false) => any.push(doc! { field: { "$ne": Bson::Null } }),
            (value, true) => {
                any.push(doc! { field: { "$lt": value } });
                any.push(doc! { field: Bson::Null });
            }
            (value, false) => any.push(doc! { field: { "$gt": value } }),
        }
        doc! { "$or": any }
    }

    fn way(&self, backwards: bool) -> Way {
        let (field, falls) = match self.by {
            Column::Made => ("taken", (self.descending, self.descending)),
            Column::File => ("file", (self.descending, self.descending)),
            Column::Size => ("progress.bytes_total", (self.descending, self.descending)),
            Column::Entries => ("progress.entries_total", (self.descending, self.descending)),
            // Many have the same: the newest of them comes first either way.
            Column::Status => ("deletion.status", (self.descending, true)),
            Column::Condition => ("taken", (true, true)),
        };
        Way { field, falls: (falls.0 != backwards, falls.1 != backwards) }
    }
}

fn with_status(status: Status) -> Document {
    match status {
        // No line is of an upload that is still on its way.
        Status::Uploading => doc! { "state": State::Arriving.as_str() },
        Status::Uploaded => doc! { "deletion.status": Bson::Null },
        Status::Deleting | Status::Failed | Status::Completed => {
            doc! { "deletion.status": status.as_str() }
        }
    }
}

fn in_condition(condition: Condition) -> Document {
    let state = |state: State| doc! { "state": state.as_str() };
    let completed = Status::Completed.as_str();
    match condition {
        Condition::Received => {
            let begun = [State::Arriving, State::Arrived, State::Claimed].map(State::as_str);
            doc! { "state": { "$in": begun.to_vec() } }
        }
        Condition::Storing => state(State::Storing),
        Condition::Waiting => state(State::Waiting),
        Condition::Rejected => {
            doc! {
                "state": State::Rejected.as_str(),
                "superseded": { "$ne": true },
                "acknowledged": null,
            }
        }
        Condition::Acknowledged => {
            doc! {
                "state": State::Rejected.as_str(),
                "superseded": { "$ne": true },
                "acknowledged": { "$ne": null },
            }
        }
        Condition::Replaced => doc! { "state": State::Rejected.as_str(), "superseded": true },
        Condition::NotYet | Condition::Safe => {
            doc! { "state": State::Stored.as_str(), "deletion.status": { "$ne": completed } }
        }
        Condition::OnlyCopy => {
            doc! { "state": State::Stored.as_str(), "deletion.status": completed }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor(millis: Option<i64>, name: Option<&str>) -> Cursor {
        Cursor { millis, name: name.map(str::to_owned), id: "u".into() }
    }

    #[test]
    fn a_walk_goes_on_where_it_was_left_in_either_direction() {
        let time = |millis| Bson::DateTime(DateTime::from_millis(millis));
        for (by, descending, backwards, place, sort, beyond) in [
            (
                Column::Made,
                true,
                false,
                cursor(Some(5), None),
                doc! { "taken": -1, "_id": -1 },
                vec![
                    doc! { "taken": time(5), "_id": { "$lt": "u" } },
                    doc! { "taken": { "$lt": time(5) } },
                    doc! { "taken": Bson::Null },
                ],
            ),
            (
                Column::Size,
                true,
                true,
                cursor(Some(7), None),
                doc! { "progress.bytes_total": 1, "_id": 1 },
                vec![
                    doc! { "progress.bytes_total": 7_i64, "_id": { "$gt": "u" } },
                    doc! { "progress.bytes_total": { "$gt": 7_i64 } },
                ],
            ),
            (
                Column::Status,
                false,
                false,
                cursor(None, None),
                doc! { "deletion.status": 1, "_id": -1 },
                vec![
                    doc! { "deletion.status": Bson::Null, "_id": { "$lt": "u" } },
                    doc! { "deletion.status": { "$ne": Bson::Null } },
                ],
            ),
            (
                Column::Status,
                false,
                true,
                cursor(None, Some("Failed")),
                doc! { "deletion.status": -1, "_id": 1 },
                vec![
                    doc! { "deletion.status": "Failed", "_id": { "$gt": "u" } },
                    doc! { "deletion.status": { "$lt": "Failed" } },
                    doc! { "deletion.status": Bson::Null },
                ],
            ),
        ] {
            let query = LogQuery { by, descending, ..LogQuery::default() };
            assert_eq!(query.sort(backwards), sort, "{by:?}");
            assert_eq!(query.beyond(&place, backwards), doc! { "$or": beyond }, "{by:?}");
        }
    }

    #[test]
    fn sorted_by_condition_one_comes_after_the_other_from_where_one_is() {
        let query =
            |descending| LogQuery { by: Column::Condition, descending, ..LogQuery::default() };
        let walked = |query: &LogQuery, from: Option<&Cursor>, backwards| -> Vec<(&str, bool)> {
            let segments = query.segments(from, backwards).into_iter();
            let named = segments.map(|(part, from)| {
                (part.condition.expect("one at a time").as_str(), from.is_some())
            });
            named.collect()
        };
        let here = cursor(Some(1), Some("only-copy"));
        assert_eq!(walked(&query(false), None, false).len(), Condition::ALL.len());
        for (descending, backwards, expected) in [
            (
                false,
                false,
                &[("only-copy", true), ("replaced", false), ("acknowledged", false)][..],
            ),
            (true, true, &[("only-copy", true), ("replaced", false), ("acknowledged", false)]),
        ] {
            assert_eq!(walked(&query(descending), Some(&here), backwards), expected);
        }
        let back = walked(&query(false), Some(&here), true);
        assert_eq!(back.first(), Some(&("only-copy", true)));
        assert_eq!(back.last(), Some(&("rejected", false)));
        let one = LogQuery { condition: Some(Condition::Safe), ..query(false) };
        assert_eq!(walked(&one, None, false), [("safe", false)]);
    }
}
