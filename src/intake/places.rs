//! Where archives are on their way: all on one file system, so that each step is a
//! rename.
//!
//! ```text
//! sftp/inbox/FILE               what the uploader can reach
//! claimed/UPLOAD/FILE           taken in, not yet stored or rejected
//! archive/YEAR/FILE             stored and kept (Offline mode)
//! quarantine/UPLOAD/FILE        rejected, with the reason beside it
//! aside/UPLOAD/FILE             not a backup
//! ```

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use jiff::Timestamp;

use crate::{
    backup::{BackupName, UploadId},
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
