//! One look at everything.

use std::path::Path;

use jiff::Timestamp;

use super::{
    Claimed, Disk, Line, Part, Report, Settings, backups, certificates,
    check::{Check, Kind, Verdict},
    cloud, database, disk, endpoint,
    history::History,
    machine, storage, tunnel, uploads,
    vitals::Vitals,
};
use crate::{
    backup::State,
    cause::chain,
    store::{
        Store,
        backups::Backup,
        vitals::{Asked, Member},
    },
};

/// How many of the newest backups are reported.
const NEWEST: usize = 5;

/// What is said of a backup while its line in the log cannot be read.
const MONGODB_AWAY: &str = "MongoDB cannot be reached; it goes on by itself as soon as it can.";

/// How long what changes slowly is believed, in seconds.
const SLOW_SECONDS: i64 = 600;

/// Looks at everything, and remembers what need not be looked at each time.
#[derive(Debug)]
pub struct Examiner {
    store: Store,
    settings: Settings,
    slow: Option<Slow>,
    /// Whether MongoDB's own disk was short at the last look; nothing where that is not known.
    mongodb_is_short: Option<bool>,
    /// Failed requests of each disk at the first look.
    requests_at_first: Vec<(String, u64)>,
}

/// What is asked of other programs and changes slowly.
#[derive(Clone, Debug, Default)]
struct Slow {
    at: Timestamp,
    synchronized: Option<bool>,
    smart: Vec<(String, serde_json::Value)>,
}

impl Examiner {
    /// An examiner of the appliance that stores in `store`.
    pub fn new(store: Store, settings: Settings) -> Self {
        Self { store, settings, slow: None, mongodb_is_short: None, requests_at_first: Vec::new() }
    }

    /// What is looked after.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether less than the reserve was free at the last look on MongoDB's disk, where that is
    /// another than the inbox's; nothing where it is not known.
    pub fn mongodb_is_short(&self) -> Option<bool> {
        self.mongodb_is_short
    }

    /// Looks at everything. `watching` is since when the appliance is watched; `history` is what
    /// was measured before.
    pub async fn look(&mut self, history: &History, watching: Timestamp, now: Timestamp) -> Report {
        let tunnel = self.settings.health.tunnel.clone();
        let tunnel =
            async { if tunnel.is_empty() { None } else { Some(tunnel::look(&tunnel).await) } };
        let directory = (self.settings.directory)(&self.settings.state_directory);
        let (vitals, endpoint, tunnel, slow) = tokio::join!(
            Vitals::ask(&self.store, directory, &self.settings, now),
            endpoint::look(self.settings.sftp),
            tunnel,
            self.slow(now)
        );
        self.slow = Some(slow.clone());
        let state = self.settings.state_directory.clone();
        let endpoint = Part::new(endpoint);
        let inbox = Part::new(uploads::look(&state.join("sftp/inbox")));
        let memory = Part::new(machine::memory());

        let mut checks = self.endpoint(&endpoint, now);
        checks.push(uploads::judge(inbox.answer().map(Vec::as_slice), now).of(
            Kind::Inbox,
            "",
            now,
        ));
        checks.push(machine::judge_memory(memory.answer()).of(Kind::Memory, "", now));
        let clock = machine::judge_clock(slow.synchronized, vitals.time, now);
        checks.push(clock.of(Kind::Clock, "", now));
        let disk = self.disks(&vitals, history, &mut checks, now);
        self.certificates(&mut checks, now);
        if let Some(found) = tunnel {
            let verdict = tunnel::judge(&self.settings.health.tunnel, &found);
            checks.push(verdict.of(Kind::Tunnel, "", now));
        }
        for (source, said) in &slow.smart {
            checks.push(storage::judge_smart(said).of(Kind::DiskHealth, source.clone(), now));
        }
        self.database(&vitals, watching, &mut checks, now);
        let unresolved = match vitals.unresolved {
            Part::Error(_) if !vitals.server.is_ok() => self.on_our_disk(now),
            Part::Error(why) => Part::Error(why),
            Part::Ok(all) => Part::Ok(all.into_iter().map(line).collect()),
        };

        let lines = |all: Vec<Backup>| all.into_iter().take(NEWEST).map(line).collect();
        let mut report = Report {
            at: now,
            ok: false,
            checks,
            sftp: endpoint,
            mongodb: vitals.server,
            disk,
            memory,
            inbox,
            backups: match vitals.newest {
                Part::Ok(all) => Part::Ok(lines(all)),
                Part::Error(why) => Part::Error(why),
            },
            unresolved,
        };
        report.settle();
        report
    }

