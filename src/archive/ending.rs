//! The end of a ZIP: where its directory is, and how many entries it has.
//!
//! An upload is complete only if it ends like this, so the inbox asks here too.

use std::{fs::File, io, os::unix::fs::FileExt};

use super::Error;

/// The end record without its comment, in bytes.
const END_BYTES: usize = 22;
/// The longest comment behind it, in bytes.
const COMMENT_BYTES: usize = 0xffff;
/// The ZIP64 locator, which stands just before the end record, in bytes.
const LOCATOR_BYTES: u64 = 20;
/// The ZIP64 end record without what may follow in it, in bytes.
const END64_BYTES: usize = 56;

const END: u32 = 0x0605_4b50;
const LOCATOR: u32 = 0x0706_4b50;
const END64: u32 = 0x0606_4b50;

/// What the end of a ZIP says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// Entries in the directory.
    pub entries: u64,
    /// Where the directory begins.
    pub directory_start: u64,
    /// Where it ends.
    pub directory_end: u64,
}

impl Ending {
    /// Finds the end record of a file of `length` bytes, which has to be its very end.
    pub fn find(file: &File, length: u64) -> Result<Self, Error> {
        if length == 0 {
            return Err(broken("the file is empty"));
        }
        let tail_bytes =
            (END_BYTES + COMMENT_BYTES).min(usize::try_from(length).unwrap_or(usize::MAX));
        let mut tail = vec![0; tail_bytes];
        let tail_start = length - tail_bytes as u64;
        file.read_exact_at(&mut tail, tail_start).map_err(Error::Read)?;
        // The comment may hold what looks like an end record; the right one's comment ends the file.
        let at = (0..=tail_bytes.saturating_sub(END_BYTES))
            .rev()
            .find(|at| {
                u32_at(&tail, *at) == Some(END)
                    && u16_at(&tail, at + 20)
                        .is_some_and(|comment| at + END_BYTES + usize::from(comment) == tail_bytes)
            })
            .ok_or_else(|| {
                let mut head = [0; 4];
                let is_zip = file.read_exact_at(&mut head, 0).is_ok() && head.starts_with(b"PK");
                broken(if is_zip {
                    "the archive is cut off: its end is missing"
                } else {
                    "the file is not a ZIP archive"
                })
            })?;
        Self::read(file, &tail[at..], tail_start + at as u64)
    }

    /// Reads the end record `end`, which stands at `position`.
    fn read(file: &File, end: &[u8], position: u64) -> Result<Self, Error> {
        let short = |at| u16_at(end, at).unwrap_or(0);
        let long = |at| u32_at(end, at).unwrap_or(0);
        if (short(4), short(6)) != (0, 0) && (short(4), short(6)) != (0xffff, 0xffff) {
            return Err(broken("the archive is one part of several"));
        }
        let (here, entries) = (u64::from(short(8)), u64::from(short(10)));
        let (size, start) = (u64::from(long(12)), u64::from(long(16)));
        let zip64 = read_zip64(file, position)?;
        let (here, entries, size, start, directory_end) = match zip64 {
            Some(wide) => {
                let agree =
                    |narrow: u64, full: u64, marker: u64| narrow == marker || narrow == full;
                let same = agree(here, wide.here, 0xffff)
                    && agree(entries, wide.entries, 0xffff)
                    && agree(size, wide.size, 0xffff_ffff)
                    && agree(start, wide.start, 0xffff_ffff);
                if !same {
                    return Err(broken("the two end records contradict each other"));
                }
                (wide.here, wide.entries, wide.size, wide.start, wide.position)
            }
            None => (here, entries, size, start, position),
        };
        if here != entries {
            return Err(broken("the end record contradicts itself in the number of entries"));
        }
        if start.checked_add(size) != Some(directory_end) {
            return Err(broken("the directory is not where the end record says"));
        }
        Ok(Self { entries, directory_start: start, directory_end })
    }
}

struct Zip64 {
    here: u64,
    entries: u64,
    size: u64,
    start: u64,
    position: u64,
}

/// Reads the ZIP64 end record of an archive whose end record stands at `end`.
fn read_zip64(file: &File, end: u64) -> Result<Option<Zip64>, Error> {
    let Some(locator_start) = end.checked_sub(LOCATOR_BYTES) else { return Ok(None) };
    let mut locator = [0; 20];
    file.read_exact_at(&mut locator, locator_start).map_err(Error::Read)?;
    if u32_at(&locator, 0) != Some(LOCATOR) {
        return Ok(None);
    }
    let position = u64_at(&locator, 8).unwrap_or(0);
    let mut record = [0; END64_BYTES];
    match file.read_exact_at(&mut record, position) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            return Err(broken("the ZIP64 end record is missing"));
        }
        other => other.map_err(Error::Read)?,
    }
    let size = u64_at(&record, 4).unwrap_or(0);
    if u32_at(&record, 0) != Some(END64)
        || position.checked_add(size).and_then(|n| n.checked_add(12)) != Some(locator_start)
    {
        return Err(broken("the ZIP64 end record is missing"));
    }
    let field = |at| u64_at(&record, at).unwrap_or(0);
    Ok(Some(Zip64 {
        here: field(24),
        entries: field(32),
        size: field(40),
        start: field(48),
        position,
    }))
}

pub(super) fn broken(why: &str) -> Error {
    Error::Directory { why: why.to_owned() }
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}
