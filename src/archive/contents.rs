//! The contents of one entry: decrypted, inflated and checked as they are read.
//!
//! The end of the contents is reported only after size, checksum and authentication
//! code were found right. Until then nothing that was read may be relied upon.

use std::{
    fs::File,
    io::{self, BufRead, Read},
    os::unix::fs::FileExt,
    sync::Arc,
};

use flate2::bufread::DeflateDecoder;

use super::{
    Error,
    cipher::{Cipher, MAC_BYTES, ZIP_CRYPTO_HEADER_BYTES},
    entry::{Compression, Entry, Protection},
    keys::Unlocked,
};

/// How much of the archive is read at once.
const READ_BYTES: usize = 128 * 1024;

/// Reads one entry. What is wrong comes out as an [`io::Error`] that holds an [`Error`].
pub struct Contents {
    body: Body,
    name: String,
    crc: crc32fast::Hasher,
    expected_crc: Option<u32>,
    size_bytes: u64,
    read_bytes: u64,
    checked: bool,
}

enum Body {
    Stored(Source),
    Deflated(DeflateDecoder<Source>),
}

impl Contents {
    pub(super) fn new(file: &Arc<File>, entry: &Entry, name: &str, unlocked: &Unlocked) -> Self {
        let source = Source::new(file, entry, name, unlocked);
        let body = match entry.compression {
            Compression::Stored => Body::Stored(source),
            Compression::Deflated => Body::Deflated(DeflateDecoder::new(source)),
        };
        let with_crc = !matches!(entry.protection, Protection::Aes { with_crc: false, .. });
        Self {
            body,
            name: name.to_owned(),
            crc: crc32fast::Hasher::new(),
            expected_crc: with_crc.then_some(entry.crc),
            size_bytes: entry.size_bytes,
            read_bytes: 0,
            checked: false,
        }
    }

    fn damaged(&self, why: &'static str) -> io::Error {
        Error::Damaged { entry: self.name.clone(), why }.into_io()
    }

    /// Makes sure that the end is the end, and that all was what it should be.
    fn check_end(&mut self) -> io::Result<()> {
        if self.read_bytes != self.size_bytes {
            return Err(self.damaged("it is shorter than its header says"));
        }
        let source = match &mut self.body {
            Body::Stored(source) => source,
            Body::Deflated(decoder) => decoder.get_mut(),
        };
        if !source.fill_buf()?.is_empty() {
            return Err(self.damaged("it is longer than its header says"));
        }
        if self.expected_crc.is_some_and(|crc| crc != self.crc.clone().finalize()) {
            return Err(self.damaged("its checksum (CRC-32) is wrong"));
        }
        self.checked = true;
        Ok(())
    }
}

impl Read for Contents {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.checked || buffer.is_empty() {
            return Ok(0);
        }
        let read = match &mut self.body {
            Body::Stored(source) => source.read(buffer),
            Body::Deflated(decoder) => decoder.read(buffer),
        };
        let read = match read {
            Ok(read) => read,
            // What is not from below, is from the decoder.
            Err(error) if error.get_ref().is_some_and(|inner| inner.is::<Error>()) => {
                return Err(error);
            }
            Err(error)
                if matches!(self.body, Body::Deflated(_)) && error.raw_os_error().is_none() =>
            {
                return Err(self.damaged("it cannot be inflated"));
            }
            Err(error) => return Err(error),
        };
        if read == 0 {
            self.check_end()?;
            return Ok(0);
        }
        self.read_bytes += read as u64;
        if self.read_bytes > self.size_bytes {
            return Err(self.damaged("it is longer than its header says"));
        }
        if self.expected_crc.is_some() {
            self.crc.update(&buffer[..read]);
        }
        Ok(read)
    }
}

/// The compressed bytes of an entry, decrypted.
struct Source {
    file: Arc<File>,
    name: String,
    cipher: Cipher,
    /// What is still to be read of the data.
    position: u64,
    end: u64,
    /// Where the authentication code stands, until it was verified.
    mac_at: Option<u64>,
    buffer: Vec<u8>,
    consumed: usize,
    /// Set if the entry is too short for what has to be in it.
    too_short: bool,
}

impl Source {
    fn new(file: &Arc<File>, entry: &Entry, name: &str, unlocked: &Unlocked) -> Self {
        let data_end = entry.data_start + entry.compressed_bytes;
        let (lead, trail) = match entry.protection {
            Protection::None => (0, 0),
            Protection::ZipCrypto { .. } => (ZIP_CRYPTO_HEADER_BYTES, 0),
            Protection::Aes { strength, .. } => (strength.salt_bytes() + 2, MAC_BYTES),
        };
        let (position, end) =
            (entry.data_start + lead as u64, data_end.saturating_sub(trail as u64));
        Self {
            file: Arc::clone(file),
            name: name.to_owned(),
            cipher: unlocked.cipher(entry.protection),
            position,
            end,
            mac_at: (trail > 0).then_some(end),
            buffer: Vec::new(),
            consumed: 0,
            too_short: position > end,
        }
    }

    fn verify(&mut self) -> io::Result<()> {
        let Some(at) = self.mac_at.take() else { return Ok(()) };
        let mut code = [0; MAC_BYTES];
        self.file.read_exact_at(&mut code, at)?;
        if self.cipher.verify(&code) {
            return Ok(());
        }
        let why = "its authentication code is wrong";
        Err(Error::Damaged { entry: self.name.clone(), why }.into_io())
    }
}

impl BufRead for Source {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.too_short {
            let why = "it is too short to be encrypted";
            return Err(Error::Damaged { entry: self.name.clone(), why }.into_io());
        }
        if self.consumed == self.buffer.len() {
            let left = usize::try_from(self.end - self.position).unwrap_or(usize::MAX);
            self.buffer.resize(left.min(READ_BYTES), 0);
            self.consumed = 0;
            if self.buffer.is_empty() {
                self.verify()?;
                return Ok(&[]);
            }
            self.file.read_exact_at(&mut self.buffer, self.position)?;
            self.position += self.buffer.len() as u64;
            self.cipher.apply(&mut self.buffer);
        }
        Ok(&self.buffer[self.consumed..])
    }

    fn consume(&mut self, amount: usize) {
        self.consumed = (self.consumed + amount).min(self.buffer.len());
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let count = available.len().min(buffer.len());
        buffer[..count].copy_from_slice(&available[..count]);
        self.consume(count);
        Ok(count)
    }
}
