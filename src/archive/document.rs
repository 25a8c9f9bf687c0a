//! A medium that is itself a ZIP: a document of an office program, or somebody's archive.
//!
//! Each member is read to its end and held against its checksum. Nothing is unpacked.

use std::io::{self, Read, Seek};

use zip::{ZipArchive, result::ZipError};

use crate::backup::examined::MediumKind;

/// The most bytes that members may have together: a document that unpacks to more is a trap.
const TOTAL_BYTES: u64 = 16 * 1024 * 1024 * 1024;

/// The most members.
const MEMBERS: usize = 100_000;

/// Why a document could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is not whole, or was changed.
    #[error("{0}")]
    Damaged(String),
    /// It may be whole, but cannot be read here.
    #[error("{0}")]
    Unreadable(String),
}

/// Which program's document it is, by the members that its directory names.
pub fn kind(file: impl Read + Seek) -> Option<MediumKind> {
    let mut zip = ZipArchive::new(file).ok()?;
    let mark = zip.by_name("mimetype").ok().map(|member| {
        let mut mark = String::new();
        let read = member.take(100).read_to_string(&mut mark);
        read.is_ok() && mark.starts_with("application/vnd.oasis.opendocument")
    });
    if mark == Some(true) {
        return Some(MediumKind::OpenDocument);
    }
    let named = |name: &str, start: &str| name.starts_with(start);
    let has = |start: &str| zip.file_names().flatten().any(|name| named(&name, start));
    if !has("[Content_Types].xml") {
        return None;
    }
    let programs =
        [("word/", MediumKind::Word), ("xl/", MediumKind::Excel), ("ppt/", MediumKind::PowerPoint)];
    programs.into_iter().find(|(directory, _)| has(directory)).map(|(_, kind)| kind)
}

/// Reads every member to its checksum; returns how many there are.
pub fn check(file: impl Read + Seek) -> Result<usize, Error> {
    let mut zip = ZipArchive::new(file).map_err(|error| match error {
        ZipError::UnsupportedArchive(what) => Error::Unreadable(what.to_owned()),
        error => Error::Damaged(format!("its directory cannot be read: {error}")),
    })?;
    if zip.len() > MEMBERS {
        return Err(Error::Unreadable(format!("it has more than {MEMBERS} members")));
    }
    let mut left = TOTAL_BYTES;
    for index in 0..zip.len() {
        let member = zip.by_index(index).map_err(|error| match error {
            ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED) => {
                Error::Unreadable("it is protected with a password".to_owned())
            }
            ZipError::UnsupportedArchive(what) => Error::Unreadable(what.to_owned()),
            error => Error::Damaged(format!("member {} cannot be read: {error}", index + 1)),
        })?;
        let name = member.name().map(|name| name.into_owned()).unwrap_or_default();
        let read = io::copy(&mut member.take(left), &mut io::sink())
            .map_err(|error| Error::Damaged(format!("{name}: {error}")))?;
        left -= read;
        if left == 0 {
            return Err(Error::Unreadable(format!("it unpacks to more than {TOTAL_BYTES} bytes")));
        }
    }
    Ok(zip.len())
}
