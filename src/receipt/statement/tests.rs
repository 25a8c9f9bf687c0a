//! What is written, to the byte, and that it is read as it was written.

use std::io::Write as _;

use zip::{ZipWriter, write::SimpleFileOptions};

use super::*;
use crate::{
    archive::Limits,
    backup::{Findings, Progress, State},
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
        senders: Some(Senders { authorized_keys: vec!["SHA256:x".into()], lines_by_hand: 0 }),
    }
}

fn statement(backup: &Backup, previous: Option<(u64, ReceiptId)>) -> Statement<()> {
    let material = Material {
        appliance: Appliance { host: "vault".into(), key: "SHA256:y".into() },
        backup,
        marks: vec!["0123".into()],
        new_records: Some([("call".to_owned(), 2)].into()),
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
    "new_records": {"call": 2},
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
