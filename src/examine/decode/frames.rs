//! Sound that is nothing but one frame after another, each with a header that tells its length:
//! MP3, AAC as ADTS, AMR.
//!
//! Players pass over what they do not understand and go on with the next frame that they find.
//! So what is missing is not noticed by decoding; it is noticed by going from frame to frame.

use std::io::{self, Read};

use super::{Fault, Medium};
use crate::backup::examined::MediumKind;

/// How frames of one kind are told apart.
#[derive(Clone, Copy)]
pub(super) struct Frames {
    /// Bytes of a header.
    header: usize,
    /// The length of a whole frame, by its header.
    length: fn(&[u8]) -> Option<usize>,
}

impl Frames {
    /// The frames of a kind, where it consists of frames.
    pub(super) fn of(kind: MediumKind) -> Option<Self> {
        match kind {
            MediumKind::Mp3 => Some(Self { header: 4, length: mpeg }),
            MediumKind::Aac => Some(Self { header: 7, length: adts }),
            _ => None,
        }
    }

    /// Whether a frame begins here, and another behind it: one alone may be chance.
    pub(super) fn begin(&self, head: &[u8]) -> bool {
        // A tag with the title may stand before; who writes one means sound.
        let tag = tag_bytes(head);
        let Some(rest) = head.get(tag..) else { return self.header == 4 };
        let frame = |rest: &[u8]| rest.get(..self.header).and_then(self.length);
        match frame(rest) {
            Some(length) => rest
                .get(length..)
                .is_some_and(|next| frame(next).is_some() || next.is_empty() && tag > 0),
            None => false,
        }
    }

    /// Goes from frame to frame to the end; returns how many there are.
    pub(super) fn walk(&self, medium: &mut Medium) -> Result<u64, Fault> {
        let mut head = Vec::new();
        medium.go_to(0);
        medium.by_ref().take(16).read_to_end(&mut head)?;
        let mut place = tag_bytes(&head) as u64;
        let promised = promised(medium, place)?;
        let mut count = 0;
        while place < medium.length() {
            medium.go_to(place);
            let mut header = vec![0; self.header];
            let length = match medium.read_exact(&mut header) {
                Ok(()) => (self.length)(&header),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => None,
                Err(error) => return Err(error.into()),
            };
            let Some(length) = length else {
                if is_trailer(medium, place)? {
                    break;
                }
                return Err(lost(place));
            };
            place += length as u64;
            if place > medium.length() {
                return Err(Fault::cut());
            }
            count += 1;
        }
        // Most writers do not count the frame that makes the promise, but some do.
        match promised.filter(|promised| count < *promised) {
            Some(promised) => Err(Fault::Damaged(format!(
                "it ends after {} of {promised} frames",
                count.saturating_sub(1)
            ))),
            None => Ok(count),
        }
    }
}

/// How many frames of sound an MP3 is said to have: writers put that into a first, silent frame.
fn promised(medium: &mut Medium, place: u64) -> io::Result<Option<u64>> {
    let mut frame = Vec::new();
    medium.go_to(place);
    medium.by_ref().take(64).read_to_end(&mut frame)?;
    // Where it stands depends on how many channels there are.
    let marks = [b"Xing", b"Info"];
    let mark = marks.iter().find_map(|mark| memchr::memmem::find(&frame, mark.as_slice()));
    let words = mark.and_then(|mark| frame.get(mark + 4..mark + 12));
    Ok(words.and_then(|words| match words {
        [.., flags, a, b, c, d] if flags & 1 == 1 => {
            Some(u32::from_be_bytes([*a, *b, *c, *d]).into())
        }
        _ => None,
    }))
}

/// Goes through AMR, whose beginning says which of its two forms it has.
pub(super) fn amr(medium: &mut Medium) -> Result<u64, Fault> {
    const NARROW: [u64; 16] = [12, 13, 15, 17, 19, 20, 26, 31, 5, 0, 0, 0, 0, 0, 0, 0];
    const WIDE: [u64; 16] = [17, 23, 32, 36, 40, 46, 50, 58, 60, 5, 0, 0, 0, 0, 0, 0];
    let mut head = Vec::new();
    medium.go_to(0);
    medium.by_ref().take(9).read_to_end(&mut head)?;
    let (mut place, sizes) = match head.as_slice() {
        b"#!AMR-WB\n" => (9, WIDE),
        head if head.starts_with(b"#!AMR\n") => (6, NARROW),
        _ => return Err(Fault::Unexamined("of several channels, which is not read here".into())),
    };
    let mut count = 0;
    while place < medium.length() {
        medium.go_to(place);
        let Some([header]) = medium.next()? else { break };
        // The first bit and the last two are always nothing.
        if header & 0x83 != 0 {
            return Err(lost(place));
        }
        place += 1 + sizes[usize::from(header >> 3 & 0x0f)];
        count += 1;
    }
    if place > medium.length() { Err(Fault::cut()) } else { Ok(count) }
}

