//! Backups: those in trouble, the one that should have come, and whether it is as large as its like.

use jiff::{SignedDuration, Timestamp, ToSpan};

use super::check::{self, Measure, Verdict, bytes, span};
use crate::{
    backup::{State, Verified, schedule::last_due},
    store::{backups::Backup, verification::Standing},
};

/// How many earlier backups say how large one is as a rule, and how many there have to be.
const LIKE: (usize, usize) = (14, 5);

/// A backup that has less than one in so many of the bytes of its like is worth a look.
const SMALLER: u64 = 4;

/// Backups that differ by less are not compared, in bytes.
const TOO_SMALL_TO_COMPARE: u64 = 1 << 20;

/// For how long a stored backup may be without a receipt before somebody is told.
pub const RECEIPT: SignedDuration = SignedDuration::from_hours(24);

/// For how long a backup may be on its way elsewhere before somebody is told.
pub const ELSEWHERE: SignedDuration = SignedDuration::from_hours(24);

/// Backups that were rejected and not replaced. What an administrator has acknowledged is known.
pub fn rejected(troubled: &[Backup]) -> Verdict {
    let all = troubled.iter().filter(|backup| backup.state == State::Rejected);
    let (known, found): (Vec<&Backup>, Vec<&Backup>) =
        all.partition(|backup| backup.acknowledged.is_some());
    let verdict = match found.as_slice() {
        [] => Verdict::ok(match known.len() {
            0 => "No backup was rejected that was not replaced.".to_owned(),
            1 => format!("{} was rejected, which was acknowledged.", known[0].file),
            several => format!("{several} backups were rejected, which was acknowledged."),
        }),
        [one] => {
            let why = one.rejection.as_ref().map_or("", |reason| reason.sentence.as_str());
            Verdict::critical(
                format!("{} was rejected: {why}", one.file),
                "Do not delete its data from maaiiconnect. Let maaiiconnect upload it again. If it \
                 never will, an administrator can acknowledge it on the backup's page.",
            )
        }
        several => Verdict::critical(
            format!("{} backups were rejected: {}.", several.len(), names(several)),
            "Do not delete their data from maaiiconnect. Let maaiiconnect upload them again. If it \
             never will, an administrator can acknowledge each on the backup's page.",
        ),
    };
    verdict.with([
        count("backups_rejected", found.len()),
        count("backups_rejected_acknowledged", known.len()),
    ])
}

/// Backups on their way that nobody here can go on with.
pub fn elsewhere(stranded: &[Backup], now: Timestamp) -> Verdict {
    let verdict = match stranded {
        [] => Verdict::ok("No backup is held up in another state directory."),
        [first, more @ ..] => {
            let place = match &first.directory {
                Some(id) => format!("the state directory {id}, which is not this one"),
                None => "a state directory that is not known".to_owned(),
            };
            let more = match more.len() {
                0 => String::new(),
                1 => " One more is as well.".to_owned(),
                more => format!(" {more} more are as well."),
            };
            let since = span(now.duration_since(first.changed).as_secs());
            Verdict::warning(
                format!(
                    "{} has been {} for {since}, and its file is in {place}.{more}",
                    first.file, first.state
                ),
                "See to the appliance that has it. If its state directory is lost for good, let \
                 maaiiconnect upload the backup again, or give this directory the other's id, as \
                 OPERATIONS.md says. Until then what the backup has brought is hidden.",
            )
        }
    };
    verdict.with([count("backups_elsewhere", stranded.len())])
}

/// Stored backups, as they were when each was held against its receipt last.
pub fn intact(found: &Standing) -> Verdict {
    let verdict = match (found.differing.as_slice(), found.overdue) {
        ([], 0) => Verdict::ok("All stored backups were as received when they were checked last."),
        ([], overdue) => {
            let backups = if overdue == 1 { "backup was" } else { "backups were" };
            Verdict::warning(
                format!("{overdue} stored {backups} not checked again for far too long."),
                "Look at the journal of retention.service. What lies in another state directory \
                 is checked by the appliance that has it.",
            )
        }
        ([one], _) => {
            let what = one.verified.as_ref().map(Verified::sentence).unwrap_or_default();
            Verdict::critical(format!("{}: {what}", one.file), DIFFERS)
        }
        (several, _) => {
            let all: Vec<&Backup> = several.iter().collect();
            Verdict::critical(
                format!("{} backups are not as they were received: {}.", all.len(), names(&all)),
                DIFFERS,
            )
        }
    };
    verdict.with([
        count("backups_differing", found.differing.len()),
        Measure::whole("backups_overdue", found.overdue),
    ])
}

