//! Finding where values begin and end in a stream of JSON, without reading them.
//!
//! Only strings, brackets and the first levels of nesting are looked at. Whether
//! a value is good JSON is not decided here.

/// Values deeper than this are walked over in silence.
pub(super) const DEEPEST: usize = 2;

/// The longest member name that is remembered, in bytes.
const NAME_LIMIT_BYTES: usize = 200;

/// What a value looks like from its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Object,
    Array,
    Text,
    /// A number, a word, or what is no JSON at all.
    Bare,
}

/// Something that was passed. Depth 0 is the outermost level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// A value begins at this byte.
    Begin { depth: usize, kind: Kind },
    /// A value ended before this byte.
    End { depth: usize },
    /// A closing bracket that nothing opened.
    Stray,
}

/// Walks over JSON in pieces of any size.
#[derive(Debug, Default)]
pub(super) struct Walker {
    depth: usize,
    /// Whether the container at each of the first levels is an object.
    objects: [bool; DEEPEST + 1],
    in_text: bool,
    escaped: bool,
    bare: bool,
    /// Whether the text being walked over is the name of a member.
    in_name: bool,
    /// Whether a member's name was passed and its value is next, by level.
    named: [bool; DEEPEST + 1],
    name: Vec<u8>,
}

impl Walker {
    /// Whether the walk stands between values of the outermost level.
    pub(super) fn at_rest(&self) -> bool {
        self.depth == 0 && !self.in_text && !self.bare
    }

    /// The name of the outermost object's member that was passed last.
    pub(super) fn member(&self) -> String {
        String::from_utf8_lossy(&self.name).into_owned()
    }

    /// Walks from byte `from` until `passed` returns false; returns where it stopped.
    ///
    /// A walk may stop between any two marks and go on from where it stopped.
    pub(super) fn walk(
        &mut self,
        bytes: &[u8],
        from: usize,
        mut passed: impl FnMut(usize, Mark) -> bool,
    ) -> usize {
        let mut at = from;
        while at < bytes.len() {
            if self.in_text {
                at = self.walk_text(bytes, at);
                if !self.in_text && !self.end_text() && !self.ended(at, &mut passed) {
                    return at;
                }
                continue;
            }
            let byte = bytes[at];
            let plain = !matches!(
                byte,
                b'{' | b'}' | b'[' | b']' | b',' | b':' | b'"' | b' ' | b'\t' | b'\n' | b'\r'
            );
            if plain {
                if !self.bare {
                    self.bare = true;
                    if !self.begun(at, Kind::Bare, &mut passed) {
                        return at + 1;
                    }
                }
                at += 1;
                continue;
            }
            if self.bare {
                self.bare = false;
                if !self.ended(at, &mut passed) {
                    return at;
                }
            }
            at += 1;
            let go_on = match byte {
                b'"' => self.begin_text(at - 1, &mut passed),
                b'{' | b'[' => self.open(at - 1, byte == b'{', &mut passed),
                b'}' | b']' => self.close(at, &mut passed),
                b',' => {
                    self.set_named(false);
                    true
                }
                b':' => {
                    self.set_named(true);
                    true
                }
                _ => true,
            };
            if !go_on {
                return at;
            }
        }
        at
    }

    /// Ends a bare value that the end of the input ends.
    pub(super) fn finish(&mut self) -> Option<Mark> {
        let depth = self.depth;
        std::mem::take(&mut self.bare).then_some(Mark::End { depth })
    }

    fn walk_text(&mut self, bytes: &[u8], from: usize) -> usize {
        let mut at = from;
        if self.escaped {
            self.escaped = false;
            at += 1;
        }
        loop {
            let Some(found) = memchr::memchr2(b'"', b'\\', bytes.get(at..).unwrap_or_default())
            else {
                self.remember(&bytes[from..]);
                return bytes.len();
            };
            at += found;
            if bytes[at] == b'"' {
                self.remember(&bytes[from..at]);
                self.in_text = false;
                return at + 1;
            }
            self.escaped = at + 1 >= bytes.len();
            at += 2;
        }
    }

    fn remember(&mut self, part: &[u8]) {
        if self.in_name {
            let room = NAME_LIMIT_BYTES.saturating_sub(self.name.len());
            self.name.extend_from_slice(&part[..part.len().min(room)]);
        }
    }

