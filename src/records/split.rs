//! One record after another out of a record file of any size.
//!
//! Never holds more than one record, nor more of it than the limit.

use std::io::{self, Read};

use super::{
    layout::{Layout, byte_order_mark},
    scan::{Kind, Mark, Walker},
};

/// How much is read at once.
const READ_BYTES: usize = 256 * 1024;

/// A piece of a record file. Offsets count the bytes from its beginning.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// The text of one record.
    Record {
        /// Its text.
        text: &'a [u8],
        /// Where it begins.
        offset: u64,
        /// In a wrapper, the name of the member that holds it.
        member: Option<&'a str>,
    },
    /// A record longer than the limit; its text was passed over.
    TooLong {
        /// Where it begins.
        start: u64,
        /// Where it ends.
        end: u64,
    },
    /// What cannot be part of any JSON: a bracket that nothing opened, or a value without an end.
    Broken {
        /// Where it is.
        offset: u64,
    },
}

/// Splits a record file.
#[derive(Debug)]
pub struct Splitter<R> {
    reader: R,
    limit_bytes: usize,
    walker: Walker,
    position: Tracker,
    buffer: Vec<u8>,
    /// The offset of the buffer's first byte.
    base: u64,
    /// Up to where the buffer was walked over.
    walked: usize,
    ended: bool,
}

/// Knows at which level records are, and whether one is open.
#[derive(Debug)]
struct Tracker {
    layout: Layout,
    in_array: bool,
    /// Where the open record begins, counted from the beginning of the file.
    open: Option<(u64, usize)>,
    member: Option<String>,
}

impl Tracker {
    /// Whether a value that begins here is a record.
    fn is_record(&mut self, depth: usize, kind: Kind) -> bool {
        if self.open.is_some() {
            return false;
        }
        match (self.layout, depth) {
            (Layout::Stream, 0) => {
                self.in_array = kind == Kind::Array;
                !self.in_array
            }
            (Layout::Stream, 1) => self.in_array,
            (Layout::Wrapper { .. }, 1) => {
                self.in_array = kind == Kind::Array;
                false
            }
            (Layout::Wrapper { .. }, 2) => self.in_array && kind == Kind::Object,
            _ => false,
        }
    }
}

impl<R: Read> Splitter<R> {
    /// Splits what `reader` yields. A record of more than `limit_bytes` is passed over.
    pub fn new(reader: R, layout: Layout, limit_bytes: usize) -> Self {
        Self {
            reader,
            limit_bytes,
            walker: Walker::default(),
            position: Tracker { layout, in_array: false, open: None, member: None },
            buffer: Vec::new(),
            base: 0,
            walked: 0,
            ended: false,
        }
    }

