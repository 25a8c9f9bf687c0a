//! What a check is: no I/O, no clock.
//!
//! A check has a [`Kind`], and a subject where there is more than one of the kind:
//! `disk-space:/var/lib/retention`. Its [`State`] goes by what was found, and *unknown*
//! means that nothing could be found out: it is shown, and alarms nobody.

use std::{borrow::Cow, fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How many are named in a sentence.
const NAMED: usize = 3;

/// How something is. The order is that of weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it should be.
    Ok,
    /// It could not be found out.
    Unknown,
    /// It will hurt if nobody does anything.
    Warning,
    /// It hurts.
    Critical,
}

impl State {
    /// Every state, the lightest first.
    pub const ALL: [Self; 4] = [Self::Ok, Self::Unknown, Self::Warning, Self::Critical];

    /// The state as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unknown => "unknown",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    /// Whether somebody has to do something.
    pub fn is_trouble(self) -> bool {
        self >= Self::Warning
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What is looked at. Each name is part of the interface: of `status --json`, of metrics, and of
/// silences.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Free space of a file system, and when it will be full.
    DiskSpace,
    /// Free inodes of a file system.
    DiskInodes,
    /// Whether a file system can be written to.
    DiskWritable,
    /// Errors that the kernel counted on a disk.
    DiskErrors,
    /// What a disk says of its own health.
    DiskHealth,
    /// Whether uploads are let in, for want of room.
    UploadRoom,
    /// Whether MongoDB answers and accepts writes.
    Mongodb,
    /// MongoDB's version and the end of its life.
    MongodbVersion,
    /// The members of the replica set.
    ReplicaMembers,
    /// How far the slowest member is behind.
    ReplicaLag,
    /// How far back the oplog reaches.
    OplogWindow,
    /// Whether the oplog holds the next backup.
    OplogRoom,
    /// Whether the SFTP endpoint proves who it is.
    Endpoint,
    /// What lies in the inbox.
    Inbox,
    /// Backups that were rejected and not replaced.
    BackupsRejected,
    /// Backups that wait.
    BackupsWaiting,
    /// Backups on their way whose files are in another state directory.
    BackupsElsewhere,
    /// Whether everything is here that maaiiconnect has uploaded.
    BackupsMissing,
    /// Whether maaiiconnect deletes what it was asked to.
    Deletions,
    /// Whether stored backups are as they were received.
    BackupsIntact,
    /// Whether stored backups have their receipts.
    Receipts,
    /// Whether the backup of the day came.
    Schedule,
    /// Whether the newest backup is as large as its like.
    BackupSize,
    /// Until when a certificate is good.
    Certificate,
    /// The machine's clock.
    Clock,
    /// Whether the machine has memory enough.
    Memory,
    /// The IPSec tunnel.
    Tunnel,
    /// Whether maaiiconnect answers through the connector.
    Connector,
    /// Whether alerts can be delivered.
    Alerts,
    /// Whether the daemon looks; only `retention status` can say that it does not.
    Daemon,
}

impl Kind {
    /// Every kind, in the order in which they are shown.
    pub const ALL: [Self; 30] = [
        Self::Daemon,
        Self::Endpoint,
        Self::UploadRoom,
        Self::Inbox,
        Self::BackupsRejected,
        Self::BackupsWaiting,
        Self::BackupsElsewhere,
        Self::BackupsMissing,
        Self::Deletions,
        Self::BackupsIntact,
        Self::Receipts,
        Self::Schedule,
        Self::BackupSize,
        Self::Mongodb,
        Self::MongodbVersion,
        Self::ReplicaMembers,
        Self::ReplicaLag,
        Self::OplogWindow,
        Self::OplogRoom,
        Self::DiskSpace,
        Self::DiskInodes,
        Self::DiskWritable,
        Self::DiskErrors,
        Self::DiskHealth,
        Self::Memory,
        Self::Clock,
        Self::Certificate,
        Self::Tunnel,
        Self::Connector,
        Self::Alerts,
    ];

