//! From the JSON text of one record to the BSON that the database keeps.
//!
//! Canonical and relaxed Extended JSON become the BSON types they name. The
//! text is read once and the BSON is written as it is read, without a tree in
//! between. A record that BSON or the server cannot hold as it is, is never
//! bent to fit: the caller gets [`Unfit`] and keeps the text.

use std::fmt;

use bson::{Bson, RawDocumentBuf, spec::ElementType};
use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Value, value::RawValue};

use super::document::RawFields;

/// The most bytes of BSON that a record may have beside its view fields: the
/// server takes 16 MiB a document.
pub const RECORD_LIMIT_BYTES: usize = 16 * 1024 * 1024 - 512 * 1024;

/// The most levels that the server takes, ours around the record included.
const LEVELS: u32 = 98;

/// Why a text did not become BSON.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// Not JSON at all.
    #[error("the text is not JSON: {0}")]
    NotJson(String),
    /// JSON that a document of the database cannot hold.
    #[error("the record cannot be held as BSON: {0}")]
    Unfit(String),
}

/// Writes the BSON document that `text` stands for over `out`.
pub fn transcode<'a>(text: &[u8], out: &'a mut Vec<u8>) -> Result<RawFields<'a>, Error> {
    out.clear();
    let mut json = serde_json::Deserializer::from_slice(text);
    let written =
        Element { out, kind_at: None, level: 0 }.deserialize(&mut json).and_then(|()| json.end());
    match written {
        Ok(()) if out.len() <= RECORD_LIMIT_BYTES => {
            RawFields::new(out).ok_or_else(|| Error::Unfit("it is not well-formed".to_owned()))
        }
        Ok(()) => Err(Error::Unfit(format!("it takes {} bytes", out.len()))),
        Err(error) => Err(classify(text, &error)),
    }
}

/// Numbers beyond a double and very deep nesting are JSON, though serde refuses them.
fn classify(text: &[u8], error: &serde_json::Error) -> Error {
    if error.is_data() || serde_json::from_slice::<&RawValue>(text).is_ok() {
        Error::Unfit(without_place(error))
    } else {
        Error::NotJson(error.to_string())
    }
}

fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or(&text).to_owned()
}

/// Writes one value: its bytes to the end of `out`, its type at `kind_at`.
///
/// The outermost value has no place for its type: it must be an object.
struct Element<'a> {
    out: &'a mut Vec<u8>,
    kind_at: Option<usize>,
    level: u32,
}

impl Element<'_> {
    fn kind<E: serde::de::Error>(&mut self, kind: ElementType) -> Result<(), E> {
        match self.kind_at {
            Some(at) => self.out[at] = kind as u8,
            None if kind == ElementType::EmbeddedDocument => {}
            None => return Err(E::custom("it is not an object")),
        }
        Ok(())
    }

    fn bytes<E: serde::de::Error>(mut self, kind: ElementType, bytes: &[u8]) -> Result<(), E> {
        self.kind(kind)?;
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    fn descend<E: serde::de::Error>(&self) -> Result<u32, E> {
        if self.level >= LEVELS {
            return Err(E::custom(format!("it has more than {LEVELS} levels")));
        }
        if self.out.len() > RECORD_LIMIT_BYTES {
            return Err(E::custom(format!("it takes more than {RECORD_LIMIT_BYTES} bytes")));
        }
        Ok(self.level + 1)
    }
}

/// Leaves room for the length of a document that begins here.
fn open(out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    start
}

/// Ends the document that began at `start`.
fn close<E: serde::de::Error>(out: &mut Vec<u8>, start: usize) -> Result<(), E> {
    out.push(0);
    let length = i32::try_from(out.len() - start).map_err(|_| E::custom("it is too long"))?;
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    Ok(())
}

