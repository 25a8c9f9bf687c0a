//! When backups are made: once a day, at an hour in UTC.

use jiff::{
    Timestamp,
    civil::{Date, Time},
    tz::TimeZone,
};

/// When it was this hour last, up to `now`.
pub fn last_due(hour: u8, now: Timestamp) -> Option<Timestamp> {
    let today = day(now);
    let due = due(today, hour)?;
    if due <= now { Some(due) } else { self::due(today.yesterday().ok()?, hour) }
}

/// When it will be this hour next, after `now`.
pub fn next_due(hour: u8, now: Timestamp) -> Option<Timestamp> {
    let today = day(now);
    let due = due(today, hour)?;
    if due > now { Some(due) } else { self::due(today.tomorrow().ok()?, hour) }
}

fn day(now: Timestamp) -> Date {
    now.to_zoned(TimeZone::UTC).date()
}

fn due(day: Date, hour: u8) -> Option<Timestamp> {
    let hour = Time::new(i8::try_from(hour).ok()?, 0, 0, 0).ok()?;
    Some(day.to_datetime(hour).to_zoned(TimeZone::UTC).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_backup_is_made_when_it_is_that_hour_again() {
        let at = |text: &str| text.parse::<Timestamp>().expect("a time");
        for (hour, now, next) in [
            (2, "2026-11-27T01:59:59Z", "2026-11-27T02:00:00Z"),
            (2, "2026-11-27T02:00:00Z", "2026-11-28T02:00:00Z"),
            (0, "2026-12-31T23:00:00Z", "2027-01-01T00:00:00Z"),
        ] {
            assert_eq!(next_due(hour, at(now)), Some(at(next)), "{hour} {now}");
        }
        assert_eq!(next_due(24, at("2026-11-27T02:00:00Z")), None);
    }
}
