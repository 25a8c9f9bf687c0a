//! maaiiconnect: does it delete what it was asked to? And where there is a connector: does it answer, will
//! it make the next backup, and is everything here that it says it has uploaded?

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use super::check::{self, Measure, Verdict, span};
use crate::{
    backup::{
        JobId,
        cloud::{CloudBackup, CloudLog, Missing, Presence},
        retention::Step,
    },
    settings::Settings,
    store::backups::Backup,
};

/// After how long without an answer somebody is told. The loop that asks needs less than a
/// minute for a round.
const SILENT: SignedDuration = SignedDuration::from_mins(10);

/// How long a deletion may take before somebody is told.
const DELETING: SignedDuration = SignedDuration::from_hours(24);

/// What is known of maaiiconnect, and what of that is here.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    /// Its log as it was read last; nothing where it never was.
    pub log: Option<CloudLog>,
    /// How far its backups have got here.
    pub here: HashMap<JobId, Presence>,
}

/// Whether maaiiconnect answers, and makes backups as the settings say.
pub fn answers(
    log: Option<&CloudLog>,
    set: &Settings,
    watching: Timestamp,
    now: Timestamp,
) -> Verdict {
    let advice = "Look at the section [connector] of the configuration, its token and certificate, \
                  and the way there; `sudo retention check` tries it. Backups arrive without it; \
                  deletions and settings wait.";
    let read = log.filter(|log| log.read > Timestamp::UNIX_EPOCH);
    let Some(log) = read else {
        let why = log.and_then(|log| log.trouble.as_ref());
        let why = why.map_or_else(String::new, |why| format!(": {why}"));
        let sentence = format!("maaiiconnect has not answered yet{why}.");
        // Whoever has just begun to ask need not have an answer.
        return match now.duration_since(watching) < SILENT {
            true => Verdict::unknown(sentence, ""),
            false => Verdict::warning(sentence, advice),
        };
    };
    let silent = now.duration_since(log.read);
    let measure = Measure::whole(
        "maaiiconnect_answered_timestamp_seconds",
        u64::try_from(log.read.as_second()).unwrap_or(0),
    );
    let verdict = match (&log.trouble, log.next_backup) {
        (why, _) if silent >= SILENT => {
            let why = why.as_ref().map_or_else(String::new, |why| format!(": {why}"));
            let since = span(silent.as_secs());
            Verdict::warning(format!("maaiiconnect has not answered for {since}{why}."), advice)
        }
        (_, None) if set.off => {
            Verdict::ok("maaiiconnect answers. Retention is off there as well.")
        }
        // Nothing is told before all that it takes is set; the Settings tab says what is missing.
        (_, None) if !set.are_told() => {
            Verdict::ok("maaiiconnect answers. It was not told yet to make backups.")
        }
        (_, None) => Verdict::warning(
            "maaiiconnect answers, and makes no backups: Retention is off there.",
            "Turn it ON in maaiiconnect, or turn it OFF and ON again in the portal's Settings.",
        ),
        (_, Some(next)) => Verdict::ok(format!(
            "maaiiconnect answers. It makes the next backup on {}.",
            next.strftime("%Y-%m-%d at %H:%M UTC")
        )),
    };
    verdict.with([measure])
}

/// What maaiiconnect says it has uploaded and is not here.
pub fn missing(known: &Known, now: Timestamp) -> Verdict {
    let found = known.log.as_ref().map(|log| log.missing(&known.here, now)).unwrap_or_default();
    let verdict = match found.as_slice() {
        [] => Verdict::ok("Everything that maaiiconnect has uploaded is here."),
        [(one, why)] => {
            Verdict::critical(format!("{}: {}", one.file, why.sentence()), advice(&found))
        }
        several => Verdict::critical(
            format!(
                "{} backups are missing here: {}.",
                several.len(),
                check::names(several.iter().map(|(one, _)| one.file.as_str()))
            ),
            advice(&found),
        ),
    };
    let count = u64::try_from(found.len()).unwrap_or(u64::MAX);
    verdict.with([Measure::whole("backups_missing", count)])
}