impl<'de> DeserializeSeed<'de> for Element<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Element<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: serde::de::Error>(mut self) -> Result<(), E> {
        self.kind(ElementType::Null)
    }

    fn visit_bool<E: serde::de::Error>(self, flag: bool) -> Result<(), E> {
        self.bytes(ElementType::Boolean, &[u8::from(flag)])
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<(), E> {
        match i32::try_from(number) {
            Ok(short) => self.bytes(ElementType::Int32, &short.to_le_bytes()),
            Err(_) => self.bytes(ElementType::Int64, &number.to_le_bytes()),
        }
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<(), E> {
        match i64::try_from(number) {
            Ok(number) => self.visit_i64(number),
            Err(_) => Err(E::custom("it holds a number out of range")),
        }
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<(), E> {
        // A whole number too long for 64 bits arrives here already rounded.
        if number.abs() >= 9.2e18 {
            return Err(E::custom("it holds a number out of range"));
        }
        self.bytes(ElementType::Double, &number.to_le_bytes())
    }

    fn visit_str<E: serde::de::Error>(mut self, text: &str) -> Result<(), E> {
        self.kind(ElementType::String)?;
        let length = i32::try_from(text.len() + 1).map_err(|_| E::custom("it is too long"))?;
        self.out.extend_from_slice(&length.to_le_bytes());
        self.out.extend_from_slice(text.as_bytes());
        self.out.push(0);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        let level = self.descend()?;
        self.kind(ElementType::Array)?;
        let out = self.out;
        let start = open(out);
        let mut digits = itoa(0);
        for index in 1.. {
            let kind_at = out.len();
            out.push(0);
            out.extend_from_slice(digits.as_bytes());
            out.push(0);
            let item = Element { out, kind_at: Some(kind_at), level };
            if list.next_element_seed(item)?.is_none() {
                out.truncate(kind_at);
                break;
            }
            digits = itoa(index);
        }
        close(out, start)
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let level = self.descend()?;
        let start = self.out.len();
        open(self.out);
        let mut first = true;
        loop {
            let kind_at = self.out.len();
            self.out.push(0);
            let Some(key) = map.next_key_seed(Key { out: self.out, first })? else {
                self.out.truncate(kind_at);
                break;
            };
            if let Some(dollar) = key {
                self.out.truncate(start);
                return self.extended(dollar, map);
            }
            first = false;
            map.next_value_seed(Element { out: self.out, kind_at: Some(kind_at), level })?;
        }
        self.kind(ElementType::EmbeddedDocument)?;
        close(self.out, start)
    }
}

impl Element<'_> {
    /// An object whose first key begins with `$`: a value in Extended JSON, or unfit.
    fn extended<'de, A: MapAccess<'de>>(
        mut self,
        first: String,
        mut map: A,
    ) -> Result<(), A::Error> {
        let mut members = serde_json::Map::new();
        let unfit = format!("a key begins with $: {first}");
        members.insert(first, map.next_value()?);
        while let Some((key, value)) = map.next_entry()? {
            members.insert(key, value);
        }
        let value = Bson::try_from(Value::Object(members)).map_err(A::Error::custom)?;
        if matches!(&value, Bson::Document(inner) if !inner.contains_key("$ref")) {
            return Err(A::Error::custom(unfit));
        }
        let mut holder = RawDocumentBuf::new();
        holder.append(bson::cstr!(""), bson::RawBson::try_from(value).map_err(A::Error::custom)?);
        // The holder is: 4 bytes of length, the type, the empty key, the value, a zero.
        let bytes = holder.as_bytes();
        let kind = ElementType::from(bytes[4])
            .ok_or_else(|| A::Error::custom("it has an unknown type"))?;
        self.kind(kind)?;
        self.out.extend_from_slice(&bytes[6..bytes.len() - 1]);
        Ok(())
    }
}

/// Writes a key, or hands it back if it begins an object in Extended JSON.
struct Key<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Option<String>;

    fn deserialize<D: serde::Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<Self::Value, E> {
        match key.as_bytes() {
            [b'$', ..] if self.first => return Ok(Some(key.to_owned())),
            [b'$', ..] => return Err(E::custom(format!("a key begins with $: {key}"))),
            [] => return Err(E::custom("a key is empty")),
            bytes if memchr::memchr(0, bytes).is_some() => {
                return Err(E::custom("a key holds a NUL"));
            }
            bytes => self.out.extend_from_slice(bytes),
        }
        self.out.push(0);
        Ok(None)
    }
}

