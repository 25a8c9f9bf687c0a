//! How the appliance is: one report that everybody who asks is given.
//!
//! Looks, and changes nothing. A part that cannot be asked is reported as such,
//! and never left out.

use std::{io, net::SocketAddr, path::Path, time::Duration};

use jiff::Timestamp;
use serde::Serialize;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpStream,
    time::timeout,
};

use crate::{
    backup::{BackupName, State, UploadId},
    cause::chain,
    inbox::{self, Condition},
    store::{Store, browse::Position},
};

/// How long a part may take to answer.
const PATIENCE: Duration = Duration::from_secs(6);

/// How many of the newest backups are reported.
const NEWEST: u16 = 5;

/// How many backups that somebody has to look after are reported.
const UNRESOLVED: i64 = 20;

/// What is said of a backup while its line in the log cannot be read.
const MONGODB_AWAY: &str = "MongoDB cannot be reached; it goes on by itself as soon as it can.";

/// The state of the whole appliance.
#[derive(Debug, Serialize)]
pub struct Report {
    /// When it was asked.
    pub at: Timestamp,
    /// Whether nothing is wrong.
    pub ok: bool,
    /// The SFTP endpoint.
    pub sftp: Part<Endpoint>,
    /// The database.
    pub mongodb: Part<crate::store::Server>,
    /// The file system with inbox and archives.
    pub disk: Part<Disk>,
    /// The machine's memory.
    pub memory: Part<Memory>,
    /// What lies in the inbox.
    pub inbox: Part<Vec<Arriving>>,
    /// The newest backups.
    pub backups: Part<Vec<Line>>,
    /// Backups that wait, or were rejected and not uploaded again. While the log cannot
    /// be read, whatever was taken in and lies on the disk.
    pub unresolved: Part<Vec<Line>>,
}

/// An archive that was taken in and lies on our disk.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The upload.
    pub upload: UploadId,
    /// What its file name says.
    pub name: BackupName,
}

/// What a part answered.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Part<T> {
    /// It is there.
    Ok(T),
    /// It is not, and this is why.
    Error(String),
}

impl<T> Part<T> {
    fn new<E: std::error::Error>(answer: Result<T, E>) -> Self {
        match answer {
            Ok(answer) => Self::Ok(answer),
            Err(error) => Self::Error(chain(&error)),
        }
    }

    /// Whether it is there.
    pub fn is_ok(&self) -> bool {
        matches!(self, Self::Ok(_))
    }
}

/// The SFTP endpoint as a client sees it.
#[derive(Debug, Serialize)]
pub struct Endpoint {
    /// Where it was asked.
    pub address: SocketAddr,
    /// How it introduced itself.
    pub banner: String,
}

/// A file system.
#[derive(Debug, Serialize)]
pub struct Disk {
    /// How many bytes it has.
    pub total_bytes: u64,
    /// How many of them are free for us.
    pub free_bytes: u64,
}

/// The machine's memory.
#[derive(Debug, Serialize)]
pub struct Memory {
    /// How many bytes it has.
    pub total_bytes: u64,
    /// How many of them could be had.
    pub available_bytes: u64,
}

/// An upload in the inbox.
#[derive(Debug, Serialize)]
pub struct Arriving {
    /// Its name.
    pub file: String,
    /// How much of it is there.
    pub size_bytes: u64,
    /// `arriving`, `interrupted` or `arrived`.
    pub condition: &'static str,
    /// When it was last written to.
    pub modified: Timestamp,
}

/// A backup in the log.
#[derive(Debug, Serialize)]
pub struct Line {
    /// The job.
    pub job_id: String,
    /// The archive's file name.
    pub file: String,
    /// Its state.
    pub state: String,
    /// Why it was rejected or waits.
    pub reason: Option<String>,
    /// How much is done, from 0 to 100.
    pub percent: u8,
    /// When it became what it is now.
    pub changed: Timestamp,
}

/// Asks every part. `claimed` is what was taken in and is neither stored nor rejected.
pub async fn report<E: std::error::Error>(
    store: &Store,
    state: &Path,
    sftp: SocketAddr,
    claimed: Result<Vec<Claimed>, E>,
    now: Timestamp,
) -> Report {
    let (mongodb, backups, unresolved, sftp) =
        tokio::join!(ask(store), newest(store), unresolved(store), endpoint(sftp));
    let unresolved = match unresolved {
        Part::Error(_) if !mongodb.is_ok() => Part::new(
            claimed
                .map(|claimed| claimed.iter().map(|one| waiting_for_mongodb(one, now)).collect()),
        ),
        other => other,
    };
    let mut report = Report {
        at: now,
        ok: false,
        sftp: Part::new(sftp),
        mongodb,
        disk: Part::new(disk(state)),
        memory: Part::new(memory()),
        inbox: Part::new(arriving(&state.join("sftp/inbox"))),
        backups,
        unresolved,
    };
    let writable = matches!(&report.mongodb, Part::Ok(server) if server.writable);
    report.ok = writable
        && report.sftp.is_ok()
        && report.disk.is_ok()
        && report.inbox.is_ok()
        && report.backups.is_ok()
        && matches!(&report.unresolved, Part::Ok(lines) if lines.is_empty());
    report
}

