//! Steps that are done one after the other and reported as they end.
//!
//! After one that failed, the others are not done, and said to be so.

use serde::{Deserialize, Serialize};

use crate::cause;

/// What became of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was done.
    Done,
    /// There was nothing to do.
    Kept,
    /// It could not be done.
    Failed,
    /// It was not begun.
    NotDone,
}

/// One step and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What was to be done.
    pub name: String,
    /// What became of it.
    pub outcome: Outcome,
    /// What there is to say about it.
    pub said: String,
    /// What to do about it, where something is to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub todo: Option<String>,
}

/// Why a step could not be done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Failure {
    /// What happened.
    pub why: String,
    /// What to do about it.
    pub todo: String,
}

impl Failure {
    /// A failure with what to do about it.
    pub fn new(why: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { why: why.into(), todo: todo.into() }
    }

    /// A failure that an error explains.
    pub fn of(error: &dyn std::error::Error, todo: impl Into<String>) -> Self {
        Self::new(sentence(error), todo)
    }
}

/// An error with its causes, without what MongoDB's driver adds for programmers.
pub fn sentence(error: &dyn std::error::Error) -> String {
    let said = cause::chain(error);
    said.split(", labels: {").next().unwrap_or(&said).to_owned()
}

/// The steps of one undertaking.
pub struct Steps<'a> {
    report: &'a mut dyn FnMut(&Step),
    steps: Vec<Step>,
}

impl std::fmt::Debug for Steps<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Steps").field("steps", &self.steps).finish_non_exhaustive()
    }
}

impl<'a> Steps<'a> {
    /// No steps yet. Each will be told to `report`.
    pub fn new(report: &'a mut dyn FnMut(&Step)) -> Self {
        Self { report, steps: Vec::new() }
    }

    /// Does a step, unless one before it failed. `work` says what it did.
    pub async fn step<T>(
        &mut self,
        name: &str,
        work: impl Future<Output = Result<(T, String), Failure>>,
    ) -> Option<T> {
        if self.has_failed() {
            self.add(name, Outcome::NotDone, String::new(), None);
            return None;
        }
        match work.await {
            Ok((value, said)) => {
                self.add(name, Outcome::Done, said, None);
                Some(value)
            }
            Err(failure) => {
                self.failed(name, failure);
                None
            }
        }
    }

    /// Tells of a step that was done.
    pub fn done(&mut self, name: &str, said: impl Into<String>) {
        self.add(name, Outcome::Done, said.into(), None);
    }

    /// Tells of a step in which there was nothing to do.
    pub fn kept(&mut self, name: &str, said: impl Into<String>) {
        self.add(name, Outcome::Kept, said.into(), None);
    }

    /// Tells of a step that was not begun, and why.
    pub fn not_done(&mut self, name: &str, said: impl Into<String>, todo: Option<String>) {
        self.add(name, Outcome::NotDone, said.into(), todo);
    }

    /// Tells of a step that could not be done.
    pub fn failed(&mut self, name: &str, failure: Failure) {
        let Failure { why, todo } = failure;
        self.add(name, Outcome::Failed, why, Some(todo).filter(|todo| !todo.is_empty()));
    }

    /// Takes over a step that was done elsewhere.
    pub fn push(&mut self, step: Step) {
        (self.report)(&step);
        self.steps.push(step);
    }

    /// Whether a step could not be done.
    pub fn has_failed(&self) -> bool {
        self.steps.iter().any(|step| step.outcome == Outcome::Failed)
    }

    /// Whether no step failed and none was left out because of one.
    pub fn all_done(&self) -> bool {
        !self.has_failed()
    }

    /// What became of the steps.
    pub fn into_list(self) -> Vec<Step> {
        self.steps
    }

    fn add(&mut self, name: &str, outcome: Outcome, said: String, todo: Option<String>) {
        self.push(Step { name: name.to_owned(), outcome, said, todo });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn after_a_step_that_failed_no_other_is_begun() {
        let mut reported = Vec::new();
        let mut report = |step: &Step| reported.push((step.name.clone(), step.outcome));
        let mut steps = Steps::new(&mut report);
        assert_eq!(steps.step("one", async { Ok((1, "did it".into())) }).await, Some(1));
        assert!(steps.all_done());
        let fails = async { Err::<((), String), _>(Failure::new("no", "try again")) };
        assert_eq!(steps.step("two", fails).await, None);
        let never = async { panic!("it was begun") };
        assert_eq!(steps.step::<()>("three", never).await, None);
        assert!(!steps.all_done());
        assert_eq!(steps.into_list()[1].todo.as_deref(), Some("try again"));
        let expected = [
            ("one".to_owned(), Outcome::Done),
            ("two".to_owned(), Outcome::Failed),
            ("three".to_owned(), Outcome::NotDone),
        ];
        assert_eq!(reported, expected);
    }
}
