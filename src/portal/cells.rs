//! The one table of the portal, and how each kind of value is written.

use askama::Template;

use super::zone::When;

/// A value as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cell {
    /// There is none.
    Empty,
    /// A text.
    Text(String),
    /// An id that nobody has a name for.
    Id(String),
    /// A digest of some bytes.
    Digest(String),
    /// A text that may be long; shown short in tables.
    Long(String),
    /// A number, or something else that is read from the right.
    Number(String),
    /// A time.
    When(When),
    /// Somebody, with a number or an id.
    Person {
        /// What the person is called.
        name: String,
        /// What else is known, unless it says the same.
        detail: String,
    },
    /// A word that says how something ended or stands.
    Badge {
        /// `good`, `fair`, `bad` or `plain`.
        tone: &'static str,
        /// The word.
        text: String,
    },
    /// A word with a picture before it.
    Mark {
        /// The picture.
        icon: &'static str,
        /// The word.
        text: String,
    },
    /// Something to listen to.
    Sound {
        /// Where it is.
        src: String,
        /// What it is, for those who do not see the page.
        label: String,
    },
    /// A small picture.
    Picture {
        /// Where it is.
        src: String,
        /// What it shows.
        alt: String,
    },
    /// A link to something else than the row's record.
    Link {
        /// Where to.
        href: String,
        /// What it is called.
        text: String,
    },
    /// A word that says how something stands, with what there is to say about it.
    Judged {
        /// `good`, `fair`, `bad`, `busy` or `plain`.
        tone: &'static str,
        /// The word.
        text: String,
        /// What there is to say.
        notes: Vec<String>,
    },
    /// A text, and beside it something to press.
    Press {
        /// The text.
        text: String,
        /// Where it leads.
        href: String,
        /// What stands on it.
        label: &'static str,
    },
    /// A bar that fills, which a script keeps up to date.
    Bar {
        /// The upload whose progress it shows.
        id: String,
        /// What it is, for those who do not see the page.
        what: &'static str,
        /// How full it is, if that is known.
        percent: Option<u8>,
        /// The same in words.
        text: String,
    },
}

/// How much of a text a table shows, in characters.
const SHORT_CHARS: usize = 300;

impl Cell {
    /// The same for a table: texts that go on and on are cut.
    pub(super) fn short(self) -> Self {
        match self {
            Self::Text(text) => Self::Text(shorten(text, SHORT_CHARS)),
            Self::Id(text) => Self::Id(shorten(text, SHORT_CHARS)),
            Self::Long(text) => Self::Long(shorten(text, SHORT_CHARS)),
            Self::Person { name, detail } => Self::Person {
                name: shorten(name, SHORT_CHARS),
                detail: shorten(detail, SHORT_CHARS),
            },
            Self::Badge { tone, text } => Self::Badge { tone, text: shorten(text, SHORT_CHARS) },
            Self::Mark { icon, text } => Self::Mark { icon, text: shorten(text, SHORT_CHARS) },
            Self::Picture { src, alt } => Self::Picture { src, alt: shorten(alt, SHORT_CHARS) },
            cell => cell,
        }
    }

    /// Whether a text has nowhere to break, as addresses and names of files have.
    pub(super) fn is_one_long_word(text: &str) -> bool {
        text.split(char::is_whitespace).any(|word| word.chars().count() > 20)
    }
}

/// A column's head.
#[derive(Clone, Debug)]
pub(super) struct Head {
    /// Its title.
    pub(super) title: &'static str,
    /// Whether its values are read from the right.
    pub(super) number: bool,
    /// How the table is sorted by it, if it can be.
    pub(super) sort: Option<Sort>,
}

/// How a table can be sorted by a column.
#[derive(Clone, Debug)]
pub(super) struct Sort {
    /// Where it is sorted so, or the other way round.
    pub(super) href: String,
    /// Whether it is sorted by it now: `ascending` or `descending`.
    pub(super) order: Option<&'static str>,
}

impl Head {
    /// A column of texts.
    pub(super) const fn new(title: &'static str) -> Self {
        Self { title, number: false, sort: None }
    }

    /// A column of numbers.
    pub(super) const fn number(title: &'static str) -> Self {
        Self { title, number: true, sort: None }
    }
}

/// A row: where it leads, and its values in the order of the columns.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// Where it leads; nowhere if it is empty.
    pub(super) href: String,
    /// Its values.
    pub(super) cells: Vec<Cell>,
}

/// What stands where a table has no rows.
#[derive(Clone, Debug, Default)]
pub(super) struct Nothing {
    /// What is so.
    pub(super) title: String,
    /// What to do about it.
    pub(super) advice: String,
}

/// A table.
#[derive(Clone, Debug, Template)]
#[template(path = "table.html", config = "src/portal/askama.toml")]
pub(super) struct Table {
    /// What it is, for those who do not see the page.
    pub(super) caption: String,
    /// Its columns.
    pub(super) heads: Vec<Head>,
    /// Which column leads to what a row is about.
    pub(super) lead: usize,
    /// Its rows.
    pub(super) lines: Vec<Line>,
    /// What is said if there are none.
    pub(super) nothing: Nothing,
}

impl Table {
    /// The same without columns in which no row has a value, but for the one that leads.
    pub(super) fn without_empty_columns(mut self) -> Self {
        for column in (0..self.heads.len()).rev() {
            let empty = self.lines.iter().all(|line| line.cells[column] == Cell::Empty);
            if empty && column != self.lead {
                self.heads.remove(column);
                self.lead -= usize::from(column < self.lead);
                for line in &mut self.lines {
                    line.cells.remove(column);
                }
            }
        }
        self
    }

