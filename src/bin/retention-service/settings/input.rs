//! Settings as they are put, and every fault in them, each with its place.
//!
//! Nothing is guessed: what is left out of a secret stays as it was, and what is left out of the
//! rest is not set.

use jiff::Timestamp;
use retention::{config::Secret, settings::archive_key};
use serde::{Deserialize, Serialize};

use super::{Online, Sealed, Settings, Sftp};

/// The longest secret, in bytes.
const MAX_SECRET_BYTES: usize = 256;

/// What is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Fault {
    /// A JSON Pointer.
    pub(crate) pointer: &'static str,
    /// A sentence.
    pub(crate) detail: String,
}

/// What is put.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {
    enabled: bool,
    general: Option<General>,
    sftp: Option<Sftp>,
    online_mode: Option<OnlineInput>,
    offline_mode: Option<OfflineInput>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct General {
    days_retained: u16,
    schedule_hour_utc: u8,
    #[serde(default, with = "optional")]
    archive_key: Option<Secret>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OnlineInput {
    #[serde(default, with = "optional")]
    portal_password: Option<Secret>,
    mongodb: MongodbInput,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MongodbInput {
    host: String,
    user: String,
    #[serde(default, with = "optional")]
    password: Option<Secret>,
    auth_db: String,
    target_db: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OfflineInput {}

/// A secret that may be left out.
mod optional {
    use retention::config::Secret;
    use serde::{Deserialize, Deserializer};

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Secret>, D::Error> {
        Ok(Option::<String>::deserialize(from)?.map(Secret::new))
    }
}

impl Input {
    /// The settings that these make of the ones before.
    pub(super) fn joined(self, before: &Settings, now: Timestamp) -> Result<Settings, Vec<Fault>> {
        let mut faults = self.faults();
        let sealed = |new: Option<Secret>, old: Option<&Sealed>| match new {
            Some(value) => Some(Sealed { value, set: now }),
            None => old.cloned(),
        };
        let mut next = Settings {
            enabled: self.enabled,
            changed: Some(now),
            since: self.enabled.then(|| before.since.unwrap_or(now)),
            version: before.version + 1,
            // What is switched off may leave out everything, and finds it again.
            ..before.clone()
        };
        if let Some(general) = self.general {
            next.days_retained = general.days_retained;
            if next.schedule_hour_utc != general.schedule_hour_utc {
                // An hour that is past is not made up for.
                next.since = self.enabled.then_some(now);
            }
            next.schedule_hour_utc = general.schedule_hour_utc;
            next.archive_key = sealed(general.archive_key, before.archive_key.as_ref());
        }
        if self.sftp.is_some() || self.enabled {
            next.sftp = self.sftp;
        }
        if self.enabled || self.online_mode.is_some() || self.offline_mode.is_some() {
            let old = before.online.as_ref();
            next.offline = self.offline_mode.is_some();
            next.online = self.online_mode.map(|online| Online {
                portal_password: sealed(
                    online.portal_password,
                    old.and_then(|old| old.portal_password.as_ref()),
                ),
                password: sealed(
                    online.mongodb.password,
                    old.and_then(|old| old.password.as_ref()),
                ),
                host: online.mongodb.host,
                user: online.mongodb.user,
                auth_db: online.mongodb.auth_db,
                target_db: online.mongodb.target_db,
            });
        }
        if next.enabled && next.archive_key.is_none() {
            faults.push(fault("/general/archive_key", "There is no Archive Key yet."));
        }
        if faults.is_empty() { Ok(next) } else { Err(faults) }
    }

    fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut found = |holds: bool, pointer: &'static str, detail: &str| {
            if holds {
                faults.push(fault(pointer, detail));
            }
        };
        if self.enabled {
            found(self.general.is_none(), "/general", "Days, hour and Archive Key are needed.");
            found(self.sftp.is_none(), "/sftp", "Where to upload is needed.");
            let neither = self.online_mode.is_none() && self.offline_mode.is_none();
            found(neither, "/offline_mode", "One mode is needed: Online, Offline or both.");
        }
        if let Some(general) = &self.general {
            let days = general.days_retained;
            let (days, hour) = (!(1..=3650).contains(&days), general.schedule_hour_utc > 23);
            found(days, "/general/days_retained", "The days are from 1 to 3650.");
            found(hour, "/general/schedule_hour_utc", "The hour is from 0 to 23.");
            if let Some(key) = &general.archive_key {
                let objection = archive_key::objection(key.reveal());
                let objection = objection.or_else(|| {
                    too_long(key).then(|| "The Archive Key has at most 256 bytes.".to_owned())
                });
                if let Some(objection) = objection {
                    found(true, "/general/archive_key", &objection);
                }
            }
        }
        if let Some(sftp) = &self.sftp {
            let plain = |text: &str, more: &str| {
                text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
                    && !text.starts_with('-')
            };
            let user = !(1..=64).contains(&sftp.user.len()) || !plain(&sftp.user, "._-@$");
            found(user, "/sftp/user", "The SFTP User is a name of 1 to 64 characters.");
            let address = !(1..=253).contains(&sftp.address.len()) || !plain(&sftp.address, ".:-");
            found(address, "/sftp/address", "The SFTP Address is a host name or an IP address.");
            found(sftp.port == 0, "/sftp/port", "The port is from 1 to 65535.");
            let keys = &sftp.host_key_fingerprints;
            let keys = !(1..=8).contains(&keys.len()) || !keys.iter().all(|key| fingerprint(key));
            let said = "From 1 to 8 fingerprints are needed, as ssh-keygen -l prints them.";
            found(keys, "/sftp/host_key_fingerprints", said);
        }
        if let Some(OnlineInput { portal_password, mongodb }) = &self.online_mode {
            let long = |secret: &Option<Secret>| secret.as_ref().is_some_and(too_long);
            let said = "A password has at most 256 bytes.";
            found(long(portal_password), "/online_mode/portal_password", said);
            found(long(&mongodb.password), "/online_mode/mongodb/password", said);
            let host = mongodb.host.trim().is_empty() || mongodb.host.contains(['/', '@', '?']);
            let said = "The Host is a name, or several with commas between them.";
            found(host, "/online_mode/mongodb/host", said);
            let name = !(1..=63).contains(&mongodb.target_db.len());
            found(name, "/online_mode/mongodb/target_db", "The TargetDB has 1 to 63 characters.");
        }
        faults
    }
}

/// Whether a text is a fingerprint as OpenSSH writes it.
pub(crate) fn fingerprint(text: &str) -> bool {
    let base64 = |c: char| c.is_ascii_alphanumeric() || c == '+' || c == '/';
    text.strip_prefix("SHA256:").is_some_and(|it| it.len() == 43 && it.chars().all(base64))
}

fn too_long(secret: &Secret) -> bool {
    secret.reveal().len() > MAX_SECRET_BYTES
}

fn fault(pointer: &'static str, detail: &str) -> Fault {
    Fault { pointer, detail: detail.to_owned() }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn good() -> Value {
        json!({
            "enabled": true,
            "general": { "days_retained": 7, "schedule_hour_utc": 3, "archive_key": "Str0ng!Key" },
            "sftp": {
                "user": "u", "address": "192.0.2.1", "port": 22,
                "host_key_fingerprints": [format!("SHA256:{}", "a".repeat(43))],
            },
            "offline_mode": {},
        })
    }

    fn joined(value: Value, before: &Settings) -> Result<Settings, Vec<Fault>> {
        let now = Timestamp::from_second(1000).expect("a time");
        serde_json::from_value::<Input>(value).expect("an input").joined(before, now)
    }

    #[test]
    fn each_fault_is_told_with_its_place() {
        for (place, value, expected) in [
            ("", json!(null), None),
            ("/general/archive_key", json!("Str0ngKey1"), Some("/general/archive_key")),
            ("/general/archive_key", json!(null), Some("/general/archive_key")),
            ("/general/days_retained", json!(0), Some("/general/days_retained")),
            ("/general/schedule_hour_utc", json!(24), Some("/general/schedule_hour_utc")),
            ("/general", json!(null), Some("/general")),
            ("/sftp", json!(null), Some("/sftp")),
            ("/sftp/user", json!("-oProxyCommand=x"), Some("/sftp/user")),
            ("/sftp/address", json!("-oProxyCommand=x"), Some("/sftp/address")),
            ("/sftp/address", json!("a b"), Some("/sftp/address")),
            ("/sftp/address", json!("2001:db8::1"), None),
            ("/sftp/port", json!(0), Some("/sftp/port")),
            ("/sftp/host_key_fingerprints", json!([]), Some("/sftp/host_key_fingerprints")),
            ("/sftp/host_key_fingerprints/0", json!("MD5:aa"), Some("/sftp/host_key_fingerprints")),
            ("/offline_mode", json!(null), Some("/offline_mode")),
        ] {
            let mut input = good();
            if let Some(there) = input.pointer_mut(place).filter(|_| !place.is_empty()) {
                *there = value.clone();
            }
            let faults = joined(input, &Settings::default()).err().unwrap_or_default();
            assert_eq!(faults.first().map(|fault| fault.pointer), expected, "{place} {value}");
        }
    }

    #[test]
    fn what_is_left_out_of_a_secret_stays_and_off_keeps_everything() {
        let on = joined(good(), &Settings::default()).expect("good");
        let mut again = good();
        again["general"].as_object_mut().expect("general").remove("archive_key");
        let kept = joined(again, &on).expect("good");
        assert_eq!(kept.archive_key, on.archive_key);
        let off = joined(json!({ "enabled": false }), &on).expect("off");
        assert_eq!((off.enabled, off.since), (false, None));
        assert_eq!((&off.sftp, off.offline, &off.archive_key), (&on.sftp, true, &on.archive_key));
    }

    #[test]
    fn what_nobody_knows_is_refused() {
        let mut input = good();
        input["general"]["days"] = json!(3);
        let error = serde_json::from_value::<Input>(input).expect_err("a word too many");
        assert!(error.to_string().contains("days"), "{error}");
    }
}
