//! Until when certificates are good: the portal's, and that of MongoDB's authority.

use std::path::Path;

use jiff::{Timestamp, tz::TimeZone};
use x509_parser::pem::Pem;

use super::check::{Measure, Verdict};

/// How long a certificate should still be good: less is worth a warning, and more than that.
const DAYS: (i64, i64) = (30, 7);

/// From when until when something is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first second, in seconds since 1970.
    pub from: i64,
    /// The last.
    pub until: i64,
}

/// What is the matter with a certificate's file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("cannot read {0}")]
    Read(String, #[source] std::io::Error),
    /// There is no certificate in it.
    #[error("there is no certificate in {0}")]
    Nothing(String),
}

/// Reads the certificates of a file in PEM; the shortest of them counts.
pub fn look(path: &Path) -> Result<Validity, Error> {
    let name = path.display().to_string();
    let text = std::fs::read(path).map_err(|source| Error::Read(name.clone(), source))?;
    let validities = Pem::iter_from_buffer(&text).filter_map(|pem| {
        let pem = pem.ok()?;
        let found = pem.parse_x509().ok()?.validity().clone();
        let (from, until) = (found.not_before.timestamp(), found.not_after.timestamp());
        Some(Validity { from, until })
    });
    validities.min_by_key(|validity| validity.until).ok_or(Error::Nothing(name))
}

/// Judges a certificate. `advice` says what to do about this one.
pub fn judge(found: Result<Validity, &str>, advice: &str, now: Timestamp) -> Verdict {
    let validity = match found {
        Ok(validity) => validity,
        Err(why) => return Verdict::warning(format!("{why}."), advice),
    };
    let day = |second| {
        let at = Timestamp::from_second(second).unwrap_or(Timestamp::MAX);
        at.to_zoned(TimeZone::UTC).date().to_string()
    };
    let until = day(validity.until);
    let left = (validity.until - now.as_second()).div_euclid(86_400);
    let verdict = if validity.from > now.as_second() {
        let sentence = format!("It is not good before {}.", day(validity.from));
        Verdict::critical(sentence, "Check the machine's clock.")
    } else if left < 0 {
        Verdict::critical(format!("It ran out on {until}."), advice)
    } else if left < DAYS.1 {
        Verdict::critical(format!("It runs out on {until}."), advice)
    } else if left < DAYS.0 {
        Verdict::warning(format!("It runs out on {until}."), advice)
    } else {
        Verdict::ok(format!("Good until {until}."))
    };
    let until = u64::try_from(validity.until).unwrap_or(0);
    verdict.with([Measure::whole("certificate_expiry_timestamp_seconds", until)])
}

#[cfg(test)]
mod tests {
    use super::{super::check::State, *};

    #[test]
    fn a_certificate_is_told_of_before_it_runs_out() {
        let now = Timestamp::from_second(1_700_000_000).expect("a time");
        for (from, days, state) in [
            (-1, 100, State::Ok),
            (-1, 30, State::Ok),
            (-1, 29, State::Warning),
            (-1, 6, State::Critical),
            (-1, -1, State::Critical),
            (1, 100, State::Critical),
        ] {
            let from = now.as_second() + from;
            let found = Validity { from, until: now.as_second() + days * 86_400 };
            assert_eq!(judge(Ok(found), "x", now).state, state, "{days}");
        }
        assert_eq!(judge(Err("gone"), "x", now).state, State::Warning);
    }

    #[test]
    fn the_shortest_of_a_chain_counts() {
        let scratch = tempfile::tempdir().expect("scratch");
        let path = scratch.path().join("chain.pem");
        let make = |year| {
            let mut params = rcgen::CertificateParams::new(vec!["a".into()]).expect("parameters");
            params.not_after = rcgen::date_time_ymd(year, 1, 1);
            let key = rcgen::KeyPair::generate().expect("a key");
            params.self_signed(&key).expect("a certificate").pem()
        };
        std::fs::write(&path, make(2040) + &make(2030)).expect("written");
        let found = look(&path).expect("two certificates");
        let until = Timestamp::from_second(found.until).expect("a time");
        assert_eq!(until.to_string(), "2030-01-01T00:00:00Z");
        std::fs::write(&path, "nothing").expect("written");
        assert!(matches!(look(&path), Err(Error::Nothing(_))));
    }
}
