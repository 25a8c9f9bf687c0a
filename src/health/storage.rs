//! What is below a file system: whether it was mounted read-only after an error, what the kernel
//! counted, and what the disk says of itself.
//!
//! A disk that says nothing (one of a virtual machine, or one that a service may not open) is
//! not reported at all.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;
use tokio::{process::Command, time::timeout};

use super::check::{Measure, Verdict};

/// How long `smartctl` may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A mounted file system.
#[derive(Clone, Debug, PartialEq)]
pub struct Mount {
    /// Where it is mounted.
    pub point: PathBuf,
    /// Its type, as `ext4`.
    pub kind: String,
    /// What it was made on, as `/dev/vda1`.
    pub source: String,
    /// Whether it is read-only.
    pub read_only: bool,
    /// The device's number, as `8:1`.
    pub device: String,
}

/// The file system that a path is on, after `/proc/self/mountinfo`.
///
/// A service may see a directory read-only that is not: what counts is how the file system itself
/// is mounted, which stands behind the dash.
pub fn mount_of(path: &Path) -> Option<Mount> {
    let text = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let device = fs::metadata(path).ok()?.dev();
    let number = format!("{}:{}", nix::sys::stat::major(device), nix::sys::stat::minor(device));
    let mounts = || text.lines().filter_map(parse_mount);
    mounts().find(|mount| mount.device == number).or_else(|| {
        // Some file systems give their files other numbers than they are mounted under.
        let above = mounts().filter(|mount| path.starts_with(&mount.point));
        above.max_by_key(|mount| mount.point.as_os_str().len())
    })
}

/// A line: `36 35 98:0 /root /point rw,noatime master:1 - ext3 /dev/root rw,errors=continue`.
fn parse_mount(line: &str) -> Option<Mount> {
    let (before, after) = line.split_once(" - ")?;
    let before: Vec<&str> = before.split(' ').collect();
    let after: Vec<&str> = after.split(' ').collect();
    let (device, point) = (before.get(2)?, before.get(4)?);
    let (kind, source, options) = (after.first()?, after.get(1)?, after.get(2)?);
    Some(Mount {
        point: point.replace("\\040", " ").into(),
        kind: (*kind).to_owned(),
        source: (*source).to_owned(),
        read_only: options.split(',').any(|option| option == "ro"),
        device: (*device).to_owned(),
    })
}

/// Judges how it is mounted.
pub fn judge_mount(mount: &Mount) -> Verdict {
    let point = mount.point.display();
    if mount.read_only {
        return Verdict::critical(
            format!("The file system at {point} can only be read."),
            "The kernel does that after errors of the disk. Look at dmesg, check the disk, and \
             repair the file system before mounting it again.",
        );
    }
    Verdict::ok(format!("The file system at {point} can be written to."))
}

/// What the kernel counted of a file system and its disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Errors {
    /// Errors in the structure of the file system.
    pub file_system: Option<u64>,
    /// Requests that the disk failed.
    pub requests: Option<u64>,
}

/// What the kernel counted; nothing where it counts neither.
pub fn errors(mount: &Mount) -> Option<Errors> {
    let device = fs::canonicalize(format!("/sys/dev/block/{}", mount.device)).ok()?;
    let name = device.file_name()?.to_str()?.to_owned();
    let read = |path: &Path| fs::read_to_string(path).ok();
    let file_system = read(Path::new(&format!("/sys/fs/{}/{name}/errors_count", mount.kind)));
    // A partition lies below its disk.
    let disk = if device.join("partition").exists() { device.parent()? } else { &device };
    let requests = read(&disk.join("device/ioerr_cnt"));
    let found = Errors {
        file_system: file_system.and_then(|text| number(&text)),
        requests: requests.and_then(|text| number(&text)),
    };
    (found != Errors::default()).then_some(found)
}

