//! MongoDB: whether it answers, its version, its members, its oplog.

use jiff::Timestamp;

use super::check::{Check, Kind, Measure, Verdict, bytes, span};
use crate::store::{
    Server,
    vitals::{Asked, Member, Oplog},
};

/// Series of MongoDB and the month in which their life ends, after MongoDB's own list.
const ENDS: [(&str, &str); 7] = [
    ("4.0", "2022-04"),
    ("4.2", "2023-04"),
    ("4.4", "2024-02"),
    ("5.0", "2024-10"),
    ("6.0", "2025-07"),
    ("7.0", "2027-08"),
    ("8.0", "2029-10"),
];

/// The series that maaiiconnect prescribes: that it is old is nobody's fault here.
const PRESCRIBED: &str = "4.2";

/// How far a member may be behind: worth a warning, and more than that, in seconds.
const LAG_SECONDS: (i64, i64) = (60, 3600);

/// How far back a full oplog should reach: less is worth a warning, and more than that, in seconds.
const WINDOW_SECONDS: (i64, i64) = (48 * 3600, 6 * 3600);

/// What a user without the right is told.
const GRANT: &str = "Grant the user the role clusterMonitor on the database admin.";

/// Whether it is there. `Err` says why not.
pub fn reachable(answer: Result<&Server, &str>) -> Verdict {
    match answer {
        Ok(server) if server.writable => {
            let set = server.replica_set.as_deref();
            let set = set.map_or(String::new(), |set| format!(", replica set {set}"));
            Verdict::ok(format!("MongoDB {} answers and accepts writes{set}.", server.version))
        }
        Ok(server) => Verdict::critical(
            format!("MongoDB {} answers and does not accept writes.", server.version),
            "Uploads are kept and wait. See to it that the replica set has a primary.",
        ),
        Err(why) => Verdict::critical(
            format!("{}.", why.trim_end_matches('.')),
            "Uploads are kept and wait. Start MongoDB, and check address and password in the \
             configuration.",
        ),
    }
}

/// Its version and the end of its life.
pub fn version(version: &str, now: Timestamp) -> Verdict {
    let series = version.splitn(3, '.').take(2).collect::<Vec<_>>().join(".");
    let month = now.strftime("%Y-%m").to_string();
    match ENDS.into_iter().find(|(known, _)| *known == series) {
        Some((PRESCRIBED, end)) => Verdict::ok(format!(
            "MongoDB {version}, the series that maaiiconnect prescribes. Its life ended in {end}."
        )),
        Some((_, end)) if month.as_str() > end => Verdict::warning(
            format!("MongoDB {version} gets no more corrections since {end}."),
            "Plan to go to a later series.",
        ),
        Some((_, end)) => Verdict::ok(format!("MongoDB {version}, looked after until {end}.")),
        None => Verdict::ok(format!("MongoDB {version}.")),
    }
}

/// The checks of the replica set's members.
pub fn members(asked: &Asked<Vec<Member>>, now: Timestamp) -> Vec<Check> {
    match asked {
        Asked::NotThere => Vec::new(),
        Asked::NotPermitted => {
            vec![Verdict::unknown("The user may not ask for the replica set's members.", GRANT).of(
                Kind::ReplicaMembers,
                "",
                now,
            )]
        }
        Asked::Answer(members) => {
            let mut checks = vec![present(members).of(Kind::ReplicaMembers, "", now)];
            // A set of one has nobody to be behind.
            if members.iter().filter(|member| member.written.is_some()).count() > 1 {
                checks.push(lag(members).of(Kind::ReplicaLag, "", now));
            }
            checks
        }
    }
}

fn present(members: &[Member]) -> Verdict {
    let good = |member: &&Member| {
        member.healthy && ["PRIMARY", "SECONDARY", "ARBITER"].contains(&member.state.as_str())
    };
    let away: Vec<String> = members
        .iter()
        .filter(|member| !good(member))
        .map(|member| format!("{} ({})", member.name, member.state))
        .collect();
    let (all, there) = (members.len(), members.len() - away.len());
    let verdict = if away.is_empty() {
        Verdict::ok(match all {
            1 => "A replica set of one member.".to_owned(),
            _ => format!("All {all} members are there."),
        })
    } else {
        let sentence = format!("{there} of {all} members are there. Away: {}.", away.join(", "));
        let advice = "Start the members that are away, or mend the network between them.";
        if there * 2 > all {
            Verdict::warning(sentence, advice)
        } else {
            Verdict::critical(sentence, advice)
        }
    };
    let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    verdict.with([
        Measure::whole("replica_members", count(all)),
        Measure::whole("replica_members_present", count(there)),
    ])
}

fn lag(members: &[Member]) -> Verdict {
    let written = |member: &Member| member.written.map(|at| (at, member.name.clone()));
    let newest = members.iter().filter_map(written).max();
    let oldest = members.iter().filter_map(written).min();
    let (Some((newest, _)), Some((oldest, slowest))) = (newest, oldest) else {
        return Verdict::unknown("No member says when it wrote last.", "");
    };
    let seconds = newest.duration_since(oldest).as_secs();
    let sentence = format!("{slowest} is {} behind.", span(seconds));
    let advice = "Look at the load, the disk and the network of that member.";
    let verdict = match seconds {
        seconds if seconds >= LAG_SECONDS.1 => Verdict::critical(sentence, advice),
        seconds if seconds >= LAG_SECONDS.0 => Verdict::warning(sentence, advice),
        _ => Verdict::ok("All members with data are up to date."),
    };
    verdict.with([Measure::whole("replica_lag_seconds", seconds.unsigned_abs())])
}

