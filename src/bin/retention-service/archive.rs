//! Writes the archive of a backup: entries in the five folders, protected with the Archive Key.
//!
//! Only this module knows ZIP. It must never leave half an archive under a name that somebody
//! would send: what is not whole has another name. It knows nothing of records.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use jiff::{Timestamp, tz::TimeZone};
use retention::{config::Secret, files};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc::Receiver;
use zip::{AesMode, CompressionMethod, ZipWriter, write::SimpleFileOptions};

use crate::job::Made;

/// An entry from which on its sizes need 64 bits is not known beforehand, so all have room.
const LARGE: bool = true;

/// What went wrong with an archive.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Its file cannot be written, read or moved.
    #[error("cannot write the archive {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// An entry cannot be written.
    #[error("cannot write the archive {}", path.display())]
    Zip {
        /// The file.
        path: PathBuf,
        /// Why.
        source: zip::result::ZipError,
    },
    /// Whoever hands the contents over broke off.
    #[error("the contents of the archive {} broke off", path.display())]
    Cut {
        /// The file.
        path: PathBuf,
    },
}

/// What an archive is made of, in order.
#[derive(Debug)]
pub(crate) enum Piece {
    /// A new entry.
    Begin(String),
    /// More of it.
    Bytes(Vec<u8>),
    /// That was all. Without it there is no archive.
    End,
}

/// Writes an archive to `path`, all of it or nothing, and says what it came to. Blocks.
///
/// Its entries bear the time `taken`, so that they are as old as the backup.
pub(crate) fn write(
    path: &Path,
    key: &Secret,
    taken: Timestamp,
    mut pieces: Receiver<Piece>,
) -> Result<Made, Error> {
    let part = path.with_extension("part");
    let failed = |source| Error::File { path: path.to_owned(), source };
    let zip_failed = |source| Error::Zip { path: path.to_owned(), source };
    let mut zip = ZipWriter::new(File::create(&part).map_err(failed)?);
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(entry_time(taken))
        .unix_permissions(0o644)
        .large_file(LARGE)
        .with_aes_encryption(AesMode::Aes256, key.reveal());
    let (mut files, mut data_bytes) = (0, 0);
    loop {
        match pieces.blocking_recv() {
            Some(Piece::Begin(name)) => {
                zip.start_file(name, options).map_err(zip_failed)?;
                files += 1;
            }
            Some(Piece::Bytes(bytes)) => {
                zip.write_all(&bytes).map_err(failed)?;
                data_bytes += bytes.len() as u64;
            }
            Some(Piece::End) => break,
            None => {
                let _ = fs::remove_file(&part);
                return Err(Error::Cut { path: path.to_owned() });
            }
        }
    }
    let file = zip.finish().map_err(zip_failed)?;
    file.sync_all().map_err(failed)?;
    let (sha256, size_bytes) = digest(&part).map_err(failed)?;
    fs::rename(&part, path).and_then(|()| files::sync_parent(path)).map_err(failed)?;
    Ok(Made { sha256, size_bytes, data_bytes, files })
}

/// The SHA-256 of a file in hexadecimal, and its size.
pub(crate) fn digest(path: &Path) -> io::Result<(String, u64)> {
    let (mut file, mut hash, mut size) = (File::open(path)?, Sha256::new(), 0);
    let mut buffer = vec![0; 128 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((hex::encode(hash.finalize()), size)),
            read => {
                hash.update(&buffer[..read]);
                size += read as u64;
            }
        }
    }
}

/// A copy of an archive with one bit in its middle turned over. The archive stays as it is.
pub(crate) fn corrupt_copy(path: &Path, copy: &Path) -> Result<(), Error> {
    let failed = |source| Error::File { path: copy.to_owned(), source };
    let mut bytes = fs::read(path).map_err(failed)?;
    let middle = bytes.len() / 2;
    if let Some(byte) = bytes.get_mut(middle) {
        *byte ^= 1;
    }
    fs::write(copy, bytes).map_err(failed)
}

/// ZIP knows years from 1980 on, and local times. This is UTC.
fn entry_time(taken: Timestamp) -> zip::DateTime {
    let time = taken.to_zoned(TimeZone::UTC).datetime();
    let small = i8::unsigned_abs;
    zip::DateTime::from_date_and_time(
        time.year().unsigned_abs(),
        small(time.month()),
        small(time.day()),
        small(time.hour()),
        small(time.minute()),
        small(time.second()),
    )
    .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use retention::archive::{Archive, Limits};
    use tokio::sync::mpsc;

    use super::*;

    fn pieces(pieces: Vec<Piece>) -> Receiver<Piece> {
        let (sender, receiver) = mpsc::channel(16);
        pieces.into_iter().for_each(|piece| sender.try_send(piece).expect("room"));
        receiver
    }

    #[test]
    fn an_archive_is_written_whole_and_the_appliance_reads_it() {
        let scratch = tempfile::tempdir().expect("scratch");
        let path = scratch.path().join("a.zip");
        let key = Secret::new("Str0ng!Key#2021".into());
        let contents = vec![
            Piece::Begin("history/message.json".into()),
            Piece::Bytes(b"[{}".to_vec()),
            Piece::Bytes(b"]".to_vec()),
            Piece::Begin("data-retention/a/b.txt".into()),
            Piece::Bytes("文字".into()),
            Piece::End,
        ];
        let made = write(&path, &key, Timestamp::UNIX_EPOCH, pieces(contents)).expect("written");
        assert_eq!((made.files, made.data_bytes), (2, 10));
        assert_eq!(digest(&path).expect("digest"), (made.sha256, made.size_bytes));
        let file = File::open(&path).expect("open");
        let limits = Limits { entries: 10, total_bytes: 1000, entry_bytes: 1000 };
        let archive = Archive::open(file, &limits);
        assert_eq!(archive.expect("an archive").entries().len(), 2);

        corrupt_copy(&path, &scratch.path().join("b.zip")).expect("copied");
        assert_ne!(fs::read(scratch.path().join("b.zip")).ok(), fs::read(&path).ok());
    }

    #[test]
    fn contents_that_break_off_leave_no_archive() {
        let scratch = tempfile::tempdir().expect("scratch");
        let path = scratch.path().join("a.zip");
        let key = Secret::new("Str0ng!Key#2021".into());
        let cut = write(&path, &key, Timestamp::UNIX_EPOCH, pieces(vec![Piece::Begin("a".into())]));
        assert!(matches!(cut, Err(Error::Cut { .. })), "{cut:?}");
        assert_eq!(fs::read_dir(scratch.path()).expect("list").count(), 0);
    }
}
