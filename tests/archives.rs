//! Archives that tests make for themselves.

use std::{
    fs,
    io::{Cursor, Write},
    path::{Path, PathBuf},
};

use anyhow::Result;
use serde_json::{Value, json};
use zip::{AesMode, CompressionMethod, ZipWriter, write::SimpleFileOptions};

/// The Archive Key of every world.
pub(crate) const KEY: &str = "Str0ng!Key#2021";

/// An archive in the making.
pub(crate) struct Sample {
    entries: Vec<(String, Vec<u8>)>,
    /// How many messages it holds.
    pub(crate) messages: usize,
}

impl Sample {
    /// So many messages, and a few files with their media.
    pub(crate) fn new(messages: usize) -> Self {
        let lines = (0..messages).map(|n| message(n).to_string() + "\n").collect::<String>();
        let files: Vec<Value> = (0..3).map(file).collect();
        let mut entries = vec![
            ("history/message.json".to_owned(), lines.into_bytes()),
            ("file-management/file.json".to_owned(), Value::from(files).to_string().into_bytes()),
        ];
        entries.extend((0..3).map(|n| (path(n), content(n))));
        Self { entries, messages }
    }

    /// With one more entry.
    pub(crate) fn with(mut self, name: &str, contents: impl Into<Vec<u8>>) -> Self {
        self.entries.push((name.to_owned(), contents.into()));
        self
    }

    /// What is in it, by name.
    pub(crate) fn entries(&self) -> &[(String, Vec<u8>)] {
        &self.entries
    }

    /// The archive, protected with AES and [`KEY`].
    pub(crate) fn bytes(&self) -> Result<Vec<u8>> {
        self.bytes_with(KEY)
    }

    /// The archive, protected with another key.
    pub(crate) fn bytes_with(&self, key: &str) -> Result<Vec<u8>> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .with_aes_encryption(AesMode::Aes256, key);
        for (name, contents) in &self.entries {
            zip.start_file(name.as_str(), options)?;
            zip.write_all(contents)?;
        }
        Ok(zip.finish()?.into_inner())
    }
}

/// One message. Its text tells it from all others.
pub(crate) fn message(n: usize) -> Value {
    json!({
        "_id": format!("m{n:06}"), "roomID": format!("room{}", n % 7), "seq": n / 7, "type": "im",
        "fromEID": "e1", "toEID": "e2", "msgID": format!("id{n}"), "msgContentType": "TYPE_TEXT",
        "msgText": format!("message {n} 訊息"), "ts": "2021-05-01T08:00:00.000Z",
        "content": { "ts": 1_619_856_000_000_i64 + n as i64, "msg": { "type": 1 } },
    })
}

fn file(n: usize) -> Value {
    json!({
        "_id": format!("f{n}"), "fileID": format!("file{n}"), "fileName": format!("note {n}.txt"),
        "mimeType": "text/plain", "size": content(n).len(), "roomID": "room1", "path": path(n),
        "createdAt": "2021-05-01T08:00:00Z",
    })
}

fn path(n: usize) -> String {
    format!("data-retention/room1/file{n}.txt")
}

fn content(n: usize) -> Vec<u8> {
    format!("file {n}: ").repeat(500 * (n + 1)).into_bytes()
}

/// The job id with this number.
pub(crate) fn job(n: u32) -> String {
    format!("00000000-0000-4000-8000-{n:012}")
}

/// The file name of the backup of a job.
pub(crate) fn name(n: u32) -> String {
    format!("backup_acme_{}_202105010200{:02}.zip", job(n), n % 60)
}

/// Writes the backup of a job into a directory.
pub(crate) fn write(directory: &Path, n: u32, bytes: &[u8]) -> Result<PathBuf> {
    let path = directory.join(name(n));
    fs::write(&path, bytes)?;
    Ok(path)
}
