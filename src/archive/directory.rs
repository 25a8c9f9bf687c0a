//! Reading the central directory.
//!
//! The `zip` crate understands each header with its extra fields. That the headers
//! fill the directory exactly, so that none is hidden or lost, is checked here.

use std::{
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom},
    os::unix::fs::FileExt,
    sync::Arc,
};

use zip::{
    CompressionMethod,
    read::{ArchiveOffset, Config, ZipFileEntry},
    unstable::read::ZipIterable,
};

use super::{
    Error,
    derive::Strength,
    ending::{Ending, broken, u16_at, u32_at},
    entry::{Compression, Entry, NamePlace, Protection},
    extra::Extra,
    name,
};

/// A header of the directory without name, extra fields and comment, in bytes.
const HEADER_BYTES: usize = 46;
const HEADER: u32 = 0x0201_4b50;

/// Flag bits that the contract does not name: strong encryption, and a masked directory.
const UNSUPPORTED_FLAGS: u16 = 1 << 6 | 1 << 13;

/// Reads all entries, and the names of all of them in one text.
pub(super) fn read(file: &Arc<File>, ending: &Ending) -> Result<(Vec<Entry>, String), Error> {
    let mut directory = ZipIterable::try_new(
        BufReader::with_capacity(64 * 1024, At::new(Arc::clone(file))),
        Config { archive_offset: ArchiveOffset::Known(0) },
    )
    .map_err(unusable)?;
    if directory.len() as u64 != ending.entries {
        return Err(broken("the directory has another number of entries than the end record says"));
    }
    let mut entries = Vec::with_capacity(directory.len());
    let mut names = String::new();
    let mut walk = Walk::new(file, ending);
    for entry in directory.files().map_err(unusable)? {
        let beside = walk.step()?;
        entries.push(take(&entry.map_err(unusable)?, &beside, &mut names)?);
    }
    walk.end()?;
    names.shrink_to_fit();
    Ok((entries, names))
}

/// Steps over the headers and makes sure that they fill the directory.
struct Walk {
    reader: BufReader<At>,
    left: u64,
    variable: Vec<u8>,
}

/// The extra field of WinZip AES: version, vendor, strength, method.
type AesField = [u8; 7];

/// What a header says beside what the `zip` crate tells.
struct Beside {
    aes: Option<AesField>,
    name_crc: u32,
}

impl Walk {
    fn new(file: &Arc<File>, ending: &Ending) -> Self {
        let reader = At { file: Arc::clone(file), position: ending.directory_start };
        Self {
            reader: BufReader::with_capacity(64 * 1024, reader),
            left: ending.directory_end - ending.directory_start,
            variable: Vec::new(),
        }
    }

    /// Steps over the next header.
    fn step(&mut self) -> Result<Beside, Error> {
        let mut header = [0; HEADER_BYTES];
        let short = || broken("the directory is shorter than its entries");
        self.left = self.left.checked_sub(HEADER_BYTES as u64).ok_or_else(short)?;
        self.reader.read_exact(&mut header).map_err(Error::Read)?;
        if u32_at(&header, 0) != Some(HEADER) {
            return Err(broken("the directory holds what is no entry"));
        }
        let field = |at| usize::from(u16_at(&header, at).unwrap_or(0));
        let (name, extra, comment) = (field(28), field(30), field(32));
        let length = name + extra + comment;
        self.left = self.left.checked_sub(length as u64).ok_or_else(short)?;
        self.variable.resize(length, 0);
        self.reader.read_exact(&mut self.variable).map_err(Error::Read)?;
        let extra = Extra::read(&self.variable[name..name + extra]);
        Ok(Beside {
            aes: extra.aes.and_then(|field| field.try_into().ok()),
            name_crc: crc32fast::hash(&self.variable[..name]),
        })
    }

    fn end(&self) -> Result<(), Error> {
        if self.left == 0 {
            Ok(())
        } else {
            Err(broken("the directory holds more than its entries"))
        }
    }
}

