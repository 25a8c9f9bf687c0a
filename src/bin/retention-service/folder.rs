//! A day that somebody laid out in a directory, with the folders and files of a backup.
//!
//! A simulation is given days in this way that are not those of the invented business. It only
//! reads, and it must never leave out a record: what it does not understand is an error.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use retention::records::Dataset;
use serde_json::Value;

use crate::{
    company::Day,
    record::{FILES, MEDIA, Medium, Record, Room, stem},
};

/// What is wrong with a directory.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A record file is no list of records.
    #[error("cannot understand {}", path.display())]
    Understand {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// A record has nothing to know it by.
    #[error("a record in {} has no id", .0.display())]
    Nameless(PathBuf),
    /// There is nothing in it.
    #[error("there are no record files in {}", .0.display())]
    Empty(PathBuf),
}

/// What lies in a directory. Blocks.
pub(crate) fn read(directory: &Path) -> Result<Day, Error> {
    let mut records = Vec::new();
    let mut people = BTreeMap::new();
    let mut present: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (dataset, file) in FILES {
        let path = directory.join(file);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(source) => return Err(Error::Read { path, source }),
        };
        let values: Vec<Value> = serde_json::from_slice(&text)
            .map_err(|source| Error::Understand { path: path.clone(), source })?;
        for value in values {
            let record = Record::new(dataset, &value);
            if record.id.is_empty() {
                return Err(Error::Nameless(path));
            }
            let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
            match dataset {
                Dataset::Staff | Dataset::Contact => {
                    people.insert(text("id"), (dataset != Dataset::Contact, name(&value)));
                }
                Dataset::Message => {
                    present.entry(text("roomID")).or_default().insert(text("fromEID"));
                }
                _ => {}
            }
            records.push(record);
        }
    }
    if records.is_empty() {
        return Err(Error::Empty(directory.to_owned()));
    }
    let mut media = Vec::new();
    collect(directory, Path::new(MEDIA), &mut media)?;
    let rooms = present.into_iter().map(|(id, speakers)| {
        let speakers = speakers.iter().filter_map(|eid| people.get(eid)).collect();
        Room { id, title: title(speakers) }
    });
    Ok(Day { records, media, rooms: rooms.collect() })
}

/// Adds all media below a part of a directory, each with its path in a backup.
fn collect(directory: &Path, part: &Path, media: &mut Vec<Medium>) -> Result<(), Error> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        |source| Error::Read { path, source }
    };
    let place = directory.join(part);
    let entries = match fs::read_dir(&place) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(failed(&place))?,
    };
    for entry in entries {
        let entry = entry.map_err(failed(&place))?;
        let part = part.join(entry.file_name());
        if entry.file_type().map_err(failed(&place))?.is_dir() {
            collect(directory, &part, media)?;
            continue;
        }
        let path = part.to_string_lossy().into_owned();
        let bytes = fs::read(entry.path()).map_err(failed(&entry.path()))?;
        media.push(Medium { id: stem(&path).unwrap_or_default(), path, bytes });
    }
    Ok(())
}

/// What somebody is called.
fn name(person: &Value) -> String {
    let text = |name: &str| person[name].as_str().unwrap_or_default();
    match text("displayName") {
        "" => format!("{} {}", text("firstName"), text("lastName")),
        name => name.to_owned(),
    }
}

/// A contact's room bears the contact's name, any other those of all who speak in it.
fn title(mut speakers: Vec<&(bool, String)>) -> String {
    speakers.sort();
    let contacts = speakers.iter().filter(|(is_staff, _)| !is_staff).count();
    let named = if contacts > 0 { contacts } else { speakers.len() };
    let names: Vec<&str> = speakers[..named].iter().map(|(_, name)| name.as_str()).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn laid(files: &[(&str, &str)]) -> tempfile::TempDir {
        let scratch = tempfile::tempdir().expect("scratch");
        for (name, text) in files {
            let path = scratch.path().join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, text).expect("written");
        }
        scratch
    }

    #[test]
    fn a_day_is_read_with_its_media_and_the_names_of_its_rooms() {
        let message = r#"[{"_id":"m","roomID":"r","seq":1,"fromEID":"s","ts":"2026-11-24T02:00:00Z",
            "content":{"msg":{"file":{"fileID":"f"}}}},{"_id":"n","roomID":"r","fromEID":"c"},
            {"_id":"o","roomID":"q","fromEID":"s"}]"#;
        let day = laid(&[
            ("lc-data-server/staff.json", r#"[{"id":"s","displayName":"Ann (安)"}]"#),
            ("dynamic-phonebook/contact.json", r#"[{"id":"c","firstName":"Bo","lastName":"Li"}]"#),
            ("history/message.json", message),
            ("history/survey.json", r#"[{"_id":"v","score":5}]"#),
            ("data-retention/r/f.png", "a picture"),
        ]);
        let day = read(day.path()).expect("a day");
        let keys: Vec<&str> = day.records.iter().map(|record| record.key.as_str()).collect();
        let expected = ["staff/s", "message/m", "message/n", "message/o", "contact/c", "other/v"];
        assert_eq!(keys, expected);
        assert_eq!(day.records[1].names, ["f"]);
        let media: Vec<_> = day.media.iter().map(|it| (&*it.id, &*it.path)).collect();
        assert_eq!(media, [("f", "data-retention/r/f.png")]);
        let rooms: Vec<_> = day.rooms.iter().map(|room| (&*room.id, &*room.title)).collect();
        assert_eq!(rooms, [("q", "Ann (安)"), ("r", "Bo Li")]);
    }

    #[test]
    fn nothing_is_left_out_quietly() {
        for (files, said) in [
            (&[][..], "no record files"),
            (&[("history/message.json", "{")], "cannot understand"),
            (&[("history/message.json", r#"[{"text":"hello"}]"#)], "no id"),
        ] {
            let error = read(laid(files).path()).expect_err(said).to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