const DIFFERS: &str = "Delete nothing of it from maaiiconnect. The backup's page says what differs. \
                       Look at the disk, mend it from a copy, and run `retention receipt verify`.";

/// Stored backups that have no receipt though they should.
pub fn receipts(found: &Standing) -> Verdict {
    let all: Vec<&Backup> = found.without_receipt.iter().collect();
    let verdict = match all.as_slice() {
        [] => Verdict::ok("Every stored backup has its receipt, or is getting it."),
        several => Verdict::warning(
            format!("Stored for more than a day, and without a receipt: {}.", names(several)),
            "The journal of retention.service says why. Put the Archive Key or the archive back \
             that is missing; the receipt is then given by itself.",
        ),
    };
    verdict.with([count("backups_without_receipt", all.len())])
}

/// Backups that wait.
pub fn waiting(troubled: &[Backup], now: Timestamp) -> Verdict {
    let found: Vec<&Backup> =
        troubled.iter().filter(|backup| backup.state == State::Waiting).collect();
    let longest = found.iter().map(|backup| backup.changed).min();
    let verdict = match (found.as_slice(), longest) {
        ([first, ..], Some(since)) => {
            let why = first.waiting.as_ref().map_or("", |reason| reason.sentence.as_str());
            let sentence = match found.len() {
                1 => format!("{} waits: {why}", first.file),
                several => format!("{several} backups wait: {}. {why}", names(&found)),
            };
            let advice = "They are safe here, and are stored by themselves once there is nothing \
                          in the way.";
            // What lasts a day is not going to end by itself.
            if now.duration_since(since).as_hours() >= 24 {
                Verdict::critical(sentence, advice)
            } else {
                Verdict::warning(sentence, advice)
            }
        }
        _ => Verdict::ok("No backup waits."),
    };
    verdict.with([count("backups_waiting", found.len())])
}

fn names(backups: &[&Backup]) -> String {
    check::names(backups.iter().map(|backup| backup.file.as_str()))
}

fn count(name: &'static str, count: usize) -> Measure {
    Measure::whole(name, u64::try_from(count).unwrap_or(u64::MAX))
}

/// Whether the backup of the day came.
///
/// `arrived` is when the newest upload came of whatever state, `since` when the appliance began
/// to watch: it cannot miss what was due before.
pub fn schedule(
    hour: u8,
    margin_minutes: u32,
    arrived: Option<Timestamp>,
    since: Timestamp,
    now: Timestamp,
) -> Verdict {
    // What is due has that long to come.
    let judged = now.checked_sub(i64::from(margin_minutes).minutes());
    let due = judged.ok().and_then(|judged| last_due(hour, judged));
    let Some(due) = due else {
        return Verdict::unknown("The schedule cannot be reckoned with.", "");
    };
    let measure = arrived.map(|at| {
        Measure::whole(
            "newest_backup_arrived_timestamp_seconds",
            u64::try_from(at.as_second()).unwrap_or(0),
        )
    });
    let verdict = match arrived {
        Some(at) if at >= due => {
            Verdict::ok(format!("The backup of {hour:02}:00 UTC came {} ago.", ago(at, now)))
        }
        _ if since > due => {
            Verdict::ok(format!("The first backup is awaited at {hour:02}:00 UTC."))
        }
        Some(at) => Verdict::critical(
            format!("No backup came at {hour:02}:00 UTC; the last one came {} ago.", ago(at, now)),
            MISSED,
        ),
        None => {
            Verdict::critical(format!("No backup came at {hour:02}:00 UTC, nor before."), MISSED)
        }
    };
    verdict.with(measure)
}

