//! Whether somebody has a file open for writing: the kernel grants a read lease
//! (`F_SETLEASE`, see `fcntl(2)`) only while nobody has.
//!
//! No safe crate offers this call, so it is made here, and here alone. The file
//! has to belong to us, or we need the capability `CAP_LEASE`.

use std::{
    fs::File,
    io,
    os::{fd::AsRawFd, unix::fs::OpenOptionsExt},
    path::Path,
};

/// Opens a file for reading without waiting for a lease of somebody else, and
/// without following a link.
pub fn open_quietly(path: &Path) -> io::Result<File> {
    File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW).open(path)
}

/// Whether nobody has `file` open for writing at this moment.
pub fn nobody_writes(file: &File) -> io::Result<bool> {
    match set(file, libc::F_RDLCK) {
        Ok(()) => set(file, libc::F_UNLCK).map(|()| true),
        Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => Ok(false),
        Err(error) => Err(error),
    }
}

#[expect(unsafe_code, reason = "a lease cannot be had otherwise")]
fn set(file: &File, lease: libc::c_int) -> io::Result<()> {
    // SAFETY: the descriptor is open as long as `file` is borrowed, and this
    // command takes an integer and touches no memory of ours.
    let outcome = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, lease) };
    if outcome == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_writer_is_seen_until_the_file_is_closed() {
        let directory = tempfile::tempdir().expect("scratch");
        let path = directory.path().join("upload");
        let mut writer = File::create(&path).expect("create");
        writer.write_all(b"half").expect("write");
        let reader = open_quietly(&path).expect("open");
        assert!(!nobody_writes(&reader).expect("ask"));
        drop(writer);
        assert!(nobody_writes(&reader).expect("ask"));
    }
}