fn lost(place: u64) -> Fault {
    Fault::Damaged(format!("there is no sound where it should go on, at byte {place}"))
}

/// The length of an ID3 tag at the very beginning.
fn tag_bytes(head: &[u8]) -> usize {
    match head {
        [b'I', b'D', b'3', _, _, flags, a, b, c, d, ..] => {
            let size = [a, b, c, d].iter().fold(0, |size, byte| size << 7 | usize::from(**byte));
            let footer = if flags & 0x10 == 0 { 0 } else { 10 };
            10 + size + footer
        }
        _ => 0,
    }
}

/// Whether what begins here is a tag, or nothing but zeros: some write those to the end.
fn is_trailer(medium: &mut Medium, place: u64) -> io::Result<bool> {
    let mut rest = Vec::new();
    medium.go_to(place);
    medium.by_ref().take(64 * 1024).read_to_end(&mut rest)?;
    let marks: [&[u8]; 4] = [b"TAG", b"APETAGEX", b"LYRICSBEGIN", b"ID3"];
    Ok(marks.iter().any(|mark| rest.starts_with(mark)) || rest.iter().all(|byte| *byte == 0))
}

/// The length of a frame of MPEG audio, layers II and III.
fn mpeg(header: &[u8]) -> Option<usize> {
    const ONE_TWO: [usize; 15] =
        [0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384];
    const ONE_THREE: [usize; 15] =
        [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
    const TWO: [usize; 15] = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
    let [0xff, second, third, _] = *header else { return None };
    if second & 0xe0 != 0xe0 {
        return None;
    }
    let (version, layer) = (second >> 3 & 3, second >> 1 & 3);
    let rates = match (version, layer) {
        (3, 2) => ONE_TWO,
        (3, 1) => ONE_THREE,
        (0 | 2, 1 | 2) => TWO,
        _ => return None,
    };
    let kilobits = *rates.get(usize::from(third >> 4)).filter(|rate| **rate > 0)?;
    let hertz = [44_100, 48_000, 32_000].get(usize::from(third >> 2 & 3))?;
    let hertz = match version {
        3 => *hertz,
        2 => hertz / 2,
        _ => hertz / 4,
    };
    let samples_by_eight = if version != 3 && layer == 1 { 72 } else { 144 };
    Some(samples_by_eight * kilobits * 1000 / hertz + usize::from(third >> 1 & 1))
}

/// The length of a frame of AAC with its header.
fn adts(header: &[u8]) -> Option<usize> {
    let [0xff, second, third, fourth, fifth, sixth, _] = *header else { return None };
    if second & 0xf6 != 0xf0 || third >> 2 & 0x0f > 12 {
        return None;
    }
    let length = usize::from(fourth & 3) << 11 | usize::from(fifth) << 3 | usize::from(sixth >> 5);
    Some(length).filter(|length| *length > 7)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_tells_the_length_of_its_frame() {
        for (header, length) in [
            ([0xff, 0xfb, 0x90, 0x64], Some(417)), // 128 kbit/s at 44.1 kHz
            ([0xff, 0xfb, 0x92, 0x64], Some(418)), // padded
            ([0xff, 0xe3, 0x18, 0xc4], Some(72)),  // 8 kbit/s at 8 kHz
            ([0xff, 0xfb, 0xf0, 0x64], None),      // no such rate
            ([0xff, 0xff, 0x90, 0x64], None),      // layer I, which nobody uses
            ([0xfe, 0xfb, 0x90, 0x64], None),
        ] {
            assert_eq!(mpeg(&header), length, "{header:x?}");
        }
        assert_eq!(adts(&[0xff, 0xf1, 0x50, 0x80, 0x01, 0x1f, 0xfc]), Some(8));
        assert_eq!(adts(&[0xff, 0xf1, 0x50, 0x80, 0x00, 0x1f, 0xfc]), None);
    }

    #[test]
    fn amr_is_walked_to_its_end() {
        let frame = |header: u8, bytes: usize| [vec![header], vec![0x55; bytes]].concat();
        let whole = [b"#!AMR\n".to_vec(), frame(0x3c, 31), frame(0x04, 12)].concat();
        let walk = |bytes: &[u8]| amr(&mut Medium::from(bytes.to_vec()));
        assert!(matches!(walk(&whole), Ok(2)));
        assert!(matches!(walk(&whole[..whole.len() - 1]), Err(Fault::Damaged(_))));
        let mut flipped = whole;
        flipped[38] = 0xff;
        assert!(matches!(walk(&flipped), Err(Fault::Damaged(_))));
    }
}
