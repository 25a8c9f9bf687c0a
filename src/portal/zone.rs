//! The viewer's time zone: times are kept in UTC and shown as the viewer's clock
//! would have shown them, with the zone said on every page.
//!
//! The browser's zone comes in a cookie that the script sets; a zone that the
//! viewer chose stands in the same cookie without the mark.

use jiff::{
    Timestamp, ToSpan,
    civil::Date,
    tz::{TimeZone, db},
};

use super::request::Request;

/// The cookie that names the zone.
pub(super) const COOKIE: &str = "tz";
/// What stands before a zone that the browser said and nobody chose.
const AUTOMATIC: &str = "auto:";

/// A time zone and how it was come by.
#[derive(Clone, Debug)]
pub(super) struct Zone {
    tz: TimeZone,
    name: String,
    chosen: bool,
}

/// A time as a page shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct When {
    /// For programs.
    pub(super) iso: String,
    /// The day.
    pub(super) date: String,
    /// The time of day.
    pub(super) time: String,
    /// In UTC, to be read when in doubt.
    pub(super) utc: String,
}

impl Zone {
    /// The zone that a request names; UTC where it names none.
    pub(super) fn of(request: &Request) -> Self {
        request.cookie(COOKIE).and_then(Self::from_cookie).unwrap_or_else(Self::utc)
    }

    fn utc() -> Self {
        Self { tz: TimeZone::UTC, name: "UTC".into(), chosen: false }
    }

    fn from_cookie(text: &str) -> Option<Self> {
        let text = text.replace("%2F", "/").replace("%3A", ":");
        let (name, chosen) = match text.strip_prefix(AUTOMATIC) {
            Some(name) => (name, false),
            None => (text.as_str(), true),
        };
        Self::named(name).map(|zone| Self { chosen, ..zone })
    }

    /// The zone of that name, as chosen.
    pub(super) fn named(name: &str) -> Option<Self> {
        if name.len() > 64 {
            return None;
        }
        let tz = TimeZone::get(name).ok()?;
        let name = tz.iana_name().unwrap_or(name).to_owned();
        Some(Self { tz, name, chosen: true })
    }

    /// The names of all zones, in order.
    pub(super) fn all() -> Vec<String> {
        let mut names: Vec<String> = db()
            .available()
            .map(|name| name.to_string())
            .filter(|name| name.contains('/') && !name.starts_with("Etc/") || name == "UTC")
            .collect();
        names.sort_unstable();
        names
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether the viewer chose it.
    pub(super) fn is_chosen(&self) -> bool {
        self.chosen
    }

    /// Its name and its distance from UTC at a time, as in `Asia/Hong_Kong (UTC+8)`.
    pub(super) fn label(&self, at: Timestamp) -> String {
        let minutes = self.tz.to_offset(at).seconds() / 60;
        let name = self.name.replace('_', " ");
        match (minutes, minutes.abs() % 60) {
            (0, _) if self.name == "UTC" => name,
            (0, _) => format!("{name} (UTC)"),
            (_, 0) => format!("{name} (UTC{:+})", minutes / 60),
            (_, rest) => format!("{name} (UTC{:+}:{rest:02})", minutes / 60),
        }
    }

    /// A time as it is shown.
    pub(super) fn show(&self, at: Timestamp) -> When {
        let local = at.to_zoned(self.tz.clone());
        When {
            iso: at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            date: local.strftime("%Y-%m-%d").to_string(),
            time: local.strftime("%H:%M:%S").to_string(),
            utc: at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        }
    }

    /// When a day begins.
    pub(super) fn begin_of(&self, day: Date) -> Option<Timestamp> {
        Some(day.to_zoned(self.tz.clone()).ok()?.timestamp())
    }

    /// When a day is over.
    pub(super) fn end_of(&self, day: Date) -> Option<Timestamp> {
        self.begin_of(day.checked_add(1.day()).ok()?)
    }
}

impl When {
    /// Day and time together.
    pub(super) fn text(&self) -> String {
        format!("{} {}", self.date, self.time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_in_the_zone_of_the_cookie() {
        let at: Timestamp = "2021-04-08T16:30:05Z".parse().expect("a time");
        for (cookie, shown, label, chosen) in [
            ("auto:Asia/Hong_Kong", "2021-04-09 00:30:05", "Asia/Hong Kong (UTC+8)", false),
            ("Asia%2FKolkata", "2021-04-08 22:00:05", "Asia/Kolkata (UTC+5:30)", true),
            ("America/St_Johns", "2021-04-08 14:00:05", "America/St Johns (UTC-2:30)", true),
            ("Europe/London", "2021-04-08 17:30:05", "Europe/London (UTC+1)", true),
            ("UTC", "2021-04-08 16:30:05", "UTC", true),
        ] {
            let zone = Zone::from_cookie(cookie).expect(cookie);
            assert_eq!(zone.show(at).text(), shown);
            assert_eq!(zone.label(at), label);
            assert_eq!(zone.is_chosen(), chosen);
        }
        for cookie in ["", "auto:", "Mars/Olympus", "../../etc/passwd", &"x".repeat(100)] {
            assert!(Zone::from_cookie(cookie).is_none(), "{cookie}");
        }
    }

    #[test]
    fn a_day_is_as_long_as_it_is_there() {
        let zone = Zone::named("Europe/Berlin").expect("a zone");
        let day: Date = "2021-03-28".parse().expect("a day");
        let (from, until) = (zone.begin_of(day), zone.end_of(day));
        assert_eq!(from.map(|t| t.to_string()).as_deref(), Some("2021-03-27T23:00:00Z"));
        assert_eq!(until.map(|t| t.to_string()).as_deref(), Some("2021-03-28T22:00:00Z"));
        assert!(Zone::all().len() > 300);
    }
}
