//! Which dataset a record belongs to, and which entries hold records.
//!
//! First match wins: the record's own `type`, then the file's name, then the
//! folder, else [`Dataset::Other`]. The rules stand in one table, [`KNOWN`];
//! the configuration can add to it.

use std::collections::HashMap;

use serde::Deserialize;

use super::Dataset;

/// The names by which a `type`, a file or a member may call a dataset.
const KNOWN: &[(Dataset, &[&str])] = &[
    (Dataset::Call, &["call", "calls", "call-history", "call-log", "direct-call", "enquiry-call"]),
    (
        Dataset::Conference,
        &[
            "conference",
            "conferences",
            "conference-call",
            "conference-calls",
            "conference-history",
            "conference-call-history",
            "call-conference",
        ],
    ),
    (
        Dataset::Message,
        &[
            "message",
            "messages",
            "im",
            "ims",
            "chat",
            "chats",
            "chat-history",
            "message-history",
            "text-message",
            "text-messages",
        ],
    ),
    (Dataset::Voicemail, &["voicemail", "voicemails", "voice-mail", "voice-mails"]),
    (Dataset::Recording, &["recording", "recordings", "call-recording", "call-recordings"]),
    (Dataset::File, &["file", "files", "shared-file", "shared-files"]),
    (Dataset::Avatar, &["avatar", "avatars", "staff-avatar", "staff-avatars"]),
    (Dataset::TagIcon, &["tag-icon", "tag-icons", "tagicon", "tagicons"]),
    (Dataset::Staff, &["staff", "staffs", "staff-list"]),
    (
        Dataset::Contact,
        &["contact", "contacts", "external-contact", "external-contacts", "phonebook"],
    ),
    (
        Dataset::Enquiry,
        &["enquiry", "enquiries", "inquiry", "inquiries", "closed-enquiry", "closed-enquiries"],
    ),
];

/// Folders that hold one dataset unless something nearer to the record says otherwise.
const FOLDERS: &[(&str, Dataset)] =
    &[("dynamic-phonebook", Dataset::Contact), ("file-management", Dataset::File)];

/// The folders of record files.
const RECORD_FOLDERS: &[&str] =
    &["lc-data-server", "history", "file-management", "dynamic-phonebook"];

/// The folder of media.
pub const MEDIA_FOLDER: &str = "data-retention";

/// What an entry of the archive holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// Records, and the dataset that the entry's place suggests.
    Records(Option<Dataset>),
    /// Records if it turns out to be JSON, else a medium.
    Unsure,
    /// The bytes of a shared file, voicemail or recording.
    Medium,
}

/// A rule that an administrator adds.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Addition {
    /// A record's `type`, or the name of a record file without its number and ending.
    pub name: String,
    /// The dataset it stands for.
    pub dataset: Dataset,
}

/// The table of rules.
#[derive(Clone, Debug)]
pub struct Rules {
    names: HashMap<String, Dataset>,
}

impl Default for Rules {
    fn default() -> Self {
        Self::new(&[])
    }
}

impl Rules {
    /// The built-in rules, and an administrator's, which go first.
    pub fn new(additions: &[Addition]) -> Self {
        let mut names: HashMap<String, Dataset> = KNOWN
            .iter()
            .flat_map(|(dataset, names)| names.iter().map(|name| ((*name).to_owned(), *dataset)))
            .collect();
        names.extend(additions.iter().map(|rule| (normal(&rule.name), rule.dataset)));
        Self { names }
    }

    /// The dataset that a name stands for: a record's `type`, a file's stem, a member's key.
    pub fn named(&self, name: &str) -> Option<Dataset> {
        if let Some(dataset) = self.names.get(name) {
            return Some(*dataset);
        }
        self.names.get(&normal(name)).copied()
    }

    /// What the entry at `path` holds. Paths have `/` between their parts.
    pub fn entry(&self, path: &str) -> Holds {
        let (folder, file) = match path.rsplit_once('/') {
            Some((folders, file)) => (folders.split('/').next().unwrap_or_default(), file),
            None => ("", path),
        };
        if folder == MEDIA_FOLDER {
            return Holds::Medium;
        }
        let stem = match file.rsplit_once('.') {
            Some((stem, ending)) if is_json_ending(ending) => stem,
            None if RECORD_FOLDERS.contains(&folder) => return Holds::Unsure,
            _ => return Holds::Medium,
        };
        let by_folder =
            || FOLDERS.iter().find(|(name, _)| *name == folder).map(|(_, dataset)| *dataset);
        Holds::Records(self.named(stem).or_else(by_folder))
    }
}

fn is_json_ending(ending: &str) -> bool {
    ["json", "jsonl", "ndjson"].iter().any(|known| known.eq_ignore_ascii_case(ending))
}

/// A name without case, without the number of its part, with `-` between its words.
fn normal(name: &str) -> String {
    let mut words = String::with_capacity(name.len() + 2);
    let mut before = None;
    for c in name.trim_end_matches(|c: char| !c.is_alphabetic()).chars() {
        let joint = c.is_uppercase() && before.is_some_and(char::is_lowercase);
        if !c.is_alphanumeric() {
            if !words.ends_with('-') {
                words.push('-');
            }
        } else {
            if joint {
                words.push('-');
            }
            words.extend(c.to_lowercase());
        }
        before = Some(c);
    }
    words.strip_suffix("-part").map(str::to_owned).unwrap_or(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_known_whatever_its_spelling_and_part() {
        let rules = Rules::default();
        for (name, expected) in [
            ("im", Some(Dataset::Message)),
            ("call", Some(Dataset::Call)),
            ("Call", Some(Dataset::Call)),
            ("call-0000", Some(Dataset::Call)),
            ("calls_12", Some(Dataset::Call)),
            ("message.part3", Some(Dataset::Message)),
            ("tag-icon-0001", Some(Dataset::TagIcon)),
            ("tagIcon", Some(Dataset::TagIcon)),
            ("TAG_ICON", Some(Dataset::TagIcon)),
            ("externalContacts", Some(Dataset::Contact)),
            ("history", None),
            ("survey", None),
            ("", None),
            ("7", None),
        ] {
            assert_eq!(rules.named(name), expected, "{name}");
        }
    }

    #[test]
    fn an_entry_is_known_by_its_place() {
        let rules = Rules::default();
        for (path, expected) in [
            ("history/call.json", Holds::Records(Some(Dataset::Call))),
            ("history/call-0001.JSON", Holds::Records(Some(Dataset::Call))),
            ("history/history.json", Holds::Records(None)),
            ("history/survey.json", Holds::Records(None)),
            ("dynamic-phonebook/people.json", Holds::Records(Some(Dataset::Contact))),
            ("file-management/stickers.ndjson", Holds::Records(Some(Dataset::File))),
            ("file-management/avatar.json", Holds::Records(Some(Dataset::Avatar))),
            ("lc-data-server/export", Holds::Unsure),
            ("lc-data-server/readme.txt", Holds::Medium),
            ("data-retention/room/a.json", Holds::Medium),
            ("data-retention/a", Holds::Medium),
            ("extra/staff.json", Holds::Records(Some(Dataset::Staff))),
            ("manifest.json", Holds::Records(None)),
            ("notes", Holds::Medium),
        ] {
            assert_eq!(rules.entry(path), expected, "{path}");
        }
    }

    #[test]
    fn an_administrator_can_add_rules() {
        let added = Addition { name: "Survey".into(), dataset: Dataset::Enquiry };
        let rules = Rules::new(&[added]);
        assert_eq!(rules.named("survey-0003"), Some(Dataset::Enquiry));
    }
}
