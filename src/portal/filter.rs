//! The form above a list that narrows it.
//!
//! It is sent with GET: what a list shows stands in its address, and works
//! without scripts. It must not leave out of what it sends anything that still
//! narrows the list.

use askama::Template;

/// Something to fill in.
#[derive(Clone, Debug)]
pub(super) enum Input {
    /// A day.
    Day {
        /// Its name in the address.
        name: &'static str,
        /// What it is called.
        label: &'static str,
        /// What is chosen, as `2021-04-30`.
        value: String,
    },
    /// A text.
    Text {
        /// Its name in the address.
        name: &'static str,
        /// What it is called.
        label: &'static str,
        /// What was typed.
        value: String,
        /// The longest that may be typed, in characters.
        max_chars: usize,
    },
    /// One of a few.
    Choice {
        /// Its name in the address.
        name: &'static str,
        /// What it is called.
        label: &'static str,
        /// What there is to choose from.
        options: Vec<Choice>,
    },
    /// What cannot be changed here, and still narrows the list.
    Kept {
        /// Its name in the address.
        name: &'static str,
        /// Its value there.
        value: String,
    },
}

/// Something to choose.
#[derive(Clone, Debug)]
pub(super) struct Choice {
    /// Its value in the address.
    pub(super) value: String,
    /// What it is called.
    pub(super) label: String,
    /// Whether it is chosen.
    pub(super) chosen: bool,
}

/// A form above a list.
#[derive(Clone, Debug, Template)]
#[template(path = "filter.html", config = "src/portal/askama.toml")]
pub(super) struct Filter {
    /// The list's address without any filter.
    pub(super) path: String,
    /// What there is to fill in, in its order.
    pub(super) inputs: Vec<Input>,
    /// Whether there is anything to clear.
    pub(super) is_filtered: bool,
}

impl Choice {
    /// Something to choose.
    pub(super) fn new(value: impl Into<String>, label: impl Into<String>, chosen: bool) -> Self {
        Self { value: value.into(), label: label.into(), chosen }
    }
}
