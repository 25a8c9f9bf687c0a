//! What the service answers, and what it means.

use jiff::Timestamp;
use serde::{Deserialize, de::DeserializeOwned};

use super::{Asked, Changes, Error};
use crate::backup::{JobId, cloud::CloudBackup, retention::Status};

/// What was answered.
pub(super) struct Answer {
    pub(super) url: String,
    pub(super) status: u16,
    pub(super) body: String,
}

/// A backup as the service shows it; what is not needed is left out.
#[derive(Deserialize)]
struct Shown {
    status: String,
    trouble: Option<String>,
}

/// The same as it stands in the log.
#[derive(Deserialize)]
struct Logged {
    job_id: JobId,
    file_name: String,
    created: Timestamp,
    status: String,
    archive_size_bytes: Option<u64>,
    sent_bytes: u64,
    trouble: Option<String>,
}

/// A part of the log: a page of it, or what changed.
#[derive(Deserialize)]
struct Log {
    backups: Vec<Logged>,
    revision: u64,
    #[serde(default)]
    more: bool,
}

/// Problem details (RFC 9457).
#[derive(Deserialize)]
struct Problem {
    code: String,
    detail: String,
}

impl Answer {
    /// What was asked for.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, Error> {
        let Self { url, status, body } = self;
        if !(200..300).contains(status) {
            return Err(senseless(url, *status, body));
        }
        serde_json::from_str(body).map_err(|error| Error::Answer {
            url: url.clone(),
            status: *status,
            said: error.to_string(),
        })
    }

    /// A part of the log that was asked for.
    pub(super) fn changes(&self) -> Result<Changes, Error> {
        let Log { backups, revision, more } = self.read()?;
        let backups = backups.into_iter().map(|logged| {
            let status = Status::from_words(&logged.status).ok_or_else(|| Error::Answer {
                url: self.url.clone(),
                status: self.status,
                said: format!("{:?} is not a status", logged.status),
            })?;
            Ok(CloudBackup {
                job: logged.job_id,
                file: logged.file_name,
                created: logged.created,
                status,
                archive_bytes: logged.archive_size_bytes,
                sent_bytes: logged.sent_bytes,
                trouble: logged.trouble,
                uploaded_seen: None,
                before_our_time: false,
            })
        });
        Ok(Changes { backups: backups.collect::<Result<_, Error>>()?, revision, more })
    }

    /// What it means for a deletion.
    pub(super) fn understood(&self) -> Result<Asked, Error> {
        understood(&self.url, self.status, &self.body)
    }

    /// That it is no good, with what it says.
    pub(super) fn senseless(&self) -> Error {
        senseless(&self.url, self.status, &self.body)
    }

    /// What it says, where it is no good.
    pub(super) fn said(&self) -> String {
        said(&self.body)
    }

    /// Whether it is the problem of this code.
    pub(super) fn is_problem(&self, code: &str) -> bool {
        let problem: Option<Problem> = serde_json::from_str(&self.body).ok();
        problem.is_some_and(|problem| problem.code == code)
    }
}

/// An answer that is no good, with what it says.
fn senseless(url: &str, status: u16, body: &str) -> Error {
    Error::Answer { url: url.to_owned(), status, said: said(body) }
}

/// What an answer that is no good says.
fn said(body: &str) -> String {
    match serde_json::from_str::<Problem>(body) {
        Ok(problem) => problem.detail,
        Err(_) => body.chars().take(200).collect(),
    }
}

/// What an answer about a deletion means.
fn understood(url: &str, status: u16, body: &str) -> Result<Asked, Error> {
    let senseless = |said: String| Error::Answer { url: url.to_owned(), status, said };
    if (200..300).contains(&status) {
        let shown: Shown =
            serde_json::from_str(body).map_err(|error| senseless(error.to_string()))?;
        return match Status::from_words(&shown.status) {
            Some(Status::Failed) => {
                let why = shown.trouble.unwrap_or_else(|| "maaiiconnect does not say why.".into());
                Ok(Asked::Refused(why))
            }
            Some(status) => Ok(Asked::Is(status)),
            None => Err(senseless(format!("{:?} is not a status", shown.status))),
        };
    }
    let problem: Option<Problem> = serde_json::from_str(body).ok();
    match problem {
        // About what was asked for: an administrator has to know, and to try again.
        Some(problem)
            if ["no-such-backup", "digest-differs", "not-uploaded"].contains(&&*problem.code) =>
        {
            Ok(Asked::Refused(problem.detail))
        }
        Some(problem) => Err(senseless(problem.detail)),
        None => Err(senseless(body.chars().take(200).collect())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_from_trouble() {
        let shown = |status: &str| format!(r#"{{"status":"{status}","trouble":null,"more":1}}"#);
        let problem = |code: &str| format!(r#"{{"type":"x","code":"{code}","detail":"Said."}}"#);
        let refused = Some(Asked::Refused("Said.".into()));
        let failed = r#"{"status":"Failed to delete data","trouble":"Said."}"#.to_owned();
        for (status, body, expected) in [
            (202, shown("Deleting data..."), Some(Asked::Is(Status::Deleting))),
            (200, shown("Completed"), Some(Asked::Is(Status::Completed))),
            (200, shown("Backup uploaded"), Some(Asked::Is(Status::Uploaded))),
            (200, failed, refused.clone()),
            (409, problem("digest-differs"), refused.clone()),
            (409, problem("not-uploaded"), refused.clone()),
            (404, problem("no-such-backup"), refused),
            // Of another place, or of nobody we know.
            (404, problem("no-such-place"), None),
            (401, problem("unauthorized"), None),
            (503, problem("unavailable"), None),
            (502, "<html>".to_owned(), None),
            (200, shown("Gone"), None),
            (200, "{}".to_owned(), None),
        ] {
            let found = understood("https://service.example", status, &body).ok();
            assert_eq!(found, expected, "{status} {body}");
        }
    }
}
