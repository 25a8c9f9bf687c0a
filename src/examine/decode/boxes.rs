//! The outermost structure of MP4, Matroska and WAV: does what it announces fit into the file?
//!
//! Players take the end of a file for the end of the recording. So one that was cut is told by
//! what it says of its own length.

use super::{Fault, Medium};

/// Goes through the boxes of an MP4 file.
pub(super) fn mp4(medium: &mut Medium) -> Result<(), Fault> {
    let (mut place, mut index, mut samples) = (0, false, false);
    while place < medium.length() {
        medium.go_to(place);
        let Some([a, b, c, d, kind @ ..]) = medium.next::<8>()? else {
            // Less than a header: some write a few zeros to the end.
            return if index { Ok(()) } else { Err(Fault::cut()) };
        };
        let length = match u32::from_be_bytes([a, b, c, d]) {
            0 if &kind == b"\0\0\0\0" => break,
            0 => medium.length() - place,
            1 => medium.next()?.map(u64::from_be_bytes).ok_or_else(Fault::cut)?,
            length => length.into(),
        };
        if !kind.iter().all(|byte| (0x20..0x7f).contains(byte) || *byte == 0xa9) || length < 8 {
            return Err(Fault::Damaged(format!(
                "there is no part where one should begin, at byte {place}"
            )));
        }
        place = place.checked_add(length).ok_or_else(Fault::cut)?;
        if place > medium.length() {
            return Err(Fault::cut());
        }
        index |= &kind == b"moov";
        samples |= &kind == b"mdat" || &kind == b"moof";
    }
    match (index, samples) {
        (true, true) => Ok(()),
        (false, _) => Err(Fault::Damaged(
            "it has no index (moov): the recording was never finished, or its end is missing"
                .into(),
        )),
        (true, false) => Err(Fault::Damaged("it has an index, but no sound or video".into())),
    }
}

/// Whether a WAV file knows its own length; one that does has to have it.
pub(super) fn wav(medium: &mut Medium) -> Result<bool, Fault> {
    medium.go_to(0);
    let mark = medium.next::<4>()?.ok_or_else(Fault::cut)?;
    let announced = medium.next()?.map(u32::from_le_bytes).ok_or_else(Fault::cut)?;
    // Recorders write these while they record, and RF64 has its length elsewhere.
    if matches!(announced, 0 | u32::MAX) {
        return Ok(&mark == b"RF64");
    }
    match u64::from(announced) + 8 > medium.length() {
        true => Err(Fault::cut()),
        false => Ok(true),
    }
}

/// Ids of Matroska elements that hold others and are gone into.
const SEGMENT: u64 = 0x1853_8067;
const CLUSTER: u64 = 0x1f43_b675;
/// How many elements are looked at.
const MOST: u64 = 50_000_000;

/// Goes through the elements of a Matroska file down to the blocks; returns whether it knows its
/// own length. Browsers record without knowing.
pub(super) fn matroska(medium: &mut Medium) -> Result<bool, Fault> {
    let (mut place, mut seen, mut clusters, mut finished) = (0, 0, 0_u64, true);
    while place < medium.length() {
        medium.go_to(place);
        let id = number(medium, false)?.ok_or_else(Fault::cut)?;
        let length = number(medium, true)?.ok_or_else(Fault::cut)?;
        let (begin, known) = (medium.position(), length.0 != (1 << (7 * length.1)) - 1);
        seen += 1;
        if seen > MOST {
            return Err(Fault::Unexamined("it has too many parts".into()));
        }
        if known && begin.checked_add(length.0).is_none_or(|end| end > medium.length()) {
            return Err(Fault::cut());
        }
        clusters += u64::from(id.0 == CLUSTER);
        finished &= known;
        place = match id.0 {
            SEGMENT | CLUSTER => begin,
            _ if known => begin + length.0,
            _ => return Err(Fault::Damaged(format!("a part has no length, at byte {place}"))),
        };
    }
    if clusters > 0 {
        Ok(finished)
    } else {
        Err(Fault::Damaged("there is no sound or video in it".into()))
    }
}

/// A number of variable length and the number of its bytes; an id keeps the bits of its length.
fn number(medium: &mut Medium, plain: bool) -> Result<Option<(u64, u32)>, Fault> {
    let place = medium.position();
    let Some([first]) = medium.next()? else { return Ok(None) };
    let bytes = first.leading_zeros() + 1;
    if bytes > 8 || !plain && bytes > 4 {
        return Err(Fault::Damaged(format!(
            "there is no part where one should begin, at byte {place}"
        )));
    }
    let mut value =
        u64::from(if plain { u32::from(first) & ((1 << (8 - bytes)) - 1) } else { first.into() });
    for _ in 1..bytes {
        let Some([byte]) = medium.next()? else { return Ok(None) };
        value = value << 8 | u64::from(byte);
    }
    Ok(Some((value, bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_announces_more_than_it_has_was_cut() {
        let part = |kind: &[u8], bytes: usize| {
            let length = u32::try_from(bytes + 8).expect("small").to_be_bytes();
            [&length[..], kind, &vec![7; bytes]].concat()
        };
        let whole = [part(b"ftyp", 8), part(b"mdat", 20), part(b"moov", 12)].concat();
        let walk = |bytes: Vec<u8>| mp4(&mut Medium::from(bytes));
        assert!(walk(whole.clone()).is_ok());
        assert!(matches!(walk(whole[..whole.len() - 1].to_vec()), Err(Fault::Damaged(_))));
        assert!(matches!(walk(whole[..44].to_vec()), Err(Fault::Damaged(_))), "no index");

        // A segment of unknown length, a cluster of known length with one block.
        let head = [0x1a, 0x45, 0xdf, 0xa3, 0x80];
        let segment = [0x18, 0x53, 0x80, 0x67, 0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        let cluster = [0x1f, 0x43, 0xb6, 0x75, 0x85, 0xa3, 0x83, 1, 2, 3];
        let whole = [&head[..], &segment, &cluster].concat();
        let walk = |bytes: &[u8]| matroska(&mut Medium::from(bytes.to_vec()));
        assert_eq!(walk(&whole), Ok(false), "it does not know its length");
        assert!(matches!(walk(&whole[..whole.len() - 1]), Err(Fault::Damaged(_))));
        assert!(matches!(walk(&whole[..17]), Err(Fault::Damaged(_))), "no cluster");
    }
}
