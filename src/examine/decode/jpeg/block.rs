//! One block of a picture: which of its 64 numbers a scan brings, and how long each is.

use std::ops::RangeInclusive;

use super::bits::{Bits, Broken, Code};

/// New numbers of a block: for each how many zeros stand before it, and how long it is.
pub(super) fn bring(
    code: &Code,
    known: &mut u64,
    band: RangeInclusive<u8>,
    bits: &mut Bits<'_>,
    ended: &mut u32,
) -> Result<(), Broken> {
    if *ended > 0 {
        *ended -= 1;
        return Ok(());
    }
    let (mut place, last) = band.into_inner();
    while place <= last {
        let symbol = bits.symbol(code)?;
        match (symbol >> 4, symbol & 15) {
            (15, 0) => place += 16,
            (run, 0) => {
                *ended = (1 << run) + bits.number(run)? - 1;
                return Ok(());
            }
            (zeros, length) => {
                place += zeros;
                if place > last {
                    return Err(Broken);
                }
                bits.number(length)?;
                *known |= 1 << place;
                place += 1;
            }
        }
    }
    if place > last + 1 { Err(Broken) } else { Ok(()) }
}

/// One more bit for each number that is known, and new ones between them.
pub(super) fn refine(
    code: &Code,
    known: &mut u64,
    band: RangeInclusive<u8>,
    bits: &mut Bits<'_>,
    ended: &mut u32,
) -> Result<(), Broken> {
    let (mut place, last) = band.into_inner();
    while *ended == 0 && place <= last {
        let symbol = bits.symbol(code)?;
        let (mut zeros, new) = (symbol >> 4, symbol & 15);
        match new {
            0 if zeros < 15 => {
                *ended = (1 << zeros) + bits.number(zeros)?;
                break;
            }
            0 => {}
            1 => drop(bits.number(1)?),
            _ => return Err(Broken),
        }
        while place <= last {
            if *known >> place & 1 == 1 {
                bits.number(1)?;
            } else if zeros == 0 {
                break;
            } else {
                zeros -= 1;
            }
            place += 1;
        }
        if new == 1 {
            if place > last {
                return Err(Broken);
            }
            *known |= 1 << place;
        }
        place += 1;
    }
    if *ended > 0 {
        for place in place..=last {
            if *known >> place & 1 == 1 {
                bits.number(1)?;
            }
        }
        *ended -= 1;
    }
    Ok(())
}
