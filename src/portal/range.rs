//! Byte ranges of HTTP (RFC 9110, section 14), as far as players need them: one
//! range a request. Several at once are answered with the whole, which is allowed.

/// What part of a medium is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of it.
    Whole,
    /// From the first offset up to, but not including, the second.
    Part(u64, u64),
    /// Nothing that is there.
    Beyond,
}

/// Reads a `Range` header about something of `length` bytes.
pub(super) fn wanted(header: Option<&str>, length: u64) -> Wanted {
    let Some(ranges) = header.and_then(|header| header.trim().strip_prefix("bytes=")) else {
        return Wanted::Whole;
    };
    let Some((first, last)) = ranges.trim().split_once('-') else {
        return Wanted::Whole;
    };
    let digits = |text: &str| {
        let text = text.trim();
        text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u64>().ok())
    };
    let (Some(first), Some(last)) = (digits(first), digits(last)) else {
        return Wanted::Whole; // several ranges, or nonsense
    };
    match (first, last) {
        (Some(first), Some(last)) if last < first => Wanted::Whole,
        (Some(first), last) if first < length => {
            let end = last.unwrap_or(u64::MAX).saturating_add(1);
            Wanted::Part(first, end.min(length))
        }
        (Some(_), _) => Wanted::Beyond,
        (None, Some(0)) => Wanted::Beyond,
        (None, Some(_)) if length == 0 => Wanted::Beyond,
        (None, Some(suffix)) => Wanted::Part(length.saturating_sub(suffix), length),
        (None, None) => Wanted::Whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_players_write_them() {
        for (header, expected) in [
            (None, Wanted::Whole),
            (Some("bytes=0-"), Wanted::Part(0, 100)),
            (Some("bytes=0-0"), Wanted::Part(0, 1)),
            (Some("bytes=10-19"), Wanted::Part(10, 20)),
            (Some("bytes= 10 - 19 "), Wanted::Part(10, 20)),
            (Some("bytes=99-"), Wanted::Part(99, 100)),
            (Some("bytes=90-1000"), Wanted::Part(90, 100)),
            (Some("bytes=0-18446744073709551615"), Wanted::Part(0, 100)),
            (Some("bytes=-10"), Wanted::Part(90, 100)),
            (Some("bytes=-1000"), Wanted::Part(0, 100)),
            (Some("bytes=-0"), Wanted::Beyond),
            (Some("bytes=100-"), Wanted::Beyond),
            (Some("bytes=200-300"), Wanted::Beyond),
            (Some("bytes=20-10"), Wanted::Whole),
            (Some("bytes=-"), Wanted::Whole),
            (Some("bytes=0-1,5-6"), Wanted::Whole),
            (Some("bytes=+1-2"), Wanted::Whole),
            (Some("lines=1-2"), Wanted::Whole),
            (Some("bytes=99999999999999999999-"), Wanted::Whole),
        ] {
            assert_eq!(wanted(header, 100), expected, "{header:?}");
        }
        assert_eq!(wanted(Some("bytes=0-"), 0), Wanted::Beyond);
        assert_eq!(wanted(Some("bytes=-5"), 0), Wanted::Beyond);
    }
}
