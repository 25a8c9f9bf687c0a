//! Ogg: every page is held against its checksum, and none may be missing.
//!
//! A player looks for the next good page and goes on; so this is not noticed by decoding.

use std::{collections::HashMap, io::Read};

use super::{Fault, Medium};

/// The header of a page, before the table of its segments.
const HEADER_BYTES: usize = 27;
/// The polynomial of the checksum.
const POLYNOMIAL: u32 = 0x04c1_1db7;

const BEGINS: u8 = 2;
const ENDS: u8 = 4;

/// Goes through all pages; returns how many there are.
pub(super) fn walk(medium: &mut Medium) -> Result<u64, Fault> {
    let table = table();
    let mut streams: HashMap<[u8; 4], (u32, bool)> = HashMap::new();
    let mut place = 0;
    let mut pages = 0;
    while place < medium.length() {
        medium.go_to(place);
        let mut page = vec![0; HEADER_BYTES];
        medium.read_exact(&mut page)?;
        if !page.starts_with(b"OggS\0") {
            return Err(Fault::Damaged(format!(
                "there is no page where one should begin, at byte {place}"
            )));
        }
        let mut segments = vec![0; usize::from(page[26])];
        medium.read_exact(&mut segments)?;
        let length = segments.iter().map(|segment| usize::from(*segment)).sum();
        let mut contents = vec![0; length];
        medium.read_exact(&mut contents)?;
        let (flags, stream) = (page[5], [page[14], page[15], page[16], page[17]]);
        let number = u32::from_le_bytes([page[18], page[19], page[20], page[21]]);
        let checksum = u32::from_le_bytes([page[22], page[23], page[24], page[25]]);
        page[22..26].fill(0);
        let computed =
            [&page, &segments, &contents].into_iter().flatten().fold(0, |sum: u32, byte| {
                sum << 8 ^ table[usize::from((sum >> 24).to_le_bytes()[0] ^ byte)]
            });
        if computed != checksum {
            return Err(Fault::Damaged(format!(
                "the checksum of the page at byte {place} is wrong"
            )));
        }
        if flags & BEGINS == 0
            && streams.get(&stream).is_none_or(|(last, _)| last.wrapping_add(1) != number)
        {
            return Err(Fault::Damaged(format!("a part is missing before byte {place}")));
        }
        streams.insert(stream, (number, flags & ENDS != 0));
        pages += 1;
        place = medium.position();
    }
    match streams.values().all(|(_, ended)| *ended) {
        true => Ok(pages),
        false => Err(Fault::Damaged("its last part is missing".into())),
    }
}

fn table() -> [u32; 256] {
    let mut table = [0; 256];
    for (byte, sum) in (0_u32..).zip(&mut table) {
        *sum = (0..8).fold(byte << 24, |sum, _| {
            let carry = if sum & 0x8000_0000 == 0 { 0 } else { POLYNOMIAL };
            sum << 1 ^ carry
        });
    }
    table
}
