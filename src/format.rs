//! The format of what lies in the state directory and in the database.
//!
//! A number beside the state says by which rules it was written. A program reads every
//! format up to its own, for ever, and brings an older one up to its own at the start. One
//! that is newer it refuses, because it would misread it: that is a package which was
//! replaced by an older one. Nothing of the state is touched then.
//!
//! The number is raised when an older program could no longer read what this one writes,
//! and not with each version, so that most versions can be exchanged for one another.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::files;

/// The format that this program writes.
pub const CURRENT: u32 = 1;

/// Below the state directory.
const FILE: &str = "format";

/// What is wrong with the format of the state.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It was written by a newer version.
    #[error(
        "a newer version has written {}: its format is {found}, and this version, {}, knows those up \
         to {CURRENT}; nothing was touched: install the newer version again",
        state.display(),
        env!("CARGO_PKG_VERSION")
    )]
    Newer {
        /// The state directory.
        state: PathBuf,
        /// Its format.
        found: u32,
    },
    /// The file is no number.
    #[error("{} does not hold the number of a format", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be read or written.
    #[error("cannot {operation} {}", path.display())]
    File {
        /// What was to be done.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Makes sure that this program can read what is in the directory `state`, and marks it as
/// its own. To be called before anything in it is used.
pub fn claim(state: &Path) -> Result<(), Error> {
    let path = state.join(FILE);
    let failed = |operation| {
        let path = path.clone();
        move |source| Error::File { operation, path, source }
    };
    let found = match fs::read_to_string(&path) {
        Ok(text) => text.trim().parse().map_err(|_| Error::Unreadable { path: path.clone() })?,
        // Nothing is there yet, or what the first versions left, which wrote no number.
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(failed("read")(error)),
    };
    if found > CURRENT {
        return Err(Error::Newer { state: state.to_owned(), found });
    }
    // Format 1 is what was there before there was a number: nothing has to be moved.
    if found < CURRENT {
        fs::create_dir_all(state).map_err(failed("make the directory of"))?;
        files::write_whole(&path, format!("{CURRENT}\n").as_bytes(), 0o644)
            .map_err(failed("write"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_state_is_claimed_and_newer_state_is_refused_untouched() {
        let scratch = tempfile::tempdir().expect("scratch");
        let path = scratch.path().join(FILE);
        claim(scratch.path()).expect("nothing there yet");
        claim(scratch.path()).expect("our own");
        assert_eq!(fs::read_to_string(&path).expect("written"), "1\n");

        let newer = format!("{}\n", CURRENT + 1);
        fs::write(&path, &newer).expect("write");
        let error = claim(scratch.path()).expect_err("newer");
        assert!(matches!(error, Error::Newer { found, .. } if found == CURRENT + 1));
        assert!(error.to_string().contains("install the newer version again"), "{error}");
        assert_eq!(fs::read_to_string(&path).expect("still there"), newer);

        fs::write(&path, "x").expect("write");
        assert!(matches!(claim(scratch.path()), Err(Error::Unreadable { .. })));
    }
}
