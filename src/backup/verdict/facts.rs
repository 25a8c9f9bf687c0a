//! What a verdict is made from. Somebody has just looked it up.

use jiff::Timestamp;

use super::word::Override;
use crate::backup::{Findings, Progress, Readability, State, Verified};

/// Whether the archive is where it has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It is kept as it was delivered (Offline mode).
    Here,
    /// It was removed once everything was in the database (Online mode alone).
    Removed,
    /// It is kept by another appliance of the same database; whether everything was unpacked as well.
    Elsewhere {
        /// Whether the database has all of it, too.
        unpacked: bool,
    },
    /// It should be kept, and is not there.
    Missing,
}

/// The data nodes of the replica set, and which of them have a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nodes {
    /// Those that have everything of it.
    pub have_it: u32,
    /// All of the replica set that hold data.
    pub all: u32,
}

/// Uploads of the same job with other contents that nobody has settled: neither acknowledged, nor
/// followed by another upload of what is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflicts {
    /// How many there are.
    pub uploads: u64,
    /// The file name of the newest.
    pub file: String,
    /// When that one arrived.
    pub arrived: Timestamp,
}

impl Conflicts {
    pub(super) fn sentence(&self) -> String {
        let Self { uploads, file, arrived } = self;
        let arrived = arrived.strftime("%Y-%m-%d %H:%M:%S UTC");
        let (what, whom) = match uploads {
            0 | 1 => (
                format!(
                    "Another upload of this job, {file} of {arrived}, has other contents and was"
                ),
                "it",
            ),
            _ => (
                format!(
                    "{uploads} other uploads of this job, the last {file} of {arrived}, have other \
                     contents and were"
                ),
                "each of them",
            ),
        };
        format!(
            "{what} rejected. Find out which is right: if it is this one, acknowledge the rejection of \
             {whom}, with a reason."
        )
    }
}

/// All that a verdict is made from.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// The state of the backup.
    pub state: State,
    /// What was counted.
    pub progress: &'a Progress,
    /// What was remarkable.
    pub findings: &'a Findings,
    /// Other uploads of its job that contradict it.
    pub conflicts: Option<&'a Conflicts>,
    /// Where the archive is.
    pub kept: Kept,
    /// Whether its records and media are in the database as well, and so on every data node; not
    /// known of some that older versions stored.
    pub unpacked: Option<bool>,
    /// What came of the last check against the receipt; nothing before the first.
    pub verified: Option<&'a Verified>,
    /// Which media can be read; nothing where that cannot be found out.
    pub readability: Option<&'a Readability>,
    /// Who has everything of the database; nothing where that cannot be found out.
    pub nodes: Option<Nodes>,
    /// The number of its receipt.
    pub receipt: Option<u64>,
    /// For what an administrator takes responsibility.
    pub overrides: &'a [Override],
}

impl Facts<'_> {
    /// The data nodes that have everything of the backup. Of one that was not unpacked only its line
    /// in the log replicates: then it is the one node that keeps the archive.
    pub fn nodes_with_all(&self) -> Option<Nodes> {
        let nodes = self.nodes?;
        if self.unpacked == Some(true) {
            return Some(nodes);
        }
        let has_archive = matches!(self.kept, Kept::Here | Kept::Elsewhere { .. });
        Some(Nodes { have_it: nodes.have_it.min(has_archive.into()), ..nodes })
    }
}
