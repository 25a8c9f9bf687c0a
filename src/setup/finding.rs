//! What was looked at, and whether it will do.

use serde::Serialize;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    /// It will do.
    Ok,
    /// It works, and should be changed all the same.
    Warning,
    /// It cannot work.
    Error,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at, in one word or two: `memory`, `portal.certificate`.
    pub id: &'static str,
    /// How bad it is.
    pub grade: Grade,
    /// A sentence.
    pub said: String,
    /// What to do, if something is to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub todo: Option<String>,
    /// The line of the configuration file that says so, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
}

impl Finding {
    /// It will do.
    pub fn ok(id: &'static str, said: impl Into<String>) -> Self {
        Self { id, grade: Grade::Ok, said: said.into(), todo: None, line: None }
    }

    /// It works, and should be changed all the same.
    pub fn warning(id: &'static str, said: impl Into<String>, todo: impl Into<String>) -> Self {
        let (said, todo) = (said.into(), Some(todo.into()));
        Self { id, grade: Grade::Warning, said, todo, line: None }
    }

    /// It cannot work.
    pub fn error(id: &'static str, said: impl Into<String>, todo: impl Into<String>) -> Self {
        let (said, todo) = (said.into(), Some(todo.into()));
        Self { id, grade: Grade::Error, said, todo, line: None }
    }

    /// Said by a line of the configuration file.
    #[must_use]
    pub fn at(mut self, line: Option<usize>) -> Self {
        self.line = line;
        self
    }
}

/// Whether nothing among them is an error.
pub fn can_work(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.grade < Grade::Error)
}
