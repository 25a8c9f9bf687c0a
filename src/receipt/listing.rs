//! The entries of a backup, page by page, out of the statement of its receipt.
//!
//! A statement may name millions of entries. It has a line for each, so a place in the list is the
//! byte at which a line begins, and a page reads only the bytes around it. Nothing in here may hold
//! a statement in memory, or take a place for the beginning of a line that is none.

use std::pin::pin;

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt};

use super::statement::Entry;
use crate::store::{self, Store, receipts::Receipt};

/// The line after which entries begin.
const HEAD: &[u8] = b"  \"entries\": [\n";
/// What follows the last entry, and what begins its first line.
const TAIL: (&[u8], &[u8]) = (b"  ]\n}\n", b"  ]");
/// With what the line of an entry begins.
const LINE: &[u8] = b"    {";
/// How much is looked through at once on the way back, in bytes.
const STRIDE_BYTES: u64 = 256 * 1024;
/// The longest line that is read: a name of 64 KiB in which each byte is written as six.
const LONGEST_BYTES: usize = 512 * 1024;

/// Why the entries cannot be listed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// No line begins at that byte.
    #[error("no entry begins at byte {0}")]
    Place(u64),
}

/// Where a page is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// At the first entry.
    #[default]
    First,
    /// At the entry whose line begins at this byte.
    At(u64),
    /// As far down as a page can begin and still be full.
    Last,
}

/// A page of entries, in the archive's order.
#[derive(Debug, Default)]
pub struct Page {
    /// The entries.
    pub entries: Vec<Entry<'static>>,
    /// Where the page before begins.
    pub previous: Option<u64>,
    /// Where the page after begins.
    pub next: Option<u64>,
}

/// Reads a page of at most `limit` entries, which is at least one.
pub async fn page(
    store: &Store,
    receipt: &Receipt,
    place: Place,
    limit: usize,
) -> Result<Page, Error> {
    read(&|start, end| store.statement_part(receipt, start, end), receipt, place, limit).await
}

/// The same of a statement that `part` gives in pieces, from one byte to another.
async fn read<P, S>(part: &P, receipt: &Receipt, place: Place, limit: usize) -> Result<Page, Error>
where
    P: Fn(u64, u64) -> S,
    S: Stream<Item = Result<Bytes, store::Error>>,
{
    let broken = |why: &str| {
        let id = receipt.id.to_string();
        store::Error::Unreadable { what: "statement", id, why: why.to_owned() }
    };
    let length = receipt.length_bytes;
    let Some(first) = begins(part(0, length)).await? else {
        // Of an archive that holds nothing, the list is closed on the line that opens it.
        return Ok(Page::default());
    };
    let end = length
        .checked_sub(TAIL.0.len() as u64)
        .filter(|end| *end >= first)
        .ok_or_else(|| broken("it ends too early"))?;
    let at = match place {
        Place::First => first,
        Place::At(at) if at == first => first,
        Place::At(at) if at > first && at < end => {
            let before: Vec<Bytes> = part(at - 1, at).try_collect().await?;
            if before.concat() != b"\n" {
                return Err(Error::Place(at));
            }
            at
        }
        Place::At(at) => return Err(Error::Place(at)),
        Place::Last => back(part, first, end, limit).await?,
    };
    let mut page = Page::default();
    let (mut held, mut line_begins, mut is_whole) = (Vec::new(), at, false);
    let mut bytes = pin!(part(at, length));
    'reading: while let Some(piece) = bytes.try_next().await? {
        held.extend_from_slice(&piece);
        let mut done = 0;
        while let Some(end) = memchr::memchr(b'\n', &held[done..]) {
            let line = &held[done..done + end];
            is_whole = line.starts_with(TAIL.1) || page.entries.len() == limit;
            if is_whole {
                page.next = (!line.starts_with(TAIL.1)).then_some(line_begins);
                break 'reading;
            }
            page.entries.push(entry(line).ok_or_else(|| broken("a line is no entry"))?);
            done += end + 1;
            line_begins += end as u64 + 1;
        }
        held.drain(..done);
        if held.len() > LONGEST_BYTES {
            return Err(broken("a line does not end").into());
        }
    }
    if !is_whole {
        return Err(broken("the list of entries does not end").into());
    }
    if at > first {
        page.previous = Some(back(part, first, at, limit).await?);
    }
    Ok(page)
}

/// The byte at which the first entry's line begins; nothing where there is no entry.
async fn begins(
    statement: impl Stream<Item = Result<Bytes, store::Error>>,
) -> Result<Option<u64>, store::Error> {
    let mut statement = pin!(statement);
    let (mut seen, mut passed) = (Vec::new(), 0_u64);
    while let Some(piece) = statement.try_next().await? {
        seen.extend_from_slice(&piece);
        if let Some(found) = memchr::memmem::find(&seen, HEAD) {
            return Ok(Some(passed + (found + HEAD.len()) as u64));
        }
        // The line may be cut between this piece and the next.
        let done = seen.len().saturating_sub(HEAD.len());
        seen.drain(..done);
        passed += done as u64;
    }
    Ok(None)
}

