//! What goes between the daemon and the process that decodes, and that process's view of a
//! medium: bytes that can be read and sought in, of which a few blocks are held.
//!
//! ```text
//! daemon                                decoder
//!   length (8 bytes)            ──▶
//!                               ◀──     'K' kind        once, as soon as it is known
//!                               ◀──     'B' block number
//!   length (4), bytes           ──▶                     as often as it asks
//!                               ◀──     'O' outcome     then it ends
//! ```
//!
//! Numbers are little-endian; kind and outcome are JSON behind their length in 4 bytes.

use std::{
    collections::VecDeque,
    io::{self, BufRead, Read, Seek, SeekFrom, Write},
};

/// Bytes of a medium that go over the pipe at once. As many as a chunk in the store has.
pub(super) const BLOCK_BYTES: u64 = 1024 * 1024;

/// The longest kind or outcome, in bytes.
pub(super) const WORDS_BYTES: u32 = 16 * 1024;

/// Says what a medium is.
pub(super) const KIND: u8 = b'K';
/// Asks for a block.
pub(super) const BLOCK: u8 = b'B';
/// Says what came of it.
pub(super) const OUTCOME: u8 = b'O';

/// Blocks that are held: enough for sound and pictures that lie apart in one file.
const HELD: usize = 4;

/// Fetches the block with a number.
type Fetch = Box<dyn FnMut(u64) -> io::Result<Vec<u8>> + Send + Sync>;

/// A medium as decoders read it.
pub(super) struct Medium {
    length: u64,
    position: u64,
    /// The newest in front.
    held: VecDeque<(u64, Vec<u8>)>,
    fetch: Fetch,
}

impl Medium {
    /// A medium of `length` bytes whose blocks `fetch` brings.
    pub(super) fn new(length: u64, fetch: Fetch) -> Self {
        Self { length, position: 0, held: VecDeque::with_capacity(HELD), fetch }
    }

    /// The medium at the other end of the pipe.
    ///
    /// Whoever is there ends this process if it cannot answer; an error here is the same end.
    pub(super) fn at_the_other_end() -> io::Result<Self> {
        let length = u64::from_le_bytes(read_array(&mut io::stdin())?);
        let fetch = |number: u64| {
            let mut asked = vec![BLOCK];
            asked.extend(number.to_le_bytes());
            tell(&asked)?;
            let length = u32::from_le_bytes(read_array(&mut io::stdin())?);
            let mut block = vec![0; usize::try_from(length).map_err(io::Error::other)?];
            io::stdin().read_exact(&mut block)?;
            Ok(block)
        };
        Ok(Self::new(length, Box::new(fetch)))
    }

    /// How many bytes it has.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Where the next byte is read.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Goes to a place; one behind the end reads nothing.
    pub(super) fn go_to(&mut self, position: u64) {
        self.position = position;
    }

    /// The next `N` bytes, if there are as many.
    pub(super) fn next<const N: usize>(&mut self) -> io::Result<Option<[u8; N]>> {
        if self.position.saturating_add(N as u64) > self.length {
            return Ok(None);
        }
        read_array(self).map(Some)
    }

    /// All of it, if it is no longer than `limit`.
    pub(super) fn whole(&mut self, limit: u64) -> io::Result<Option<Vec<u8>>> {
        if self.length > limit {
            return Ok(None);
        }
        self.go_to(0);
        let mut bytes = Vec::with_capacity(usize::try_from(self.length).unwrap_or(0));
        self.read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }
}

#[cfg(test)]
impl From<Vec<u8>> for Medium {
    fn from(bytes: Vec<u8>) -> Self {
        let fetch = |bytes: &[u8], number: u64| {
            let size = usize::try_from(BLOCK_BYTES).expect("a block fits into memory");
            let number = usize::try_from(number).expect("a test's medium is small");
            Ok(bytes.chunks(size).nth(number).unwrap_or_default().to_vec())
        };
        Self::new(bytes.len() as u64, Box::new(move |number| fetch(&bytes, number)))
    }
}

impl BufRead for Medium {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.position >= self.length {
            return Ok(&[]);
        }
        let number = self.position / BLOCK_BYTES;
        if let Some(at) = self.held.iter().position(|(held, _)| *held == number) {
            self.held.swap(0, at);
        } else {
            let block = (self.fetch)(number)?;
            self.held.truncate(HELD - 1);
            self.held.push_front((number, block));
        }
        let from = usize::try_from(self.position % BLOCK_BYTES).unwrap_or(usize::MAX);
        match self.held.front().and_then(|(_, block)| block.get(from..)) {
            Some(bytes) if !bytes.is_empty() => Ok(bytes),
            _ => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn consume(&mut self, amount: usize) {
        self.position += amount as u64;
    }
}

impl Read for Medium {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill_buf()?;
        let read = bytes.len().min(buffer.len());
        buffer[..read].copy_from_slice(&bytes[..read]);
        self.consume(read);
        Ok(read)
    }
}

impl Seek for Medium {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(by) => self.length.checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

/// Sends words to the other end: a kind or an outcome.
pub(super) fn say(what: u8, words: &impl serde::Serialize) -> io::Result<()> {
    let words = serde_json::to_vec(words)?;
    let length = u32::try_from(words.len()).map_err(io::Error::other)?;
    let mut message = vec![what];
    message.extend(length.to_le_bytes());
    message.extend(words);
    tell(&message)
}

fn tell(message: &[u8]) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(message)?;
    output.flush()
}

fn read_array<const N: usize>(from: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}
