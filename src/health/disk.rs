//! File systems: free space, free inodes, and when they will be full.

use std::{collections::BTreeMap, io, os::unix::fs::MetadataExt, path::Path};

use super::{
    check::{Check, Kind, Measure, Verdict, bytes},
    history::History,
};
use jiff::{Timestamp, tz::TimeZone};

/// How soon a file system may be full before somebody is told, in days.
const SOON_DAYS: f64 = 14.0;

/// From how much growth in a day a forecast is worth anything: a thousandth of the whole.
const GROWTH_THAT_COUNTS: f64 = 0.001;

/// A file system with its numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct FileSystem {
    /// Where, as people know it.
    pub name: String,
    /// How many bytes it has.
    pub total_bytes: u64,
    /// How many of them are free for us.
    pub free_bytes: u64,
    /// How many inodes it has; 0 where it makes them as it goes.
    pub inodes: u64,
    /// How many of them are free.
    pub free_inodes: u64,
}

/// The file systems that these paths are on, each once and named by the first.
pub fn look(paths: &[&Path]) -> Vec<(String, io::Result<FileSystem>)> {
    let mut seen = BTreeMap::new();
    let mut found = Vec::new();
    for path in paths {
        let name = path.display().to_string();
        let device = std::fs::metadata(path).map(|metadata| metadata.dev());
        if let Ok(device) = device
            && seen.insert(device, ()).is_some()
        {
            continue;
        }
        let numbers = device.and_then(|_| numbers(path));
        found.push((name, numbers));
    }
    found
}

fn numbers(path: &Path) -> io::Result<FileSystem> {
    let found = nix::sys::statvfs::statvfs(path)?;
    let bytes = |blocks: u64| blocks.saturating_mul(found.fragment_size());
    Ok(FileSystem {
        name: path.display().to_string(),
        total_bytes: bytes(found.blocks()),
        free_bytes: bytes(found.blocks_available()),
        inodes: found.files(),
        free_inodes: found.files_available(),
    })
}

/// How much may be taken before somebody is told.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Below this, in percent, it is worth a warning.
    pub warn_below_percent: u8,
    /// Below this, in bytes, uploads are refused.
    pub reserve_bytes: u64,
}

/// The checks of one file system.
pub fn checks(
    name: &str,
    looked: &io::Result<FileSystem>,
    limits: Limits,
    history: &History,
    now: Timestamp,
) -> Vec<Check> {
    let key = format!("disk_used_bytes@{name}");
    match looked {
        Err(error) => {
            let sentence = format!("{name} cannot be looked at: {error}.");
            let advice = "Check that the file system is mounted.";
            vec![Verdict::critical(sentence, advice).of(Kind::DiskSpace, name, now)]
        }
        Ok(found) => {
            let growth = history.growth_per_day(&key, now);
            let mut checks = vec![space(found, growth, limits, now).of(Kind::DiskSpace, name, now)];
            if found.inodes > 0 {
                checks.push(inodes(found).of(Kind::DiskInodes, name, now));
            }
            checks
        }
    }
}

/// Judges free space. `growth` is what was added in a day of late, in bytes.
pub fn space(found: &FileSystem, growth: Option<f64>, limits: Limits, now: Timestamp) -> Verdict {
    let FileSystem { total_bytes, free_bytes, .. } = *found;
    let used_bytes = total_bytes.saturating_sub(free_bytes);
    let mut measures = vec![
        Measure::whole("disk_total_bytes", total_bytes),
        Measure::whole("disk_free_bytes", free_bytes),
        Measure::whole("disk_used_bytes", used_bytes),
    ];
    let total = Measure::whole("", total_bytes).value;
    let free = Measure::whole("", free_bytes).value;
    let growing = growth.filter(|growth| *growth > total * GROWTH_THAT_COUNTS);
    let full_in_days = growing.map(|growth| free / growth);
    if let Some(growth) = growth {
        measures.push(Measure::new("disk_growth_bytes_per_day", growth));
    }
    if let Some(days) = full_in_days {
        measures.push(Measure::new("disk_full_in_seconds", (days * 86_400.0).round()));
    }
    let mut sentence = format!("{} of {} are free", bytes(free_bytes), bytes(total_bytes));
    if let (Some(growth), Some(days)) = (growing, full_in_days) {
        let rate = bytes(whole(growth));
        sentence += &format!(", {rate} more are taken each day");
        if let Some(day) = day_in(now, days) {
            sentence += &format!(", and it will be full about {day}");
        }
    }
    sentence.push('.');
    let advice = "Make the disk larger, or remove what else lies on it.";
    let percent = if total > 0.0 { free / total * 100.0 } else { 0.0 };
    let verdict = if free_bytes < limits.reserve_bytes {
        Verdict::critical(sentence, advice)
    } else if percent < f64::from(limits.warn_below_percent)
        || full_in_days.is_some_and(|days| days < SOON_DAYS)
    {
        Verdict::warning(sentence, advice)
    } else {
        Verdict::ok(sentence)
    };
    verdict.with(measures)
}

fn inodes(found: &FileSystem) -> Verdict {
    let sentence = format!("{} of {} inodes are free.", found.free_inodes, found.inodes);
    let advice = "Remove small files that are not needed, or make the file system anew with more \
                  inodes.";
    let percent = found.free_inodes.saturating_mul(100) / found.inodes.max(1);
    let verdict = match percent {
        0..2 => Verdict::critical(sentence, advice),
        2..10 => Verdict::warning(sentence, advice),
        _ => Verdict::ok(sentence),
    };
    verdict.with([Measure::whole("disk_free_inodes", found.free_inodes)])
}

