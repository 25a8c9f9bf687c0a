//! PDF: every object that the index names is read, every stream decoded to its checksum, every
//! picture in it decoded, and every page reached.
//!
//! Readers mend what they can: they look for objects where the index is broken, and show what
//! is left of a stream. So index and compressed streams are held against themselves as well.

use std::sync::Arc;

use flate2::{Decompress, FlushDecompress, Status};
use hayro_syntax::{
    Filter, LoadPdfError, Pdf,
    object::{
        Object, Stream,
        stream::{DecodeFailure, ImageDecodeParams},
    },
};

use super::{Extent, Fault, Medium, jpeg};

/// The largest document; it is held as a whole.
const MOST_BYTES: u64 = 150 * 1024 * 1024;

/// How far from the end the index is named.
const TAIL_BYTES: usize = 2048;

/// How much of a stream is inflated at once, in bytes.
const INFLATE_BYTES: usize = 64 * 1024;

/// Reads a document.
pub(super) fn read(medium: &mut Medium) -> Result<Extent, Fault> {
    let bytes = medium.whole(MOST_BYTES)?;
    let bytes =
        bytes.ok_or_else(|| Fault::Unexamined(format!("larger than {MOST_BYTES} bytes")))?;
    let has_index = check_index(&bytes)?;
    let pdf = Pdf::new(Arc::new(bytes)).map_err(|error| match error {
        LoadPdfError::Decryption(_) => Fault::Unexamined("it is protected with a password".into()),
        LoadPdfError::Invalid => Fault::Damaged("its index cannot be read".into()),
    })?;
    let (mut objects, mut streams, mut undecoded) = (0, 0_u64, 0_u64);
    for object in pdf.objects() {
        objects += 1;
        if let Object::Stream(stream) = object {
            streams += 1;
            undecoded += u64::from(!decode(&stream)?);
        }
    }
    // An object that cannot be read is passed over, silently.
    let named = pdf.len();
    if objects < named {
        return Err(Fault::Damaged(format!(
            "{} of its {named} objects cannot be read",
            named - objects
        )));
    }
    let pages = pdf.pages().len();
    if pages == 0 {
        return Err(Fault::Damaged("it has no pages".into()));
    }
    let page = if pages == 1 { "page" } else { "pages" };
    let mut how_far = format!("{pages} {page}, {objects} objects, {streams} streams decoded");
    if undecoded > 0 {
        how_far.push_str(&format!(" but for {undecoded} of a kind that is not"));
    }
    if !has_index {
        how_far.push_str("; without an index, so that nothing tells whether an object is missing");
    }
    Ok(Extent { whole: undecoded == 0 && has_index, how_far })
}

/// Whether the end names a place where an index begins. Some programs write none, and readers find
/// the objects all the same: such a document has to end as one ends.
fn check_index(bytes: &[u8]) -> Result<bool, Fault> {
    let damaged = |why: &str| Fault::Damaged(why.to_owned());
    let tail = &bytes[bytes.len().saturating_sub(TAIL_BYTES)..];
    let word = b"startxref";
    let Some(place) = memchr::memmem::rfind(tail, word) else {
        let has_trailer = memchr::memmem::find(tail, b"trailer").is_some();
        let ends = has_trailer && tail.trim_ascii_end().ends_with(b"%%EOF");
        return if ends { Ok(false) } else { Err(Fault::cut()) };
    };
    let rest = tail[place + word.len()..].trim_ascii_start();
    if memchr::memmem::find(rest, b"%%EOF").is_none() {
        return Err(Fault::cut());
    }
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let place = std::str::from_utf8(&rest[..digits]).ok().and_then(|text| text.parse().ok());
    // Places are counted from the header, before which something may stand.
    let start = memchr::memmem::find(&bytes[..bytes.len().min(1024)], b"%PDF-").unwrap_or(0);
    let index = |place: usize| {
        let at = bytes.get(place..).unwrap_or_default().trim_ascii_start();
        at.starts_with(b"xref") || at.first().is_some_and(u8::is_ascii_digit)
    };
    match place {
        Some(place) if index(place) => check_table(bytes, place).map(|()| true),
        Some(place) if index(start.saturating_add(place)) => {
            check_table(bytes, start + place).map(|()| true)
        }
        _ => Err(damaged("its index is not where the end of the document says")),
    }
}

