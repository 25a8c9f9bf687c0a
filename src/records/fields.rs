//! Looking into one record without knowing how it is held.

use std::borrow::Cow;

use jiff::Timestamp;
use serde_json::Value;

/// A plain value out of a record.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar<'a> {
    /// A text.
    Text(Cow<'a, str>),
    /// A whole number.
    Integer(i64),
    /// Any other number.
    Double(f64),
    /// Yes or no.
    Flag(bool),
    /// A point in time, in milliseconds since 1970.
    Time(i64),
    /// A list of so many values.
    List(usize),
    /// An object.
    Object,
}

impl Scalar<'_> {
    /// As a text, where it is one or a number.
    pub fn text(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Text(text) => Some(Cow::Borrowed(text)),
            Self::Integer(number) => Some(Cow::Owned(number.to_string())),
            Self::Double(number) => Some(Cow::Owned(number.to_string())),
            Self::Flag(_) | Self::Time(_) | Self::List(_) | Self::Object => None,
        }
    }

    /// As a whole number: also a text of digits, as some exports write sizes.
    pub fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            Self::Double(number) if number.fract() == 0.0 && number.abs() < 9.0e15 => {
                #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
                let whole = *number as i64;
                Some(whole)
            }
            Self::Text(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// As a time in milliseconds since 1970: a date, RFC 3339, or such a number.
    pub fn time(&self) -> Option<i64> {
        match self {
            Self::Time(millis) => Some(*millis),
            Self::Text(text) => text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond),
            _ => self.integer().filter(|millis| Timestamp::from_millisecond(*millis).is_ok()),
        }
    }
}

/// A record's values by their path: names with dots between them.
pub trait Fields {
    /// The value at `path`, unless it is missing or null.
    fn get(&self, path: &str) -> Option<Scalar<'_>>;

    /// The text at `path`, unless it is missing or empty.
    fn text(&self, path: &str) -> Option<String> {
        self.get(path)?.text().filter(|text| !text.is_empty()).map(Cow::into_owned)
    }
}

impl Fields for Value {
    fn get(&self, path: &str) -> Option<Scalar<'_>> {
        let mut value = self;
        for name in path.split('.') {
            value = value.get(name)?;
        }
        match value {
            Value::Null => None,
            Value::Bool(flag) => Some(Scalar::Flag(*flag)),
            Value::Number(number) => Some(match number.as_i64() {
                Some(whole) => Scalar::Integer(whole),
                None => Scalar::Double(number.as_f64()?),
            }),
            Value::String(text) => Some(Scalar::Text(Cow::Borrowed(text))),
            Value::Array(list) => Some(Scalar::List(list.len())),
            Value::Object(members) => Some(extended(members).unwrap_or(Scalar::Object)),
        }
    }
}

/// The Extended JSON forms that ids, times and sizes come in.
fn extended(members: &serde_json::Map<String, Value>) -> Option<Scalar<'_>> {
    let (name, value) = members.iter().next().filter(|_| members.len() == 1)?;
    match (name.as_str(), value) {
        ("$oid", Value::String(text)) => Some(Scalar::Text(Cow::Borrowed(text))),
        ("$numberInt" | "$numberLong", Value::String(text)) => {
            text.parse().ok().map(Scalar::Integer)
        }
        ("$numberDouble", Value::String(text)) => text.parse().ok().map(Scalar::Double),
        ("$date", date) => {
            let date = match date {
                Value::Object(inner) => extended(inner)?,
                Value::String(text) => Scalar::Text(Cow::Borrowed(text)),
                other => Scalar::Integer(other.as_i64()?),
            };
            date.time().map(Scalar::Time)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_come_in_every_documented_form() {
        let first_of_may = 1_619_827_200_000;
        for value in [
            json!("2021-05-01T00:00:00Z"),
            json!("2021-05-01T00:00:00.000Z"),
            json!("2021-05-01T08:00:00+08:00"),
            json!(1_619_827_200_000_i64),
            json!({"$date": "2021-05-01T00:00:00Z"}),
            json!({"$date": {"$numberLong": "1619827200000"}}),
            json!({"$date": 1_619_827_200_000_i64}),
            json!({"$numberLong": "1619827200000"}),
        ] {
            let record = json!({ "a": { "ts": value } });
            assert_eq!(
                Fields::get(&record, "a.ts").and_then(|v| v.time()),
                Some(first_of_may),
                "{record}"
            );
        }
        for value in [json!("yesterday"), json!(null), json!({}), json!([1]), json!(9.9e18)] {
            let record = json!({ "ts": value });
            assert_eq!(Fields::get(&record, "ts").and_then(|v| v.time()), None, "{record}");
        }
    }

    #[test]
    fn whole_numbers_may_be_written_as_text() {
        for (value, expected) in [
            (json!(12), Some(12)),
            (json!("12"), Some(12)),
            (json!(12.0), Some(12)),
            (json!(1.5), None),
            (json!("x"), None),
        ] {
            let record = json!({ "size": value });
            assert_eq!(
                Fields::get(&record, "size").and_then(|v| v.integer()),
                expected,
                "{record}"
            );
        }
    }
}
