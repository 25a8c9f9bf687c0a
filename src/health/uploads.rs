//! What lies in the inbox: uploads on their way, and what should not be there.

use std::{path::Path, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::check::{Measure, Verdict, span};
use crate::inbox::{self, Condition};

/// How long a complete upload may lie there before something is wrong with intake.
const STUCK: Duration = Duration::from_secs(10 * 60);

/// How long an interrupted upload may lie there before somebody is told.
const INTERRUPTED: Duration = Duration::from_secs(60 * 60);

/// How long somebody may hold a file open and write nothing.
const SILENT: Duration = Duration::from_secs(60 * 60);

/// An upload in the inbox.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Arriving {
    /// Its name.
    pub file: String,
    /// How much of it is there.
    pub size_bytes: u64,
    /// `arriving`, `interrupted` or `arrived`.
    pub condition: String,
    /// When it was last written to.
    pub modified: Timestamp,
    /// Whether its name is that of a backup, or one under which clients write one.
    #[serde(default)]
    pub is_known: bool,
}

/// What is in the inbox.
pub fn look(inbox: &Path) -> Result<Vec<Arriving>, inbox::Error> {
    let uploads: Result<Vec<_>, _> = inbox::list(inbox)?.into_iter().collect();
    let uploads = uploads?.into_iter().map(|upload| Arriving {
        is_known: upload.name.is_some() || upload.is_temporary(),
        condition: match upload.condition {
            Condition::Arriving => "arriving",
            Condition::Interrupted => "interrupted",
            Condition::Arrived => "arrived",
        }
        .to_owned(),
        file: upload.file,
        size_bytes: upload.size_bytes,
        modified: upload.modified,
    });
    Ok(uploads.collect())
}

/// Judges what is there.
pub fn judge(found: Result<&[Arriving], &str>, now: Timestamp) -> Verdict {
    let uploads = match found {
        Ok(uploads) => uploads,
        Err(why) => {
            return Verdict::critical(
                format!("{why}."),
                "Check that the state directory is there and that its permissions are as the \
                 package made them.",
            );
        }
    };
    let idle = |upload: &&Arriving| {
        Duration::try_from(now.duration_since(upload.modified)).unwrap_or_default()
    };
    let find = |condition: &str, patience: Duration| {
        uploads.iter().find(|upload| upload.condition == condition && idle(upload) >= patience)
    };
    let since = |upload: &Arriving| span(now.duration_since(upload.modified).as_secs());
    let verdict = if let Some(upload) = find("arrived", STUCK).filter(|upload| upload.is_known) {
        Verdict::critical(
            format!("{} is complete for {} and was not taken in.", upload.file, since(upload)),
            "Look at the journal of retention.service.",
        )
    } else if let Some(upload) = find("interrupted", INTERRUPTED) {
        Verdict::warning(
            format!("The upload of {} broke off {} ago.", upload.file, since(upload)),
            "maaiiconnect resumes it or uploads it again. If it does not, look at the network \
             between the two.",
        )
    } else if let Some(upload) = find("arriving", SILENT) {
        Verdict::warning(
            format!("{} is being uploaded, and nothing came for {}.", upload.file, since(upload)),
            "Look at the network to maaiiconnect, and at who has the file open.",
        )
    } else if let Some(upload) =
        uploads.iter().find(|upload| !upload.is_known && upload.condition != "arriving")
    {
        Verdict::warning(
            format!("{} is not a backup.", upload.file),
            "It is set aside by itself. Find out who uploads it.",
        )
    } else {
        Verdict::ok(match uploads.len() {
            0 => "The inbox is empty.".to_owned(),
            1 => format!("{} is on its way.", uploads[0].file),
            several => format!("{several} uploads are on their way."),
        })
    };
    let size = uploads.iter().map(|upload| upload.size_bytes).sum();
    let files = u64::try_from(uploads.len()).unwrap_or(u64::MAX);
    verdict.with([Measure::whole("inbox_files", files), Measure::whole("inbox_bytes", size)])
}

#[cfg(test)]
mod tests {
    use super::{super::check::State, *};

    #[test]
    fn what_lies_there_too_long_is_named() {
        let now = Timestamp::from_second(1_000_000).expect("a time");
        for (condition, is_known, minutes, state) in [
            ("arriving", true, 5, State::Ok),
            ("arriving", true, 61, State::Warning),
            ("interrupted", true, 5, State::Ok),
            ("interrupted", true, 61, State::Warning),
            ("arrived", true, 1, State::Ok),
            ("arrived", true, 11, State::Critical),
            ("arrived", false, 1, State::Warning),
        ] {
            let modified = Timestamp::from_second(1_000_000 - minutes * 60).expect("a time");
            let upload = Arriving {
                file: "x".into(),
                size_bytes: 1,
                condition: condition.into(),
                modified,
                is_known,
            };
            assert_eq!(judge(Ok(&[upload]), now).state, state, "{condition} {minutes}");
        }
        assert_eq!(judge(Ok(&[]), now).state, State::Ok);
        assert_eq!(judge(Err("cannot list the inbox"), now).state, State::Critical);
    }
}
