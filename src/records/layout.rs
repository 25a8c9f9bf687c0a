//! How a record file is laid out: values one after another, arrays of them, or
//! one object that holds the array.
//!
//! The last of these looks like a single record until its end, so it is decided
//! while the entry is being checked, before any record is read.

use super::{
    Dataset,
    scan::{Kind, Mark, Walker},
};

/// How a record file is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Objects one after another, or in arrays.
    Stream,
    /// One object that holds arrays of records. `others` tells whether it says
    /// anything beside them.
    Wrapper {
        /// Whether there are other members, which are no records.
        others: bool,
    },
}

/// Looks at a record file in pieces and says how it is laid out.
#[derive(Debug, Default)]
pub struct Survey {
    walker: Walker,
    seen: Seen,
}

#[derive(Debug, Default)]
struct Seen {
    skipped_mark: bool,
    decided: bool,
    values: u32,
    first_is_object: bool,
    identity: bool,
    record_arrays: u32,
    others: u32,
    member_kind: Option<Kind>,
    member_elements: u32,
    member_objects: bool,
}

impl Survey {
    /// Looks at the next piece.
    pub fn feed(&mut self, piece: &[u8]) {
        if self.seen.decided {
            return;
        }
        let from = if self.seen.skipped_mark { 0 } else { byte_order_mark(piece) };
        self.seen.skipped_mark = true;
        let mut at = from;
        while at < piece.len() && !self.seen.decided {
            let mut last = None;
            at = self.walker.walk(piece, at, |_, mark| {
                last = Some(mark);
                false
            });
            if let Some(mark) = last {
                let member =
                    matches!(mark, Mark::Begin { depth: 1, .. }).then(|| self.walker.member());
                self.seen.note(mark, member.as_deref());
            }
        }
    }

    /// The layout of what was seen.
    pub fn layout(&self) -> Layout {
        let seen = &self.seen;
        if seen.values == 1
            && seen.first_is_object
            && !seen.identity
            && seen.record_arrays > 0
            && !seen.decided
        {
            Layout::Wrapper { others: seen.others > 0 }
        } else {
            Layout::Stream
        }
    }
}

impl Seen {
    fn note(&mut self, mark: Mark, member: Option<&str>) {
        match mark {
            Mark::Begin { depth: 0, kind } => {
                self.values += 1;
                self.first_is_object |= self.values == 1 && kind == Kind::Object;
                self.decided = self.values > 1 || !self.first_is_object;
            }
            Mark::Begin { depth: 1, kind } => {
                self.identity |= member.is_some_and(is_identity);
                self.decided = self.identity;
                self.member_kind = Some(kind);
                self.member_elements = 0;
                self.member_objects = true;
            }
            Mark::Begin { depth: 2, kind } => {
                self.member_elements = self.member_elements.saturating_add(1);
                self.member_objects &= kind == Kind::Object;
            }
            Mark::End { depth: 1 } => {
                let empty = self.member_elements == 0;
                match self.member_kind {
                    Some(Kind::Array) if empty || self.member_objects => self.record_arrays += 1,
                    _ => self.others += 1,
                }
            }
            Mark::Stray => self.decided = true,
            Mark::Begin { .. } | Mark::End { .. } => {}
        }
    }
}

/// Whether a member of this name shows that the object is a record itself.
fn is_identity(name: &str) -> bool {
    matches!(name, "_id" | "id" | "hid")
        || Dataset::ALL.into_iter().any(|dataset| dataset.own_id() == Some(name))
}

/// The length of the byte order mark at the beginning of a file.
pub(super) fn byte_order_mark(piece: &[u8]) -> usize {
    if piece.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapper_is_told_from_a_record() {
        use Layout::{Stream, Wrapper};
        for (text, expected) in [
            ("", Stream),
            ("[]", Stream),
            (r#"[{"a":[{}]}]"#, Stream),
            (r#"{"_id":1,"list":[{}]}"#, Stream),
            (r#"{"list":[{}],"_id":1}"#, Stream),
            (r#"{"conferenceID":"c","callConferenceList":[{},{}]}"#, Stream),
            (r#"{"firstName":"A","labels":["VIP"]}"#, Stream),
            ("{\"a\":[{}]}\n{\"a\":[{}]}", Stream),
            (r#"{"calls":[{"_id":1},{"_id":2}]}"#, Wrapper { others: false }),
            (r#"{"calls":[]}"#, Wrapper { others: false }),
            (r#" {"calls":[{"a":{}}],"messages":[{}]} "#, Wrapper { others: false }),
            (r#"{"exported":"2021","calls":[{}],"columns":["a"]}"#, Wrapper { others: true }),
            ("\u{feff}{\"calls\":[{}]}", Wrapper { others: false }),
        ] {
            for piece in [1, 3, 1000] {
                let mut survey = Survey::default();
                if piece == 1000 || !text.starts_with('\u{feff}') {
                    text.as_bytes().chunks(piece).for_each(|part| survey.feed(part));
                    assert_eq!(survey.layout(), expected, "{text} in pieces of {piece}");
                }
            }
        }
    }
}
