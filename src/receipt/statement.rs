//! What a receipt says, in JSON.
//!
//! It is written in one go, entry by entry, and the same statement is always the same bytes. The
//! first two levels are laid out for people, and what is below stands on one line: a line an entry.

mod entries;
mod layout;

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use jiff::Timestamp;
use layout::Layout;
use serde::{Deserialize, Serialize};

use crate::{
    backup::{FindingKind, JobId, ReceiptId, Senders, UploadId},
    config::Modes,
    store::{backups::Backup, brought::Brought, copies::Copies},
};

pub use entries::{Entries, Entry, Holds};

/// The name of the format.
pub const FORMAT: &str = "retention-receipt";

/// The version of the format. Raised when a reader of this one would misread what is written.
pub const VERSION: u32 = 1;

/// A statement. Its entries are whatever they are written from or read into.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Statement<Entries> {
    /// [`FORMAT`].
    pub format: String,
    /// [`VERSION`].
    pub version: u32,
    /// Its place in the chain, from 1.
    pub number: u64,
    /// The one before it; nothing for the first.
    pub previous: Option<ReceiptId>,
    /// Who gives it.
    pub appliance: Appliance,
    /// What was received.
    pub backup: Received,
    /// Who may have sent it; nothing where that was not noted.
    pub sender: Option<Sender>,
    /// Which Archive Keys opened it.
    pub archive_keys: ArchiveKeys,
    /// How much was in it.
    pub counts: Counts,
    /// What was remarkable.
    pub findings: Vec<Found>,
    /// Where it is stored.
    pub stored: Stored,
    /// What was in it.
    pub entries: Entries,
}

/// The appliance that gives a receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Appliance {
    /// The name of its host.
    pub host: String,
    /// The fingerprint of its signing key.
    pub key: String,
}

/// The backup as the Backup Log has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// The job.
    pub job: JobId,
    /// The service account.
    pub service: String,
    /// The archive's file name.
    pub file: String,
    /// The upload.
    pub upload: UploadId,
    /// When the cloud made it.
    pub taken: Timestamp,
    /// When its upload was complete.
    pub arrived: Timestamp,
    /// When all of it was stored.
    pub stored: Timestamp,
    /// How many bytes the archive has.
    pub size_bytes: u64,
    /// The SHA-256 of the archive.
    pub sha256: String,
}

/// Who may have sent a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sender {
    /// What is known.
    #[serde(flatten)]
    pub senders: Senders,
    /// What that means.
    pub remark: String,
}

/// The Archive Keys that opened a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveKeys {
    /// Their marks; see [`super::SigningKey::mark`].
    pub marks: Vec<String>,
    /// What that means.
    pub remark: String,
}

/// How much a backup was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Entries, directories excepted.
    pub entries: u64,
    /// Uncompressed bytes of all entries.
    pub bytes: u64,
    /// Records that were delivered, by dataset.
    pub records: BTreeMap<String, u64>,
    /// Documents that this backup was the first to bring, by dataset; nothing where none are kept.
    pub new_records: Option<BTreeMap<String, u64>>,
    /// Digests of these documents, by dataset (see [`crate::store::brought`]); nothing where none are
    /// kept, and in statements of versions that made none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record_digests: Option<BTreeMap<String, String>>,
    /// Media.
    pub media: u64,
    /// Bytes of media.
    pub media_bytes: u64,
}

/// Findings of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Which kind.
    pub kind: FindingKind,
    /// How many.
    pub count: u64,
}

/// Where a backup is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// `online`, `offline` or both.
    pub modes: Vec<String>,
    /// On which members.
    #[serde(flatten)]
    pub copies: Copies,
}

/// What a statement is made of, but for its entries and its place in the chain.
#[derive(Debug)]
pub struct Material<'a> {
    /// Who gives it.
    pub appliance: Appliance,
    /// The line of the log.
    pub backup: &'a Backup,
    /// The marks of the Archive Keys that opened it.
    pub marks: Vec<String>,
    /// Documents that it was the first to bring; nothing where none are kept.
    pub brought: Option<Brought>,
    /// What becomes of backups.
    pub modes: Modes,
    /// On which members it is.
    pub copies: Copies,
}

impl Statement<()> {
    /// A statement without its entries. `previous` is the one before it and its number.
    pub fn new(material: Material<'_>, previous: Option<(u64, ReceiptId)>) -> Self {
        let Material { appliance, backup, marks, brought, modes, copies } = material;
        let sender = backup.senders.clone().map(|senders| {
            let remark = senders.sentence().to_owned();
            Sender { senders, remark }
        });
        let modes = [("online", modes.online), ("offline", modes.offline)];
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            number: previous.map_or(0, |(number, _)| number) + 1,
            previous: previous.map(|(_, id)| id),
            appliance,
            backup: Received {
                job: backup.job.clone(),
                service: backup.service.clone(),
                file: backup.file.clone(),
                upload: backup.upload.clone(),
                taken: backup.taken,
                arrived: backup.arrived,
                stored: backup.changed,
                size_bytes: backup.size_bytes,
                sha256: backup.sha256.clone().unwrap_or_default(),
            },
            sender,
            archive_keys: ArchiveKeys { remark: about(&marks).to_owned(), marks },
            counts: Counts {
                entries: backup.progress.entries_total,
                bytes: backup.progress.bytes_total,
                records: backup.progress.records.clone(),
                new_records: brought.as_ref().map(Brought::counts),
                record_digests: brought.as_ref().map(Brought::digests),
                media: backup.progress.media,
                media_bytes: backup.progress.media_bytes,
            },
            findings: backup
                .findings
                .iter()
                .map(|(kind, finding)| Found { kind, count: finding.count })
                .collect(),
            stored: Stored {
                modes: modes.iter().filter(|(_, on)| *on).map(|(name, _)| (*name).into()).collect(),
                copies,
            },
            entries: (),
        }
    }

    /// The same with its entries.
    pub fn with<E>(self, entries: E) -> Statement<E> {
        let Self { format, version, number, previous, appliance, backup, .. } = self;
        let Self { sender, archive_keys, counts, findings, stored, .. } = self;
        Statement {
            format,
            version,
            number,
            previous,
            appliance,
            backup,
            sender,
            archive_keys,
            counts,
            findings,
            stored,
            entries,
        }
    }
}

fn about(marks: &[String]) -> &'static str {
    if marks.is_empty() {
        "No entry was encrypted, so none was needed."
    } else {
        "A mark tells the Archive Keys of one appliance apart. It cannot be computed without a \
         secret of that appliance, so that nobody can find out the key by trying."
    }
}

impl<E: Serialize> Statement<E> {
    /// Writes it, always as the same bytes.
    pub fn write(&self, to: &mut impl Write) -> io::Result<()> {
        // In larger pieces than single words.
        let mut to = io::BufWriter::with_capacity(64 * 1024, to);
        self.serialize(&mut serde_json::Serializer::with_formatter(&mut to, Layout::default()))?;
        to.write_all(b"\n")?;
        to.flush()
    }
}
