//! The process that decodes: one medium, and then it ends.
//!
//! It confines itself first ([`super::confine`]), learns what kind of medium it has, and has it
//! decoded by the module for that kind. It must never call something readable whose end it has
//! not seen, nor damaged what it merely does not understand.
//!
//! What is read to its end and decoded in part is *readable in part*: pictures of video, sound in AMR
//! and a few other codecs, pictures in a PDF that are too large. There is no decoder for these that is
//! well kept and not written in C, so that is as far as their formats can be read. What was not read to
//! its end is *not decoded*.
//!
//! ```text
//! kind ─▶ pictures, jpeg          every row
//!      ─▶ frames, ogg, boxes      is anything missing? players do not mind
//!           └▶ tracks ─▶ h264     every packet
//!      ─▶ pdf                     every object, stream and page
//!      ─▶ archive::document       every member
//! ```

mod boxes;
mod frames;
mod h264;
mod jpeg;
mod kind;
mod ogg;
mod pdf;
mod pictures;
#[cfg(test)]
mod tests;
mod tracks;

use std::io::{self, BufRead};

use super::{
    confine,
    pipe::{self, Medium},
};
use crate::{
    archive::document,
    backup::examined::{MediumKind, Outcome},
};

/// The largest JPEG; it is held as a whole.
const JPEG_BYTES: u64 = 96 * 1024 * 1024;

/// What went wrong with the process itself. Of the medium nothing is known then.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Without limits nothing is decoded.
    #[error(transparent)]
    Confine(#[from] confine::Error),
    /// Whoever asked has gone.
    #[error("nobody is there any more who wants to know")]
    Pipe(#[from] io::Error),
}

/// How far something was read.
#[derive(Debug, PartialEq, Eq)]
struct Extent {
    whole: bool,
    how_far: String,
}

impl Extent {
    /// All of it.
    fn whole(how_far: String) -> Self {
        Self { whole: true, how_far }
    }
}

/// Why something was not read to its end.
#[derive(Debug, PartialEq, Eq)]
enum Fault {
    /// It is broken.
    Damaged(String),
    /// It may be whole.
    Unexamined(String),
}

impl Fault {
    fn cut() -> Self {
        Self::Damaged("its end is missing".into())
    }

    fn memory() -> Self {
        Self::Unexamined("decoding it takes more memory than there is for it".into())
    }

    fn too_large(width: u32, height: u32, most: u64) -> Self {
        let megapixels = most / 1_000_000;
        Self::Unexamined(format!(
            "{width} by {height} is larger than the {megapixels} megapixels that are decoded here"
        ))
    }
}

/// Decodes the medium at the other end of the pipe and tells what came of it.
pub fn run() -> Result<(), Error> {
    let mut medium = Medium::at_the_other_end()?;
    confine::confine(medium.length())?;
    let kind = kind::of(&mut medium)?;
    pipe::say(pipe::KIND, &kind)?;
    pipe::say(pipe::OUTCOME, &outcome(medium, kind))?;
    Ok(())
}

/// What came of a medium of this kind.
fn outcome(medium: Medium, kind: MediumKind) -> Outcome {
    match read(medium, kind) {
        Ok(Extent { whole, how_far }) => Outcome::Readable { whole, how_far },
        Err(Fault::Damaged(why)) => Outcome::Damaged { why },
        Err(Fault::Unexamined(why)) if kind.is_to_be_decoded() => Outcome::NotDecoded { why },
        Err(Fault::Unexamined(why)) => Outcome::NotExamined { why },
    }
}

fn read(mut medium: Medium, kind: MediumKind) -> Result<Extent, Fault> {
    let not_decoded = |what: &str| Err(Fault::Unexamined(what.to_owned()));
    medium.go_to(0);
    match kind {
        MediumKind::Jpeg => match medium.whole(JPEG_BYTES)? {
            Some(bytes) => jpeg::decode(&bytes),
            None => Err(Fault::memory()),
        },
        MediumKind::Png => pictures::png(&mut medium),
        MediumKind::Gif => pictures::gif(&mut medium),
        MediumKind::Webp => pictures::webp(&mut medium),
        MediumKind::Tiff => pictures::tiff(&mut medium),
        MediumKind::Bmp => pictures::bmp(&mut medium),
        MediumKind::Wav => {
            let finished = boxes::wav(&mut medium)?;
            tracks::read(medium, kind, finished)
        }
        MediumKind::Mp3 | MediumKind::Aac => {
            if let Some(frames) = frames::Frames::of(kind) {
                frames.walk(&mut medium)?;
            }
            tracks::read(medium, kind, true)
        }
        MediumKind::Flac => tracks::read(medium, kind, true),
        MediumKind::Ogg => {
            let pages = ogg::walk(&mut medium)?;
            match tracks::read(medium, kind, true) {
                // What cannot be decoded here was held against its checksums all the same.
                Ok(Extent { whole: false, .. }) | Err(Fault::Unexamined(_)) => Ok(Extent::whole(
                    format!("not decoded, but {pages} pages have their checksums"),
                )),
                other => other,
            }
        }
        MediumKind::Amr => {
            let frames = frames::amr(&mut medium)?;
            Ok(Extent { whole: false, how_far: format!("{frames} frames read but not decoded") })
        }
        MediumKind::Mp4 => {
            boxes::mp4(&mut medium)?;
            tracks::read(medium, kind, true)
        }
        MediumKind::Matroska => {
            let finished = boxes::matroska(&mut medium)?;
            tracks::read(medium, kind, finished)
        }
        MediumKind::Pdf => pdf::read(&mut medium),
        MediumKind::Word
        | MediumKind::Excel
        | MediumKind::PowerPoint
        | MediumKind::OpenDocument
        | MediumKind::Zip => match document::check(medium) {
            Ok(members) => Ok(Extent::whole(format!("{members} members have their checksums"))),
            Err(document::Error::Damaged(why)) => Err(Fault::Damaged(why)),
            Err(document::Error::Unreadable(why)) => Err(Fault::Unexamined(why)),
        },
        MediumKind::Heif => not_decoded("there is no decoder for HEIF and AVIF here"),
        MediumKind::OldOffice => not_decoded("the old format of Office has no checksums"),
        MediumKind::Text => not_decoded("any text is readable; whether it is whole cannot be told"),
        MediumKind::Unknown if medium.length() == 0 => not_decoded("it is empty"),
        MediumKind::Unknown if is_blank(medium)? => {
            Err(Fault::Damaged("there is nothing in it but zeros".into()))
        }
        MediumKind::Unknown => not_decoded("its kind is not known"),
    }
}

/// Whether there is nothing but zeros: what is left of files after some crashes.
fn is_blank(mut medium: Medium) -> Result<bool, Fault> {
    loop {
        let bytes = medium.fill_buf()?;
        let count = bytes.len();
        if bytes.iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
        if count == 0 {
            return Ok(true);
        }
        medium.consume(count);
    }
}
