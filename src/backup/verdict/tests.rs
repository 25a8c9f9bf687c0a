//! Verdicts as tables of facts and answers.

use jiff::Timestamp;

use super::*;
use crate::backup::{
    FindingKind, Findings, Progress, Readability, State, Verified,
    examined::{DamagedMedium, MediumKind},
    verified::Differs,
};

struct Case {
    state: State,
    findings: Findings,
    conflicts: Option<Conflicts>,
    kept: Kept,
    unpacked: Option<bool>,
    verified: Option<Verified>,
    readability: Option<Readability>,
    nodes: Option<Nodes>,
    receipt: Option<u64>,
    overrides: Vec<Override>,
}

impl Case {
    fn good() -> Self {
        Self {
            state: State::Stored,
            findings: Findings::default(),
            conflicts: None,
            kept: Kept::Here,
            unpacked: Some(true),
            verified: Some(Verified::new(Timestamp::UNIX_EPOCH, [])),
            readability: Some(Readability { readable: 3, ..Readability::default() }),
            nodes: Some(Nodes { have_it: 2, all: 2 }),
            receipt: Some(7),
            overrides: Vec::new(),
        }
    }

    fn verdict(&self) -> Verdict {
        Verdict::of(&Facts {
            state: self.state,
            progress: &Progress::default(),
            findings: &self.findings,
            conflicts: self.conflicts.as_ref(),
            kept: self.kept,
            unpacked: self.unpacked,
            verified: self.verified.as_ref(),
            readability: self.readability.as_ref(),
            nodes: self.nodes,
            receipt: self.receipt,
            overrides: &self.overrides,
        })
    }

    fn found(mut self, kind: FindingKind) -> Self {
        self.findings.note(kind, "x");
        self
    }
}

fn word(point: Point, accepted: Option<Tally>) -> Override {
    let (reason, by) = ("They are thumbnails.".into(), "Admin".into());
    Override { point, accepted, reason, by, at: Timestamp::UNIX_EPOCH }
}

/// A word for each point, each for more than there can be.
fn every_word() -> Vec<Override> {
    let kinds = ["missing-medium", "size-differs", "not-json", "damaged", "nodes without it"];
    let all = Tally::of(kinds.map(|kind| (kind, 1_000_000)));
    Point::ALL.into_iter().map(|point| word(point, Some(all.clone()))).collect()
}

#[test]
fn each_point_alone_stands_in_the_way() {
    use Answer::{No, Pending};
    let medium = DamagedMedium { entry: "a.png".into(), why: "It is cut off.".into() };
    let damaged = Readability { damaged: 1, examples: vec![medium], ..Readability::default() };
    let waiting = Readability { waiting: 1, ..Readability::default() };
    let kinds = [(MediumKind::Heif, 1), (MediumKind::Text, 2)].into();
    let not_decoded = Readability { readable: 1, not_decoded: kinds, ..Readability::default() };
    let differs = Differs { what: "medium".into(), sentence: "a.png was changed.".into() };
    let differs = Some(Verified::new(Timestamp::UNIX_EPOCH, [differs]));
    let conflicts =
        || Some(Conflicts { uploads: 1, file: "b.zip".into(), arrived: Timestamp::UNIX_EPOCH });
    let table: Vec<(Point, Answer, Case)> = vec![
        (Point::Intact, No, Case { conflicts: conflicts(), ..Case::good() }),
        (Point::Intact, No, Case { verified: differs, ..Case::good() }),
        (Point::Intact, No, Case { kept: Kept::Missing, ..Case::good() }),
        (Point::Intact, No, Case { kept: Kept::Elsewhere { unpacked: false }, ..Case::good() }),
        (Point::Parsed, No, Case::good().found(FindingKind::NotJson)),
        (Point::Resolved, No, Case::good().found(FindingKind::MissingMedium)),
        (Point::Resolved, No, Case::good().found(FindingKind::SizeDiffers)),
        (Point::Readable, No, Case { readability: None, ..Case::good() }),
        (Point::Readable, No, Case { readability: Some(damaged), ..Case::good() }),
        (Point::Readable, No, Case { readability: Some(not_decoded), ..Case::good() }),
        (Point::Readable, Pending, Case { readability: Some(waiting), ..Case::good() }),
        (Point::Copied, No, Case { nodes: None, ..Case::good() }),
        (
            Point::Copied,
            Pending,
            Case { nodes: Some(Nodes { have_it: 1, all: 2 }), ..Case::good() },
        ),
        (
            Point::Copied,
            Pending,
            Case { nodes: Some(Nodes { have_it: 0, all: 0 }), ..Case::good() },
        ),
        (Point::Receipt, Pending, Case { receipt: None, ..Case::good() }),
    ];
    assert!(Case::good().verdict().is_safe());
    for (point, answer, case) in table {
        let verdict = case.verdict();
        let found: Vec<_> =
            verdict.in_the_way().map(|judged| (judged.point, judged.answer)).collect();
        assert_eq!(found, [(point, answer)], "{verdict:?}");
        assert!(!verdict.is_safe() && verdict.cleared().is_none());
    }
}