/// Deletions that were asked for and are not completed.
pub fn deletions(unsettled: &[Backup], now: Timestamp) -> Verdict {
    let mut failed = Vec::new();
    let mut slow = Vec::new();
    for backup in unsettled {
        let Some(deletion) = &backup.deletion else { continue };
        match &deletion.step {
            Step::Failed(step) => failed.push((backup, &step.why)),
            Step::Deleting(_) if now.duration_since(deletion.asked) >= DELETING => {
                slow.push(backup);
            }
            Step::Deleting(_) | Step::Completed(_) => {}
        }
    }
    let verdict = match (failed.as_slice(), slow.as_slice()) {
        ([], []) => Verdict::ok("No deletion from maaiiconnect has failed or takes too long."),
        ([], [one]) => Verdict::warning(
            format!("maaiiconnect has been deleting what {} held for more than a day.", one.file),
            "Look at maaiiconnect's own Backup Log. Without a connector, say on the backup's page \
             what came of it.",
        ),
        ([], several) => Verdict::warning(
            format!(
                "maaiiconnect has been deleting what {} backups held for more than a day.",
                several.len()
            ),
            "Look at maaiiconnect's own Backup Log. Without a connector, say on the backups' pages \
             what came of it.",
        ),
        ([(one, why)], _) => Verdict::warning(
            format!("maaiiconnect could not delete what {} held: {why}", one.file),
            "Mend what it says, and press Try again on the backup's page.",
        ),
        (several, _) => Verdict::warning(
            format!("maaiiconnect could not delete what {} backups held.", several.len()),
            "Their pages say why. Mend it, and press Try again on each.",
        ),
    };
    let count = u64::try_from(failed.len()).unwrap_or(u64::MAX);
    verdict.with([Measure::whole("deletions_failed", count)])
}

fn advice(found: &[(&CloudBackup, Missing)]) -> &'static str {
    if found.iter().any(|(_, why)| *why == Missing::NotStored) {
        "Stop the deletion in maaiiconnect if it can be stopped, and ask maaiiconnect for the data. \
         Keep what the inbox and the quarantine of this appliance hold."
    } else {
        "Do not delete its data from maaiiconnect. On the Backup Log an administrator can have it \
         uploaded again."
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{backup::retention::Status, health::check::State, settings::Told};

    fn at(minute: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minute)
    }

    #[test]
    fn silence_is_told_once_it_lasts_and_so_is_that_no_backup_will_be_made() {
        let log = |read, trouble: Option<&str>, next: Option<i64>| {
            let trouble = trouble.map(str::to_owned);
            Some(CloudLog { read: at(read), trouble, next_backup: next.map(at), backups: vec![] })
        };
        let never = Settings::default();
        let told = Told { revision: 1, at: at(0) };
        let on = Settings { revision: 1, told: Some(told), ..Settings::default() };
        let off = Settings { off: true, ..on.clone() };
        for (log, set, now, state, said) in [
            (None, &on, 109, State::Unknown, "has not answered yet."),
            (None, &on, 110, State::Warning, "has not answered yet."),
            (log(0, Some("refused"), None), &on, 110, State::Warning, "yet: refused."),
            (log(100, None, Some(180)), &on, 101, State::Ok, "on 1970-01-01 at 03:00 UTC"),
            (log(100, Some("away"), Some(180)), &on, 109, State::Ok, "next backup"),
            (log(100, Some("away"), Some(180)), &on, 110, State::Warning, "10 minutes: away."),
            (log(100, None, None), &on, 101, State::Warning, "off there"),
            (log(100, None, None), &never, 101, State::Ok, "not told yet"),
            (log(100, None, None), &off, 101, State::Ok, "as well"),
        ] {
            let verdict = answers(log.as_ref(), set, at(100), at(now));
            assert_eq!(verdict.state, state, "{now} {}", verdict.sentence);
            assert!(verdict.sentence.contains(said), "{}", verdict.sentence);
        }
    }

    #[test]
    fn what_is_missing_is_named_with_what_to_do() {
        let backup = |number: u8, status| CloudBackup {
            job: format!("2ed1076d-f512-4316-be8f-e6d1a3a6ae{number:02}").parse().expect("an id"),
            file: format!("backup-{number}.zip"),
            created: at(0),
            status,
            archive_bytes: None,
            sent_bytes: 0,
            trouble: None,
            uploaded_seen: None,
            before_our_time: false,
        };
        for (backups, state, said, advised) in [
            (vec![], State::Ok, "Everything", ""),
            (
                vec![backup(1, Status::Uploaded)],
                State::Critical,
                "backup-1.zip: ",
                "uploaded again",
            ),
            (vec![backup(1, Status::Deleting)], State::Critical, "is not stored here", "Stop the"),
            (
                (1..=5).map(|number| backup(number, Status::Uploaded)).collect(),
                State::Critical,
                "5 backups are missing here: ",
                "uploaded again",
            ),
        ] {
            let mut log = CloudLog { read: at(1), ..CloudLog::default() };
            log.take_in(backups, at(0));
            let known = Known { log: Some(log), here: HashMap::new() };
            let verdict = missing(&known, at(60));
            assert_eq!(verdict.state, state, "{}", verdict.sentence);
            assert!(verdict.sentence.contains(said), "{}", verdict.sentence);
            assert!(verdict.advice.contains(advised), "{}", verdict.advice);
        }
    }
}
