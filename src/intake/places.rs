//! Where archives are on their way: all on one file system, so that each step is a
//! rename.
//!
//! ```text
//! sftp/inbox/FILE               what the uploader can reach
//! claimed/UPLOAD/FILE           taken in, not yet stored or rejected
//! archive/YEAR/FILE             stored and kept (Offline mode)
//! quarantine/UPLOAD/FILE        rejected, with the reason beside it
//! aside/UPLOAD/FILE             not a backup
//! id                            names this directory; made once
//! ```

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use jiff::Timestamp;

use crate::{
    backup::{BackupName, DirectoryId, UploadId},
    files,
    store::backups::Backup,
};

pub use crate::files::Failed as Error;

/// The directories of the appliance's state.
#[derive(Clone, Debug)]
pub struct Places {
    state: PathBuf,
}

/// An archive that was claimed.
#[derive(Clone, Debug)]
pub struct ClaimedFile {
    /// The upload.
    pub upload: UploadId,
    /// What its file name says.
    pub name: BackupName,
    /// Where it is.
    pub path: PathBuf,
}

impl Places {
    /// Below this directory.
    pub fn new(state: &Path) -> Self {
        Self { state: state.to_owned() }
    }

    /// Makes the directories that are missing. To be called before anything else uses them.
    pub fn prepare(&self) -> Result<(), Error> {
        for name in ["sftp/inbox", "claimed", "archive", "quarantine", "aside"] {
            let path = self.state.join(name);
            fs::create_dir_all(&path).map_err(failed("make the directory", &path))?;
        }
        self.sweep()
    }

    /// The id of this state directory. It goes where the directory goes: a copy is the same one.
    pub fn identity(&self) -> Result<Option<DirectoryId>, Error> {
        let path = self.state.join("id");
        match fs::read_to_string(&path) {
            Ok(text) => match text.trim().parse() {
                Ok(id) => Ok(Some(id)),
                Err(error) => Err(failed("use", &path)(io::Error::other(error))),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("read", &path)(error)),
        }
    }

    /// The same, made if there is none. Never made anew where there is one.
    pub fn ensure_identity(&self, now: Timestamp) -> Result<DirectoryId, Error> {
        if let Some(id) = self.identity()? {
            return Ok(id);
        }
        let nanos = u32::try_from(now.subsec_nanosecond()).unwrap_or(0);
        let id = DirectoryId::new(u64::try_from(now.as_second()).unwrap_or(0), nanos);
        let path = self.state.join("id");
        let written = files::write_whole(&path, format!("{id}\n").as_bytes(), 0o644);
        written.map_err(failed("write", &path))?;
        Ok(id)
    }

    /// Removes the empty directories that a kill between two steps left behind.
    fn sweep(&self) -> Result<(), Error> {
        let claimed = self.state.join("claimed");
        for entry in fs::read_dir(&claimed).map_err(failed("list", &claimed))? {
            // Whatever is not empty stays.
            let _ = fs::remove_dir(entry.map_err(failed("list", &claimed))?.path());
        }
        Ok(())
    }

    /// The inbox.
    pub fn inbox(&self) -> PathBuf {
        self.state.join("sftp/inbox")
    }

    /// Where an upload is claimed to.
    pub fn claimed(&self, upload: &UploadId) -> PathBuf {
        self.state.join("claimed").join(upload.as_str())
    }

    /// Where what is not a backup is put.
    pub fn aside(&self, upload: &UploadId) -> PathBuf {
        self.state.join("aside").join(upload.as_str())
    }

    /// Every archive that was claimed and is neither stored nor rejected, the oldest first.
    pub fn claimed_files(&self) -> Result<Vec<ClaimedFile>, Error> {
        let directory = self.state.join("claimed");
        let mut found = Vec::new();
        for entry in fs::read_dir(&directory).map_err(failed("list", &directory))? {
            let path = entry.map_err(failed("list", &directory))?.path();
            let Some(upload) = path.file_name().and_then(|name| name.to_str()?.parse().ok()) else {
                continue;
            };
            for file in fs::read_dir(&path).map_err(failed("list", &path))? {
                let file = file.map_err(failed("list", &path))?.path();
                let name = file.file_name().and_then(|name| name.to_str()?.parse().ok());
                if let Some(name) = name {
                    found.push(ClaimedFile { upload: Clone::clone(&upload), name, path: file });
                }
            }
        }
        found.sort_by(|a, b| a.upload.cmp(&b.upload));
        Ok(found)
    }

    /// Whether the archive of a stored backup is kept, with as many bytes as it had.
    pub fn has(&self, backup: &Backup) -> bool {
        let directory = self.archive(backup.taken);
        let apart = directory.join(backup.upload.as_str());
        [directory, apart].iter().any(|place| {
            fs::metadata(place.join(&backup.file))
                .is_ok_and(|found| found.is_file() && found.len() == backup.size_bytes)
        })
    }

    /// The archive of an upload that is stored, if it is here.
    pub fn kept(&self, file: &str, upload: &UploadId) -> Option<PathBuf> {
        let name: BackupName = file.parse().ok()?;
        let directory = self.archive(name.taken);
        // Where its name was taken first: the other one is of another upload.
        let places = [directory.join(upload.as_str()), directory, self.claimed(upload)];
        places.into_iter().map(|place| place.join(file)).find(|path| path.is_file())
    }

