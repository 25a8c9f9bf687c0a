//! retention.toml(5), out of the example of the configuration.
//!
//! The example is cut at its empty lines. A block is a comment that explains, and what it
//! explains: a section, or keys with their defaults, which are commented out where they
//! have none. In a comment, what is indented and what shows a table is shown as it is.

use clap_mangen::roff::{Roff, bold, italic, roman};

use super::{MANUAL, source};

const EXAMPLE: &str = include_str!("../../../packaging/retention.toml.example");

/// A piece of the example.
#[derive(Debug, Default, PartialEq)]
struct Block<'a> {
    /// The explanation, without the signs of the comment.
    comment: Vec<&'a str>,
    /// The section that begins here.
    section: Option<&'a str>,
    /// Keys with their values.
    keys: Vec<&'a str>,
}

impl<'a> Block<'a> {
    fn parse(text: &'a str) -> Self {
        let mut block = Self::default();
        for line in text.lines() {
            match line.strip_prefix('#') {
                Some(comment) => block.comment.push(comment.strip_prefix(' ').unwrap_or(comment)),
                None if line.starts_with('[') => block.section = Some(line),
                None => block.keys.push(line),
            }
        }
        // Keys without a default stand at the end of their own comment.
        if !block.comment.iter().any(|line| line.starts_with("[[")) {
            while block.comment.last().is_some_and(|line| is_assignment(line)) {
                block.keys.extend(block.comment.pop());
            }
            block.keys.sort_unstable();
        }
        block
    }
}

fn is_assignment(line: &str) -> bool {
    let name = line.split_once(" = ").map_or("", |(name, _)| name);
    !name.is_empty()
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// The page, as troff reads it.
pub(super) fn page() -> String {
    let mut page = Roff::new();
    page.control("TH", ["retention.toml", "5", "", &source(), MANUAL]);
    page.control("SH", ["NAME"]);
    page.text([roman("retention.toml - configuration of the retention appliance")]);
    page.control("SH", ["SYNOPSIS"]);
    page.text([bold("/etc/retention/retention.toml")]);
    page.control("SH", ["DESCRIPTION"]);
    let mut blocks = EXAMPLE.split("\n\n").map(Block::parse);
    if let Some(introduction) = blocks.next() {
        // Its first line is the title.
        explain(&mut page, &introduction.comment[1..]);
    }
    // Everything up to the first section stands on its own.
    let mut under_heading = false;
    for block in blocks {
        if let Some(section) = block.section {
            page.control("SH", [section]);
            explain(&mut page, &block.comment);
        } else if block.keys.is_empty() {
            page.control("PP", []);
            explain(&mut page, &block.comment);
        } else {
            if !under_heading {
                page.control("SH", ["KEYS BEFORE THE FIRST SECTION"]);
            }
            for (position, key) in block.keys.iter().enumerate() {
                page.control(if position == 0 { "TP" } else { "TQ" }, []).text([bold(*key)]);
            }
            explain(&mut page, &block.comment);
        }
        under_heading = true;
    }
    page.control("SH", ["SEE ALSO"]);
    page.text([bold("retention"), roman("(1), "), italic("https://toml.io/en/v1.0.0")]);
    page.to_roff()
}

/// Prose is filled, and what is indented or shows a table is left as it is.
fn explain(page: &mut Roff, comment: &[&str]) {
    let mut literal = false;
    let mut table = false;
    for line in comment {
        table |= line.starts_with("[[");
        let as_it_is = table || line.starts_with("  ");
        if as_it_is != literal {
            page.control(if as_it_is { "nf" } else { "fi" }, []);
            literal = as_it_is;
        }
        if line.trim().is_empty() {
            page.control("sp", []);
        } else {
            page.text([roman(*line)]);
        }
    }
    if literal {
        page.control("fi", []);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_a_comment_and_what_it_explains() {
        for (text, comment, section, keys) in [
            ("# Why.\n# More.\nkey = 1", vec!["Why.", "More."], None, vec!["key = 1"]),
            ("# About.\n[sftp]", vec!["About."], Some("[sftp]"), vec![]),
            ("# Both.\n# b = 2\n# a = 1", vec!["Both."], None, vec!["a = 1", "b = 2"]),
            ("# So:\n#\n# [[r]]\n# a = 1", vec!["So:", "", "[[r]]", "a = 1"], None, vec![]),
        ] {
            assert_eq!(Block::parse(text), Block { comment, section, keys }, "{text}");
        }
    }

    #[test]
    fn every_key_of_the_example_is_in_the_page() {
        let page = page();
        for line in EXAMPLE.lines() {
            let line = line.trim_start_matches(['#', ' ']);
            if is_assignment(line) {
                let key = line.split(' ').next().unwrap_or_default();
                assert!(page.contains(key), "{key} is missing in:\n{page}");
            }
        }
        assert!(page.matches(".SH").count() > 8, "{page}");
    }
}
