//! The report as Prometheus reads it: text format 0.0.4.
//!
//! Names are part of the interface and stand in [`HELP`]. Each begins with `retention_` and ends
//! in its unit. What a measure is of stands in the label `subject`.

use std::{collections::BTreeMap, fmt::Write};

use super::{Report, check::State};

/// What the answer is called in front of a browser.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Every metric that there may be, without the prefix: its name and what it is.
pub const HELP: [(&str, &str); 36] = [
    ("backup_size_bytes", "Size of the newest stored backup."),
    ("backups_differing", "Stored backups that were not as received when checked last."),
    ("backups_elsewhere", "Backups on their way for a day whose files are in another directory."),
    ("backups_missing", "Backups that maaiiconnect has uploaded and that are not here."),
    ("backups_overdue", "Stored backups that were not checked again for far too long."),
    ("backups_rejected", "Backups that were rejected and neither replaced nor acknowledged."),
    ("backups_rejected_acknowledged", "Rejected backups that were acknowledged, of the newest."),
    ("backups_waiting", "Backups that wait for trouble of our own to end."),
    ("backups_without_receipt", "Backups stored for more than a day that have no receipt."),
    ("certificate_expiry_timestamp_seconds", "When a certificate runs out, since 1970."),
    ("check_since_timestamp_seconds", "Since when a check is in its state, since 1970."),
    ("check_state", "1 for the state that a check is in, 0 for the others."),
    ("clock_offset_seconds", "How far our clock is before MongoDB's."),
    ("deletions_failed", "Deletions that maaiiconnect could not do, of the newest."),
    ("disk_errors_total", "Errors that the kernel counted on a disk and its file system."),
    ("disk_free_bytes", "Free bytes of a file system."),
    ("disk_free_inodes", "Free inodes of a file system."),
    ("disk_full_in_seconds", "How long until a file system is full, as it has grown of late."),
    ("disk_growth_bytes_per_day", "How much a file system has grown in a day of late."),
    ("disk_total_bytes", "Size of a file system."),
    ("disk_used_bytes", "Used bytes of a file system."),
    ("inbox_bytes", "Bytes of the uploads in the inbox."),
    ("inbox_files", "Uploads in the inbox."),
    ("last_look_timestamp_seconds", "When everything was looked at last, since 1970."),
    ("maaiiconnect_answered_timestamp_seconds", "When maaiiconnect answered last, since 1970."),
    ("memory_available_bytes", "Memory of the machine that could be had."),
    ("memory_pressure_ratio", "Share of the last 5 minutes in which something waited for memory."),
    ("memory_total_bytes", "Memory of the machine."),
    ("newest_backup_arrived_timestamp_seconds", "When the newest backup arrived, since 1970."),
    ("oplog_limit_bytes", "How large the oplog may be."),
    ("oplog_used_bytes", "How large the oplog is."),
    ("oplog_window_seconds", "How far back the oplog reaches."),
    ("replica_lag_seconds", "How far the slowest member with data is behind."),
    ("replica_members", "Members of the replica set."),
    ("replica_members_present", "Members of the replica set that are there."),
    ("upload_reserve_bytes", "Uploads are refused while less than this is free."),
];

/// Samples of one metric: labels and values.
type Samples = Vec<(String, f64)>;

/// The report as text.
pub fn text(report: &Report) -> String {
    let mut metrics: BTreeMap<&str, Samples> = BTreeMap::new();
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970")]
    let second = |at: jiff::Timestamp| at.as_second() as f64;
    metrics
        .entry("last_look_timestamp_seconds")
        .or_default()
        .push((String::new(), second(report.at)));
    for check in &report.checks {
        let subject = escape(&check.subject);
        let own = format!("check=\"{}\",subject=\"{subject}\"", check.kind);
        for state in State::ALL {
            let labels = format!("{own},state=\"{state}\"");
            let value = if state == check.state { 1.0 } else { 0.0 };
            metrics.entry("check_state").or_default().push((labels, value));
        }
        let since = (own, second(check.since));
        metrics.entry("check_since_timestamp_seconds").or_default().push(since);
        for measure in &check.measures {
            let labels = match subject.as_str() {
                "" => String::new(),
                subject => format!("subject=\"{subject}\""),
            };
            metrics.entry(&measure.name).or_default().push((labels, measure.value));
        }
    }
    let mut text = String::new();
    for (name, samples) in metrics {
        render(&mut text, name, &samples);
    }
    text
}

fn render(text: &mut String, name: &str, samples: &Samples) {
    let Some((_, help)) = HELP.iter().find(|(known, _)| *known == name) else {
        tracing::debug!(name, "a measure without a description");
        return;
    };
    let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
    // Writing to a String cannot fail.
    let _ = writeln!(text, "# HELP retention_{name} {help}\n# TYPE retention_{name} {kind}");
    for (labels, value) in samples {
        let _ = match labels.as_str() {
            "" => writeln!(text, "retention_{name} {value}"),
            labels => writeln!(text, "retention_{name}{{{labels}}} {value}"),
        };
    }
}

/// A text between quotes.
fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
pub(crate) mod tests {
    use jiff::Timestamp;

    use super::{
        super::{
            Part,
            check::{Check, Kind, Measure, Verdict},
        },
        *,
    };

    /// A report with these checks and nothing else.
    pub(crate) fn report(checks: Vec<Check>, at: Timestamp) -> Report {
        let nothing = || "nothing".to_owned();
        let mut report = Report {
            at,
            ok: true,
            checks,
            sftp: Part::Error(nothing()),
            mongodb: Part::Error(nothing()),
            disk: Part::Error(nothing()),
            memory: Part::Error(nothing()),
            inbox: Part::Error(nothing()),
            backups: Part::Error(nothing()),
            unresolved: Part::Error(nothing()),
        };
        report.settle();
        report
    }

    #[test]
    fn every_metric_stands_under_its_description_once() {
        let at = Timestamp::from_second(1_700_000_000).expect("a time");
        let check = |subject: &str, value| {
            let measure = Measure::whole("disk_free_bytes", value);
            Verdict::ok("fine").with([measure]).of(Kind::DiskSpace, subject, at)
        };
        let text = text(&report(vec![check("/a\"b", 5_000_000_000_000), check("/", 7)], at));
        assert!(
            text.contains("\nretention_disk_free_bytes{subject=\"/a\\\"b\"} 5000000000000\n"),
            "{text}"
        );
        assert!(text.contains(
            "retention_check_state{check=\"disk-space\",subject=\"/\",state=\"ok\"} 1\n"
        ));
        assert!(text.ends_with("retention_last_look_timestamp_seconds 1700000000\n"), "{text}");
        for (name, _) in HELP {
            let lines =
                text.lines().filter(|line| line.starts_with(&format!("# TYPE retention_{name} ")));
            assert!(lines.count() <= 1, "{name}");
        }
        assert!(HELP.is_sorted_by_key(|(name, _)| name));
    }
}