    /// Where archives of a year are kept.
    fn archive(&self, taken: Timestamp) -> PathBuf {
        let year = taken.to_string().chars().take(4).collect::<String>();
        self.state.join("archive").join(year)
    }

    /// Keeps the archive of a stored backup.
    pub fn keep(&self, claimed: &ClaimedFile) -> Result<(), Error> {
        let directory = self.archive(claimed.name.taken);
        fs::create_dir_all(&directory).map_err(failed("make the directory", &directory))?;
        let mut target = directory.join(claimed.name.as_str());
        if target.exists() {
            let directory = directory.join(claimed.upload.as_str());
            fs::create_dir_all(&directory).map_err(failed("make the directory", &directory))?;
            target = directory.join(claimed.name.as_str());
        }
        files::move_new(&claimed.path, &target)
            .map_err(failed("keep the archive", &claimed.path))?;
        self.forget_directory(claimed)
    }

    /// Makes sure that the file of a backup is where claimed files are, if it is anywhere: where the
    /// database is older than this directory, it has gone further than the database knows. Returns
    /// whether it is there.
    pub fn bring_back(&self, claimed: &ClaimedFile) -> Result<bool, Error> {
        let is_there = |path: &Path| path.try_exists().map_err(failed("look for", path));
        if is_there(&claimed.path)? {
            return Ok(true);
        }
        let (upload, file) = (claimed.upload.as_str(), claimed.name.as_str());
        let archive = self.archive(claimed.name.taken);
        let quarantine = self.state.join("quarantine");
        for place in [archive.join(upload), archive, quarantine.join(upload)] {
            let path = place.join(file);
            if is_there(&path)? {
                let directory = self.claimed(&claimed.upload);
                fs::create_dir_all(&directory).map_err(failed("make the directory", &directory))?;
                files::move_new(&path, &claimed.path).map_err(failed("bring back", &path))?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Removes the archive of a stored backup, or a repeated upload of it.
    pub fn remove(&self, claimed: &ClaimedFile) -> Result<(), Error> {
        fs::remove_file(&claimed.path).map_err(failed("remove the archive", &claimed.path))?;
        self.forget_directory(claimed)
    }

    /// Puts the archive of a rejected backup in quarantine, with the reason beside it.
    pub fn quarantine(&self, claimed: &ClaimedFile, reason: &str) -> Result<(), Error> {
        let directory = self.state.join("quarantine").join(claimed.upload.as_str());
        fs::create_dir_all(&directory).map_err(failed("make the directory", &directory))?;
        let note = directory.join("reason.txt");
        files::write_whole(&note, format!("{reason}\n").as_bytes(), 0o640)
            .map_err(failed("write", &note))?;
        let target = directory.join(claimed.name.as_str());
        files::move_new(&claimed.path, &target).map_err(failed("quarantine", &claimed.path))?;
        self.forget_directory(claimed)
    }

    fn forget_directory(&self, claimed: &ClaimedFile) -> Result<(), Error> {
        let directory = self.claimed(&claimed.upload);
        fs::remove_dir(&directory).map_err(failed("remove the empty directory", &directory))
    }
}

fn failed<'a>(operation: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Error + 'a {
    move |source| Error { operation, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_one_id_for_good_and_never_gets_another_over_one_that_cannot_be_read() {
        let scratch = tempfile::tempdir().expect("scratch");
        let places = Places::new(scratch.path());
        let at = |second| Timestamp::from_second(second).expect("a time");
        assert_eq!(places.identity().expect("none yet"), None);
        let id = places.ensure_identity(at(1_800_000_000)).expect("made");
        assert_eq!(places.ensure_identity(at(1_900_000_000)).expect("kept"), id);
        assert_eq!(Places::new(scratch.path()).identity().expect("read"), Some(id));
        fs::write(scratch.path().join("id"), "half an").expect("written");
        places.ensure_identity(at(1_900_000_000)).expect_err("it cannot be read");
    }

    #[test]
    fn a_file_that_went_further_than_the_database_knows_is_brought_back() {
        for from in ["archive/2021", "archive/2021/UPLOAD", "quarantine/UPLOAD", "claimed/UPLOAD"] {
            let scratch = tempfile::tempdir().expect("scratch");
            let places = Places::new(scratch.path());
            places.prepare().expect("directories");
            let upload = UploadId::new(1_800_000_000, 0);
            let file = "backup_acme_00000000-0000-4000-8000-000000000001_20210501020001.zip";
            let path = places.claimed(&upload).join(file);
            let claimed =
                ClaimedFile { upload: upload.clone(), name: file.parse().expect("a name"), path };
            assert!(!places.bring_back(&claimed).expect("a look"), "it is nowhere");
            let directory = scratch.path().join(from.replace("UPLOAD", upload.as_str()));
            fs::create_dir_all(&directory).expect("a directory");
            fs::write(directory.join(file), from).expect("written");
            assert!(places.bring_back(&claimed).expect("a look"), "{from}");
            assert_eq!(fs::read_to_string(&claimed.path).expect("there"), from);
        }
    }
}