    /// The columns with the values of a row: narrow windows show each with its title.
    fn columns<'a>(&'a self, line: &'a Line) -> impl Iterator<Item = (&'a Head, &'a Cell)> {
        self.heads.iter().zip(&line.cells)
    }
}

/// Where a list can be gone through.
#[derive(Clone, Debug, Default)]
pub(super) struct Pager {
    /// Its beginning, unless that is shown.
    pub(super) first: Option<String>,
    /// The page before.
    pub(super) previous: Option<String>,
    /// The page after.
    pub(super) next: Option<String>,
    /// Its end, unless that is shown.
    pub(super) last: Option<String>,
}

impl Pager {
    /// Whether there is anywhere to go.
    pub(super) fn is_needed(&self) -> bool {
        self.previous.is_some() || self.next.is_some() || self.first.is_some()
    }
}

/// The parts after which an address or the name of a file may be broken.
pub(super) fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive(['_', '/', '@'])
}

/// A text of at most so many characters, which says so if it was longer.
pub(super) fn shorten(mut text: String, chars: usize) -> String {
    if let Some((end, _)) = text.char_indices().nth(chars) {
        text.truncate(end);
        text.truncate(text.trim_end().len());
        text.push('…');
    }
    text
}

/// A number of bytes as people write it.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["bytes", "kB", "MB", "GB", "TB"];
    let (mut whole, mut rest, mut unit) = (bytes, 0, 0);
    while whole >= 1000 && unit + 1 < UNITS.len() {
        rest = whole % 1000;
        whole /= 1000;
        unit += 1;
    }
    match unit {
        0 if whole == 1 => "1 byte".to_owned(),
        0 => format!("{whole} bytes"),
        _ if whole < 10 => format!("{whole}.{} {}", rest / 100, UNITS[unit]),
        _ => format!("{} {}", count(whole), UNITS[unit]),
    }
}

/// Seconds as hours, minutes and seconds.
pub(super) fn duration(seconds: i64) -> String {
    if seconds < 0 {
        return format!("{seconds} s");
    }
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes}:{seconds:02}")
    }
}

/// A number with its thousands set apart.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// So many of something.
pub(super) fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        for (bytes, expected) in [
            (0, "0 bytes"),
            (1, "1 byte"),
            (999, "999 bytes"),
            (1000, "1.0 kB"),
            (1999, "1.9 kB"),
            (190_478, "190 kB"),
            (2_147_483_648, "2.1 GB"),
            (4_000_000_000_000_000, "4,000 TB"),
        ] {
            assert_eq!(size(bytes), expected);
        }
        for (seconds, expected) in [
            (0, "0:00"),
            (59, "0:59"),
            (845, "14:05"),
            (3600, "1:00:00"),
            (90_061, "25:01:01"),
            (-5, "-5 s"),
        ] {
            assert_eq!(duration(seconds), expected);
        }
        for (number, expected) in
            [(0, "0"), (999, "999"), (1000, "1,000"), (12_345, "12,345"), (1_234_567, "1,234,567")]
        {
            assert_eq!(count(number), expected);
        }
    }

    #[test]
    fn tables_show_the_beginning_of_long_texts() {
        for (text, expected) in
            [("", ""), ("abc", "abc"), ("abcd", "abc…"), ("ab cd", "ab…"), ("好好好好", "好好好…")]
        {
            assert_eq!(shorten(text.into(), 3), expected);
        }
        let long = "x".repeat(25_000);
        let person = Cell::Person { name: long.clone(), detail: long.clone() }.short();
        for cell in [Cell::Text(long.clone()).short(), Cell::Long(long).short(), person] {
            assert!(format!("{cell:?}").len() < 1000, "{cell:?}");
        }
    }

    #[test]
    fn columns_in_which_nothing_stands_are_left_out() {
        let text = |text: &str| Cell::Text(text.into());
        let line = |cells: [Cell; 4]| Line { href: String::new(), cells: cells.into() };
        let table = Table {
            caption: String::new(),
            heads: ["A", "B", "C", "D"].map(Head::new).into(),
            lead: 1,
            lines: vec![
                line([Cell::Empty, Cell::Empty, text("x"), Cell::Empty]),
                line([Cell::Empty, Cell::Empty, Cell::Empty, Cell::Empty]),
            ],
            nothing: Nothing::default(),
        };
        let table = table.without_empty_columns();
        let heads: Vec<&str> = table.heads.iter().map(|head| head.title).collect();
        assert_eq!((heads, table.lead), (vec!["B", "C"], 0));
        assert!(table.lines.iter().all(|line| line.cells.len() == 2), "{table:?}");
    }

    #[test]
    fn what_a_record_says_cannot_become_markup() {
        let table = Table {
            caption: "x".into(),
            heads: vec![Head::new("A"), Head::new("B")],
            lead: 0,
            lines: vec![Line {
                href: "/records/calls/a\"><script>".into(),
                cells: vec![Cell::Text("<script>".into()), Cell::Long("\" onclick=x".into())],
            }],
            nothing: Nothing::default(),
        };
        let html = table.render().expect("rendered");
        assert!(!html.contains("<script") && !html.contains("\" onclick"), "{html}");
    }
}
