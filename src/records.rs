//! The database records of a backup: where one ends and the next begins, which
//! dataset each belongs to, and which of its fields the portal shows.
//!
//! This module knows JSON and maaiiconnect's fields. It must never know how
//! records are stored, and it never holds more than one record in memory.

pub mod dataset;
pub mod fields;
pub mod layout;
pub mod reference;
pub mod rules;
mod scan;
pub mod split;
pub mod view;

pub use dataset::Dataset;
pub use fields::{Fields, Scalar};
pub use layout::{Layout, Survey};
pub use reference::Reference;
pub use rules::Rules;
pub use split::{Piece, Splitter};