/// The day that is so many days from now, if it is near enough to be named.
fn day_in(now: Timestamp, days: f64) -> Option<String> {
    if days > 3650.0 {
        return None;
    }
    let at = now.checked_add(jiff::SignedDuration::from_secs_f64(days * 86_400.0)).ok()?;
    Some(at.to_zoned(TimeZone::UTC).date().to_string())
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a number of bytes that is shown with one digit"
)]
fn whole(number: f64) -> u64 {
    number.max(0.0) as u64
}

/// Whether uploads are let in, judged by the disk of the inbox and, where it is another one, by what
/// is free on MongoDB's.
pub fn upload_room(
    found: &io::Result<FileSystem>,
    mongodb_free_bytes: Option<u64>,
    reserve_bytes: u64,
) -> Verdict {
    let refused = |free, whose| {
        Verdict::critical(
            format!(
                "Uploads are refused: {} are free on {whose} and {} have to stay free for MongoDB.",
                bytes(free),
                bytes(reserve_bytes)
            ),
            "Make room on that disk. Uploads are let in again by themselves, and maaiiconnect tries \
             again.",
        )
    };
    match (found, mongodb_free_bytes) {
        (Ok(found), _) if found.free_bytes < reserve_bytes => {
            refused(found.free_bytes, "the disk of the inbox")
        }
        (_, Some(free)) if free < reserve_bytes => refused(free, "MongoDB's disk"),
        (Err(error), _) => Verdict::unknown(format!("The inbox cannot be looked at: {error}."), ""),
        (Ok(found), _) => Verdict::ok(format!(
            "Uploads are let in until less than {} are free; that leaves {}.",
            bytes(reserve_bytes),
            bytes(found.free_bytes - reserve_bytes)
        )),
    }
    .with([Measure::whole("upload_reserve_bytes", reserve_bytes)])
}

#[cfg(test)]
mod tests {
    use super::{super::check::State, *};

    const GB: u64 = 1_000_000_000;

    fn file_system(total: u64, free: u64) -> FileSystem {
        FileSystem {
            name: "/srv".into(),
            total_bytes: total,
            free_bytes: free,
            inodes: 1000,
            free_inodes: 500,
        }
    }

    #[test]
    fn free_space_is_judged_by_what_is_left_and_by_how_long_it_lasts() {
        let limits = Limits { warn_below_percent: 10, reserve_bytes: 2 * GB };
        let now = "2021-05-01T00:00:00Z".parse().expect("a time");
        for (total, free, growth, state, said) in [
            (1000, 500, None, State::Ok, "500 GB of 1.0 TB are free."),
            (1000, 500, Some(0.1), State::Ok, "500 GB of 1.0 TB are free."),
            (1000, 500, Some(-5.0), State::Ok, "free."),
            (1000, 500, Some(10.0), State::Ok, "full about 2021-06-20."),
            (1000, 500, Some(50.0), State::Warning, "full about 2021-05-11."),
            (1000, 99, None, State::Warning, "99.0 GB"),
            (1000, 1, None, State::Critical, "1.0 GB of"),
            (10, 1, None, State::Critical, "1.0 GB of"),
            (10, 5, None, State::Ok, "5.0 GB of"),
        ] {
            let growth = growth.map(|growth: f64| growth * 1e9);
            let verdict = space(&file_system(total * GB, free * GB), growth, limits, now);
            assert_eq!(verdict.state, state, "{total} {free} {growth:?}");
            assert!(verdict.sentence.contains(said), "{}", verdict.sentence);
            assert_eq!(verdict.advice.is_empty(), state == State::Ok);
        }
    }

    #[test]
    fn uploads_are_let_in_while_the_reserve_is_free() {
        for (free, mongodb, state, said) in [
            (3, None, State::Ok, "that leaves 1.0 GB"),
            (2, None, State::Ok, "that leaves 0 bytes"),
            (1, None, State::Critical, "free on the disk of the inbox"),
            (1, Some(1), State::Critical, "free on the disk of the inbox"),
            (3, Some(2), State::Ok, "that leaves 1.0 GB"),
            (3, Some(1), State::Critical, "free on MongoDB's disk"),
        ] {
            let mongodb = mongodb.map(|free| free * GB);
            let verdict = upload_room(&Ok(file_system(10 * GB, free * GB)), mongodb, 2 * GB);
            assert_eq!(verdict.state, state, "{free} {mongodb:?}");
            assert!(verdict.sentence.contains(said), "{}", verdict.sentence);
        }
        let gone = upload_room(&Err(io::ErrorKind::NotFound.into()), None, 1);
        assert_eq!(gone.state, State::Unknown);
    }

    #[test]
    fn paths_on_one_file_system_are_looked_at_once() {
        let scratch = tempfile::tempdir().expect("scratch");
        let below = scratch.path().join("below");
        std::fs::create_dir(&below).expect("a directory");
        let found = look(&[scratch.path(), &below]);
        assert_eq!(found.len(), 1);
        assert!(found[0].1.as_ref().is_ok_and(|found| found.total_bytes > 0));
    }
}