    fn begin_text(&mut self, at: usize, passed: &mut impl FnMut(usize, Mark) -> bool) -> bool {
        self.in_text = true;
        let in_object = self.depth > 0 && self.depth <= DEEPEST + 1 && self.objects[self.depth - 1];
        if in_object && !self.named[self.depth - 1] {
            self.in_name = self.depth == 1;
            if self.in_name {
                self.name.clear();
            }
            return true;
        }
        self.begun(at, Kind::Text, passed)
    }

    /// Ends a text; returns whether it was the name of a member and no value.
    fn end_text(&mut self) -> bool {
        let in_object = self.depth > 0 && self.depth <= DEEPEST + 1 && self.objects[self.depth - 1];
        self.in_name = false;
        in_object && !self.named[self.depth - 1]
    }

    fn open(
        &mut self,
        at: usize,
        object: bool,
        passed: &mut impl FnMut(usize, Mark) -> bool,
    ) -> bool {
        let kind = if object { Kind::Object } else { Kind::Array };
        let go_on = self.begun(at, kind, passed);
        if self.depth <= DEEPEST {
            self.objects[self.depth] = object;
            self.named[self.depth] = false;
        }
        self.depth += 1;
        go_on
    }

    fn close(&mut self, at: usize, passed: &mut impl FnMut(usize, Mark) -> bool) -> bool {
        if self.depth == 0 {
            return passed(at - 1, Mark::Stray);
        }
        self.depth -= 1;
        self.ended(at, passed)
    }

    fn set_named(&mut self, named: bool) {
        if self.depth > 0 && self.depth <= DEEPEST + 1 {
            self.named[self.depth - 1] = named;
        }
    }

    fn begun(
        &mut self,
        at: usize,
        kind: Kind,
        passed: &mut impl FnMut(usize, Mark) -> bool,
    ) -> bool {
        self.depth > DEEPEST || passed(at, Mark::Begin { depth: self.depth, kind })
    }

    fn ended(&mut self, at: usize, passed: &mut impl FnMut(usize, Mark) -> bool) -> bool {
        self.depth > DEEPEST || passed(at, Mark::End { depth: self.depth })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values of the outermost level and of the level below.
    fn outline(text: &str, piece: usize) -> Vec<(usize, String)> {
        let mut walker = Walker::default();
        let mut open: Vec<usize> = vec![0; DEEPEST + 1];
        let mut found = Vec::new();
        let bytes = text.as_bytes();
        let mut note = |at: usize, mark: Mark| match mark {
            Mark::Begin { depth, .. } => open[depth] = at,
            Mark::End { depth } => found.push((depth, text[open[depth]..at].to_owned())),
            Mark::Stray => found.push((99, at.to_string())),
        };
        for start in (0..bytes.len()).step_by(piece) {
            let part = &bytes[..(start + piece).min(bytes.len())];
            walker.walk(part, start, |at, mark| {
                note(at, mark);
                true
            });
        }
        if let Some(mark) = walker.finish() {
            note(bytes.len(), mark);
        }
        found
    }

    #[test]
    fn values_are_found_whatever_the_pieces() {
        let text = r#"{"a":"}\"]\\","b":[1,{"c":2}]} [ "x,y" , 3,null,[[[{}]]] ] tail"#;
        let expected = outline(text, text.len());
        let values: Vec<&str> =
            expected.iter().filter(|(depth, _)| *depth == 0).map(|(_, v)| v.as_str()).collect();
        assert_eq!(
            values,
            [r#"{"a":"}\"]\\","b":[1,{"c":2}]}"#, r#"[ "x,y" , 3,null,[[[{}]]] ]"#, "tail"]
        );
        let second: Vec<&str> =
            expected.iter().filter(|(depth, _)| *depth == 1).map(|(_, v)| v.as_str()).collect();
        assert_eq!(second, [r#""}\"]\\""#, r#"[1,{"c":2}]"#, r#""x,y""#, "3", "null", "[[[{}]]]"]);
        for piece in 1..text.len() {
            assert_eq!(outline(text, piece), expected, "pieces of {piece}");
        }
    }

    #[test]
    fn stray_brackets_are_seen() {
        assert_eq!(outline("} ]", 9), [(99, "0".to_owned()), (99, "2".to_owned())]);
    }
}