    /// Backups that were taken in, while the log cannot be read.
    fn on_our_disk(&self, now: Timestamp) -> Part<Vec<Line>> {
        match (self.settings.claimed)(&self.settings.state_directory) {
            Ok(claimed) => {
                Part::Ok(claimed.iter().map(|one| waiting_for_mongodb(one, now)).collect())
            }
            Err(why) => Part::Error(why),
        }
    }

    async fn slow(&self, now: Timestamp) -> Slow {
        let is_young =
            |slow: &&Slow| (0..SLOW_SECONDS).contains(&now.duration_since(slow.at).as_secs());
        if let Some(slow) = self.slow.as_ref().filter(is_young) {
            return slow.clone();
        }
        let mut smart = Vec::new();
        if let Some(mount) = storage::mount_of(&self.settings.state_directory)
            && let Some(said) = storage::smart(&mount).await
        {
            smart.push((mount.source, said));
        }
        Slow { at: now, synchronized: machine::clock_synchronized().await, smart }
    }

    fn endpoint(&self, found: &Part<endpoint::Endpoint>, now: Timestamp) -> Vec<Check> {
        let ours = self.settings.endpoint.host_keys().unwrap_or_default();
        let ours: Vec<String> = ours.into_iter().map(|key| key.public_key).collect();
        vec![endpoint::judge(found.answer(), &ours).of(Kind::Endpoint, "", now)]
    }

    /// The file systems in use, and what is below them. Returns that of the inbox.
    fn disks(
        &mut self,
        vitals: &Vitals,
        history: &History,
        checks: &mut Vec<Check>,
        now: Timestamp,
    ) -> Part<Disk> {
        let health = &self.settings.health;
        let limits = disk::Limits {
            warn_below_percent: health.warn_below_percent,
            reserve_bytes: health.reserve_bytes,
        };
        let state = self.settings.state_directory.clone();
        let looked = disk::look(&[&state, Path::new("/")]);
        for (name, found) in &looked {
            // Only the disk of the inbox has to keep room for MongoDB.
            let limits = match name == &state.display().to_string() {
                true => limits,
                false => disk::Limits { reserve_bytes: 0, ..limits },
            };
            checks.extend(disk::checks(name, found, limits, history, now));
        }
        let mut mongodb_free = None;
        if let Some(space) = vitals.space {
            let same = looked.iter().any(|(_, found)| {
                found.as_ref().is_ok_and(|found| found.total_bytes == space.total_bytes)
            });
            if !same {
                mongodb_free = Some(space.free_bytes);
                let found = disk::FileSystem {
                    name: "mongodb".into(),
                    total_bytes: space.total_bytes,
                    free_bytes: space.free_bytes,
                    inodes: 0,
                    free_inodes: 0,
                };
                checks.extend(disk::checks("mongodb", &Ok(found), limits, history, now));
            }
        }
        self.mongodb_is_short =
            vitals.space.map(|_| mongodb_free.is_some_and(|free| free < limits.reserve_bytes));
        self.below(&state, checks, now);
        match looked.into_iter().next() {
            Some((_, found)) => {
                let room = disk::upload_room(&found, mongodb_free, limits.reserve_bytes);
                checks.push(room.of(Kind::UploadRoom, "", now));
                Part::new(found.map(|found| Disk {
                    total_bytes: found.total_bytes,
                    free_bytes: found.free_bytes,
                }))
            }
            None => Part::Error("no file system was looked at".to_owned()),
        }
    }

    fn below(&mut self, state: &Path, checks: &mut Vec<Check>, now: Timestamp) {
        let mut seen = Vec::new();
        for path in [state, Path::new("/")] {
            let Some(mount) = storage::mount_of(path) else { continue };
            if seen.contains(&mount.device) {
                continue;
            }
            let name = path.display().to_string();
            // A root file system may well be meant to be read only.
            if path == state {
                checks.push(storage::judge_mount(&mount).of(Kind::DiskWritable, &name, now));
            }
            if let Some(errors) = storage::errors(&mount) {
                let requests = errors.requests.unwrap_or(0);
                let known =
                    self.requests_at_first.iter().find(|(device, _)| *device == mount.device);
                let before = known.map_or(requests, |(_, before)| *before);
                if known.is_none() {
                    self.requests_at_first.push((mount.device.clone(), requests));
                }
                checks.push(storage::judge_errors(errors, before).of(Kind::DiskErrors, &name, now));
            }
            seen.push(mount.device);
        }
    }

    fn certificates(&self, checks: &mut Vec<Check>, now: Timestamp) {
        for watched in &self.settings.certificates {
            let found = certificates::look(&watched.path);
            let found = found.map_err(|error| chain(&error));
            let found = found.as_ref().map(|found| *found).map_err(String::as_str);
            let verdict = certificates::judge(found, watched.advice, now);
            checks.push(verdict.of(Kind::Certificate, watched.name, now));
        }
    }

