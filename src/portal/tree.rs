//! A record laid out as lines, one for each value, for people to read.
//!
//! Values of Extended JSON are shown as what they mean; the record itself can be
//! read beside them as it was delivered.

use std::collections::HashMap;

use serde_json::Value;

use super::zone::Zone;

/// The most lines that are shown; what is beyond is in the record's JSON.
const LIMIT: usize = 3000;
/// The most people whose names are looked for.
const PEOPLE_LIMIT: usize = 500;
/// The deepest level that is set in further; what is deeper stands below it.
const DEEPEST: u8 = 8;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    /// How far it is set in.
    pub(super) depth: u8,
    /// The field's name, or the number in its list.
    pub(super) name: String,
    /// Its value; nothing where lines below belong to it.
    pub(super) value: Option<String>,
    /// What else there is to say: of a list its length, of a time the local one, of the
    /// id of a person the name.
    pub(super) note: String,
}

/// All lines of a record, and whether some were left out.
pub(super) fn lay_out(
    record: &Value,
    zone: &Zone,
    names: &HashMap<String, String>,
) -> (Vec<Node>, bool) {
    let mut lines = Vec::new();
    let known = Known { zone, names };
    match record {
        Value::Object(members) => {
            for (name, value) in members {
                add(&mut lines, 0, name, value, &known);
            }
        }
        other => add(&mut lines, 0, "", other, &known),
    }
    let cut = lines.len() >= LIMIT;
    (lines, cut)
}

/// The ids of people that a record names anywhere.
pub(super) fn people(record: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = vec![record];
    while let Some(value) = rest.pop() {
        match value {
            Value::Object(members) => {
                let ids = members.iter().filter(|(name, _)| names_a_person(name));
                found.extend(ids.filter_map(|(_, id)| Some(id.as_str()?.to_owned())));
                rest.extend(members.values());
            }
            Value::Array(list) => rest.extend(list),
            _ => {}
        }
        if found.len() > PEOPLE_LIMIT {
            break;
        }
    }
    found.truncate(PEOPLE_LIMIT);
    found
}

/// Whether a field of this name holds the id of a person.
fn names_a_person(field: &str) -> bool {
    field.ends_with("EID") || matches!(field, "eid" | "ownerId" | "staffID")
}

/// What is known beside the record.
struct Known<'a> {
    zone: &'a Zone,
    names: &'a HashMap<String, String>,
}

fn add(lines: &mut Vec<Node>, depth: u8, name: &str, value: &Value, known: &Known<'_>) {
    if lines.len() >= LIMIT {
        return;
    }
    let mut line = |value: Option<String>, note: String| {
        lines.push(Node { depth: depth.min(DEEPEST), name: name.to_owned(), value, note });
    };
    match value {
        Value::Null => line(Some("–".into()), "empty".into()),
        Value::Bool(flag) => line(Some(if *flag { "true" } else { "false" }.into()), String::new()),
        Value::Number(number) => line(Some(number.to_string()), String::new()),
        Value::String(text) => {
            let called = known.names.get(text).filter(|_| names_a_person(name));
            line(Some(text.clone()), called.cloned().unwrap_or_else(|| local(text, known.zone)));
        }
        Value::Array(list) => {
            let of =
                if list.len() == 1 { "1 value".into() } else { format!("{} values", list.len()) };
            line(None, of);
            for (index, value) in list.iter().enumerate() {
                add(lines, depth.saturating_add(1), &(index + 1).to_string(), value, known);
            }
        }
        Value::Object(members) => match extended(members) {
            Some((value, kind)) => {
                let shown = local(&value, known.zone);
                line(Some(value), if shown.is_empty() { kind } else { shown });
            }
            None => {
                line(None, if members.is_empty() { "empty".into() } else { String::new() });
                for (name, value) in members {
                    add(lines, depth.saturating_add(1), name, value, known);
                }
            }
        },
    }
}

/// The value that an object of Extended JSON stands for, and its type.
fn extended(members: &serde_json::Map<String, Value>) -> Option<(String, String)> {
    let (name, value) = members.iter().next().filter(|_| members.len() == 1)?;
    let kind = match name.as_str() {
        "$oid" => "object id",
        "$date" => "date",
        "$numberInt" | "$numberLong" => "whole number",
        "$numberDouble" => "number",
        "$numberDecimal" => "decimal number",
        "$uuid" => "UUID",
        "$symbol" => "symbol",
        _ => return None,
    };
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Object(inner) => extended(inner)?.0,
        _ => return None,
    };
    let millis = text.parse::<i64>().ok().filter(|_| kind == "date");
    let time = millis.and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok());
    Some((time.map_or(text, |time| time.to_string()), kind.to_owned()))
}

/// A time of the record as the viewer's clock shows it.
fn local(text: &str, zone: &Zone) -> String {
    if text.len() < 20 || !text.starts_with(|c: char| c.is_ascii_digit()) {
        return String::new();
    }
    text.parse::<jiff::Timestamp>()
        .map(|at| format!("{} {}", zone.show(at).text(), zone.name()))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_record_is_laid_out_value_by_value() {
        let zone = Zone::named("Asia/Hong_Kong").expect("a zone");
        let record = json!({
            "_id": {"$oid": "60a"},
            "at": {"$date": {"$numberLong": "1619827200000"}},
            "when": "2021-05-01T00:00:00Z",
            "list": [{"a": null}],
            "none": {},
            "host": {"fromEID": "e1", "room": "e1"},
        });
        assert_eq!(people(&record), ["e1"]);
        let names = HashMap::from([("e1".to_owned(), "Mei Wong".to_owned())]);
        let (lines, cut) = lay_out(&record, &zone, &names);
        assert!(!cut);
        let lines: Vec<(u8, &str, Option<&str>, &str)> = lines
            .iter()
            .map(|line| (line.depth, line.name.as_str(), line.value.as_deref(), line.note.as_str()))
            .collect();
        for expected in [
            (0, "_id", Some("60a"), "object id"),
            (0, "at", Some("2021-05-01T00:00:00Z"), "2021-05-01 08:00:00 Asia/Hong_Kong"),
            (0, "when", Some("2021-05-01T00:00:00Z"), "2021-05-01 08:00:00 Asia/Hong_Kong"),
            (0, "list", None, "1 value"),
            (1, "1", None, ""),
            (2, "a", Some("–"), "empty"),
            (0, "none", None, "empty"),
            (1, "fromEID", Some("e1"), "Mei Wong"),
            (1, "room", Some("e1"), ""),
        ] {
            assert!(lines.contains(&expected), "{expected:?} in {lines:?}");
        }
    }

    #[test]
    fn a_huge_record_is_cut_and_says_so() {
        let zone = Zone::named("UTC").expect("a zone");
        let record = json!({ "list": vec![1; 10_000] });
        let (lines, cut) = lay_out(&record, &zone, &HashMap::new());
        assert!(cut && lines.len() == LIMIT);
    }
}
