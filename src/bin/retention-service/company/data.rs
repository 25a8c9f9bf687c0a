//! The data of the invented business, which the demonstration has as well.

use std::sync::LazyLock;

use serde_json::Value;

macro_rules! shared {
    ($name:literal) => {
        include_str!(concat!("../../../../packaging/demo_company/data/", $name))
    };
}

/// Staff, groups, tags, topics of conferences.
pub(super) static STAFF: LazyLock<Value> = LazyLock::new(|| read(shared!("staff.json")));
/// Contacts, and the ranges that regulators keep for fiction.
pub(super) static CONTACTS: LazyLock<Value> = LazyLock::new(|| read(shared!("contacts.json")));
/// Goods, colours, districts, times.
pub(super) static CATALOGUE: LazyLock<Value> = LazyLock::new(|| read(shared!("catalogue.json")));
/// Conversations in English.
pub(super) const ENGLISH: &str = shared!("conversations.en.txt");
/// Conversations in Chinese.
pub(super) const CHINESE: &str = shared!("conversations.zh.txt");

fn read(text: &str) -> Value {
    serde_json::from_str(text).expect("the files are part of the program, and a test reads them")
}

/// The list at a place of a table.
pub(super) fn list<'a>(table: &'a Value, name: &str) -> &'a [Value] {
    table[name].as_array().map_or(&[], Vec::as_slice)
}

/// The text in a cell of a row.
pub(super) fn cell(row: &Value, column: usize) -> &str {
    row[column].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_can_be_read() {
        assert!(list(&STAFF, "staff").len() > 5);
        assert!(list(&CONTACTS, "contacts").len() > 20);
        assert!(list(&CATALOGUE, "products").len() > 5);
        assert!(ENGLISH.contains("@ customer") && CHINESE.contains("@ staff"));
    }
}
