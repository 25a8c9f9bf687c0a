//! What kind of medium something is, by its first bytes; its name is not asked.

use std::io::{self, Read};

use super::{Medium, frames::Frames};
use crate::{archive::document, backup::examined::MediumKind};

/// How much of a medium is looked at.
const HEAD_BYTES: u64 = 64 * 1024;

/// Kinds that begin with the same bytes always: where those stand, and what they are.
const MARKS: [(usize, &[u8], MediumKind); 20] = [
    (0, b"\xff\xd8\xff", MediumKind::Jpeg),
    (0, b"\x89PNG\r\n\x1a\n", MediumKind::Png),
    (0, b"GIF87a", MediumKind::Gif),
    (0, b"GIF89a", MediumKind::Gif),
    (8, b"WEBP", MediumKind::Webp),
    (0, b"II*\0", MediumKind::Tiff),
    (0, b"MM\0*", MediumKind::Tiff),
    (0, b"II+\0", MediumKind::Tiff),
    (0, b"MM\0+", MediumKind::Tiff),
    (8, b"WAVE", MediumKind::Wav),
    (0, b"fLaC", MediumKind::Flac),
    (0, b"OggS", MediumKind::Ogg),
    (0, b"#!AMR", MediumKind::Amr),
    (0, b"\x1a\x45\xdf\xa3", MediumKind::Matroska),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", MediumKind::OldOffice),
    (0, b"%PDF-", MediumKind::Pdf),
    (4, b"moov", MediumKind::Mp4),
    (4, b"mdat", MediumKind::Mp4),
    (4, b"wide", MediumKind::Mp4),
    (0, b"PK\x05\x06", MediumKind::Zip),
];

/// Brands of `ftyp` that hold still pictures.
const STILL: [&[u8]; 7] = [b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"avif", b"avis"];

/// What kind of medium this is.
pub(super) fn of(medium: &mut Medium) -> io::Result<MediumKind> {
    let mut head = Vec::new();
    medium.go_to(0);
    medium.take(HEAD_BYTES).read_to_end(&mut head)?;
    if head.starts_with(b"PK\x03\x04") {
        medium.go_to(0);
        return Ok(document::kind(medium).unwrap_or(MediumKind::Zip));
    }
    if let Some(kind) = by_mark(&head) {
        return Ok(kind);
    }
    for kind in [MediumKind::Mp3, MediumKind::Aac] {
        if Frames::of(kind).is_some_and(|frames| frames.begin(&head)) {
            return Ok(kind);
        }
    }
    Ok(if is_text(&head) { MediumKind::Text } else { MediumKind::Unknown })
}

fn by_mark(head: &[u8]) -> Option<MediumKind> {
    let at =
        |place: usize, mark: &[u8]| head.get(place..).is_some_and(|rest| rest.starts_with(mark));
    if at(4, b"ftyp") {
        let still = STILL.iter().any(|brand| at(8, brand));
        return Some(if still { MediumKind::Heif } else { MediumKind::Mp4 });
    }
    // Two letters alone could begin any text: the length of the header has to fit as well.
    if at(0, b"BM") && at(6, b"\0\0\0\0") && head.get(15..18).is_some_and(|rest| rest == [0; 3]) {
        return Some(MediumKind::Bmp);
    }
    let found = MARKS.iter().find(|(place, mark, _)| at(*place, mark));
    let is_riff = at(0, b"RIFF") || at(0, b"RF64");
    found
        .map(|(.., kind)| *kind)
        .filter(|kind| !matches!(kind, MediumKind::Webp | MediumKind::Wav) || is_riff)
}

/// Whether this reads as text: UTF-8 or UTF-16, without control characters.
fn is_text(head: &[u8]) -> bool {
    if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
        return true;
    }
    let valid = match std::str::from_utf8(head) {
        Ok(text) => text,
        // The last character may be cut where the head ends.
        Err(error) if error.valid_up_to() + 4 > head.len() => {
            std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !valid.is_empty() && valid.chars().all(|c| !c.is_control() || "\t\r\n\x0c".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_medium_is_known_by_its_bytes() {
        let adts = b"\xff\xf1\x50\x80\x01\x1f\xfc\0\xff\xf1\x50\x80\x01\x1f\xfc\0";
        for (head, kind) in [
            (&b"\xff\xd8\xff\xe0\0\x10JFIF"[..], MediumKind::Jpeg),
            (b"\0\0\0\x18ftypisom", MediumKind::Mp4),
            (b"\0\0\0\x18ftypheic", MediumKind::Heif),
            (b"RIFF\x24\0\0\0WAVEfmt ", MediumKind::Wav),
            (b"RIFX\x24\0\0\0WAVEfmt ", MediumKind::Unknown),
            (b"BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0", MediumKind::Bmp),
            (b"BMW and other cars", MediumKind::Text),
            ("訊息 voicemail\r\n".as_bytes(), MediumKind::Text),
            (b"a\0b", MediumKind::Unknown),
            (b"", MediumKind::Unknown),
            (b"\xff\xfb\x90\x64 but no second frame", MediumKind::Unknown),
            (adts, MediumKind::Aac),
        ] {
            let found = of(&mut Medium::from(head.to_vec())).expect("read");
            assert_eq!(found, kind, "{}", String::from_utf8_lossy(head));
        }
    }
}
