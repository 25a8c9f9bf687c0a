//! How the service is told to misbehave, so that tests see what the appliance makes of it.
//!
//! Each misdeed but slowness, of uploads and of deletions, is done once, and then forgotten. What is planned outlasts a restart,
//! so that one who was slow when it was killed is slow when it goes on. Nothing here ever harms
//! the archive that is kept: what is sent is a copy.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use retention::files;
use serde::{Deserialize, Serialize};

/// What is to go wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Misdeeds {
    /// The next upload breaks off about half-way.
    pub(crate) abort_upload: bool,
    /// What is uploaded next is uploaded once more.
    pub(crate) upload_twice: bool,
    /// One bit of what is uploaded next is another one.
    pub(crate) corrupt_upload: bool,
    /// The next deletion fails when half of it is done.
    pub(crate) fail_deletion: bool,
    /// Deletions do not get on for as long as this is planned.
    pub(crate) hold_deletion: bool,
    /// Uploads take their time: so many kilobits a second at most.
    pub(crate) slow_kbit_per_second: Option<u32>,
}

/// The misdeeds that are still to be done.
#[derive(Debug, Default)]
pub(crate) struct Mischief {
    /// Where they are noted, if they ever may be done.
    path: Option<PathBuf>,
    planned: Mutex<Misdeeds>,
}

impl Mischief {
    /// Takes up what is noted in a file.
    pub(crate) fn open(path: &Path) -> Self {
        let noted = fs::read(path).ok().and_then(|text| serde_json::from_slice(&text).ok());
        Self { path: Some(path.to_owned()), planned: Mutex::new(noted.unwrap_or_default()) }
    }

    /// What is still to be done.
    pub(crate) fn planned(&self) -> Misdeeds {
        self.planned.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Plans these and no others.
    pub(crate) fn plan(&self, misdeeds: Misdeeds) {
        let mut planned = self.planned.lock().unwrap_or_else(PoisonError::into_inner);
        *planned = misdeeds;
        self.note(&planned);
    }

    /// Whether a misdeed is to be done now. It is forgotten with that.
    pub(crate) fn take(&self, misdeed: fn(&mut Misdeeds) -> &mut bool) -> bool {
        let mut planned = self.planned.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = std::mem::take(misdeed(&mut planned));
        if taken {
            self.note(&planned);
        }
        taken
    }

    fn note(&self, planned: &Misdeeds) {
        let Some(path) = &self.path else { return };
        let text = serde_json::to_vec(planned).unwrap_or_default();
        if let Err(error) = files::write_whole(path, &text, 0o600) {
            tracing::warn!(%error, "what is planned will not outlast a restart");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misdeed_is_done_once_and_slowness_stays() {
        let scratch = tempfile::tempdir().expect("scratch");
        let path = scratch.path().join("mischief.json");
        let mischief = Mischief::open(&path);
        mischief.plan(Misdeeds {
            upload_twice: true,
            slow_kbit_per_second: Some(100),
            ..Misdeeds::default()
        });
        assert!(mischief.take(|it| &mut it.upload_twice));
        assert!(!mischief.take(|it| &mut it.upload_twice));
        let again = Mischief::open(&path).planned();
        assert_eq!((again.upload_twice, again.slow_kbit_per_second), (false, Some(100)));
    }
}
