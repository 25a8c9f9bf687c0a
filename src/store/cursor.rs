//! A place in a sorted list, to go on from there.

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

/// The sort key and the `_id` of a row. Opaque to everybody else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The row's time in milliseconds since 1970, where rows are sorted by time; where they are
    /// sorted by another number, that.
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    pub(super) millis: Option<i64>,
    /// The row's name, where rows are sorted by name or by another text.
    #[serde(rename = "n", default, skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    /// The row's `_id`.
    #[serde(rename = "i")]
    pub(super) id: String,
}

/// A text that is not a place in a list.
#[derive(Debug, thiserror::Error)]
#[error("that is not a place in a list")]
pub struct InvalidCursor;

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let json = serde_json::to_vec(self).map_err(|_| fmt::Error)?;
        f.write_str(&URL_SAFE_NO_PAD.encode(json))
    }
}

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let json = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidCursor)?;
        serde_json::from_slice(&json).map_err(|_| InvalidCursor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_being_written_into_an_address() {
        let cursor = Cursor { millis: Some(-5), name: None, id: "陈#1".into() };
        let text = cursor.to_string();
        assert!(text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_'), "{text}");
        assert_eq!(text.parse::<Cursor>().ok(), Some(cursor));
        assert!("x y".parse::<Cursor>().is_err());
    }
}
