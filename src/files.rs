//! Small things about files that hold everywhere: writing whole or not at all,
//! moving without overwriting, and making a move last.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rustix::fs::{CWD, RenameFlags, renameat_with};

/// What went wrong with a file or a directory of ours.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {}", path.display())]
pub struct Failed {
    /// What was to be done.
    pub operation: &'static str,
    /// The file or directory.
    pub path: PathBuf,
    /// Why it failed.
    pub source: io::Error,
}

/// Writes `contents` to `path` so that a reader sees the old file or the new one.
///
/// The file has the permissions `mode`, and is on the disk when this returns.
pub fn write_whole(path: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let temporary = path.with_file_name(name);
    let _ = fs::remove_file(&temporary);
    let mut file = File::options().write(true).create_new(true).mode(mode).open(&temporary)?;
    file.write_all(contents)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    sync_parent(path)
}

/// Moves `from` to `to` on one file system. Fails if `to` exists.
pub fn move_new(from: &Path, to: &Path) -> io::Result<()> {
    renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)?;
    sync_parent(to)?;
    sync_parent(from)
}

/// Makes what happened to names in the directory of `path` outlast a power cut.
pub fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

/// How many bytes are free for us on the file system that `path` is on.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let found = nix::sys::statvfs::statvfs(path)?;
    Ok(found.blocks_available().saturating_mul(found.fragment_size()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_move_never_overwrites() {
        let directory = tempfile::tempdir().expect("scratch");
        let (a, b) = (directory.path().join("a"), directory.path().join("b"));
        write_whole(&a, b"a", 0o600).expect("write");
        write_whole(&b, b"b", 0o600).expect("write");
        let error = move_new(&a, &b).expect_err("b exists");
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        fs::remove_file(&b).expect("remove");
        move_new(&a, &b).expect("b is free");
        assert_eq!(fs::read(&b).expect("read"), b"a");
    }
}