    /// The name as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DiskSpace => "disk-space",
            Self::DiskInodes => "disk-inodes",
            Self::DiskWritable => "disk-writable",
            Self::DiskErrors => "disk-errors",
            Self::DiskHealth => "disk-health",
            Self::UploadRoom => "upload-room",
            Self::Mongodb => "mongodb",
            Self::MongodbVersion => "mongodb-version",
            Self::ReplicaMembers => "replica-members",
            Self::ReplicaLag => "replica-lag",
            Self::OplogWindow => "oplog-window",
            Self::OplogRoom => "oplog-room",
            Self::Endpoint => "endpoint",
            Self::Inbox => "inbox",
            Self::BackupsRejected => "backups-rejected",
            Self::BackupsWaiting => "backups-waiting",
            Self::BackupsElsewhere => "backups-elsewhere",
            Self::BackupsMissing => "backups-missing",
            Self::Deletions => "deletions",
            Self::BackupsIntact => "backups-intact",
            Self::Receipts => "receipts",
            Self::Schedule => "schedule",
            Self::BackupSize => "backup-size",
            Self::Certificate => "certificate",
            Self::Clock => "clock",
            Self::Memory => "memory",
            Self::Tunnel => "tunnel",
            Self::Connector => "connector",
            Self::Alerts => "alerts",
            Self::Daemon => "daemon",
        }
    }

    /// What it is called in front of people.
    pub fn title(self) -> &'static str {
        match self {
            Self::DiskSpace => "Free space",
            Self::DiskInodes => "Free inodes",
            Self::DiskWritable => "File system",
            Self::DiskErrors => "Disk errors",
            Self::DiskHealth => "Disk health",
            Self::UploadRoom => "Room for uploads",
            Self::Mongodb => "MongoDB",
            Self::MongodbVersion => "MongoDB's version",
            Self::ReplicaMembers => "Replica set",
            Self::ReplicaLag => "Replication",
            Self::OplogWindow => "Oplog's reach",
            Self::OplogRoom => "Oplog's room",
            Self::Endpoint => "SFTP endpoint",
            Self::Inbox => "Inbox",
            Self::BackupsRejected => "Rejected backups",
            Self::BackupsWaiting => "Waiting backups",
            Self::BackupsElsewhere => "Backups of another directory",
            Self::BackupsMissing => "Missing backups",
            Self::Deletions => "Deletions from maaiiconnect",
            Self::BackupsIntact => "Stored backups",
            Self::Receipts => "Receipts",
            Self::Schedule => "Schedule",
            Self::BackupSize => "Size of backups",
            Self::Certificate => "Certificate",
            Self::Clock => "Clock",
            Self::Memory => "Memory",
            Self::Tunnel => "IPSec tunnel",
            Self::Connector => "maaiiconnect",
            Self::Alerts => "Alerts",
            Self::Daemon => "Daemon",
        }
    }

    /// What brings this about when it is in trouble itself, so that it is one cause and one mail.
    pub fn follows_from(self) -> &'static [Self] {
        match self {
            Self::UploadRoom => &[Self::DiskSpace],
            Self::BackupsWaiting => &[Self::Mongodb, Self::DiskSpace, Self::DiskWritable],
            Self::Inbox => &[Self::DiskWritable],
            Self::Mongodb | Self::DiskErrors => &[Self::DiskWritable],
            Self::ReplicaLag | Self::OplogWindow => &[Self::ReplicaMembers],
            Self::Connector => &[Self::Tunnel],
            Self::Deletions => &[Self::Connector],
            Self::Schedule => &[Self::Endpoint, Self::Tunnel, Self::UploadRoom, Self::DiskSpace],
            _ => &[],
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A name that is not that of a check.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("there is no check called {0:?}; `retention status` names them")]
pub struct UnknownKind(pub String);

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        let found = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        found.ok_or_else(|| UnknownKind(text.to_owned()))
    }
}

/// A number that was measured. Its name ends in its unit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// Its name, as `disk_free_bytes`; metrics put `retention_` before it.
    pub name: Cow<'static, str>,
    /// The number.
    pub value: f64,
}

impl Measure {
    /// A number under its name.
    pub fn new(name: &'static str, value: f64) -> Self {
        Self { name: Cow::Borrowed(name), value }
    }

    /// A whole number under its name. What is beyond 2^53 loses its last digits.
    pub fn whole(name: &'static str, value: u64) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "a measure, not an account")]
        Self::new(name, value as f64)
    }
}

/// What was found of a check.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// How it is.
    pub state: State,
    /// What was found, in a sentence.
    pub sentence: String,
    /// What to do; empty where nothing has to be done.
    pub advice: String,
    /// What was measured.
    pub measures: Vec<Measure>,
}

impl Verdict {
    /// All is well.
    pub fn ok(sentence: impl Into<String>) -> Self {
        Self::new(State::Ok, sentence, "")
    }