#[test]
fn what_is_remarkable_and_harmless_is_told_and_stands_in_nobodys_way() {
    for kind in [
        FindingKind::Unencrypted,
        FindingKind::KeptAsText,
        FindingKind::UnknownDataset,
        FindingKind::UnreferencedMedium,
    ] {
        assert!(Case::good().found(kind).verdict().is_safe(), "{kind:?}");
    }
}

#[test]
fn what_is_not_stored_is_never_safe() {
    for state in State::ALL.into_iter().filter(|state| *state != State::Stored) {
        let mut case = Case { state, ..Case::good() };
        case.overrides = every_word();
        let verdict = case.verdict();
        assert!(!verdict.is_safe(), "{state}: {verdict:?}");
    }
}

#[test]
fn responsibility_can_be_taken_for_findings_alone() {
    let missing = || Case::good().found(FindingKind::MissingMedium);
    let mut case = missing();
    case.overrides = vec![word(Point::Parsed, None)];
    assert!(!case.verdict().is_safe(), "a word for another point");
    case.overrides = vec![word(Point::Resolved, None)];
    let verdict = case.verdict();
    assert!(verdict.is_safe());
    let said = &verdict.points()[3];
    assert_eq!(said.answer, Answer::Overridden);
    assert!(said.sentence.ends_with("Admin takes responsibility: They are thumbnails."));

    let one = Some(Nodes { have_it: 1, all: 2 });
    for mut case in [
        Case { nodes: one, ..missing() },
        Case { receipt: None, ..missing() },
        Case { kept: Kept::Missing, ..missing() },
    ] {
        case.overrides = every_word();
        assert!(!case.verdict().is_safe(), "{:?}", case.verdict());
    }
}

#[test]
fn an_archive_that_another_node_keeps_is_no_trouble_where_all_of_it_is_in_the_database() {
    let case = Case { kept: Kept::Elsewhere { unpacked: true }, ..Case::good() };
    assert!(case.verdict().is_safe());
    let case = Case { kept: Kept::Elsewhere { unpacked: false }, ..Case::good() };
    assert!(!case.verdict().is_safe());
}

#[test]
fn what_only_its_archive_has_is_on_one_data_node_however_far_the_log_replicates() {
    let on = |have_it, all| Some(Nodes { have_it, all });
    let elsewhere = Kept::Elsewhere { unpacked: false };
    for (unpacked, kept, nodes, answer, words) in [
        (Some(false), Kept::Here, on(1, 1), Answer::Yes, "Stored on 1 of 1."),
        (
            Some(false),
            Kept::Here,
            on(2, 2),
            Answer::No,
            "Stored on 1 of 2. It was stored with Offline",
        ),
        (Some(false), Kept::Here, on(3, 3), Answer::No, "Stored on 1 of 3."),
        (Some(false), elsewhere, on(2, 2), Answer::No, "Stored on 1 of 2."),
        (Some(false), Kept::Missing, on(1, 1), Answer::No, "Stored on 0 of 1."),
        (None, Kept::Here, on(1, 1), Answer::Yes, "Stored on 1 of 1."),
        (None, Kept::Here, on(2, 2), Answer::No, "not known in which modes"),
        (None, Kept::Removed, on(1, 1), Answer::No, "its archive is not here"),
        (Some(true), Kept::Here, on(2, 2), Answer::Yes, "Stored on 2 of 2."),
        (Some(true), Kept::Removed, on(2, 2), Answer::Yes, "Stored on 2 of 2."),
        (
            Some(true),
            Kept::Removed,
            on(1, 2),
            Answer::Pending,
            "Stored on 1 of 2. The others follow",
        ),
    ] {
        let case = Case { unpacked, kept, nodes, ..Case::good() };
        let verdict = case.verdict();
        let copied = &verdict.points()[5];
        assert_eq!(copied.answer, answer, "{copied:?}");
        assert!(copied.sentence.contains(words), "{copied:?}");
    }
}

#[test]
fn that_an_archive_is_on_one_node_can_be_accepted_and_that_others_lag_cannot() {
    let shelved = Case { unpacked: Some(false), ..Case::good() };
    let lagging = Case { nodes: Some(Nodes { have_it: 1, all: 2 }), ..Case::good() };
    let unknown = Case { nodes: None, unpacked: Some(false), ..Case::good() };
    for (mut case, may) in [(shelved, true), (lagging, false), (unknown, false)] {
        assert_eq!(case.verdict().points()[5].acceptable.is_some(), may);
        assert!(!case.verdict().is_safe());
        case.overrides = every_word();
        assert_eq!(case.verdict().is_safe(), may, "{:?}", case.verdict());
    }
}