/// The checks of the oplog. `next_bytes` is how much the next backup may write.
pub fn oplog(
    asked: &Asked<Oplog>,
    replicated: bool,
    next_bytes: u64,
    now: Timestamp,
) -> Vec<Check> {
    match asked {
        Asked::NotThere => Vec::new(),
        Asked::NotPermitted => {
            vec![Verdict::unknown("The user may not look at the oplog.", GRANT).of(
                Kind::OplogWindow,
                "",
                now,
            )]
        }
        Asked::Answer(oplog) => vec![
            window(oplog, replicated).of(Kind::OplogWindow, "", now),
            room(oplog, replicated, next_bytes).of(Kind::OplogRoom, "", now),
        ],
    }
}

fn window(oplog: &Oplog, replicated: bool) -> Verdict {
    let Oplog { limit_bytes, used_bytes, window_seconds } = *oplog;
    let sentence = format!(
        "The oplog reaches {} back; {} of {} are in use.",
        span(window_seconds),
        bytes(used_bytes),
        bytes(limit_bytes)
    );
    let advice = "Make the oplog larger (replSetResizeOplog): a member that is away for longer \
                  has to copy everything.";
    // One that is not full yet is short because it is young.
    let full = used_bytes >= limit_bytes / 10 * 9;
    let verdict = if !full || !replicated {
        Verdict::ok(sentence)
    } else if window_seconds < WINDOW_SECONDS.1 {
        Verdict::critical(sentence, advice)
    } else if window_seconds < WINDOW_SECONDS.0 {
        Verdict::warning(sentence, advice)
    } else {
        Verdict::ok(sentence)
    };
    verdict.with([
        Measure::whole("oplog_limit_bytes", limit_bytes),
        Measure::whole("oplog_used_bytes", used_bytes),
        Measure::whole("oplog_window_seconds", window_seconds.unsigned_abs()),
    ])
}

fn room(oplog: &Oplog, replicated: bool, next_bytes: u64) -> Verdict {
    let limit = oplog.limit_bytes;
    if next_bytes > limit && replicated {
        return Verdict::warning(
            format!(
                "The next backup may write {}, and the oplog holds {}.",
                bytes(next_bytes),
                bytes(limit)
            ),
            "Make the oplog larger (replSetResizeOplog): a member that is away while the backup \
             is stored could not catch up.",
        );
    }
    Verdict::ok(format!("The oplog holds {}, which is enough for the next backup.", bytes(limit)))
}

#[cfg(test)]
mod tests {
    use super::{super::check::State, *};

    fn now() -> Timestamp {
        "2026-11-25T00:00:00Z".parse().expect("a time")
    }

    fn member(name: &str, state: &str, healthy: bool, written: i64) -> Member {
        let written = (written >= 0).then(|| Timestamp::from_second(written).expect("a time"));
        Member { name: name.into(), state: state.into(), healthy, written, durable: None }
    }

    #[test]
    fn a_series_whose_life_has_ended_is_named() {
        for (found, state) in [
            ("4.2.6", State::Ok),
            ("4.4.2", State::Warning),
            ("6.0.5", State::Warning),
            ("7.0.1", State::Ok),
            ("8.0.0", State::Ok),
            ("9.1.0", State::Ok),
        ] {
            assert_eq!(version(found, now()).state, state, "{found}");
        }
    }

    #[test]
    fn members_that_are_away_or_behind_are_named() {
        let (a, b) = (member("a", "PRIMARY", true, 5000), member("b", "SECONDARY", true, 5000));
        let arbiter = member("c", "ARBITER", true, -1);
        for (members, present, lag) in [
            (vec![a.clone()], State::Ok, None),
            (vec![a.clone(), b, arbiter.clone()], State::Ok, Some(State::Ok)),
            (
                vec![a.clone(), member("b", "SECONDARY", true, 4900), arbiter.clone()],
                State::Ok,
                Some(State::Warning),
            ),
            (
                vec![a.clone(), member("b", "(not reachable/healthy)", false, 0), arbiter],
                State::Warning,
                Some(State::Critical),
            ),
            (vec![a, member("b", "RECOVERING", true, 5000)], State::Critical, Some(State::Ok)),
        ] {
            let checks = super::members(&Asked::Answer(members.clone()), now());
            assert_eq!(checks[0].state, present, "{members:?}");
            assert_eq!(checks.get(1).map(|check| check.state), lag, "{members:?}");
        }
        let refused = super::members(&Asked::NotPermitted, now());
        assert_eq!(refused[0].state, State::Unknown);
        assert!(refused[0].advice.contains("clusterMonitor"));
    }

    #[test]
    fn an_oplog_is_judged_once_it_is_full() {
        for (used, hours, replicated, next, window, room) in [
            (10, 1, true, 10, State::Ok, State::Ok),
            (95, 100, true, 10, State::Ok, State::Ok),
            (95, 40, true, 10, State::Warning, State::Ok),
            (95, 2, true, 10, State::Critical, State::Ok),
            (95, 2, false, 1000, State::Ok, State::Ok),
            (10, 1, true, 1000, State::Ok, State::Warning),
        ] {
            let found = Oplog { limit_bytes: 100, used_bytes: used, window_seconds: hours * 3600 };
            let checks = oplog(&Asked::Answer(found), replicated, next, now());
            assert_eq!((checks[0].state, checks[1].state), (window, room), "{found:?}");
        }
    }

    #[test]
    fn a_database_that_takes_no_writes_is_trouble() {
        let server = |writable| Server { version: "4.2.6".into(), writable, replica_set: None };
        for (answer, state) in [
            (Ok(&server(true)), State::Ok),
            (Ok(&server(false)), State::Critical),
            (Err("MongoDB does not answer"), State::Critical),
        ] {
            assert_eq!(reachable(answer).state, state);
        }
    }
}
