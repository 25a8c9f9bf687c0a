//! Small pictures: photographs of goods, portraits, the signs of tags. As PNG, made here.

use std::io::Write;

use flate2::{Compression, write::ZlibEncoder};

/// A colour.
type Rgb = [u8; 3];

/// Grounds of portraits.
const GROUNDS: [Rgb; 6] =
    [[63, 127, 115], [176, 89, 58], [51, 72, 107], [199, 154, 53], [120, 86, 140], [75, 80, 86]];

/// A piece of furniture in a colour such as `#3f7f73`, somewhere in a room.
pub(super) fn photo(colour: &str, place: usize) -> Vec<u8> {
    let (width, height, goods) = (160, 120, rgb(colour));
    picture(width, height, |x, y| {
        let (left, floor) = (20 + place % 40, 92);
        let seat = (left..left + 80).contains(&x) && (58..80).contains(&y);
        let back = (left..left + 80).contains(&x) && (36..58).contains(&y) && (x + y) % 9 > 0;
        let leg = (80..floor).contains(&y) && (x == left + 6 || x == left + 74);
        match () {
            () if seat || back => goods,
            () if leg => [70, 50, 35],
            () if y >= floor => [171, 143, 110],
            // Light comes from the left.
            () => shade([236, 232, 222], x / 4),
        }
    })
}

/// A face, or what one sees of it at this size.
pub(super) fn portrait(who: usize) -> Vec<u8> {
    let ground = GROUNDS[who % GROUNDS.len()];
    picture(64, 64, |x, y| {
        let from = |cx: usize, cy: usize| x.abs_diff(cx).pow(2) + y.abs_diff(cy).pow(2);
        let (head, shoulders) = (from(32, 26) < 144, from(32, 66) < 520);
        if head {
            [232, 200, 170]
        } else if shoulders {
            [250, 250, 250]
        } else {
            ground
        }
    })
}

/// The sign of a tag.
pub(super) fn tag(colour: &str) -> Vec<u8> {
    let colour = rgb(colour);
    picture(24, 24, |x, y| {
        let inside = x.abs_diff(12) + y.abs_diff(12) < 10;
        if inside { colour } else { [255, 255, 255] }
    })
}

fn shade(colour: Rgb, by: usize) -> Rgb {
    colour.map(|part| part.saturating_sub(u8::try_from(by).unwrap_or(u8::MAX)))
}

fn rgb(text: &str) -> Rgb {
    let mut colour = [128; 3];
    let _ = hex::decode_to_slice(text.trim_start_matches('#'), &mut colour);
    colour
}

/// A PNG whose every point `colour` knows.
fn picture(width: usize, height: usize, colour: impl Fn(usize, usize) -> Rgb) -> Vec<u8> {
    let mut lines = Vec::with_capacity(height * (1 + 3 * width));
    for y in 0..height {
        lines.push(0);
        (0..width).for_each(|x| lines.extend(colour(x, y)));
    }
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::default());
    let packed = packed.write_all(&lines).and_then(|()| packed.finish()).unwrap_or_default();
    let side = |length: usize| u32::try_from(length).unwrap_or(0).to_be_bytes();
    let head = [&side(width)[..], &side(height)[..], &[8, 2, 0, 0, 0]].concat();
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, content) in [(b"IHDR", head), (b"IDAT", packed), (b"IEND", Vec::new())] {
        bytes.extend(u32::try_from(content.len()).unwrap_or(0).to_be_bytes());
        bytes.extend(kind);
        bytes.extend(&content);
        let checked = [&kind[..], &content].concat();
        bytes.extend(crc32fast::hash(&checked).to_be_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_picture_is_a_png_with_every_line_in_it() {
        let bytes = photo("#3f7f73", 7);
        assert!(bytes.starts_with(b"\x89PNG\r\n\x1a\n"));
        let size = u32::from_be_bytes(bytes[33..37].try_into().expect("four bytes"));
        let packed = &bytes[41..41 + size as usize];
        let mut lines = Vec::new();
        flate2::read::ZlibDecoder::new(packed).read_to_end(&mut lines).expect("deflated");
        assert_eq!(lines.len(), 120 * (1 + 3 * 160));
        assert_eq!(rgb("#0a0b0c"), [10, 11, 12]);
    }
}