async fn ask(store: &Store) -> Part<crate::store::Server> {
    let store = store.clone();
    // A future of the driver is not to be dropped half-way, so it runs by itself.
    match timeout(PATIENCE, tokio::spawn(async move { store.ping().await })).await {
        Ok(Ok(answer)) => Part::new(answer),
        _ => Part::Error("MongoDB does not answer".to_owned()),
    }
}

async fn newest(store: &Store) -> Part<Vec<Line>> {
    let store = store.clone();
    let page = tokio::spawn(async move { store.backup_log(&Position::First, NEWEST).await });
    match timeout(PATIENCE, page).await {
        Ok(Ok(Ok(page))) => Part::Ok(page.lines.into_iter().map(line).collect()),
        Ok(Ok(Err(error))) => Part::Error(chain(&error)),
        _ => Part::Error("MongoDB does not answer".to_owned()),
    }
}

async fn unresolved(store: &Store) -> Part<Vec<Line>> {
    let store = store.clone();
    let found = tokio::spawn(async move { store.unresolved_backups(UNRESOLVED).await });
    match timeout(PATIENCE, found).await {
        Ok(Ok(Ok(backups))) => Part::Ok(backups.into_iter().map(line).collect()),
        Ok(Ok(Err(error))) => Part::Error(chain(&error)),
        _ => Part::Error("MongoDB does not answer".to_owned()),
    }
}

fn waiting_for_mongodb(claimed: &Claimed, now: Timestamp) -> Line {
    Line {
        job_id: claimed.name.job.to_string(),
        file: claimed.name.as_str().to_owned(),
        state: State::Waiting.to_string(),
        reason: Some(MONGODB_AWAY.to_owned()),
        percent: 0,
        changed: claimed.upload.made().unwrap_or(now),
    }
}

fn line(backup: crate::store::backups::Backup) -> Line {
    let rejection = backup.rejection.map(|reason| reason.sentence);
    Line {
        job_id: backup.job.to_string(),
        file: backup.file,
        state: backup.state.to_string(),
        reason: rejection.or(backup.waiting.map(|reason| reason.sentence)),
        percent: backup.progress.percent(),
        changed: backup.changed,
    }
}

/// What every SSH server says first.
async fn endpoint(address: SocketAddr) -> io::Result<Endpoint> {
    let mut asked = address;
    if address.ip().is_unspecified() {
        asked.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    let greeting = async {
        let mut line = String::new();
        BufReader::new(TcpStream::connect(asked).await?).read_line(&mut line).await?;
        Ok::<_, io::Error>(line.trim().to_owned())
    };
    let banner = timeout(PATIENCE, greeting).await.map_err(|_| io::ErrorKind::TimedOut)??;
    if !banner.starts_with("SSH-2.0-") {
        return Err(io::Error::other("what answers is no SSH server"));
    }
    Ok(Endpoint { address: asked, banner })
}

fn memory() -> Result<Memory, sysinfo::Error> {
    let mut system = sysinfo::System::new()?;
    system.refresh_memory();
    Ok(Memory { total_bytes: system.total_memory(), available_bytes: system.available_memory() })
}

fn disk(path: &Path) -> io::Result<Disk> {
    let disk = nix::sys::statvfs::statvfs(path)?;
    let bytes = |blocks: u64| blocks.saturating_mul(disk.fragment_size());
    Ok(Disk { total_bytes: bytes(disk.blocks()), free_bytes: bytes(disk.blocks_available()) })
}

fn arriving(path: &Path) -> Result<Vec<Arriving>, inbox::Error> {
    let uploads: Result<Vec<_>, _> = inbox::list(path)?.into_iter().collect();
    let uploads = uploads?.into_iter().map(|upload| Arriving {
        file: upload.file,
        size_bytes: upload.size_bytes,
        condition: match upload.condition {
            Condition::Arriving => "arriving",
            Condition::Interrupted => "interrupted",
            Condition::Arrived => "arrived",
        },
        modified: upload.modified,
    });
    Ok(uploads.collect())
}