const MISSED: &str = "Look at the Backup Log in maaiiconnect, and try the connection from there: \
                      tunnel, address, port, user and key.";

fn ago(at: Timestamp, now: Timestamp) -> String {
    span(now.duration_since(at).as_secs())
}

/// Whether the newest stored backup is as large as its like. The newest comes first.
pub fn size(stored: &[&Backup]) -> Verdict {
    let Some((newest, _)) = stored.split_first() else {
        return Verdict::ok("No backup is stored yet.");
    };
    let like = stored.iter().skip(1).filter(|other| other.service == newest.service);
    let mut sizes: Vec<u64> = like.take(LIKE.0).map(|other| other.size_bytes).collect();
    let measure = Measure::whole("backup_size_bytes", newest.size_bytes);
    if sizes.len() < LIKE.1 {
        return Verdict::ok("There are too few backups yet to compare their sizes.")
            .with([measure]);
    }
    sizes.sort_unstable();
    let usual = sizes[sizes.len() / 2];
    let (small, large) = (newest.size_bytes, bytes(usual));
    let verdict = if small < usual / SMALLER && usual - small > TOO_SMALL_TO_COMPARE {
        Verdict::warning(
            format!("{} has {}; its like have {large} as a rule.", newest.file, bytes(small)),
            "See whether something is missing from it: a holiday explains it, or data types that \
             were switched off in maaiiconnect.",
        )
    } else {
        Verdict::ok(format!("The newest backup has {}, its like {large}.", bytes(small)))
    };
    verdict.with([measure])
}

#[cfg(test)]
mod tests {
    use super::{super::check::State as Judged, *};
    use crate::backup::{
        Acknowledged, Findings, Progress, Reason, RejectionCode, WaitCode, verified::Differs,
    };

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn backup(state: State, size_bytes: u64) -> Backup {
        let reason = "Its end is missing.";
        Backup {
            upload: "01790000-0000-7000-8000-000000000000".parse().expect("an id"),
            job: "2ed1076d-f512-4316-be8f-e6d1a3a6ae52".parse().expect("an id"),
            service: "acme".into(),
            file: "backup.zip".into(),
            taken: at("2021-05-01T00:00:00Z"),
            arrived: at("2021-05-01T00:00:00Z"),
            size_bytes,
            state,
            progress: Progress::default(),
            findings: Findings::default(),
            rejection: (state == State::Rejected)
                .then(|| Reason::new(RejectionCode::Damaged, reason)),
            waiting: (state == State::Waiting).then(|| Reason::new(WaitCode::DiskShort, reason)),
            begun: None,
            changed: at("2021-05-01T00:00:00Z"),
            sha256: None,
            repeats: 0,
            superseded: false,
            acknowledged: None,
            directory: None,
            senders: None,
            archive_kept: None,
            modes: None,
            readability: None,
            archive_keys: Vec::new(),
            verified: None,
            history: Vec::new(),
            overrides: Vec::new(),
            deletion: None,
        }
    }

    #[test]
    fn a_missed_backup_is_missed_once_the_margin_has_passed() {
        let since = "2021-05-01T00:00:00Z";
        for (now, arrived, since, state) in [
            // Its hour is 02:00, and until 05:00 it may be on its way.
            ("2021-05-10T03:00:00Z", Some("2021-05-09T02:10:00Z"), since, Judged::Ok),
            ("2021-05-10T04:59:00Z", Some("2021-05-09T02:10:00Z"), since, Judged::Ok),
            ("2021-05-10T05:00:00Z", Some("2021-05-09T02:10:00Z"), since, Judged::Critical),
            ("2021-05-10T05:00:00Z", Some("2021-05-10T02:00:00Z"), since, Judged::Ok),
            ("2021-05-10T01:00:00Z", Some("2021-05-08T02:10:00Z"), since, Judged::Critical),
            ("2021-05-10T05:00:00Z", None, since, Judged::Critical),
            ("2021-05-10T05:00:00Z", None, "2021-05-10T03:00:00Z", Judged::Ok),
        ] {
            let verdict = schedule(2, 180, arrived.map(at), at(since), at(now));
            assert_eq!(verdict.state, state, "{now} {arrived:?}: {}", verdict.sentence);
        }
    }

