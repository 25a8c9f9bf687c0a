//! `[health]`: what the appliance looks after.

use serde::Deserialize;

/// `[health]`: what is looked at, how often, and when uploads are turned away.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Health {
    /// How often everything is looked at, in seconds.
    pub interval_seconds: u64,
    /// Who may read `/healthz`, `/readyz` and `/metrics` without signing in.
    pub metrics: Audience,
    /// The hour of the day, in UTC, at which maaiiconnect uploads; without it no backup is missed.
    pub schedule_hour: Option<u8>,
    /// How long after that hour a backup may still be on its way, in minutes.
    pub schedule_margin_minutes: u32,
    /// Uploads are refused while less than this is free on the disk of the inbox, in bytes.
    pub reserve_bytes: u64,
    /// A file system that has less than this free, in percent, is worth a warning.
    pub warn_below_percent: u8,
    /// How often a stored backup is held against its receipt again of which this is the only copy,
    /// because maaiiconnect has deleted its data, in days.
    pub verify_only_copies_days: u16,
    /// How often all other stored backups are, in days.
    pub verify_others_days: u16,
    /// The IPSec connection to maaiiconnect: its name in `swanctl`, or an `address:port` that
    /// answers through it. Empty where there is none.
    pub tunnel: String,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            interval_seconds: 60,
            metrics: Audience::Loopback,
            schedule_hour: None,
            schedule_margin_minutes: 180,
            reserve_bytes: 2 << 30,
            warn_below_percent: 10,
            verify_only_copies_days: 7,
            verify_others_days: 30,
            tunnel: String::new(),
        }
    }
}

/// Who may ask without signing in.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Audience {
    /// Programs on this machine.
    Loopback,
    /// Whoever reaches the portal.
    Anybody,
}

impl Health {
    /// What cannot work, and what to write instead.
    pub(super) fn objection(&self) -> Option<(&'static str, &'static str)> {
        let tunnel_fits = |c: char| c.is_ascii_alphanumeric() || "-_.:[]".contains(c);
        if self.interval_seconds == 0 || self.interval_seconds > 3600 {
            return Some(("health.interval_seconds", "it has to be from 1 to 3600"));
        }
        if self.schedule_hour.is_some_and(|hour| hour > 23) {
            return Some(("health.schedule_hour", "it has to be from 0 to 23"));
        }
        if self.schedule_margin_minutes > 20 * 60 {
            return Some(("health.schedule_margin_minutes", "it has to be 1200 or less"));
        }
        if self.warn_below_percent > 90 {
            return Some(("health.warn_below_percent", "it has to be 90 or less"));
        }
        let period_fits = |days: &u16| (1..=366).contains(days);
        if !period_fits(&self.verify_only_copies_days) {
            return Some(("health.verify_only_copies_days", "it has to be from 1 to 366"));
        }
        if !period_fits(&self.verify_others_days) {
            return Some(("health.verify_others_days", "it has to be from 1 to 366"));
        }
        if !self.tunnel.chars().all(tunnel_fits) {
            return Some(("health.tunnel", "write a connection's name, or address:port"));
        }
        None
    }
}
