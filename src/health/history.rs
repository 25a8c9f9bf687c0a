//! What was measured in the past: for charts, and to tell when a disk will be full.
//!
//! ```text
//! history.jsonl      a line for each quarter of an hour: {"v":1,"at":…,"m":{"NAME@SUBJECT":N}}
//! history.1.jsonl    the lines before those
//! ```
//!
//! Lines are only added. A file that has grown too large becomes the older one, and the one that
//! was older goes. A line that cannot be read was cut off by a crash, or is of a later version:
//! it is passed over.

use std::{
    collections::{BTreeMap, VecDeque},
    fs::{self, File},
    io::{self, BufRead, BufReader, Write},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::check::Check;

pub use crate::files::Failed as Error;

/// The version of a line.
const VERSION: u32 = 1;

/// How far apart samples are at least, in seconds.
pub const STEP_SECONDS: i64 = 15 * 60;

/// How large a file may become, in bytes.
const FILE_LIMIT_BYTES: u64 = 2 << 20;

/// How many samples of a series are kept in memory: 30 days.
const SAMPLES: usize = 30 * 24 * 4;

/// How many series there are at most.
const SERIES: usize = 64;

/// How long growth is looked back at, in seconds, and how much of that there has to be.
const GROWTH_SECONDS: (i64, i64) = (14 * 86_400, 86_400);

/// The measures of which the past is kept.
const KEPT: [&str; 8] = [
    "disk_used_bytes",
    "memory_available_bytes",
    "memory_pressure_ratio",
    "replica_lag_seconds",
    "oplog_window_seconds",
    "inbox_bytes",
    "clock_offset_seconds",
    "backup_size_bytes",
];

#[derive(Serialize, Deserialize)]
struct Line {
    v: u32,
    at: i64,
    m: BTreeMap<String, f64>,
}

/// Series of numbers by their names.
#[derive(Clone, Debug, Default)]
pub struct History {
    series: BTreeMap<String, VecDeque<(i64, f64)>>,
    newest: i64,
}

impl History {
    /// Reads what was kept in `directory`. What is not there is an empty history.
    pub fn read(directory: &Path) -> Result<Self, Error> {
        let mut history = Self::default();
        for path in [older(directory), newer(directory)] {
            match File::open(&path) {
                Ok(file) => history.take(BufReader::new(file)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(Error { operation: "read", path, source }),
            }
        }
        Ok(history)
    }

    fn take(&mut self, mut lines: impl BufRead) {
        let mut text = Vec::new();
        while matches!(lines.read_until(b'\n', &mut text), Ok(1..)) {
            match serde_json::from_slice(&text) {
                Ok(Line { v: VERSION, at, m }) => self.note(at, m),
                _ => tracing::debug!("a line of the history of health cannot be read"),
            }
            text.clear();
        }
    }

    fn note(&mut self, at: i64, measures: BTreeMap<String, f64>) {
        self.newest = self.newest.max(at);
        for (name, value) in measures {
            if self.series.len() >= SERIES && !self.series.contains_key(&name) {
                continue;
            }
            let series = self.series.entry(name).or_default();
            series.push_back((at, value));
            if series.len() > SAMPLES {
                series.pop_front();
            }
        }
    }

    /// Adds what was measured now, unless the last sample is too young; on the disk as well.
    pub fn add(&mut self, directory: &Path, checks: &[Check], now: Timestamp) -> Result<(), Error> {
        let at = now.as_second();
        // A clock that was set back must not end the history.
        if (0..STEP_SECONDS).contains(&(at - self.newest)) {
            return Ok(());
        }
        let measures = kept(checks);
        if measures.is_empty() {
            return Ok(());
        }
        self.newest = at;
        let line = Line { v: VERSION, at, m: measures };
        append(directory, &line)?;
        self.note(at, line.m);
        Ok(())
    }

    /// The names of all series.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.series.keys().map(String::as_str)
    }

    /// A series, the oldest first: seconds since 1970 and the number.
    pub fn series(&self, name: &str) -> impl Iterator<Item = (i64, f64)> {
        self.series.get(name).into_iter().flatten().copied()
    }

    /// By how much a series grows in a day, by the straight line that fits best.
    ///
    /// Nothing where there is less than a day to go by.
    pub fn growth_per_day(&self, name: &str, now: Timestamp) -> Option<f64> {
        let from = now.as_second() - GROWTH_SECONDS.0;
        let recent = || self.series(name).filter(move |(at, _)| *at >= from);
        let (first, last) = (recent().next()?.0, recent().last()?.0);
        if last - first < GROWTH_SECONDS.1 {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "seconds within two weeks")]
        let points = || recent().map(move |(at, value)| ((at - first) as f64 / 86_400.0, value));
        slope(points)
    }
}

