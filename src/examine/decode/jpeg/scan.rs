//! The scans of a JPEG, gone through code by code.
//!
//! JPEG has no checksum, and a decoder fills up with grey what it does not find. But a scan has
//! exactly as many blocks as the picture has, each block at most 64 numbers, and the data end
//! with the last of them. Damage shifts the codes, and then something of this does not hold.

use super::{
    bits::{Bits, Broken, Code},
    block::{bring, refine},
};
use crate::examine::decode::Fault;

/// How many bytes may be left over where a scan ends: some writers fill up.
const LEFT_OVER: usize = 2;

/// One of the colours of a picture.
pub(super) struct Component {
    id: u8,
    across: u32,
    down: u32,
    /// Blocks in a row and in a column, without those that only fill up.
    blocks: (u32, u32),
    /// Blocks in a row with those that fill up.
    stride: u32,
    /// Rows of blocks with those that fill up.
    rows: u32,
    /// Which numbers of each block are not zero: one bit each. Of progressive pictures alone.
    known: Vec<u64>,
}

impl Component {
    /// Makes room for what is known of its blocks.
    fn remember(&mut self) {
        let blocks = u64::from(self.stride) * u64::from(self.rows);
        self.known.resize(usize::try_from(blocks).unwrap_or(0), 0);
    }
}

/// What is known of a picture when a scan of it begins.
#[derive(Default)]
pub(super) struct Picture {
    pub(super) width: u16,
    pub(super) height: u16,
    pub(super) progressive: bool,
    pub(super) components: Vec<Component>,
    pub(super) direct: [Option<Code>; 4],
    pub(super) alternating: [Option<Code>; 4],
    pub(super) restart_interval: u32,
}

/// Which numbers of its blocks a scan brings.
#[derive(Clone, Copy)]
struct Band {
    first: u8,
    last: u8,
    /// Whether it only makes more precise what is known.
    refines: bool,
}

impl Picture {
    /// Takes in the frame header, behind its length.
    pub(super) fn frame(&mut self, contents: &[u8], progressive: bool) -> Option<()> {
        let [_, a, b, c, d, count, rest @ ..] = contents else { return None };
        self.height = u16::from_be_bytes([*a, *b]);
        self.width = u16::from_be_bytes([*c, *d]);
        self.progressive = progressive;
        let parts: Vec<[u8; 3]> = rest
            .chunks_exact(3)
            .take((*count).into())
            .filter_map(|part| part.try_into().ok())
            .collect();
        let factors = |part: &[u8; 3]| (u32::from(part[1] >> 4), u32::from(part[1] & 15));
        let most = parts.iter().map(factors).reduce(|a, b| (a.0.max(b.0), a.1.max(b.1)))?;
        let is_valid = |part: &[u8; 3]| {
            let (across, down) = factors(part);
            (1..=4).contains(&across) && (1..=4).contains(&down)
        };
        if parts.len() != usize::from(*count) || parts.len() > 4 || !parts.iter().all(is_valid) {
            return None;
        }
        let (width, height) = (u32::from(self.width), u32::from(self.height));
        self.components = parts
            .iter()
            .map(|part| {
                let (across, down) = factors(part);
                let blocks =
                    |size: u32, factor: u32, most: u32| (size * factor).div_ceil(most).div_ceil(8);
                let stride = width.div_ceil(8 * most.0) * across;
                let rows = height.div_ceil(8 * most.1) * down;
                Component {
                    id: part[0],
                    across,
                    down,
                    blocks: (blocks(width, across, most.0), blocks(height, down, most.1)),
                    stride,
                    rows,
                    known: Vec::new(),
                }
            })
            .collect();
        Some(())
    }

    /// Takes in codes, behind their length.
    pub(super) fn codes(&mut self, mut contents: &[u8]) -> Option<()> {
        while let [which, rest @ ..] = contents {
            let (counts, rest) = rest.split_first_chunk::<16>()?;
            let symbols = counts.iter().map(|count| usize::from(*count)).sum();
            let (symbols, rest) = rest.split_at_checked(symbols)?;
            let codes = match which >> 4 {
                0 => &mut self.direct,
                1 => &mut self.alternating,
                _ => return None,
            };
            *codes.get_mut(usize::from(which & 15))? = Some(Code::new(counts, symbols)?);
            contents = rest;
        }
        Some(())
    }

