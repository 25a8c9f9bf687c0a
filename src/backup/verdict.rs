//! Safe to delete, or not yet: the verdict on a stored backup, with every reason.
//!
//! After *Delete from maaiiconnect* ours is the only copy. So each point below has to hold, and each
//! answer is computed from facts that somebody has just looked up; what could not be looked up does
//! not hold. Pure: facts in, verdict out. An administrator may take responsibility for a finding
//! with a reason, and for nothing that we have still to do: nobody can say that a backup is on two
//! machines when it is on one. That one is all there will be, as with Offline mode alone, can be
//! accepted.

mod facts;
mod finding;
mod point;
mod word;

use serde::Serialize;

use super::Condition;
use finding::{Found, find};

pub use facts::{Conflicts, Facts, Kept, Nodes};
pub use point::{Answer, Point};
pub use word::{Override, Tally, Word};

/// A point, its answer and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Judged {
    /// What has to hold.
    pub point: Point,
    /// Whether it does.
    pub answer: Answer,
    /// Why, in a sentence or two.
    pub sentence: String,
    /// What an administrator may take responsibility for as it is now. What the sender got wrong will
    /// not become right by waiting; what we have not done will.
    pub acceptable: Option<Tally>,
    /// The word that it is accepted by, if so.
    pub word: Option<Word>,
}

impl Judged {
    /// The same by this word.
    fn accepted(self, Override { by, reason, .. }: &Override) -> Self {
        let found = self.sentence;
        Self {
            answer: Answer::Overridden,
            sentence: format!("{found} {by} takes responsibility: {reason}"),
            acceptable: None,
            word: Some(Word { found, by: by.clone(), reason: reason.clone() }),
            ..self
        }
    }
}

/// The verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    points: Vec<Judged>,
}

/// The proof that a backup was judged and found safe. It cannot be made otherwise.
#[derive(Debug)]
pub struct Cleared(());

impl Verdict {
    /// Judges a backup.
    pub fn of(facts: &Facts<'_>) -> Self {
        let judge = |point| {
            let Found { answer, sentence, acceptable } = find(point, facts);
            let judged = Judged { point, answer, sentence, acceptable, word: None };
            let Some(wrong) = &judged.acceptable else { return judged };
            let mut words = facts.overrides.iter().rev().filter(|word| word.point == point);
            let newest = words.clone().next();
            match (words.find(|word| word.holds(wrong)), newest) {
                (Some(word), _) => judged.accepted(word),
                (None, Some(Override { by, .. })) => {
                    let found = &judged.sentence;
                    let sentence = format!("{found} That is not what {by} has accepted before.");
                    Judged { sentence, ..judged }
                }
                (None, None) => judged,
            }
        };
        Self { points: Point::ALL.into_iter().map(judge).collect() }
    }

    /// Whether its data may be deleted from maaiiconnect.
    pub fn is_safe(&self) -> bool {
        self.points.iter().all(|judged| matches!(judged.answer, Answer::Yes | Answer::Overridden))
    }

    /// The proof of that, for whoever deletes.
    pub fn cleared(&self) -> Option<Cleared> {
        self.is_safe().then_some(Cleared(()))
    }

    /// Every point with its answer.
    pub fn points(&self) -> &[Judged] {
        &self.points
    }

    /// Those that stand in the way.
    pub fn in_the_way(&self) -> impl Iterator<Item = &Judged> {
        self.points.iter().filter(|judged| matches!(judged.answer, Answer::No | Answer::Pending))
    }

    /// A point with its answer.
    pub fn point(&self, point: Point) -> Option<&Judged> {
        self.points.iter().find(|judged| judged.point == point)
    }

    /// The words that it relies on.
    pub fn relied_on(&self) -> impl Iterator<Item = &Word> {
        self.points.iter().filter_map(|judged| judged.word.as_ref())
    }

    /// The verdict in a line.
    pub fn words(&self) -> &'static str {
        if self.is_safe() { Condition::Safe.words() } else { Condition::NotYet.words() }
    }
}

#[cfg(test)]
mod tests;