/// The slope of the line with the least squares.
fn slope<I: Iterator<Item = (f64, f64)>>(points: impl Fn() -> I) -> Option<f64> {
    let (mut n, mut sum_x, mut sum_y) = (0.0, 0.0, 0.0);
    for (x, y) in points() {
        (n, sum_x, sum_y) = (n + 1.0, sum_x + x, sum_y + y);
    }
    let (mean_x, mean_y) = (sum_x / n, sum_y / n);
    let (mut above, mut below) = (0.0, 0.0);
    for (x, y) in points() {
        above += (x - mean_x) * (y - mean_y);
        below += (x - mean_x) * (x - mean_x);
    }
    (below > 0.0).then_some(above / below)
}

/// The name of a measure's series.
pub fn series_name(measure: &str, subject: &str) -> String {
    if subject.is_empty() { measure.to_owned() } else { format!("{measure}@{subject}") }
}

fn kept(checks: &[Check]) -> BTreeMap<String, f64> {
    let each = checks.iter().flat_map(|check| {
        let kept = check.measures.iter().filter(|measure| KEPT.contains(&measure.name.as_ref()));
        kept.map(|measure| (series_name(&measure.name, &check.subject), measure.value))
    });
    each.collect()
}

fn append(directory: &Path, line: &Line) -> Result<(), Error> {
    let path = newer(directory);
    let failed = |operation| {
        let path = path.clone();
        move |source| Error { operation, path, source }
    };
    if fs::metadata(&path).is_ok_and(|found| found.len() > FILE_LIMIT_BYTES) {
        fs::rename(&path, older(directory)).map_err(failed("rotate"))?;
    }
    let mut text = serde_json::to_vec(line).map_err(io::Error::from).map_err(failed("write"))?;
    text.push(b'\n');
    let file = File::options().create(true).append(true).open(&path);
    file.and_then(|mut file| file.write_all(&text)).map_err(failed("add to"))
}

fn newer(directory: &Path) -> PathBuf {
    directory.join("history.jsonl")
}

fn older(directory: &Path) -> PathBuf {
    directory.join("history.1.jsonl")
}

#[cfg(test)]
mod tests {
    use super::{
        super::check::{Kind, Measure, Verdict},
        *,
    };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    fn used(bytes: u64, now: Timestamp) -> Vec<Check> {
        let measures = [Measure::whole("disk_used_bytes", bytes), Measure::whole("other", 1)];
        vec![Verdict::ok("").with(measures).of(Kind::DiskSpace, "/", now)]
    }

    #[test]
    fn what_was_measured_survives_a_restart_and_a_line_that_was_cut_off() {
        let scratch = tempfile::tempdir().expect("scratch");
        let mut history = History::default();
        for day in 0..4 {
            let now = at(1_000_000 + day * 86_400);
            history.add(scratch.path(), &used(day.unsigned_abs() * 100, now), now).expect("added");
            // Too soon for another.
            let soon = at(now.as_second() + 60);
            history.add(scratch.path(), &used(7, soon), soon).expect("passed over");
        }
        let path = newer(scratch.path());
        let mut text = fs::read_to_string(&path).expect("a file");
        text.push_str("{\"v\":1,\"at\":");
        fs::write(&path, text).expect("written");
        let read = History::read(scratch.path()).expect("read");
        let name = series_name("disk_used_bytes", "/");
        let values: Vec<f64> = read.series(&name).map(|(_, value)| value).collect();
        assert_eq!(values, [0.0, 100.0, 200.0, 300.0]);
        assert_eq!(read.names().collect::<Vec<_>>(), [name.as_str()]);
        let growth = read.growth_per_day(&name, at(1_000_000 + 4 * 86_400)).expect("a slope");
        assert!((growth - 100.0).abs() < 1e-6, "{growth}");
        assert_eq!(read.growth_per_day(&name, at(1_000_000 + 90 * 86_400)), None);
    }

    #[test]
    fn a_file_that_is_too_large_becomes_the_older_one() {
        let scratch = tempfile::tempdir().expect("scratch");
        let size = usize::try_from(FILE_LIMIT_BYTES).expect("fits") + 1;
        fs::write(newer(scratch.path()), vec![b'\n'; size]).expect("written");
        let mut history = History::default();
        history.add(scratch.path(), &used(5, at(5_000)), at(5_000)).expect("added");
        assert!(older(scratch.path()).exists());
        assert_eq!(fs::read_to_string(newer(scratch.path())).expect("read").lines().count(), 1);
    }
}
