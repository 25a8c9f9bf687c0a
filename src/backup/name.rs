//! The file name of a backup: `backup_{service}_{job}_{yyyymmddhhmmss}.zip`.
//!
//! The service id may hold underscores, so the name is read from its end.
//! Whatever does not fit is not a backup; nothing is ever guessed.

use std::{fmt, str::FromStr};

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

use super::id::JobId;

/// What the file name of a backup says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupName {
    /// Which service account it is from.
    pub service: String,
    /// Which job made it.
    pub job: JobId,
    /// When the cloud made it, in UTC.
    pub taken: Timestamp,
    text: String,
}

/// Why a file name is not that of a backup.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{name:?} is not named backup_{{service}}_{{job}}_{{yyyymmddhhmmss}}.zip: {part}")]
pub struct NotABackup {
    /// The name as it was found.
    pub name: String,
    /// Which part of it does not fit.
    pub part: &'static str,
}

impl BackupName {
    /// The file name as it was delivered.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for BackupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for BackupName {
    type Err = NotABackup;

    fn from_str(text: &str) -> Result<Self, NotABackup> {
        let refuse = |part| NotABackup { name: text.to_owned(), part };
        let inner =
            text.strip_prefix("backup_").ok_or_else(|| refuse("it does not begin with backup_"))?;
        let inner = inner.strip_suffix(".zip").ok_or_else(|| refuse("it does not end in .zip"))?;
        let mut parts = inner.rsplitn(3, '_');
        let time = parts.next().unwrap_or_default();
        let job = parts.next().ok_or_else(|| refuse("it has no job id"))?;
        let service = parts.next().ok_or_else(|| refuse("it has no service id"))?;
        let taken = read_time(time).ok_or_else(|| refuse("its time is not yyyymmddhhmmss"))?;
        let job = job.parse().map_err(|_| refuse("its job id has not the 36 characters of one"))?;
        let plain = |c: char| !c.is_control() && c != '/' && c != '\\';
        if service.is_empty() || !service.chars().all(plain) {
            return Err(refuse("its service id is empty or holds what no service id does"));
        }
        Ok(Self { service: service.to_owned(), job, taken, text: text.to_owned() })
    }
}

fn read_time(digits: &str) -> Option<Timestamp> {
    if digits.len() != 14 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let part = |from: usize, to: usize| digits.get(from..to)?.parse::<i8>().ok();
    let time = DateTime::new(
        digits.get(0..4)?.parse().ok()?,
        part(4, 6)?,
        part(6, 8)?,
        part(8, 10)?,
        part(10, 12)?,
        part(12, 14)?,
        0,
    );
    Some(time.ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOB: &str = "2ed1076d-f512-4316-be8f-e6d1a3a6ae52";

    #[test]
    fn names_are_read_from_their_end() {
        for service in ["acme.example", "acme_eu_west.example", "a", "_", "中文"] {
            let text = format!("backup_{service}_{JOB}_20210501020304.zip");
            let name: BackupName = text.parse().expect("a good name");
            assert_eq!(name.service, service);
            assert_eq!(name.job.as_str(), JOB);
            assert_eq!(name.taken.to_string(), "2021-05-01T02:03:04Z");
            assert_eq!(name.as_str(), text);
        }
    }

    #[test]
    fn other_names_are_not_backups() {
        for text in [
            "",
            "backup.zip",
            "notes.txt",
            &format!("backup_acme_{JOB}_20210501020304.zip.part"),
            &format!("backup_acme_{JOB}_2021050102030.zip"),
            &format!("backup_acme_{JOB}_20211301020304.zip"),
            &format!("backup_acme_{JOB}_20210229020304.zip"),
            &format!("backup_acme_{JOB}_2021050102030x.zip"),
            &format!("backup__{JOB}_20210501020304.zip"),
            &format!("backup_{JOB}_20210501020304.zip"),
            &format!("backup_a/b_{JOB}_20210501020304.zip"),
            &format!("Backup_acme_{JOB}_20210501020304.zip"),
            "backup_acme_12345_20210501020304.zip",
        ] {
            assert!(text.parse::<BackupName>().is_err(), "{text}");
        }
    }
}
