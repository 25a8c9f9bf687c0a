//! The `Content-Disposition` header: under which name a browser keeps a file
//! (RFC 6266, with the encoding of RFC 5987).

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

/// What RFC 5987 lets stand as it is in an extended value.
const ATTR_CHAR: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// The longest file name that is offered, in bytes: what file systems take.
const LIMIT_BYTES: usize = 200;

/// The header's value. A browser that shows the file still learns its name.
pub(super) fn header(attachment: bool, name: &str) -> String {
    let name = safe(name);
    let kind = if attachment { "attachment" } else { "inline" };
    let ascii: String = name
        .chars()
        .map(|c| if c.is_ascii() && !matches!(c, '"' | '\\' | '%') { c } else { '_' })
        .collect();
    let encoded = percent_encode(name.as_bytes(), ATTR_CHAR);
    format!("{kind}; filename=\"{ascii}\"; filename*=UTF-8''{encoded}")
}

/// A name that is safe on every system: no path, no control characters, none of
/// the marks that turn the direction of writing, not hidden, not too long.
fn safe(name: &str) -> String {
    let turns = |c| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let forbidden = |c: char| {
        c.is_control() || matches!(c, '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|')
    };
    let name: String =
        name.chars().filter(|c| !turns(*c)).map(|c| if forbidden(c) { '_' } else { c }).collect();
    let name = name.trim_matches(|c: char| c == '.' || c.is_whitespace());
    let mut cut = String::new();
    let (stem, extension) = match name.rsplit_once('.') {
        Some((stem, extension)) if extension.len() <= 10 => (stem, Some(extension)),
        _ => (name, None),
    };
    for c in stem.chars() {
        if cut.len() + c.len_utf8() > LIMIT_BYTES {
            break;
        }
        cut.push(c);
    }
    if let Some(extension) = extension {
        cut.push('.');
        cut.push_str(extension);
    }
    if cut.is_empty() { "file".to_owned() } else { cut }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_reach_the_browser_whole_and_harmless() {
        for (name, expected) in [
            ("a b.pdf", "inline; filename=\"a b.pdf\"; filename*=UTF-8''a%20b.pdf"),
            (
                "合約-1.pdf",
                "inline; filename=\"__-1.pdf\"; filename*=UTF-8''%E5%90%88%E7%B4%84-1.pdf",
            ),
            (
                "../../etc/passwd",
                "inline; filename=\"_.._etc_passwd\"; filename*=UTF-8''_.._etc_passwd",
            ),
            ("a\"b\r\nX: y", "inline; filename=\"a_b__X_ y\"; filename*=UTF-8''a_b__X_%20y"),
            ("100%.txt", "inline; filename=\"100_.txt\"; filename*=UTF-8''100%25.txt"),
            ("gpj.\u{202e}exe", "inline; filename=\"gpj.exe\"; filename*=UTF-8''gpj.exe"),
            ("", "inline; filename=\"file\"; filename*=UTF-8''file"),
            ("...", "inline; filename=\"file\"; filename*=UTF-8''file"),
        ] {
            assert_eq!(header(false, name), expected, "{name:?}");
        }
        let long = header(true, &format!("{}.pdf", "陈".repeat(500)));
        assert!(long.starts_with("attachment; ") && long.ends_with(".pdf"), "{long}");
        assert!(long.len() < 1000);
    }
}
