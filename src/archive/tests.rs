//! Archives that are good, and archives that are damaged in every way we know.

use std::io::{Cursor, Read, Seek, SeekFrom, Write};

use zip::{
    AesMode, CompressionMethod, ZipWriter, unstable::write::FileOptionsExt,
    write::SimpleFileOptions,
};

use super::*;
use crate::{backup::RejectionCode, config::Secret};

const KEY: &str = "Str0ng!Key#2021";
const LIMITS: Limits = Limits { entries: 100, total_bytes: 1 << 30, entry_bytes: 1 << 30 };

fn keys(keys: &[&str]) -> KeyRing {
    KeyRing::new(keys.iter().map(|key| Secret::new((*key).to_owned())).collect())
}

fn options() -> SimpleFileOptions {
    SimpleFileOptions::default().compression_method(CompressionMethod::Deflated)
}

/// One entry of every protection.
fn sample() -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let text = "every byte counts; ".repeat(40);
    let stored = options().compression_method(CompressionMethod::Stored);
    for (name, options) in [
        ("history/plain.json", options()),
        ("history/stored.json", stored),
        ("data-retention/a/aes.txt", options().with_aes_encryption(AesMode::Aes256, KEY)),
        ("data-retention/b/aes128.txt", stored.with_aes_encryption(AesMode::Aes128, KEY)),
        (
            "data-retention/c/old.txt",
            options().with_deprecated_encryption(KEY.as_bytes()).expect("a key"),
        ),
    ] {
        zip.start_file(name, options).expect("start");
        zip.write_all(text.as_bytes()).expect("write");
    }
    zip.finish().expect("finish").into_inner()
}

fn on_disk(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().expect("scratch");
    file.write_all(bytes).expect("write");
    file.seek(SeekFrom::Start(0)).expect("rewind");
    file
}

/// Opens an archive and reads all of it.
fn read(bytes: &[u8], keys: &KeyRing) -> Result<Vec<(String, Vec<u8>)>, Error> {
    let archive = Archive::open(on_disk(bytes), &LIMITS)?;
    let ids: Vec<EntryId> = archive.entries().map(|(id, _)| id).collect();
    let unlocked = archive.unlock(&ids, keys)?;
    ids.into_iter()
        .zip(unlocked)
        .map(|(id, mut unlocked)| {
            let bytes = archive.check(id, keys, &mut unlocked, |contents| {
                let mut bytes = Vec::new();
                contents.read_to_end(&mut bytes).map(|_| bytes)
            })?;
            Ok((archive.name(id).to_owned(), bytes))
        })
        .collect()
}

fn code(outcome: Result<Vec<(String, Vec<u8>)>, Error>) -> Option<RejectionCode> {
    outcome.err().and_then(|error| error.rejection()).map(|reason| reason.code)
}

fn find(bytes: &[u8], pattern: &[u8], skip: usize) -> usize {
    let found = bytes.windows(pattern.len()).enumerate().filter(|(_, window)| *window == pattern);
    found.map(|(at, _)| at).nth(skip).expect("the pattern is there")
}

#[test]
fn every_protection_is_read() {
    let entries = read(&sample(), &keys(&[KEY])).expect("a good archive");
    assert_eq!(entries.len(), 5);
    assert!(entries.iter().all(|(_, bytes)| bytes.len() == 760));
}

#[test]
fn any_known_key_will_do_and_no_other() {
    let many: Vec<String> = (0..40).map(|n| format!("Wr0ng!key{n}")).collect();
    let mut ring: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(code(read(&sample(), &keys(&ring))), Some(RejectionCode::NoKnownKey));
    ring.insert(17, KEY);
    assert_eq!(read(&sample(), &keys(&ring)).expect("one of them fits").len(), 5);
    assert_eq!(code(read(&sample(), &keys(&[]))), Some(RejectionCode::NoKnownKey));
}

#[test]
fn a_key_that_passes_the_quick_test_of_zipcrypto_by_chance_is_not_the_last_word() {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let old = options().with_deprecated_encryption(KEY.as_bytes()).expect("a key");
    zip.start_file("data-retention/old.txt", old).expect("start");
    zip.write_all(&[7; 5000]).expect("write");
    let bytes = zip.finish().expect("finish").into_inner();
    // One wrong key in 256 passes, so among 3000 some do.
    let many: Vec<String> =
        (0..3000).map(|n| format!("Wr0ng!key{n}")).chain([KEY.to_owned()]).collect();
    let ring: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(read(&bytes, &keys(&ring)).expect("the right key is among them").len(), 1);
}

#[test]
fn a_key_that_proves_right_elsewhere_meanwhile_is_still_tried() {
    let many: Vec<String> = (0..600).map(|n| format!("Wr0ng!key{n}")).collect();
    let mut ring: Vec<&str> = many.iter().map(String::as_str).collect();
    ring.push(KEY);
    let keys = keys(&ring);
    let bytes = sample();
    let archive = Archive::open(on_disk(&bytes), &LIMITS).expect("a good archive");
    let ids: Vec<EntryId> = archive.entries().map(|(id, _)| id).collect();
    // Among 600 wrong keys some pass the quick test of ZipCrypto, and one of them is found here.
    let mut unlocked = archive.unlock(&ids, &keys).expect("keys");
    for (id, unlocked) in ids.iter().zip(&mut unlocked) {
        let read = archive.check(*id, &keys, unlocked, |contents| {
            let mut bytes = Vec::new();
            contents.read_to_end(&mut bytes).map(|_| bytes.len())
        });
        assert_eq!(read.expect("the right key is there"), 760, "{}", archive.name(*id));
    }
}