    /// The next piece, or nothing at the end.
    pub fn next_piece(&mut self) -> io::Result<Option<Piece<'_>>> {
        loop {
            if let Some(found) = self.walk() {
                return Ok(Some(self.piece(found)));
            }
            if self.ended {
                return Ok(self.rest().map(|found| self.piece(found)));
            }
            self.fill()?;
        }
    }

    /// Walks over what is in the buffer up to the end of a record.
    fn walk(&mut self) -> Option<Found> {
        while self.walked < self.buffer.len() {
            let mut last = None;
            self.walked = self.walker.walk(&self.buffer, self.walked, |at, mark| {
                last = Some((at, mark));
                false
            });
            let Some((at, mark)) = last else { break };
            let offset = self.base + at as u64;
            match mark {
                Mark::Begin { depth, kind } => {
                    if self.position.is_record(depth, kind) {
                        self.position.open = Some((offset, depth));
                        if depth == 2 {
                            self.position.member = Some(self.walker.member());
                        }
                    }
                }
                Mark::End { depth } => {
                    if let Some((start, _)) = self.position.open.take_if(|(_, open)| *open == depth)
                    {
                        return Some(Found::Record { start, end: offset });
                    }
                }
                Mark::Stray => return Some(Found::Broken { offset }),
            }
        }
        None
    }

    /// What the end of the input leaves behind.
    fn rest(&mut self) -> Option<Found> {
        let end = self.base + self.buffer.len() as u64;
        let ended = self.walker.finish();
        let unclosed = !std::mem::take(&mut self.walker).at_rest();
        match (ended, self.position.open.take()) {
            (Some(Mark::End { depth }), Some((start, open))) if depth == open => {
                Some(Found::Record { start, end })
            }
            (_, Some((start, _))) => Some(Found::Broken { offset: start }),
            _ => unclosed.then_some(Found::Broken { offset: end }),
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        let keep_from = match self.position.open {
            Some((start, _)) if self.held(start) <= self.limit_bytes => {
                usize::try_from(start.saturating_sub(self.base)).unwrap_or(0)
            }
            _ => self.walked,
        };
        self.buffer.drain(..keep_from);
        self.base += keep_from as u64;
        self.walked -= keep_from;
        let before = self.buffer.len();
        self.buffer.resize(before + READ_BYTES, 0);
        let read = loop {
            match self.reader.read(&mut self.buffer[before..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.buffer.truncate(before + *read.as_ref().unwrap_or(&0));
        self.ended = read? == 0;
        if self.base == 0 && before == 0 {
            self.walked = byte_order_mark(&self.buffer);
        }
        Ok(())
    }

    /// How much of the record that begins at `start` was read.
    fn held(&self, start: u64) -> usize {
        usize::try_from(self.base + self.buffer.len() as u64 - start).unwrap_or(usize::MAX)
    }

    fn piece(&self, found: Found) -> Piece<'_> {
        match found {
            Found::Broken { offset } => Piece::Broken { offset },
            Found::Record { start, end } => {
                let held = start.checked_sub(self.base).and_then(|from| {
                    let from = usize::try_from(from).ok()?;
                    self.buffer.get(from..usize::try_from(end - self.base).ok()?)
                });
                match held {
                    Some(text) if text.len() <= self.limit_bytes => Piece::Record {
                        text,
                        offset: start,
                        member: self.position.member.as_deref(),
                    },
                    _ => Piece::TooLong { start, end },
                }
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Found {
    Record { start: u64, end: u64 },
    Broken { offset: u64 },
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reader that hands out a few bytes at a time.
    struct Slow<'a>(&'a [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(self.0.len()).min(out.len());
            out[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn split(text: &str, layout: Layout, limit: usize, step: usize) -> Vec<String> {
        let mut splitter = Splitter::new(Slow(text.as_bytes(), step), layout, limit);
        let mut pieces = Vec::new();
        while let Some(piece) = splitter.next_piece().expect("reads from memory") {
            pieces.push(match piece {
                Piece::Record { text, .. } => String::from_utf8_lossy(text).into_owned(),
                Piece::TooLong { start, end } => format!("too long {start}-{end}"),
                Piece::Broken { offset } => format!("broken {offset}"),
            });
        }
        pieces
    }

    #[test]
    fn every_layout_is_split_whatever_the_pieces() {
        let wrapper = Layout::Wrapper { others: true };
        for (layout, text, expected) in [
            (Layout::Stream, "", vec![]),
            (Layout::Stream, " \n", vec![]),
            (Layout::Stream, "[]", vec![]),
            (Layout::Stream, r#"[{"a":1},{"b":[2]}]"#, vec![r#"{"a":1}"#, r#"{"b":[2]}"#]),
            (Layout::Stream, "{\"a\":1}\r\n{\"a\":2}\r\n", vec![r#"{"a":1}"#, r#"{"a":2}"#]),
            (
                Layout::Stream,
                "{\n \"a\": 1\n}\n{\n \"a\": 2\n}",
                vec!["{\n \"a\": 1\n}", "{\n \"a\": 2\n}"],
            ),
            (Layout::Stream, "[{\"a\":1}]\n[{\"a\":2}]", vec![r#"{"a":1}"#, r#"{"a":2}"#]),
            (Layout::Stream, r#"[1,"x",null,[2]]"#, vec!["1", "\"x\"", "null", "[2]"]),
            (Layout::Stream, "plain words", vec!["plain", "words"]),
            (Layout::Stream, r#"{"a":1}}{"a":2}"#, vec![r#"{"a":1}"#, "broken 7", r#"{"a":2}"#]),
            (Layout::Stream, r#"[{"a":1},{"b":"#, vec![r#"{"a":1}"#, "broken 9"]),
            (Layout::Stream, r#"[{"a":1}"#, vec![r#"{"a":1}"#, "broken 8"]),
            (Layout::Stream, r#"{"a":"x"#, vec!["broken 0"]),
            (
                wrapper,
                r#"{"n":2,"calls":[{"a":[{}]},{"b":1}],"c":["x"],"d":[{}]}"#,
                vec![r#"{"a":[{}]}"#, r#"{"b":1}"#, "{}"],
            ),
        ] {
            for step in [1, 2, 7, 1000] {
                assert_eq!(split(text, layout, 100, step), expected, "{text} by {step}");
            }
        }
    }

    #[test]
    fn a_byte_order_mark_is_not_part_of_a_record() {
        assert_eq!(split("\u{feff}{\"a\":1}", Layout::Stream, 100, 1000), [r#"{"a":1}"#]);
    }

    #[test]
    fn a_long_record_is_passed_over_in_bounded_memory() {
        let long =
            format!("[{{\"a\":1}},{{\"a\":\"{}\"}},{{\"a\":2}}]", "x".repeat(3 * READ_BYTES));
        let pieces = split(&long, Layout::Stream, 50, 4096);
        assert_eq!(
            pieces,
            [
                r#"{"a":1}"#.to_owned(),
                format!("too long 9-{}", 9 + 8 + 3 * READ_BYTES),
                r#"{"a":2}"#.to_owned()
            ]
        );

        let mut splitter = Splitter::new(Slow(long.as_bytes(), usize::MAX), Layout::Stream, 50);
        while splitter.next_piece().expect("reads").is_some() {}
        assert!(splitter.buffer.capacity() <= 4 * READ_BYTES, "{}", splitter.buffer.capacity());
    }
}
