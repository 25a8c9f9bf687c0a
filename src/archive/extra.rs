//! Extra fields of headers, as far as they matter here.

use super::ending::u16_at;

/// The extra fields that matter.
#[derive(Default)]
pub(super) struct Extra<'a> {
    /// WinZip AES: version, vendor, strength, method.
    pub(super) aes: Option<&'a [u8]>,
    /// ZIP64: the sizes that do not fit into the header.
    pub(super) zip64: Option<&'a [u8]>,
}

impl<'a> Extra<'a> {
    pub(super) fn read(mut bytes: &'a [u8]) -> Self {
        let mut extra = Self::default();
        while let (Some(id), Some(length)) = (u16_at(bytes, 0), u16_at(bytes, 2)) {
            let end = (4 + usize::from(length)).min(bytes.len());
            match id {
                0x9901 => extra.aes = Some(&bytes[4..end]),
                0x0001 => extra.zip64 = Some(&bytes[4..end]),
                _ => {}
            }
            bytes = &bytes[end..];
        }
        extra
    }
}
