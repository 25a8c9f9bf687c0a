//! The Archive Key: which are accepted, and how a new one joins the old ones.
//!
//! The rule is maaiiconnect's: at least eight characters with upper case, lower case,
//! numbers and symbols. Archives that were made with an older key stay on the disk for
//! years, so that no key is ever dropped.

use crate::config::Secret;

/// The shortest key that maaiiconnect accepts, in characters.
const MIN_CHARS: usize = 8;

/// The rules, each with a name for scripts that show which are met.
pub const RULES: [(&str, &str); 5] = [
    ("length", "At least 8 characters"),
    ("upper", "An upper case letter"),
    ("lower", "A lower case letter"),
    ("digit", "A number"),
    ("symbol", "A symbol"),
];

/// What is wrong with a key, as a sentence; nothing where it will do.
pub fn objection(key: &str) -> Option<String> {
    let mut missing = Vec::new();
    if key.chars().count() < MIN_CHARS {
        missing.push("at least 8 characters");
    }
    let lacks = |kind: fn(char) -> bool| !key.chars().any(kind);
    if lacks(char::is_uppercase) {
        missing.push("an upper case letter");
    }
    if lacks(char::is_lowercase) {
        missing.push("a lower case letter");
    }
    if lacks(char::is_numeric) {
        missing.push("a digit");
    }
    if lacks(|c| !c.is_alphanumeric() && !c.is_whitespace() && !c.is_control()) {
        missing.push("a symbol");
    }
    if key.contains(['\n', '\r', '\0']) {
        return Some("The Archive Key has to be one line.".to_owned());
    }
    if missing.is_empty() {
        return None;
    }
    Some(format!("The Archive Key needs {}.", missing.join(", ")))
}

/// All keys, with `new` first and the old ones behind it. Nothing if that is how it is.
pub fn joined(new: &Secret, old: &[Secret]) -> Option<Vec<Secret>> {
    if old.first() == Some(new) {
        return None;
    }
    let others = old.iter().filter(|key| *key != new);
    Some(std::iter::once(new).chain(others).cloned().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_what_maaiiconnect_asks_for() {
        for (key, missing) in [
            ("Str0ng!Key", ""),
            ("Aa1!Aa1", "at least 8 characters"),
            ("str0ng!key", "an upper case letter"),
            ("STR0NG!KEY", "a lower case letter"),
            ("Strong!Key", "a digit"),
            ("Str0ngKey1", "a symbol"),
            ("Str0ng Key", "a symbol"),
            ("", "at least 8 characters, an upper case letter, a lower case letter, a digit"),
            ("Str0ng!\nKey", "one line"),
            ("Ünïcode1!", ""),
        ] {
            let said = objection(key);
            assert_eq!(said.is_none(), missing.is_empty(), "{key:?}: {said:?}");
            assert!(said.unwrap_or_default().contains(missing), "{key:?}");
        }
    }

    #[test]
    fn a_new_key_goes_first_and_no_old_one_is_dropped() {
        let keys = |text: &str| -> Vec<Secret> {
            text.split_whitespace().map(|key| Secret::new(key.into())).collect()
        };
        for (new, old, expected) in [
            ("c", "", Some("c")),
            ("c", "b a", Some("c b a")),
            ("b", "b a", None),
            ("a", "b a", Some("a b")),
        ] {
            let new = Secret::new(new.into());
            assert_eq!(joined(&new, &keys(old)), expected.map(keys), "{old}");
        }
    }
}
