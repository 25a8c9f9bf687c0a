//! A small chart of what was measured, drawn here: no script draws anything.

use std::fmt::Write;

use crate::health::check::{bytes, span};

/// How large a chart is, in its own units.
pub(super) const SIZE: (u32, u32) = (240, 48);

/// How many points a line has at most.
const POINTS: usize = 120;

/// How far back charts reach, in seconds.
const REACH_SECONDS: i64 = 30 * 86_400;

/// A chart.
pub(super) struct Chart {
    /// What it is of.
    pub(super) title: String,
    /// The line, as SVG wants its points.
    pub(super) points: String,
    /// The newest, the least and the greatest, in words.
    pub(super) said: String,
}

/// The chart of a series: seconds since 1970 and numbers, the oldest first. Nothing where there
/// are too few to draw a line.
pub(super) fn chart(
    name: &str,
    series: impl Iterator<Item = (i64, f64)>,
    now_second: i64,
) -> Option<Chart> {
    let recent: Vec<_> = series.filter(|(at, _)| *at >= now_second - REACH_SECONDS).collect();
    let (first, last) = (recent.first()?, recent.last()?);
    if recent.len() < 2 || last.0 <= first.0 {
        return None;
    }
    let least = recent.iter().map(|(_, value)| *value).fold(f64::INFINITY, f64::min);
    let most = recent.iter().map(|(_, value)| *value).fold(f64::NEG_INFINITY, f64::max);
    let (width, height) = (f64::from(SIZE.0), f64::from(SIZE.1));
    let mut points = String::new();
    let step = recent.len().div_ceil(POINTS);
    for (at, value) in recent.iter().rev().step_by(step).rev() {
        #[expect(clippy::cast_precision_loss, reason = "seconds within 30 days")]
        let x = (at - first.0) as f64 / (last.0 - first.0) as f64 * width;
        // What does not change is a line in the middle.
        let share = if most > least { (value - least) / (most - least) } else { 0.5 };
        let y = height - 2.0 - share * (height - 4.0);
        // Writing to a String cannot fail.
        let _ = write!(points, "{x:.1},{y:.1} ");
    }
    let said = format!(
        "now {}, from {} to {}",
        number(name, last.1),
        number(name, least),
        number(name, most)
    );
    Some(Chart { title: title(name), points: points.trim_end().to_owned(), said })
}

/// A series' name in words: `disk_used_bytes@/` is `Disk used, /`.
fn title(name: &str) -> String {
    let (measure, subject) = name.split_once('@').unwrap_or((name, ""));
    let bare = ["_bytes", "_seconds", "_ratio"]
        .iter()
        .find_map(|unit| measure.strip_suffix(unit))
        .unwrap_or(measure)
        .replace('_', " ");
    let mut letters = bare.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    let title = first + letters.as_str();
    if subject.is_empty() { title } else { format!("{title}, {subject}") }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "numbers that are shown with few digits"
)]
fn number(name: &str, value: f64) -> String {
    let measure = name.split('@').next().unwrap_or(name);
    if measure.ends_with("_bytes") {
        bytes(value.max(0.0) as u64)
    } else if measure.ends_with("_ratio") {
        format!("{:.1} %", value * 100.0)
    } else if measure.ends_with("_seconds") && value.abs() >= 10.0 {
        span(value as i64)
    } else if measure.ends_with("_seconds") {
        format!("{value:.1} s")
    } else {
        format!("{value:.0}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_goes_from_the_oldest_to_the_newest_and_fits() {
        let series = [(0, 0.0), (900, 50e9), (1800, 100e9)];
        let chart = chart("disk_used_bytes@/", series.into_iter(), 1800).expect("a chart");
        assert_eq!(chart.points, "0.0,46.0 120.0,24.0 240.0,2.0");
        assert_eq!(chart.title, "Disk used, /");
        assert_eq!(chart.said, "now 100 GB, from 0 bytes to 100 GB");
    }

    #[test]
    fn long_series_are_thinned_and_end_with_the_newest() {
        let series = (0..2880).map(|step| (step * 900, 1.0));
        let chart = chart("replica_lag_seconds", series, 2880 * 900).expect("a chart");
        let points: Vec<&str> = chart.points.split(' ').collect();
        assert!(points.len() <= POINTS, "{}", points.len());
        assert_eq!(points.last(), Some(&"240.0,24.0"));
        assert_eq!(chart.said, "now 1.0 s, from 1.0 s to 1.0 s");
    }

    #[test]
    fn two_numbers_at_least_make_a_line() {
        for series in [vec![], vec![(5, 1.0)], vec![(5, 1.0), (5, 2.0)]] {
            assert!(chart("inbox_bytes", series.into_iter(), 10).is_none());
        }
        let old = [(0, 1.0), (900, 2.0)];
        assert!(chart("inbox_bytes", old.into_iter(), REACH_SECONDS + 1000).is_none());
    }
}