    /// It could not be found out.
    pub fn unknown(sentence: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(State::Unknown, sentence, advice)
    }

    /// It will hurt.
    pub fn warning(sentence: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(State::Warning, sentence, advice)
    }

    /// It hurts.
    pub fn critical(sentence: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(State::Critical, sentence, advice)
    }

    /// The same with what was measured.
    pub fn with(mut self, measures: impl IntoIterator<Item = Measure>) -> Self {
        self.measures.extend(measures);
        self
    }

    fn new(state: State, sentence: impl Into<String>, advice: impl Into<String>) -> Self {
        let (sentence, advice) = (sentence.into(), advice.into());
        Self { state, sentence, advice, measures: Vec::new() }
    }

    /// The check that this is of.
    pub fn of(self, kind: Kind, subject: impl Into<String>, now: Timestamp) -> Check {
        let Self { state, sentence, advice, measures } = self;
        Check { kind, subject: subject.into(), state, since: now, sentence, advice, measures }
    }
}

/// A check with what was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// What is looked at.
    #[serde(rename = "id")]
    pub kind: Kind,
    /// Which of its kind; empty where there is one.
    pub subject: String,
    /// How it is.
    pub state: State,
    /// Since when it is so.
    pub since: Timestamp,
    /// What was found, in a sentence.
    pub sentence: String,
    /// What to do; empty where nothing has to be done.
    pub advice: String,
    /// What was measured.
    pub measures: Vec<Measure>,
}

impl Check {
    /// Kind and subject in one: `disk-space:/`.
    pub fn key(&self) -> String {
        match self.subject.as_str() {
            "" => self.kind.to_string(),
            subject => format!("{}:{subject}", self.kind),
        }
    }

    /// What it is called in front of people.
    pub fn title(&self) -> String {
        match self.subject.as_str() {
            "" => self.kind.title().to_owned(),
            subject => format!("{}, {subject}", self.kind.title()),
        }
    }
}

/// The weightiest state of all; of nothing, ok.
pub fn worst(checks: &[Check]) -> State {
    checks.iter().map(|check| check.state).max().unwrap_or(State::Ok)
}

/// A number of bytes for people, in units of 1000.
pub fn bytes(bytes: u64) -> String {
    let units = ["kB", "MB", "GB", "TB"];
    #[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
    let mut number = bytes as f64;
    let mut unit = "bytes";
    for larger in units {
        if number < 1000.0 {
            break;
        }
        (number, unit) = (number / 1000.0, larger);
    }
    if unit == "bytes" || number >= 100.0 {
        format!("{number:.0} {unit}")
    } else {
        format!("{number:.1} {unit}")
    }
}

/// Some of many names for people, and how many more there are.
pub fn names<'a>(all: impl ExactSizeIterator<Item = &'a str>) -> String {
    let more = all.len().saturating_sub(NAMED);
    let named: Vec<&str> = all.take(NAMED).collect();
    match more {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

/// A length of time for people.
pub fn span(seconds: i64) -> String {
    let (number, unit) = match seconds.max(0) {
        seconds @ 0..120 => (seconds, "second"),
        seconds @ 120..7200 => (seconds / 60, "minute"),
        seconds @ 7200..172_800 => (seconds / 3600, "hour"),
        seconds => (seconds / 86_400, "day"),
    };
    if number == 1 { format!("{number} {unit}") } else { format!("{number} {unit}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_name_of_its_own_and_is_read_from_it() {
        for kind in Kind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
            assert_eq!(serde_json::to_string(&kind).ok(), Some(format!("\"{kind}\"")));
            assert!(!kind.follows_from().contains(&kind));
        }
        assert!("disks".parse::<Kind>().is_err());
    }

    #[test]
    fn numbers_are_said_as_people_say_them() {
        for (number, said) in [
            (0, "0 bytes"),
            (999, "999 bytes"),
            (1000, "1.0 kB"),
            (2_500_000, "2.5 MB"),
            (250_000_000_000, "250 GB"),
            (3_000_000_000_000_000, "3000 TB"),
        ] {
            assert_eq!(bytes(number), said);
        }
        for (seconds, said) in [
            (1, "1 second"),
            (119, "119 seconds"),
            (7199, "119 minutes"),
            (86_400, "24 hours"),
            (259_200, "3 days"),
            (-5, "0 seconds"),
        ] {
            assert_eq!(span(seconds), said);
        }
    }
}