fn itoa(number: u32) -> String {
    number.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<bson::Document, Error> {
        let mut out = Vec::new();
        transcode(text.as_bytes(), &mut out)?;
        let raw = RawDocumentBuf::from_bytes(out).expect("well-formed BSON");
        Ok(bson::Document::try_from(raw.as_ref()).expect("valid BSON"))
    }

    #[test]
    fn plain_json_becomes_the_nearest_types() {
        let text = r#"{"a":1,"b":3000000000,"c":1.5,"d":"x\u4e2d\n","e":null,"f":true,"g":[1,[],{"h":{}}],"i":-7,"a.b":"dot"}"#;
        let expected = bson::doc! {
            "a": 1, "b": 3_000_000_000_i64, "c": 1.5, "d": "x中\n", "e": null, "f": true,
            "g": [1, [], {"h": {}}], "i": -7, "a.b": "dot"
        };
        assert_eq!(read(text), Ok(expected));
    }

    #[test]
    fn extended_json_becomes_the_types_it_names() {
        let text = r#"{"_id":{"$oid":"60a1b2c3d4e5f60718293a4b"},"n":{"$numberInt":"5"},"l":{"$numberLong":"5"},
            "d":{"$numberDouble":"1.5"},"m":{"$numberDecimal":"1.10"},"t":{"$date":{"$numberLong":"1619827200000"}},
            "r":{"$date":"2021-05-01T00:00:00Z"},"b":{"$binary":{"base64":"AQI=","subType":"00"}},"u":{"$undefined":true},
            "x":{"$regularExpression":{"pattern":"a","options":"i"}},"list":[{"$numberLong":"1"},{"$minKey":1}]}"#;
        let document = read(text).expect("valid");
        let kinds: Vec<_> =
            document.iter().map(|(key, value)| (key.as_str(), value.element_type())).collect();
        assert_eq!(
            kinds,
            [
                ("_id", ElementType::ObjectId),
                ("n", ElementType::Int32),
                ("l", ElementType::Int64),
                ("d", ElementType::Double),
                ("m", ElementType::Decimal128),
                ("t", ElementType::DateTime),
                ("r", ElementType::DateTime),
                ("b", ElementType::Binary),
                ("u", ElementType::Undefined),
                ("x", ElementType::RegularExpression),
                ("list", ElementType::Array),
            ]
        );
        assert_eq!(document.get_datetime("t").ok(), document.get_datetime("r").ok());
    }

    #[test]
    fn what_bson_cannot_hold_is_told_from_what_is_not_json() {
        let deep = format!("{}{}{}", r#"{"a":"#.repeat(120), 1, "}".repeat(120));
        let very_deep = format!("{}{}{}", r#"{"a":"#.repeat(5000), 1, "}".repeat(5000));
        let huge = format!(r#"{{"a":"{}"}}"#, "x".repeat(RECORD_LIMIT_BYTES + 1));
        for text in [
            r#"{"$where":"x"}"#,
            r#"{"a":{"$b":1}}"#,
            r#"{"a":1,"$b":1}"#,
            r#"{"":1}"#,
            "{\"a\\u0000b\":1}",
            r#"{"a":18446744073709551615}"#,
            r#"{"a":12345678901234567890123}"#,
            r#"{"a":1e400}"#,
            r#"{"a":{"$oid":"xyz"}}"#,
            r#"{"a":{"$numberLong":"9223372036854775808"}}"#,
            "[1]",
            "7",
            r#""text""#,
            "null",
            &deep,
            &very_deep,
            &huge,
        ] {
            assert!(matches!(read(text), Err(Error::Unfit(_))), "{:.60}: {:?}", text, read(text));
        }
        for text in
            ["", "{", "{a:1}", r#"{"a":1}x"#, r#"{"a":1,}"#, r#"{"a":tru}"#, "{\"a\":\"\u{1}\"}"]
        {
            assert!(matches!(read(text), Err(Error::NotJson(_))), "{text}: {:?}", read(text));
        }
        let mut out = Vec::new();
        assert!(matches!(transcode(b"{\"a\":\"\xff\"}", &mut out), Err(Error::NotJson(_))));
    }
}
