//! The bits of a scan, and the codes that they form.

/// A code of Huffman's, ready to be looked up by its next 16 bits.
pub(super) struct Code(Vec<(u8, u8)>);

/// The data ran out, or are no code.
pub(super) struct Broken;

impl Code {
    /// The code with so many symbols of each length; none if it contradicts itself.
    pub(super) fn new(counts: &[u8; 16], symbols: &[u8]) -> Option<Self> {
        let mut table = Vec::with_capacity(1 << 16);
        let mut symbols = symbols.iter();
        for (length, count) in (1_u8..).zip(counts) {
            for _ in 0..*count {
                let symbol = *symbols.next()?;
                let end = table.len() + (1 << (16 - length));
                if end > 1 << 16 {
                    return None;
                }
                table.resize(end, (length, symbol));
            }
        }
        // What is left stands for nothing.
        table.resize(1 << 16, (0, 0));
        Some(Self(table))
    }
}

/// The bits of a scan up to the next mark.
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    held: u64,
    count: u32,
}

impl<'a> Bits<'a> {
    /// The bits of these bytes, in which a zero follows each 255.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, held: 0, count: 0 }
    }

    /// The next symbol of a code.
    pub(super) fn symbol(&mut self, code: &Code) -> Result<u8, Broken> {
        self.fill();
        let next = if self.count >= 16 {
            self.held >> (self.count - 16)
        } else {
            self.held << (16 - self.count)
        };
        let next = usize::try_from(next & 0xffff).unwrap_or(0);
        let (length, symbol) = code.0.get(next).copied().unwrap_or_default();
        if length == 0 || u32::from(length) > self.count {
            return Err(Broken);
        }
        self.count -= u32::from(length);
        Ok(symbol)
    }

    /// The next bits as a number, at most 16 of them.
    pub(super) fn number(&mut self, bits: u8) -> Result<u32, Broken> {
        self.fill();
        self.count = self.count.checked_sub(bits.into()).ok_or(Broken)?;
        let number = (self.held >> self.count) & ((1 << bits) - 1);
        u32::try_from(number).map_err(|_| Broken)
    }

    /// How many whole bytes are left over.
    pub(super) fn left(mut self) -> usize {
        self.fill();
        self.bytes.len() + usize::try_from(self.count / 8).unwrap_or(0)
    }

    fn fill(&mut self) {
        while self.count <= 48 {
            let Some((byte, rest)) = self.bytes.split_first() else { return };
            self.held = self.held << 8 | u64::from(*byte);
            self.count += 8;
            self.bytes = match rest {
                [0, rest @ ..] if *byte == 0xff => rest,
                rest => rest,
            };
        }
    }
}
