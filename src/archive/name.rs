//! Names of entries: decoded, brought into one form, and refused if they lead elsewhere.

use std::borrow::Cow;

/// Decodes a name. ZIP has a flag for UTF-8 that many writers forget, and knows no
/// other code page by name: what is valid UTF-8 is taken as that, else what is all
/// Chinese in GB 2312, else the code page of the first PCs.
pub(super) fn decode<'a>(raw: &'a [u8], legacy: impl FnOnce() -> String) -> Cow<'a, str> {
    if let Ok(text) = std::str::from_utf8(raw) {
        return Cow::Borrowed(text);
    }
    let chinese = is_gb2312(raw)
        .then(|| encoding_rs::GBK.decode_without_bom_handling_and_without_replacement(raw));
    match chinese.flatten() {
        Some(text) => Cow::Owned(text.into_owned()),
        None => Cow::Owned(legacy()),
    }
}

/// Whether all that is not ASCII comes in the pairs of bytes of GB 2312.
fn is_gb2312(raw: &[u8]) -> bool {
    let mut bytes = raw.iter();
    while let Some(lead) = bytes.next() {
        if lead.is_ascii() {
            continue;
        }
        let pair = (0xa1..=0xf7).contains(lead) && bytes.next().is_some_and(|trail| *trail >= 0xa1);
        if !pair {
            return false;
        }
    }
    true
}

/// Brings a name into one form: `/` between its parts, no `.` among them.
///
/// Returns none for a name that leads out of the folder, or that is none at all.
pub(super) fn normal(name: &str) -> Option<String> {
    let absolute = name.starts_with(['/', '\\']);
    let drive = name.as_bytes().get(1) == Some(&b':') && name.as_bytes()[0].is_ascii_alphabetic();
    if absolute || drive || name.contains('\0') {
        return None;
    }
    let parts: Vec<&str> =
        name.split(['/', '\\']).filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.contains(&"..") {
        return None;
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_form_or_are_refused() {
        for (name, expected) in [
            ("history/call.json", Some("history/call.json")),
            ("./history/call.json", Some("history/call.json")),
            ("history\\call.json", Some("history/call.json")),
            ("history//./call.json", Some("history/call.json")),
            ("history/", Some("history")),
            ("./", Some("")),
            ("a..b/c..", Some("a..b/c..")),
            ("../x", None),
            ("a/../../x", None),
            ("a\\..\\x", None),
            ("/etc/passwd", None),
            ("\\\\host\\x", None),
            ("C:\\x", None),
            ("c:x", None),
            ("a\0b", None),
        ] {
            assert_eq!(normal(name).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn names_are_decoded_by_what_they_can_be() {
        let legacy = || "legacy".to_owned();
        assert_eq!(decode("合約.pdf".as_bytes(), legacy), "合約.pdf");
        assert_eq!(decode(b"\xba\xcf\xcd\xac.pdf", legacy), "合同.pdf");
        for raw in [&b"caf\x82.txt"[..], b"B\x81ro Z\x81rich", b"\xba\xcf\xcd"] {
            assert_eq!(decode(raw, legacy), "legacy", "{raw:?}");
        }
    }
}
