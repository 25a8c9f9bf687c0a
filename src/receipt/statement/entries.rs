//! The entries of an archive in its statement.

use std::borrow::Cow;

use serde::{Deserialize, Serialize, Serializer, ser::Error as _};

use crate::{
    archive::{Archive, Digests},
    backup::MediumId,
    records::{Rules, rules},
};

/// What an entry holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Holds {
    /// Records.
    Records,
    /// A medium.
    Medium,
}

/// One entry of the archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry<'a> {
    /// Its name.
    pub name: Cow<'a, str>,
    /// Uncompressed bytes.
    pub size_bytes: u64,
    /// How it was protected.
    pub protection: Cow<'a, str>,
    /// What it holds.
    pub holds: Holds,
    /// The SHA-256 of its contents.
    pub sha256: MediumId,
}

/// The entries of an archive that was read, written one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Entries<'a> {
    /// The archive.
    pub archive: &'a Archive,
    /// What is in it.
    pub digests: &'a Digests,
    /// Which entries hold records.
    pub rules: &'a Rules,
}

impl Serialize for Entries<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // A receipt does not say of an entry what nobody read.
        if let Some((id, _)) =
            self.archive.entries().find(|(id, _)| self.digests.get(*id).is_none())
        {
            let name = self.archive.name(id);
            return Err(S::Error::custom(format!("the entry {name} was not read")));
        }
        serializer.collect_seq(self.archive.entries().filter_map(|(id, entry)| {
            let name = self.archive.name(id);
            let is_medium = self.rules.entry(name) == rules::Holds::Medium;
            Some(Entry {
                name: name.into(),
                size_bytes: entry.size_bytes(),
                protection: entry.protection().name().into(),
                holds: if is_medium { Holds::Medium } else { Holds::Records },
                sha256: self.digests.get(id)?,
            })
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write as _};

    use jiff::Timestamp;
    use zip::{ZipWriter, write::SimpleFileOptions};

    use super::{
        super::{Appliance, Material, Statement},
        *,
    };
    use crate::{
        archive::Limits,
        backup::{FindingKind, Findings, Progress, ReceiptId, Senders, State},
        config::Modes,
        store::{backups::Backup, brought::Brought, copies::Copies},
    };

    const LIMITS: Limits = Limits { entries: 100, total_bytes: 1 << 20, entry_bytes: 1 << 20 };

    fn archive() -> Archive {
        let mut file = tempfile::tempfile().expect("scratch");
        let mut zip = ZipWriter::new(&mut file);
        for name in ["history/call.json", "data-retention/a \"b\".wav"] {
            zip.start_file(name, SimpleFileOptions::default()).expect("an entry");
            zip.write_all(b"[]").expect("contents");
        }
        zip.finish().expect("an archive").flush().expect("written");
        Archive::open(file, &LIMITS).expect("a good archive")
    }

    fn time(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn backup() -> Backup {
        let mut findings = Findings::default();
        findings.note(FindingKind::Unencrypted, "never in a receipt");
        Backup {
            upload: "01976d6e-0000-7000-8000-000000000001".parse().expect("an id"),
            job: "2ed1076d-f512-4316-be8f-e6d1a3a6ae52".parse().expect("an id"),
            service: "acme".into(),
            file: "backup_acme.zip".into(),
            taken: time("2021-05-01T02:00:00Z"),
            arrived: time("2021-05-01T02:10:00Z"),
            size_bytes: 300,
            state: State::Stored,
            progress: Progress {
                entries_total: 2,
                bytes_total: 4,
                records: [("call".to_owned(), 3)].into(),
                media: 1,
                media_bytes: 2,
                ..Progress::default()
            },
            findings,
            rejection: None,
            waiting: None,
            begun: None,
            changed: time("2021-05-01T02:11:00.5Z"),
            sha256: Some("ab".repeat(32)),
            repeats: 0,
            superseded: false,
            acknowledged: None,
            directory: None,
            senders: Some(Senders { authorized_keys: vec!["SHA256:x".into()], lines_by_hand: 0 }),
            archive_kept: None,
            modes: None,
            readability: None,
            archive_keys: Vec::new(),
            verified: None,
            history: Vec::new(),
            overrides: Vec::new(),
            deletion: None,
        }
    }

    fn statement(backup: &Backup, previous: Option<(u64, ReceiptId)>) -> Statement<()> {
        let material = Material {
            appliance: Appliance { host: "vault".into(), key: "SHA256:y".into() },
            backup,
            marks: vec!["0123".into()],
            brought: Some(Brought::default()),
            modes: Modes { online: true, offline: false },
            copies: Copies {
                replica_set: Some("rs0".into()),
                database: "retention".into(),
                data_members: 2,
                acknowledged: 2,
            },
        };
        Statement::new(material, previous)
    }

    const WRITTEN: &str = r#"{
  "format": "retention-receipt",
  "version": 1,
  "number": 8,
  "previous": "0707070707070707070707070707070707070707070707070707070707070707",
  "appliance": {
    "host": "vault",
    "key": "SHA256:y"
  },
  "backup": {
    "job": "2ed1076d-f512-4316-be8f-e6d1a3a6ae52",
    "service": "acme",
    "file": "backup_acme.zip",
    "upload": "01976d6e-0000-7000-8000-000000000001",
    "taken": "2021-05-01T02:00:00Z",
    "arrived": "2021-05-01T02:10:00Z",
    "stored": "2021-05-01T02:11:00.5Z",
    "size_bytes": 300,
    "sha256": "abababababababababababababababababababababababababababababababab"
  },
  "sender": {
    "authorized_keys": ["SHA256:x"],
    "lines_by_hand": 0,
    "remark": "This was the only key that was authorised when the backup was taken in."
  },
  "archive_keys": {
    "marks": ["0123"],
    "remark": "A mark tells the Archive Keys of one appliance apart. It cannot be computed without a secret of that appliance, so that nobody can find out the key by trying."
  },
  "counts": {
    "entries": 2,
    "bytes": 4,
    "records": {"call": 3},
    "new_records": {},
    "record_digests": {},
    "media": 1,
    "media_bytes": 2
  },
  "findings": [
    {"kind": "unencrypted", "count": 1}
  ],
  "stored": {
    "modes": ["online"],
    "replica_set": "rs0",
    "database": "retention",
    "data_members": 2,
    "acknowledged": 2
  },
  "entries": [
    {"name": "history/call.json", "size_bytes": 2, "protection": "none", "holds": "records", "sha256": "0000000000000000000000000000000000000000000000000000000000000000"},
    {"name": "data-retention/a \"b\".wav", "size_bytes": 2, "protection": "none", "holds": "medium", "sha256": "0101010101010101010101010101010101010101010101010101010101010101"}
  ]
}
"#;

    #[test]
    fn a_statement_is_the_same_bytes_for_ever_and_is_read_as_it_was_written() {
        let (archive, rules, backup) = (archive(), Rules::default(), backup());
        let digests = Digests::new(&archive);
        for (n, (id, _)) in archive.entries().enumerate() {
            digests.note(id, MediumId::new([u8::try_from(n).expect("few"); 32]));
        }
        let entries = Entries { archive: &archive, digests: &digests, rules: &rules };
        let previous = Some((7, ReceiptId::new([7; 32])));
        let written = statement(&backup, previous).with(entries);
        let mut bytes = Vec::new();
        written.write(&mut bytes).expect("written");
        assert_eq!(String::from_utf8(bytes).expect("text"), WRITTEN);

        let read: Statement<Vec<Entry<'_>>> = serde_json::from_str(WRITTEN).expect("read");
        let mut again = Vec::new();
        read.write(&mut again).expect("written");
        assert_eq!(String::from_utf8(again).expect("text"), WRITTEN);
    }

    #[test]
    fn the_first_statement_has_none_before_it_and_what_is_not_known_is_null() {
        let backup = Backup { senders: None, sha256: None, ..backup() };
        let first = statement(&backup, None);
        assert_eq!((first.number, first.previous), (1, None));
        let json = serde_json::to_value(&first).expect("JSON");
        assert!(json["previous"].is_null() && json["sender"].is_null(), "{json}");
    }

    #[test]
    fn nothing_is_said_of_an_archive_of_which_an_entry_was_not_read() {
        let (archive, rules) = (archive(), Rules::default());
        let digests = Digests::new(&archive);
        let entries = Entries { archive: &archive, digests: &digests, rules: &rules };
        let error = statement(&backup(), None).with(entries).write(&mut io::sink());
        assert!(error.expect_err("refused").to_string().contains("history/call.json"));
    }
}