/// Where the line begins that is `lines` lines before the one that begins at `at`, or the first.
async fn back<P, S>(part: &P, first: u64, at: u64, lines: usize) -> Result<u64, store::Error>
where
    P: Fn(u64, u64) -> S,
    S: Stream<Item = Result<Bytes, store::Error>>,
{
    let (mut upper, mut passed) = (at, 0);
    while upper > first {
        let lower = upper.saturating_sub(STRIDE_BYTES).max(first);
        let (mut offset, mut found) = (lower, Vec::new());
        let mut bytes = pin!(part(lower, upper));
        while let Some(piece) = bytes.try_next().await? {
            found.extend(memchr::memchr_iter(b'\n', &piece).map(|end| offset + end as u64 + 1));
            offset += piece.len() as u64;
        }
        for begins in found.into_iter().rev().filter(|begins| *begins < at) {
            passed += 1;
            if passed == lines {
                return Ok(begins);
            }
        }
        upper = lower;
    }
    Ok(first)
}

fn entry(line: &[u8]) -> Option<Entry<'static>> {
    let line = line.strip_suffix(b",").unwrap_or(line);
    let line = line.strip_prefix(LINE).map(|_| line)?;
    serde_json::from_slice(line).ok()
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use jiff::Timestamp;

    use super::*;
    use crate::backup::{ReceiptId, UploadId};

    /// A statement of so many entries, and the receipt that speaks of it.
    fn statement(entries: usize) -> (Vec<u8>, Receipt) {
        let line = |n: usize| {
            let name = format!("a \\\"quoted\\\" name {} {n}", "x".repeat(n % 50));
            format!(
                "    {{\"name\": \"{name}\", \"size_bytes\": {n}, \"protection\": \"none\", \
                 \"holds\": \"medium\", \"sha256\": \"{}\"}}",
                "ab".repeat(32)
            )
        };
        let lines: Vec<String> = (0..entries).map(line).collect();
        let listed = match lines.len() {
            0 => "[]".to_owned(),
            _ => format!("[\n{}\n  ]", lines.join(",\n")),
        };
        let text = format!("{{\n  \"format\": \"x\",\n  \"entries\": {listed}\n}}\n");
        let receipt = Receipt {
            id: ReceiptId::new([1; 32]),
            number: 1,
            job: "2ed1076d-f512-4316-be8f-e6d1a3a6ae52".parse().expect("an id"),
            upload: UploadId::new(1_600_000_000, 0),
            length_bytes: text.len() as u64,
            signature: String::new(),
            made: Timestamp::UNIX_EPOCH,
        };
        (text.into_bytes(), receipt)
    }

    /// Reads a page, the statement coming in pieces of so many bytes.
    async fn page_of(
        (text, receipt): &(Vec<u8>, Receipt),
        piece: usize,
        place: Place,
        limit: usize,
    ) -> Result<Page, Error> {
        let part = |start: u64, end: u64| {
            let range =
                usize::try_from(start).expect("small")..usize::try_from(end).expect("small");
            let pieces = text[range].chunks(piece).map(Bytes::copy_from_slice).map(Ok);
            stream::iter(pieces.collect::<Vec<_>>())
        };
        read(&part, receipt, place, limit).await
    }

    fn sizes(page: &Page) -> Vec<u64> {
        page.entries.iter().map(|entry| entry.size_bytes).collect()
    }

    #[tokio::test]
    async fn every_entry_is_on_one_page_there_and_back() {
        for (entries, limit, piece) in [(0, 5, 7), (1, 5, 7), (5, 5, 1), (23, 5, 64), (23, 5, 4096)]
        {
            let made = statement(entries);
            let (mut there, mut place, mut pages) = (Vec::new(), Place::First, Vec::new());
            loop {
                let page = page_of(&made, piece, place, limit).await.expect("a page");
                there.extend(sizes(&page));
                pages.push((sizes(&page), page.previous));
                match page.next {
                    Some(next) => place = Place::At(next),
                    None => break,
                }
            }
            assert_eq!(there, (0..entries as u64).collect::<Vec<_>>());
            for pair in pages.windows(2) {
                let previous = pair[1].1.expect("a page before");
                let page = page_of(&made, piece, Place::At(previous), limit).await.expect("a page");
                assert_eq!(sizes(&page), pair[0].0);
            }
            assert_eq!(pages[0].1, None, "nothing comes before the first page");
        }
    }

    #[tokio::test]
    async fn the_last_page_is_full_and_the_way_back_from_it_leads_to_the_first() {
        let made = statement(23);
        let last = page_of(&made, 100, Place::Last, 5).await.expect("a page");
        assert_eq!((sizes(&last), last.next), (vec![18, 19, 20, 21, 22], None));
        let (mut previous, mut seen) = (last.previous, 5);
        while let Some(at) = previous {
            let page = page_of(&made, 100, Place::At(at), 5).await.expect("a page");
            seen += 5;
            previous = page.previous;
        }
        assert!(seen >= 23, "{seen}");
        let all = page_of(&made, 100, Place::Last, 100).await.expect("a page");
        assert_eq!((all.entries.len(), all.previous), (23, None));
    }

    #[tokio::test]
    async fn a_place_at_which_no_line_begins_is_refused() {
        let made = statement(23);
        let first = page_of(&made, 100, Place::First, 1).await.expect("a page");
        let second = first.next.expect("a second entry");
        for at in [0, 1, second - 1, second + 1, made.1.length_bytes - 6, u64::MAX] {
            let refused = page_of(&made, 100, Place::At(at), 5).await;
            assert!(matches!(refused, Err(Error::Place(place)) if place == at), "{at}");
        }
    }

    #[tokio::test]
    async fn a_statement_that_was_cut_is_never_taken_for_a_shorter_one() {
        let (mut text, mut receipt) = statement(23);
        text.truncate(text.len() - 400);
        receipt.length_bytes = text.len() as u64;
        let cut = page_of(&(text, receipt), 100, Place::First, 100).await;
        assert!(matches!(cut, Err(Error::Store(_))), "{cut:?}");
    }
}