    #[test]
    fn what_was_rejected_or_waits_is_named_with_its_reason() {
        let troubled = [backup(State::Waiting, 1), backup(State::Rejected, 1)];
        let now = at("2021-05-01T10:00:00Z");
        assert_eq!(rejected(&troubled).state, Judged::Critical);
        assert_eq!(rejected(&troubled).sentence, "backup.zip was rejected: Its end is missing.");
        assert_eq!(waiting(&troubled, now).state, Judged::Warning);
        assert_eq!(waiting(&troubled, at("2021-05-02T00:00:00Z")).state, Judged::Critical);
        assert_eq!(rejected(&[]).state, Judged::Ok);
        let mut known = backup(State::Rejected, 1);
        known.acknowledged =
            Some(Acknowledged { reason: "A test.".into(), by: "Admin".into(), at: now });
        assert_eq!(rejected(&[known.clone()]).state, Judged::Ok);
        assert!(rejected(&[known.clone()]).sentence.contains("acknowledged"));
        let later = rejected(&[backup(State::Rejected, 1), known]);
        assert_eq!(later.state, Judged::Critical);
        assert_eq!(later.sentence, "backup.zip was rejected: Its end is missing.");
        assert_eq!(elsewhere(&[], now).state, Judged::Ok);
        let stranded = elsewhere(&[backup(State::Storing, 1), backup(State::Claimed, 1)], now);
        assert_eq!(stranded.state, Judged::Warning);
        let said = "backup.zip has been Storing for 10 hours, and its file is in a state directory \
                    that is not known. One more is as well.";
        assert_eq!(stranded.sentence, said);
        assert_eq!(waiting(&[], now).state, Judged::Ok);
    }

    #[test]
    fn what_is_not_as_it_was_received_weighs_more_than_what_was_not_checked() {
        let mut differs = backup(State::Stored, 1);
        let medium = Differs { what: "medium".into(), sentence: "Of Mei's photo.jpg.".into() };
        differs.verified = Some(Verified::new(at("2021-05-09T00:00:00Z"), [medium]));
        let all = |differing: usize, overdue| Standing {
            differing: vec![differs.clone(); differing],
            overdue,
            without_receipt: Vec::new(),
        };
        for (differing, overdue, state, said) in [
            (0, 0, Judged::Ok, "as received"),
            (0, 1, Judged::Warning, "1 stored backup was not checked"),
            (1, 3, Judged::Critical, "something was not as it was received: media."),
            (2, 0, Judged::Critical, "2 backups are not as they were received: backup.zip, "),
        ] {
            let verdict = intact(&all(differing, overdue));
            assert_eq!(verdict.state, state, "{differing} {overdue}");
            assert!(verdict.sentence.contains(said), "{}", verdict.sentence);
            assert!(!verdict.sentence.contains("Mei"), "{}", verdict.sentence);
        }
        assert_eq!(receipts(&all(0, 0)).state, Judged::Ok);
        let without = Standing { without_receipt: vec![differs.clone()], ..all(0, 0) };
        assert_eq!(receipts(&without).state, Judged::Warning);
    }

    #[test]
    fn a_backup_much_smaller_than_its_like_is_worth_a_look() {
        let mb = 1_000_000;
        for (newest, like, state) in [
            (1, vec![], Judged::Ok),
            (1, vec![100; 4], Judged::Ok),
            (1, vec![100; 5], Judged::Warning),
            (26, vec![100; 5], Judged::Ok),
            (24, vec![100; 5], Judged::Warning),
            (24, vec![10, 10, 10, 100, 100], Judged::Ok),
            (0, vec![1; 9], Judged::Ok),
        ] {
            let mut all = vec![backup(State::Stored, newest * mb)];
            all.extend(like.iter().map(|size| backup(State::Stored, size * mb)));
            assert_eq!(size(&all.iter().collect::<Vec<_>>()).state, state, "{newest} {like:?}");
        }
    }
}
