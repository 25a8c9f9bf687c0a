//! JPEG: gone through to its end mark, and decoded to its last block.
//!
//! Decoders are made to show whatever they can of a picture, so what they say is not enough:
//! [`scan`] goes through the codes themselves.

mod bits;
mod block;
mod scan;

use std::io::Cursor;

use zune_core::{colorspace::ColorSpace, options::DecoderOptions};
use zune_jpeg::{JpegDecoder, errors::DecodeErrors};

use super::{Extent, Fault};
use scan::Picture;

/// The most picture elements: as many as fit into the memory that decoding may use.
const PIXELS: u64 = 110_000_000;
/// The same where all of a picture has to be held until its last scan has been read.
const PIXELS_PROGRESSIVE: u64 = 40_000_000;

/// Decodes a picture.
pub(super) fn decode(bytes: &[u8]) -> Result<Extent, Fault> {
    let (width, height, end) = walk(bytes)?;
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(usize::from(u16::MAX))
        .set_max_height(usize::from(u16::MAX));
    // What stands behind the picture is not its own: some telephones put a video there.
    let picture = Cursor::new(&bytes[..end]);
    let mut decoder = JpegDecoder::new_with_options(picture, options);
    decoder.decode_headers().map_err(fault)?;
    if decoder.input_colorspace() == Some(ColorSpace::YCbCr) {
        // Colours are read all the same; only what would be shown is not computed.
        decoder.set_options(options.jpeg_set_out_colorspace(ColorSpace::Luma));
    }
    decoder.decode().map_err(fault)?;
    Ok(Extent::whole(format!("decoded, {width} by {height}")))
}

fn fault(error: DecodeErrors) -> Fault {
    match error {
        DecodeErrors::Unsupported(_) | DecodeErrors::LargeDimensions(_) => {
            Fault::Unexamined(error.to_string())
        }
        error => Fault::Damaged(error.to_string()),
    }
}

/// Goes through a picture; returns its size, and where its end mark ends.
fn walk(bytes: &[u8]) -> Result<(u16, u16, usize), Fault> {
    let mut picture = Picture::default();
    let (mut place, mut scans) = (2, 0);
    loop {
        while bytes.get(place..place + 2) == Some(b"\xff\xff") {
            place += 1;
        }
        let marker = match bytes.get(place..place + 2) {
            Some([0xff, marker]) => *marker,
            Some(_) => return Err(Fault::Damaged(format!("no segment begins at byte {place}"))),
            None => return Err(Fault::cut()),
        };
        match marker {
            0xd9 if scans > 0 => return Ok((picture.width, picture.height, place + 2)),
            0xd9 => return Err(Fault::Damaged("there is no picture in it".into())),
            0x01 | 0xd0..=0xd8 => {
                return Err(Fault::Damaged(format!("an unexpected mark at byte {place}")));
            }
            _ => {}
        }
        let (contents, end) = segment(bytes, place).ok_or_else(Fault::cut)?;
        let taken = match marker {
            0xc0..=0xc2 => {
                let taken = picture.frame(contents, marker == 0xc2);
                within_limits(&picture)?;
                taken
            }
            0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => {
                return Err(Fault::Unexamined("a rare form of JPEG that is not read here".into()));
            }
            0xc4 => picture.codes(contents),
            0xdd => match contents {
                [a, b] => {
                    picture.restart_interval = u16::from_be_bytes([*a, *b]).into();
                    Some(())
                }
                _ => None,
            },
            _ => Some(()),
        };
        taken.ok_or_else(|| Fault::Damaged(format!("the segment at byte {place} is broken")))?;
        place = end;
        if marker == 0xda {
            let (parts, end) = parts(bytes, place)?;
            picture.scan(contents, &parts)?;
            place = end;
            scans += 1;
        }
    }
}

fn within_limits(picture: &Picture) -> Result<(), Fault> {
    let (width, height) = (picture.width, picture.height);
    let most = if picture.progressive { PIXELS_PROGRESSIVE } else { PIXELS };
    match u64::from(width) * u64::from(height) {
        0 => Err(Fault::Unexamined("it does not say how large it is".into())),
        pixels if pixels > most => Err(Fault::too_large(width.into(), height.into(), most)),
        _ => Ok(()),
    }
}

/// What a segment holds, and where it ends.
fn segment(bytes: &[u8], place: usize) -> Option<(&[u8], usize)> {
    let length: [u8; 2] = bytes.get(place + 2..place + 4)?.try_into().ok()?;
    let end = place + 2 + usize::from(u16::from_be_bytes(length));
    bytes.get(place + 4..end).map(|contents| (contents, end))
}

/// The data of a scan, in parts between the marks where it restarts, and where they end.
fn parts(bytes: &[u8], mut place: usize) -> Result<(Vec<&[u8]>, usize), Fault> {
    let (mut parts, mut start, mut restart) = (Vec::new(), place, 0);
    loop {
        let rest = bytes.get(place..).unwrap_or_default();
        place += memchr::memchr(0xff, rest).ok_or_else(Fault::cut)?;
        match bytes.get(place + 1) {
            Some(0) => place += 2,
            Some(0xff) => place += 1,
            Some(mark @ 0xd0..=0xd7) => {
                if mark & 7 != restart {
                    return Err(Fault::Damaged(format!("a part is missing before byte {place}")));
                }
                restart = (restart + 1) & 7;
                parts.push(&bytes[start..place]);
                place += 2;
                start = place;
            }
            Some(_) => {
                parts.push(&bytes[start..place]);
                return Ok((parts, place));
            }
            None => return Err(Fault::cut()),
        }
    }
}