/// Whether the objects of a table are there. Where a table only errs, readers find them.
fn check_table(bytes: &[u8], place: usize) -> Result<(), Fault> {
    let table = bytes.get(place..).unwrap_or_default().trim_ascii_start();
    // An index of the newer form is a compressed stream, which is read like all others.
    let Some(table) = table.strip_prefix(b"xref") else { return Ok(()) };
    let table = &table[..memchr::memmem::find(table, b"trailer").unwrap_or(table.len())];
    let table =
        std::str::from_utf8(table).map_err(|_| Fault::Damaged("its index is broken".into()))?;
    let mut words = table.split_ascii_whitespace().peekable();
    let mut number: u64 = 0;
    while let (Some(first), Some(second)) = (words.next(), words.next()) {
        let is_entry = words.peek().is_some_and(|word| matches!(*word, "n" | "f"));
        if !is_entry {
            number = first.parse().unwrap_or(0);
            continue;
        }
        let in_use = words.next() == Some("n");
        let generation: u32 = second.parse().unwrap_or(0);
        let head = format!("{number} {generation} obj");
        let at = first.parse().ok().and_then(|place: usize| bytes.get(place..)).unwrap_or_default();
        let is_there = at.trim_ascii_start().starts_with(head.as_bytes())
            || memchr::memmem::find(bytes, format!("\n{head}").as_bytes()).is_some()
            || memchr::memmem::find(bytes, format!("\r{head}").as_bytes()).is_some();
        if in_use && !is_there {
            return Err(Fault::Damaged(format!("object {number} is missing")));
        }
        number += 1;
    }
    Ok(())
}

/// Decodes a stream; returns whether it could be.
fn decode(stream: &Stream<'_>) -> Result<bool, Fault> {
    let id = stream.obj_id();
    let broken = |why: &str| Fault::Damaged(format!("object {}: {why}", id.obj_number));
    let filters = stream.filters();
    let raw = stream.raw_data();
    match filters.as_slice() {
        [] => Ok(true),
        [Filter::DctDecode] => match jpeg::decode(&raw) {
            Ok(_) => Ok(true),
            Err(Fault::Damaged(why)) => Err(broken(&why)),
            Err(Fault::Unexamined(_)) => Ok(false),
        },
        [Filter::FlateDecode] => inflate(&raw).map(|()| true).map_err(broken),
        [first, ..] => {
            if *first == Filter::FlateDecode {
                inflate(&raw).map_err(broken)?;
            }
            let side = |name: &str| stream.dict().get::<u32>(name).unwrap_or(0);
            let picture = ImageDecodeParams {
                width: side("Width"),
                height: side("Height"),
                ..ImageDecodeParams::default()
            };
            match stream.decoded_image(&picture) {
                Ok(_) => Ok(true),
                Err(DecodeFailure::Decryption) => Ok(false),
                Err(_) => Err(broken("it cannot be decoded")),
            }
        }
    }
}

/// Inflates a stream to its checksum; nothing of it is kept.
fn inflate(mut compressed: &[u8]) -> Result<(), &'static str> {
    if compressed.is_empty() {
        return Ok(());
    }
    let mut inflater = Decompress::new(true);
    let mut buffer = vec![0; INFLATE_BYTES];
    loop {
        let (read, made) = (inflater.total_in(), inflater.total_out());
        let status = inflater.decompress(compressed, &mut buffer, FlushDecompress::None);
        let read = usize::try_from(inflater.total_in() - read).unwrap_or(usize::MAX);
        compressed = compressed.get(read..).unwrap_or_default();
        match status {
            Ok(Status::StreamEnd) => return Ok(()),
            Ok(_) if read == 0 && inflater.total_out() == made => return Err("it is cut off"),
            Ok(_) => {}
            Err(_) => return Err("its compressed data are broken"),
        }
    }
}