fn take(found: &ZipFileEntry<'_>, beside: &Beside, names: &mut String) -> Result<Entry, Error> {
    let raw = found.name_raw();
    let decoded = name::decode(raw, || match found.name() {
        Ok(text) => text.into_owned(),
        Err(_) => String::from_utf8_lossy(raw).into_owned(),
    });
    let is_directory = decoded.ends_with(['/', '\\']);
    let Some(normal) = name::normal(&decoded) else {
        return Err(Error::UnsafeName { entry: decoded.into_owned() });
    };
    let entry = || normal.clone();
    if normal.is_empty() && !is_directory {
        return Err(Error::UnsafeName { entry: decoded.into_owned() });
    }
    let kind = found.unix_mode().unwrap_or(0) & 0o170_000;
    if !matches!(kind, 0 | 0o100_000 | 0o040_000) {
        return Err(Error::SpecialFile { entry: entry() });
    }
    let flags = found.flags().as_u16();
    if flags & UNSUPPORTED_FLAGS != 0 {
        return Err(Error::Unsupported { entry: entry(), method: "strong encryption".to_owned() });
    }
    let modified = found.last_modified().map_or((0, 0), |time| (time.timepart(), time.datepart()));
    let (compression, protection) = methods(found, beside.aes, modified.0, &normal)?;
    let start = u32::try_from(names.len()).map_err(|_| broken("its names are too long"))?;
    names.push_str(&normal);
    let end = u32::try_from(names.len()).map_err(|_| broken("its names are too long"))?;
    Ok(Entry {
        name: NamePlace { start, end },
        header_start: found.header_start(),
        data_start: 0,
        compressed_bytes: found.compressed_size(),
        size_bytes: found.size(),
        crc: found.crc32(),
        name_crc: beside.name_crc,
        modified,
        flags,
        is_directory,
        compression,
        protection,
    })
}

fn methods(
    found: &ZipFileEntry<'_>,
    aes: Option<AesField>,
    time: u16,
    name: &str,
) -> Result<(Compression, Protection), Error> {
    let unsupported = |method: String| Error::Unsupported { entry: name.to_owned(), method };
    let compression = match found.compression() {
        CompressionMethod::Stored => Compression::Stored,
        CompressionMethod::Deflated => Compression::Deflated,
        other => return Err(unsupported(format!("the compression method {other}"))),
    };
    let flags = found.flags().as_u16();
    let protection = match (flags & 1 != 0, aes) {
        (false, None) => Protection::None,
        (true, None) => {
            // With sizes after the data the CRC is not known in time, so the time serves.
            let [.., time] = time.to_le_bytes();
            let [.., crc] = found.crc32().to_le_bytes();
            Protection::ZipCrypto { check: if flags & 8 != 0 { time } else { crc } }
        }
        (true, Some([version, _, _, _, strength, ..])) => {
            let strength = Strength::from_code(strength)
                .ok_or_else(|| unsupported("an unknown strength of AES".to_owned()))?;
            Protection::Aes { strength, with_crc: version == 1 }
        }
        (false, Some(_)) => {
            return Err(Error::Mismatch { entry: name.to_owned(), field: "encryption" });
        }
    };
    Ok((compression, protection))
}

fn unusable(error: zip::result::ZipError) -> Error {
    match error {
        zip::result::ZipError::Io(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
            Error::Read(error)
        }
        other => Error::Directory { why: format!("the directory cannot be read: {other}") },
    }
}

/// Reads a file from a position of its own, so that several can read at once.
#[derive(Debug)]
pub(super) struct At {
    file: Arc<File>,
    position: u64,
}

impl At {
    /// Reads from the beginning.
    pub(super) fn new(file: Arc<File>) -> Self {
        Self { file, position: 0 }
    }
}

impl Read for At {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.position)?;
        self.position += read as u64;
        Ok(read)
    }
}

impl Seek for At {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(step) => self.position.checked_add_signed(step),
            SeekFrom::End(step) => self.file.metadata()?.len().checked_add_signed(step),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}
