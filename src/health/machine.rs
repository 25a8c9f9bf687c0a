//! The machine: its clock and its memory.

use std::{fs, io, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::{process::Command, time::timeout};

use super::check::{Measure, Verdict, bytes};

/// How long a program that is asked may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// How far our clock may be from the database's: worth a warning, and more than that, in seconds.
const OFFSET_SECONDS: (f64, f64) = (5.0, 120.0);

/// How much of the last five minutes something waited for memory: worth a warning, and more than
/// that.
const PRESSURE: (f64, f64) = (0.10, 0.40);

/// How little memory is left before somebody is told, in hundredths of the whole.
const AVAILABLE_PERCENT: (u64, u64) = (8, 3);

/// Where the kernel says how much is waited for memory. In a service that does not see the first
/// of them, the second stands for all services.
const PRESSURE_FILES: [&str; 2] =
    ["/proc/pressure/memory", "/sys/fs/cgroup/system.slice/memory.pressure"];

/// The machine's memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// How many bytes it has.
    pub total_bytes: u64,
    /// How many of them could be had.
    pub available_bytes: u64,
    /// How much of the last five minutes something waited for memory, from 0 to 1; nothing where
    /// the kernel does not tell.
    #[serde(default)]
    pub pressure: Option<f64>,
}

/// Looks at the memory.
pub fn memory() -> io::Result<Memory> {
    let mut system = sysinfo::System::new().map_err(io::Error::other)?;
    system.refresh_memory();
    let pressure = PRESSURE_FILES.iter().find_map(|path| fs::read_to_string(path).ok());
    Ok(Memory {
        total_bytes: system.total_memory(),
        available_bytes: system.available_memory(),
        pressure: pressure.as_deref().and_then(pressure_of),
    })
}

/// `some … avg300=1.50 …`: the share of five minutes, from 0 to 1.
fn pressure_of(text: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.starts_with("some "))?;
    let word = line.split(' ').find_map(|word| word.strip_prefix("avg300="))?;
    Some(word.parse::<f64>().ok()? / 100.0)
}

/// Judges the memory.
pub fn judge_memory(found: Result<&Memory, &str>) -> Verdict {
    let memory = match found {
        Ok(memory) if memory.total_bytes > 0 => memory,
        Ok(_) => return Verdict::unknown("The kernel does not say how much memory there is.", ""),
        Err(why) => return Verdict::unknown(format!("{why}."), ""),
    };
    let (total, available) = (memory.total_bytes, memory.available_bytes);
    let pressure = memory.pressure.unwrap_or(0.0);
    let percent = available.saturating_mul(100) / total;
    let mut sentence = format!("{} of {} are available", bytes(available), bytes(total));
    if pressure >= 0.01 {
        sentence += &format!(", and {:.0} % of the time something waits for it", pressure * 100.0);
    }
    sentence.push('.');
    let advice = "Give the machine more memory, or MongoDB a smaller cache \
                  (storage.wiredTiger.engineConfig.cacheSizeGB).";
    let verdict = if pressure >= PRESSURE.1 || percent < AVAILABLE_PERCENT.1 {
        Verdict::critical(sentence, advice)
    } else if pressure >= PRESSURE.0 || percent < AVAILABLE_PERCENT.0 {
        Verdict::warning(sentence, advice)
    } else {
        Verdict::ok(sentence)
    };
    let measures = [
        Measure::whole("memory_total_bytes", total),
        Measure::whole("memory_available_bytes", available),
    ];
    let pressure = memory.pressure.map(|value| Measure::new("memory_pressure_ratio", value));
    verdict.with(measures).with(pressure)
}

/// Whether the system says that its clock is kept right by another; nothing where it says neither.
pub async fn clock_synchronized() -> Option<bool> {
    let mut command = Command::new("timedatectl");
    command.args(["show", "--property=NTPSynchronized", "--value"]).kill_on_drop(true);
    command.stdin(std::process::Stdio::null());
    let output = timeout(PATIENCE, command.output()).await.ok()?.ok()?;
    match String::from_utf8_lossy(&output.stdout).trim() {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

/// Judges the clock. `database` is what time it is for MongoDB when it is `now` for us.
pub fn judge_clock(
    synchronized: Option<bool>,
    database: Option<Timestamp>,
    now: Timestamp,
) -> Verdict {
    let offset = database.map(|at| now.duration_since(at).as_secs_f64());
    let apart = offset.map_or(0.0, f64::abs);
    let advice = "Switch time synchronisation on: timedatectl set-ntp true, or chrony. Names of \
                  backups, sessions and certificates go by the clock.";
    let verdict = if apart >= OFFSET_SECONDS.0 {
        let sentence = format!("The clock is {apart:.0} s apart from MongoDB's.");
        if apart >= OFFSET_SECONDS.1 {
            Verdict::critical(sentence, advice)
        } else {
            Verdict::warning(sentence, advice)
        }
    } else {
        match (synchronized, offset) {
            (Some(true), _) => Verdict::ok("The clock is kept right by a time server."),
            (Some(false), _) => Verdict::warning("No time server keeps the clock right.", advice),
            (None, Some(_)) => {
                Verdict::ok("The clock goes with MongoDB's; the system does not say more.")
            }
            (None, None) => {
                Verdict::unknown("The system does not say whether its clock is right.", "")
            }
        }
    };
    verdict.with(offset.map(|offset| Measure::new("clock_offset_seconds", offset)))
}

#[cfg(test)]
mod tests {
    use super::{super::check::State, *};

    #[test]
    fn waiting_for_memory_and_having_little_left_are_told() {
        for (available, pressure, state) in [
            (50, None, State::Ok),
            (50, Some(0.05), State::Ok),
            (50, Some(0.2), State::Warning),
            (50, Some(0.5), State::Critical),
            (7, None, State::Warning),
            (2, Some(0.0), State::Critical),
        ] {
            let memory = Memory { total_bytes: 100, available_bytes: available, pressure };
            assert_eq!(judge_memory(Ok(&memory)).state, state, "{memory:?}");
        }
        let text = "some avg10=0.00 avg60=0.00 avg300=12.50 total=1\nfull avg10=0.00 avg60=0.00 avg300=1.00 total=0\n";
        assert_eq!(pressure_of(text), Some(0.125));
        assert_eq!(pressure_of(""), None);
    }

    #[test]
    fn a_clock_is_judged_by_the_time_server_and_by_the_database() {
        let now = Timestamp::from_second(10_000).expect("a time");
        let database = |second| Some(Timestamp::from_second(second).expect("a time"));
        for (synchronized, database, state) in [
            (Some(true), database(10_000), State::Ok),
            (Some(true), database(9_990), State::Warning),
            (Some(true), database(10_200), State::Critical),
            (Some(false), None, State::Warning),
            (None, database(10_001), State::Ok),
            (None, None, State::Unknown),
        ] {
            assert_eq!(judge_clock(synchronized, database, now).state, state);
        }
    }
}