/// A number in decimal, or in hexadecimal after `0x`.
fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// Judges what was counted. `requests_before` is the count at the first look: disks count
/// harmless refusals from their start on.
pub fn judge_errors(found: Errors, requests_before: u64) -> Verdict {
    let requests = found.requests.map_or(0, |now| now.saturating_sub(requests_before));
    let file_system = found.file_system.unwrap_or(0);
    let advice = "Look at dmesg, check the disk, and run fsck while it is not mounted. See to it \
                  that a copy of the database exists elsewhere.";
    let verdict = if file_system > 0 {
        let sentence = format!("The kernel found {file_system} errors in the file system.");
        Verdict::critical(sentence, advice)
    } else if requests > 0 {
        Verdict::warning(format!("The disk failed {requests} requests."), advice)
    } else {
        Verdict::ok("The kernel counted no errors.")
    };
    verdict.with([Measure::whole("disk_errors_total", file_system + requests)])
}

/// What a disk says of its health. Nothing where it cannot be asked.
pub async fn smart(mount: &Mount) -> Option<Value> {
    if !mount.source.starts_with("/dev/") {
        return None;
    }
    let mut command = Command::new("smartctl");
    command.args(["--json=c", "--health", "--attributes", &mount.source]).kill_on_drop(true);
    command.stdin(std::process::Stdio::null());
    let output = timeout(PATIENCE, command.output()).await.ok()?.ok()?;
    let said: Value = serde_json::from_slice(&output.stdout).ok()?;
    said["smart_status"]["passed"].is_boolean().then_some(said)
}

/// Judges what a disk said.
pub fn judge_smart(said: &Value) -> Verdict {
    let advice = "Replace the disk.";
    let worn = said["nvme_smart_health_information_log"]["percentage_used"].as_u64();
    let sectors = said["ata_smart_attributes"]["table"].as_array().into_iter().flatten();
    let pending: u64 = sectors
        .filter(|attribute| [197, 198].contains(&attribute["id"].as_u64().unwrap_or(0)))
        .filter_map(|attribute| attribute["raw"]["value"].as_u64())
        .sum();
    if said["smart_status"]["passed"] == false {
        Verdict::critical("The disk says that it is failing.", advice)
    } else if pending > 0 {
        Verdict::warning(format!("{pending} sectors of the disk cannot be read."), advice)
    } else if worn.is_some_and(|worn| worn >= 90) {
        let worn = worn.unwrap_or_default();
        Verdict::warning(format!("The disk has used up {worn} % of its life."), advice)
    } else {
        Verdict::ok("The disk says that it is well.")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::check::State, *};

    #[test]
    fn a_file_system_that_was_mounted_read_only_is_told_from_a_view_of_it() {
        for (line, read_only) in [
            ("36 35 8:1 / /var rw,noatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro", false),
            ("36 35 8:1 / /var ro,noatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro", false),
            ("36 35 8:1 / /var rw,noatime - ext4 /dev/sda1 ro", true),
        ] {
            let mount = parse_mount(line).expect(line);
            assert_eq!(mount.read_only, read_only, "{line}");
            assert_eq!((mount.kind.as_str(), mount.source.as_str()), ("ext4", "/dev/sda1"));
            assert_eq!(judge_mount(&mount).state == State::Critical, read_only);
        }
        assert_eq!(parse_mount("36 35"), None);
        assert!(mount_of(Path::new("/")).is_some());
    }

    #[test]
    fn errors_that_are_new_count() {
        for (file_system, requests, before, state) in [
            (None, Some(7), 7, State::Ok),
            (None, Some(9), 7, State::Warning),
            (Some(0), None, 0, State::Ok),
            (Some(1), Some(0), 0, State::Critical),
        ] {
            let found = Errors { file_system, requests };
            assert_eq!(judge_errors(found, before).state, state, "{found:?}");
        }
        assert_eq!((number("0x1f\n"), number("12"), number("x")), (Some(31), Some(12), None));
    }

    #[test]
    fn a_disk_is_believed() {
        let pending = json!({ "table": [{ "id": 197, "raw": { "value": 8 } }] });
        for (said, state) in [
            (json!({ "smart_status": { "passed": true } }), State::Ok),
            (json!({ "smart_status": { "passed": false } }), State::Critical),
            (
                json!({ "smart_status": { "passed": true }, "ata_smart_attributes": pending }),
                State::Warning,
            ),
            (
                json!({
                    "smart_status": { "passed": true },
                    "nvme_smart_health_information_log": { "percentage_used": 95 }
                }),
                State::Warning,
            ),
        ] {
            assert_eq!(judge_smart(&said).state, state, "{said}");
        }
    }
}