    /// Goes through a scan: its header, and its data between the marks where it restarts.
    pub(super) fn scan(&mut self, header: &[u8], parts: &[&[u8]]) -> Result<(), Fault> {
        let broken = || Fault::Damaged("the header of a scan is broken".into());
        let [count, rest @ ..] = header else { return Err(broken()) };
        let (chosen, rest) = rest.split_at_checked(usize::from(*count) * 2).ok_or_else(broken)?;
        let [first, last, precision, ..] = *rest else { return Err(broken()) };
        let band = match self.progressive {
            true => Band { first, last, refines: precision >> 4 > 0 },
            false => Band { first: 0, last: 63, refines: false },
        };
        let chosen: Option<Vec<(usize, u8)>> = chosen
            .chunks_exact(2)
            .map(|pair| {
                let place = self.components.iter().position(|component| component.id == pair[0]);
                place.map(|place| (place, pair[1]))
            })
            .collect();
        let chosen = chosen.filter(|chosen| !chosen.is_empty()).ok_or_else(broken)?;
        if band.first > band.last || band.last > 63 || band.first > 0 && chosen.len() > 1 {
            return Err(broken());
        }
        if self.progressive {
            self.components.iter_mut().for_each(Component::remember);
        }
        let units = self.units(&chosen);
        let together =
            if self.restart_interval == 0 { units } else { self.restart_interval.into() };
        let mut done = 0;
        for (number, part) in parts.iter().enumerate() {
            let here = (units - done).min(together);
            if here == 0 && part.is_empty() {
                continue;
            }
            if here == 0 {
                return Err(Fault::Damaged(
                    "there is more of its picture than fits into it".into(),
                ));
            }
            self.part(&chosen, band, done..done + here, part).map_err(|Broken| {
                let (of, number) = (parts.len(), number + 1);
                Fault::Damaged(format!("part {number} of {of} of its picture is broken"))
            })?;
            done += here;
        }
        if done < units {
            return Err(Fault::Damaged("a part of its picture is missing".into()));
        }
        Ok(())
    }

    /// How many units of blocks a scan of these components has.
    fn units(&self, chosen: &[(usize, u8)]) -> u64 {
        match (chosen, self.components.first()) {
            ([(one, _)], _) => {
                let (across, down) = self.components[*one].blocks;
                u64::from(across) * u64::from(down)
            }
            (_, Some(any)) => {
                let (across, down) = self.units_across(any);
                u64::from(across) * u64::from(down)
            }
            _ => 0,
        }
    }

    fn units_across(&self, any: &Component) -> (u32, u32) {
        let across = any.stride / any.across;
        let most = self.components.iter().map(|component| component.down).max().unwrap_or(1);
        (across, u32::from(self.height).div_ceil(8 * most))
    }

    fn part(
        &mut self,
        chosen: &[(usize, u8)],
        band: Band,
        units: std::ops::Range<u64>,
        bytes: &[u8],
    ) -> Result<(), Broken> {
        let mut bits = Bits::new(bytes);
        let mut ended = 0;
        let across = self.components.first().map_or(1, |any| self.units_across(any).0).max(1);
        for unit in units {
            if let [(one, tables)] = *chosen {
                let component = &self.components[one];
                let row = u64::from(component.blocks.0.max(1));
                let place = unit / row * u64::from(component.stride) + unit % row;
                self.block(one, tables, place, band, &mut bits, &mut ended)?;
                continue;
            }
            for (one, tables) in chosen {
                let component = &self.components[*one];
                let (wide, high, stride) =
                    (component.across, component.down, u64::from(component.stride));
                let (row, column) = (unit / u64::from(across), unit % u64::from(across));
                for y in 0..u64::from(high) {
                    for x in 0..u64::from(wide) {
                        let place =
                            (row * u64::from(high) + y) * stride + column * u64::from(wide) + x;
                        self.block(*one, *tables, place, band, &mut bits, &mut ended)?;
                    }
                }
            }
        }
        // A run of blocks without anything ends with the part.
        if ended > 0 || bits.left() > LEFT_OVER { Err(Broken) } else { Ok(()) }
    }

    /// Goes through one block. `ended` counts blocks to come that have nothing new in this band.
    fn block(
        &mut self,
        component: usize,
        tables: u8,
        place: u64,
        band: Band,
        bits: &mut Bits<'_>,
        ended: &mut u32,
    ) -> Result<(), Broken> {
        let mut first = band.first;
        if first == 0 {
            if band.refines {
                bits.number(1)?;
            } else {
                let code = self.direct[usize::from(tables >> 4 & 3)].as_ref().ok_or(Broken)?;
                let length = bits.symbol(code)?;
                if length > 16 {
                    return Err(Broken);
                }
                bits.number(length)?;
            }
            if self.progressive {
                return if band.last == 0 { Ok(()) } else { Err(Broken) };
            }
            first = 1;
        }
        let code = self.alternating[usize::from(tables & 3)].as_ref().ok_or(Broken)?;
        let mut nothing = 0;
        let known = match self.progressive {
            true => {
                let place = usize::try_from(place).map_err(|_| Broken)?;
                self.components[component].known.get_mut(place).ok_or(Broken)?
            }
            false => &mut nothing,
        };
        if band.refines {
            refine(code, known, first..=band.last, bits, ended)
        } else {
            bring(code, known, first..=band.last, bits, ended)?;
            // Only progressive pictures end many blocks at once.
            if *ended > 0 && !self.progressive { Err(Broken) } else { Ok(()) }
        }
    }
}