#[test]
fn an_upload_that_contradicts_is_named_and_nobody_can_pass_it_over() {
    for (uploads, words) in [
        (1, "Another upload of this job, b.zip of 1970-01-01 00:00:00 UTC, has other contents"),
        (3, "3 other uploads of this job, the last b.zip of 1970"),
    ] {
        let file = "b.zip".to_owned();
        let conflicts = Some(Conflicts { uploads, file, arrived: Timestamp::UNIX_EPOCH });
        let overrides = every_word();
        let case = Case { conflicts, overrides, ..Case::good() };
        let verdict = case.verdict();
        let intact = &verdict.points()[0];
        assert!(intact.sentence.contains(words), "{intact:?}");
        assert!(intact.sentence.contains("acknowledge the rejection"), "{intact:?}");
        assert!(!verdict.is_safe() && intact.acceptable.is_none());
    }
}

#[test]
fn how_far_files_were_read_is_said_of_each_kind_apart() {
    let kinds = || [(MediumKind::Heif, 1), (MediumKind::Text, 2)].into();
    for (found, sentence) in [
        (
            Readability {
                readable: 2,
                readable_in_part: 1,
                not_examined: 3,
                ..Readability::default()
            },
            "2 files were decoded to the end, or held against checksums. 1 file was read to the end, \
             but not all of it can be decoded here. 3 files were of kinds that cannot be decoded, such \
             as text.",
        ),
        (
            Readability { readable: 5, not_decoded: kinds(), ..Readability::default() },
            "3 files were not decoded to the end, as pictures, sound, video and PDF have to be: HEIF \
             or AVIF picture (1), text (2).",
        ),
        (
            Readability { damaged: 1, not_decoded: kinds(), ..Readability::default() },
            "1 file cannot be played or shown. 3 files were not decoded to the end, as pictures, \
             sound, video and PDF have to be: HEIF or AVIF picture (1), text (2).",
        ),
        (Readability::default(), "There are no pictures, sounds or documents to be read."),
    ] {
        let case = Case { readability: Some(found), ..Case::good() };
        assert_eq!(case.verdict().points()[4].sentence, sentence);
    }
}

#[test]
fn a_word_holds_for_what_was_accepted_and_for_nothing_worse() {
    let damaged = |damaged| Case {
        readability: Some(Readability { readable: 9, damaged, ..Readability::default() }),
        ..Case::good()
    };
    let accepted = |case: &Case| case.verdict().points()[4].acceptable.clone();
    let two = accepted(&damaged(2)).expect("it can be accepted");
    for (found, safe) in [(1, true), (2, true), (3, false)] {
        let case =
            Case { overrides: vec![word(Point::Readable, Some(two.clone()))], ..damaged(found) };
        assert_eq!(case.verdict().is_safe(), safe, "{found}");
        // What has grown can be accepted anew.
        assert_eq!(accepted(&case).is_some(), !safe);
    }
    let case = Case { overrides: vec![word(Point::Readable, Some(two))], ..damaged(3) };
    let said = case.verdict().points()[4].sentence.clone();
    assert!(said.ends_with("That is not what Admin has accepted before."), "{said}");

    // Another kind of trouble is more trouble.
    let kinds = [(MediumKind::Heif, 1)].into();
    let other = Readability { not_decoded: kinds, ..Readability::default() };
    let case = Case { readability: Some(other), overrides: every_word(), ..Case::good() };
    assert!(!case.verdict().is_safe());
}

#[test]
fn a_word_that_does_not_say_for_what_it_is_holds_where_nothing_can_have_grown() {
    let readability = Some(Readability { damaged: 1, ..Readability::default() });
    for (point, case, safe) in [
        (Point::Parsed, Case::good().found(FindingKind::NotJson), true),
        (Point::Resolved, Case::good().found(FindingKind::SizeDiffers), true),
        (Point::Readable, Case { readability, ..Case::good() }, false),
        (Point::Copied, Case { unpacked: Some(false), ..Case::good() }, false),
    ] {
        let case = Case { overrides: vec![word(point, None)], ..case };
        assert_eq!(case.verdict().is_safe(), safe, "{point:?}");
    }
}

#[test]
fn nobody_accepts_what_holds_or_is_still_to_come() {
    let waiting = Some(Readability { waiting: 1, ..Readability::default() });
    for case in [Case::good(), Case { readability: waiting, ..Case::good() }] {
        assert!(case.verdict().points().iter().all(|judged| judged.acceptable.is_none()));
    }
}