    fn database(
        &self,
        vitals: &Vitals,
        watching: Timestamp,
        checks: &mut Vec<Check>,
        now: Timestamp,
    ) {
        checks.push(database::reachable(vitals.server.answer()).of(Kind::Mongodb, "", now));
        let Part::Ok(server) = &vitals.server else {
            checks.extend(away(self.settings.health.schedule_hour.is_some(), now));
            return;
        };
        checks.push(database::version(&server.version, now).of(Kind::MongodbVersion, "", now));
        let newest = vitals.newest.answer().map(Vec::as_slice).unwrap_or_default();
        if let Some(members) = &vitals.members {
            checks.extend(database::members(members, now));
        }
        if let Some(oplog) = &vitals.oplog {
            let data = |member: &&Member| member.written.is_some();
            let replicated = matches!(&vitals.members, Some(Asked::Answer(members))
                if members.iter().filter(data).count() > 1);
            checks.extend(database::oplog(oplog, replicated, next_bytes(newest), now));
        }
        let Part::Ok(troubled) = &vitals.unresolved else {
            checks.extend(away(self.settings.health.schedule_hour.is_some(), now));
            return;
        };
        checks.push(backups::rejected(troubled).of(Kind::BackupsRejected, "", now));
        checks.push(backups::waiting(troubled, now).of(Kind::BackupsWaiting, "", now));
        if let Part::Ok(stranded) = &vitals.stranded {
            let verdict = backups::elsewhere(stranded, now);
            checks.push(verdict.of(Kind::BackupsElsewhere, "", now));
        }
        if let Part::Ok(standing) = &vitals.standing {
            checks.push(backups::intact(standing).of(Kind::BackupsIntact, "", now));
            checks.push(backups::receipts(standing).of(Kind::Receipts, "", now));
        }
        let set = vitals.set.answer().cloned().unwrap_or_default();
        let configured = self.settings.health.schedule_hour;
        if set.off {
            let verdict =
                Verdict::ok("Retention is off: uploads are refused, and none is awaited.");
            checks.push(verdict.of(Kind::Schedule, "", now));
        } else if let Some(hour) = set.awaited_hour(configured) {
            let arrived = newest.iter().map(|backup| backup.arrived).max();
            let margin = self.settings.health.schedule_margin_minutes;
            let verdict = backups::schedule(hour, margin, arrived, watching, now);
            checks.push(verdict.of(Kind::Schedule, "", now));
        }
        if let Part::Ok(unsettled) = &vitals.deletions {
            checks.push(cloud::deletions(unsettled, now).of(Kind::Deletions, "", now));
        }
        if let Some(Part::Ok(known)) = &vitals.cloud {
            let verdict = cloud::answers(known.log.as_ref(), &set, watching, now);
            checks.push(verdict.of(Kind::Connector, "", now));
            checks.push(cloud::missing(known, now).of(Kind::BackupsMissing, "", now));
        }
        let stored: Vec<&Backup> =
            newest.iter().filter(|backup| backup.state == State::Stored).collect();
        checks.push(backups::size(&stored).of(Kind::BackupSize, "", now));
    }
}

/// What cannot be known while MongoDB is away. It is one cause, which is reported as such.
fn away(scheduled: bool, now: Timestamp) -> Vec<Check> {
    let mut kinds = vec![Kind::BackupsRejected, Kind::BackupsWaiting];
    kinds.extend(scheduled.then_some(Kind::Schedule));
    let unknown = |kind| {
        let sentence = "It is not known while MongoDB does not answer.";
        Verdict::unknown(sentence, "").of(kind, "", now)
    };
    kinds.into_iter().map(unknown).collect()
}

/// How much the next backup may write: twice the largest of late, for records grow when unpacked.
fn next_bytes(newest: &[Backup]) -> u64 {
    let largest = newest.iter().map(|backup| backup.size_bytes).max().unwrap_or(0);
    largest.saturating_mul(2)
}

fn waiting_for_mongodb(claimed: &Claimed, now: Timestamp) -> Line {
    Line {
        job_id: claimed.name.job.to_string(),
        file: claimed.name.as_str().to_owned(),
        state: State::Waiting.to_string(),
        reason: Some(MONGODB_AWAY.to_owned()),
        acknowledged_by: None,
        percent: 0,
        changed: claimed.upload.made().unwrap_or(now),
    }
}

fn line(backup: Backup) -> Line {
    let rejection = backup.rejection.map(|reason| reason.sentence);
    Line {
        job_id: backup.job.to_string(),
        file: backup.file,
        state: backup.state.to_string(),
        reason: rejection.or(backup.waiting.map(|reason| reason.sentence)),
        acknowledged_by: backup.acknowledged.map(|word| word.by),
        percent: backup.progress.percent(),
        changed: backup.changed,
    }
}
