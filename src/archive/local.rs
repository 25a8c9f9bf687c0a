//! Local headers: where each entry's data is, and whether the header in front of it
//! says the same as the directory.

use std::{fs::File, io, os::unix::fs::FileExt};

use super::{
    Error,
    ending::{broken, u16_at, u32_at, u64_at},
    entry::{Compression, Entry, Protection},
    extra::Extra,
};

/// A local header without name and extra fields, in bytes.
const HEADER_BYTES: usize = 30;
const HEADER: u32 = 0x0403_4b50;
/// What may stand before a data descriptor.
const DESCRIPTOR: u32 = 0x0807_4b50;

/// Checks the local headers of `entries`, which are sorted by where they stand, sets
/// where their data begins, and leaves out directories.
pub(super) fn check(
    file: &File,
    entries: &mut Vec<Entry>,
    names: &str,
    directory_start: u64,
) -> Result<(), Error> {
    let mut header = Vec::new();
    for index in 0..entries.len() {
        let next = entries.get(index + 1).map_or(directory_start, |next| next.header_start);
        let entry = &mut entries[index];
        let name = entry.name.of(names);
        let overlap = || Error::Overlap { entry: name.to_owned() };
        if next > directory_start {
            return Err(broken("an entry lies behind the directory"));
        }
        read_header(file, entry.header_start, next, &mut header)
            .map_err(|error| error.unwrap_or_else(overlap))?;
        entry.data_start = entry.header_start + header.len() as u64;
        compare(&header, entry, name)?;
        let data_end = entry.data_start.checked_add(entry.compressed_bytes).ok_or_else(overlap)?;
        if data_end > next {
            return Err(overlap());
        }
        if entry.flags & 8 != 0 && !entry.is_directory {
            compare_descriptor(file, entry, name, data_end, next)?;
        }
    }
    entries.retain(|entry| !entry.is_directory);
    Ok(())
}

/// Reads the header at `start` with its name and extra fields; it has to end before `next`.
///
/// The error is none where it does not.
fn read_header(
    file: &File,
    start: u64,
    next: u64,
    header: &mut Vec<u8>,
) -> Result<(), Option<Error>> {
    // Most names and extra fields fit into this, so that one read is enough.
    let room = usize::try_from(next - start).unwrap_or(usize::MAX);
    header.resize(room.min(200), 0);
    if header.len() < HEADER_BYTES {
        return Err(None);
    }
    read(file, header, start)?;
    if u32_at(header, 0) != Some(HEADER) {
        return Err(Some(broken("an entry is not where the directory says")));
    }
    let field = |at| usize::from(u16_at(header, at).unwrap_or(0));
    let length = HEADER_BYTES + field(26) + field(28);
    if length > room {
        return Err(None);
    }
    let have = header.len();
    header.resize(length, 0);
    if length > have {
        read(file, &mut header[have..], start + have as u64)?;
    }
    Ok(())
}

fn read(file: &File, buffer: &mut [u8], at: u64) -> Result<(), Option<Error>> {
    file.read_exact_at(buffer, at).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => None,
        _ => Some(Error::Read(error)),
    })
}

fn compare(header: &[u8], entry: &Entry, name: &str) -> Result<(), Error> {
    let differs = |field| Err(Error::Mismatch { entry: name.to_owned(), field });
    let short = |at| u16_at(header, at).unwrap_or(0);
    let name_end = HEADER_BYTES + usize::from(short(26));
    let extra = Extra::read(&header[name_end..]);
    if short(6) != entry.flags {
        return differs("flags");
    }
    if method(short(8), entry, &extra) != Some(entry.compression) {
        return differs("method");
    }
    if (short(10), short(12)) != entry.modified && entry.modified != (0, 0) {
        return differs("time");
    }
    if crc32fast::hash(&header[HEADER_BYTES..name_end]) != entry.name_crc {
        return differs("name");
    }
    if entry.flags & 8 != 0 {
        return Ok(()); // The sizes follow the data.
    }
    let (size, compressed) = sizes(header, &extra);
    if (size, compressed) != (entry.size_bytes, entry.compressed_bytes) {
        return differs("size");
    }
    if u32_at(header, 14) != Some(entry.crc) {
        return differs("CRC");
    }
    Ok(())
}

/// The method of compression, which AES hides in an extra field of its own.
fn method(code: u16, entry: &Entry, extra: &Extra<'_>) -> Option<Compression> {
    let code = match (entry.protection, extra.aes) {
        (Protection::Aes { with_crc, strength }, Some(aes)) if code == 99 => {
            let same = u16_at(aes, 0) == Some(if with_crc { 1 } else { 2 })
                && aes.get(4) == Some(&strength.code());
            same.then(|| u16_at(aes, 5)).flatten()?
        }
        (Protection::Aes { .. }, _) | (_, Some(_)) => return None,
        _ => code,
    };
    match code {
        0 => Some(Compression::Stored),
        8 => Some(Compression::Deflated),
        _ => None,
    }
}

fn sizes(header: &[u8], extra: &Extra<'_>) -> (u64, u64) {
    let narrow = |at| u64::from(u32_at(header, at).unwrap_or(0));
    let (compressed, size) = (narrow(18), narrow(22));
    let mut wide =
        extra.zip64.map(|field| field.chunks_exact(8).filter_map(|part| u64_at(part, 0)));
    let mut full = |narrow: u64| match &mut wide {
        Some(wide) if narrow == 0xffff_ffff => wide.next().unwrap_or(narrow),
        _ => narrow,
    };
    let size = full(size);
    (size, full(compressed))
}

/// The descriptor behind the data fills the gap to the next entry.
fn compare_descriptor(
    file: &File,
    entry: &Entry,
    name: &str,
    start: u64,
    next: u64,
) -> Result<(), Error> {
    let gap = usize::try_from(next - start).unwrap_or(usize::MAX);
    let differs = || Error::Mismatch { entry: name.to_owned(), field: "data descriptor" };
    if !matches!(gap, 12 | 16 | 20 | 24) {
        return Err(differs());
    }
    let mut bytes = [0; 24];
    let bytes = &mut bytes[..gap];
    read(file, bytes, start).map_err(|error| error.unwrap_or_else(differs))?;
    let bytes = match gap {
        16 | 24 if u32_at(bytes, 0) == Some(DESCRIPTOR) => &bytes[4..],
        12 | 20 => bytes,
        _ => return Err(differs()),
    };
    let (compressed, size) = match bytes.len() {
        12 => (u32_at(bytes, 4).map(u64::from), u32_at(bytes, 8).map(u64::from)),
        _ => (u64_at(bytes, 4), u64_at(bytes, 12)),
    };
    let same = u32_at(bytes, 0) == Some(entry.crc)
        && compressed == Some(entry.compressed_bytes)
        && size == Some(entry.size_bytes);
    if same { Ok(()) } else { Err(differs()) }
}