#[test]
fn an_archive_cut_off_anywhere_is_refused() {
    let good = sample();
    for length in 0..good.len() {
        let code = code(read(&good[..length], &keys(&[KEY])));
        assert_eq!(code, Some(RejectionCode::BrokenDirectory), "cut off at {length}");
    }
}

#[test]
fn a_flipped_bit_is_found_wherever_it_matters() {
    let good = sample();
    let expected = read(&good, &keys(&[KEY])).expect("good");
    let mut missed = Vec::new();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        match read(&bad, &keys(&[KEY])) {
            Err(error) => assert!(error.rejection().is_some(), "byte {at}: {error}"),
            // Versions, attributes and the like say nothing about the contents.
            Ok(entries) if entries == expected => missed.push(at),
            Ok(_) => panic!("the flipped bit in byte {at} changed the contents unseen"),
        }
    }
    assert!(
        missed.len() * 10 < good.len(),
        "{} of {} bytes could change unseen",
        missed.len(),
        good.len()
    );
}

#[test]
fn headers_that_contradict_each_other_are_refused() {
    let good = sample();
    let name = b"history/plain.json";
    for (what, at, expected) in [
        ("the local name", find(&good, name, 0), RejectionCode::HeaderMismatch),
        ("the name in the directory", find(&good, name, 1), RejectionCode::HeaderMismatch),
        ("the local method", find(&good, b"PK\x03\x04", 0) + 8, RejectionCode::HeaderMismatch),
        ("the local flags", find(&good, b"PK\x03\x04", 0) + 6, RejectionCode::HeaderMismatch),
        (
            "where the second entry is",
            find(&good, b"PK\x01\x02", 1) + 42,
            RejectionCode::BrokenDirectory,
        ),
    ] {
        let mut bad = good.clone();
        bad[at] ^= 0x08;
        let got = code(read(&bad, &keys(&[KEY])));
        assert!(
            got == Some(expected)
                || got == Some(RejectionCode::Overlap)
                || got == Some(RejectionCode::Unsupported),
            "{what}: {got:?}"
        );
    }
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    for (name, expected) in [
        ("../evil.txt", RejectionCode::UnsafeName),
        ("history/../../evil.txt", RejectionCode::UnsafeName),
        ("/etc/passwd", RejectionCode::UnsafeName),
        ("..\\evil.txt", RejectionCode::UnsafeName),
        ("C:\\evil.txt", RejectionCode::UnsafeName),
    ] {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        // The writer would not write such a name, so one of the same length is replaced.
        let harmless = "x".repeat(name.len());
        zip.start_file(harmless.as_str(), options()).expect("start");
        zip.write_all(b"evil").expect("write");
        let mut bytes = zip.finish().expect("finish").into_inner();
        for skip in [0, 0] {
            let at = find(&bytes, harmless.as_bytes(), skip);
            bytes[at..at + name.len()].copy_from_slice(name.as_bytes());
        }
        assert_eq!(code(read(&bytes, &keys(&[]))), Some(expected), "{name}");
    }
}

#[test]
fn links_are_refused() {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.add_symlink("history/link", "/etc/passwd", options()).expect("link");
    let bytes = zip.finish().expect("finish").into_inner();
    assert_eq!(code(read(&bytes, &keys(&[]))), Some(RejectionCode::SpecialFile));
}

#[test]
fn two_entries_of_one_name_are_refused() {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for name in ["history/a.json", "history/b.json"] {
        zip.start_file(name, options()).expect("start");
        zip.write_all(b"[]").expect("write");
    }
    let mut bytes = zip.finish().expect("finish").into_inner();
    for _ in 0..2 {
        let at = find(&bytes, b"history/b.json", 0);
        bytes[at + 8] = b'a';
    }
    assert_eq!(code(read(&bytes, &keys(&[]))), Some(RejectionCode::DuplicateName));
}

#[test]
fn bombs_and_giants_are_refused_before_anything_is_inflated() {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("data-retention/bomb", options()).expect("start");
    for _ in 0..40 {
        zip.write_all(&vec![0; 1 << 20]).expect("write");
    }
    let bomb = zip.finish().expect("finish").into_inner();
    assert_eq!(code(read(&bomb, &keys(&[]))), Some(RejectionCode::OverLimit));

    let open = |limits: Limits| {
        Archive::open(on_disk(&sample()), &limits).err().and_then(|error| error.rejection())
    };
    for limits in [
        Limits { entries: 4, ..LIMITS },
        Limits { total_bytes: 3799, ..LIMITS },
        Limits { entry_bytes: 759, ..LIMITS },
    ] {
        assert_eq!(
            open(limits).map(|reason| reason.code),
            Some(RejectionCode::OverLimit),
            "{limits:?}"
        );
    }
    assert!(open(Limits { entries: 5, total_bytes: 3800, entry_bytes: 760 }).is_none());
}

#[test]
fn what_is_no_zip_is_refused() {
    for bytes in [&b""[..], b"hello", &[0; 5000], b"PK\x05\x06"] {
        assert_eq!(code(read(bytes, &keys(&[]))), Some(RejectionCode::BrokenDirectory));
    }
    let mut appended = sample();
    appended.extend_from_slice(b"something behind the end");
    assert_eq!(code(read(&appended, &keys(&[KEY]))), Some(RejectionCode::BrokenDirectory));
}

#[test]
fn an_archive_of_nothing_is_whole() {
    let empty = ZipWriter::new(Cursor::new(Vec::new())).finish().expect("finish").into_inner();
    assert_eq!(read(&empty, &keys(&[])).expect("whole").len(), 0);
}
