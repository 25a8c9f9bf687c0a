//! What is looked up about backups, and the verdict on each.
//!
//! A verdict is made anew whenever it is asked for, of one backup or of a page of them. For a page
//! everything is asked for once: a log must not take thirty times as long as a line. Nothing in here
//! may remember a verdict.

use super::{Gate, permit::SignedIn};
use crate::{
    backup::{
        Condition, JobId, Readability, Settled, State, UploadId, Verdict,
        examined::RULES,
        verdict::{Conflicts, Facts, Kept, Nodes},
    },
    portal::errors::Error,
    store::{self, backups::Backup, receipts::Receipt},
};

/// What was looked up about a backup, and the verdict on it.
pub(in crate::portal) struct Looked {
    /// The verdict.
    pub(in crate::portal) verdict: Verdict,
    /// How readable its media are; nothing is known of one that is not stored.
    pub(in crate::portal) readability: Readability,
    /// Where its archive is.
    pub(in crate::portal) kept: Kept,
    /// Which data nodes have it, if that can be found out.
    pub(in crate::portal) nodes: Option<Nodes>,
    /// Its receipt, if it has one.
    pub(in crate::portal) receipt: Option<Receipt>,
}

/// What the store knows of a backup that is stored; nothing of any other.
#[derive(Default)]
struct Known {
    readability: Option<Readability>,
    nodes: Option<Nodes>,
    receipt: Option<Receipt>,
    conflicts: Option<Conflicts>,
}

/// A backup with what was looked up about it.
pub(in crate::portal) struct Judged {
    /// The backup.
    pub(in crate::portal) backup: Backup,
    /// What was looked up.
    pub(in crate::portal) looked: Looked,
}

impl Judged {
    /// The condition of its data here.
    pub(in crate::portal) fn condition(&self) -> Condition {
        let Self { backup, looked } = self;
        let (status, safe) = (backup.retention_status(), looked.verdict.is_safe());
        let settled = match (backup.superseded, &backup.acknowledged) {
            (true, _) => Some(Settled::Replaced),
            (false, Some(_)) => Some(Settled::Acknowledged),
            (false, None) => None,
        };
        Condition::of(backup.state, settled, status, safe)
    }
}

impl SignedIn {
    /// The verdict on a backup, as everything is now, with what it is made from.
    pub(in crate::portal) async fn judge(&self, backup: &Backup) -> Result<Looked, Error> {
        let gate = &self.gate;
        if backup.state != State::Stored {
            return Ok(gate.looked(backup, Known::default()));
        }
        let (job, upload) = (&backup.job, std::slice::from_ref(&backup.upload));
        let known = Known {
            readability: Some(gate.store.readability(job, RULES).await?),
            nodes: gate.store.nodes_with(upload).await?.remove(&backup.upload),
            receipt: gate.store.receipt(&backup.upload).await?,
            conflicts: gate.store.conflicts(std::slice::from_ref(job)).await?.remove(job),
        };
        Ok(gate.looked(backup, known))
    }

    /// The same of many, without naming what is damaged.
    pub(in crate::portal) async fn judge_all(
        &self,
        backups: Vec<Backup>,
    ) -> Result<Vec<Judged>, Error> {
        Ok(self.gate.judge_all(backups).await?)
    }
}

impl Gate {
    pub(super) async fn judge_all(
        &self,
        backups: Vec<Backup>,
    ) -> Result<Vec<Judged>, store::Error> {
        let stored = || backups.iter().filter(|backup| backup.state == State::Stored);
        let uploads: Vec<UploadId> = stored().map(|backup| backup.upload.clone()).collect();
        let jobs: Vec<JobId> = stored().map(|backup| backup.job.clone()).collect();
        if uploads.is_empty() {
            let judged = backups.into_iter().map(|backup| {
                let looked = self.looked(&backup, Known::default());
                Judged { backup, looked }
            });
            return Ok(judged.collect());
        }
        let (readabilities, nodes, receipts, conflicts) = tokio::try_join!(
            self.store.readabilities(&jobs, RULES),
            self.store.nodes_with(&uploads),
            self.store.receipts_of(&uploads),
            self.store.conflicts(&jobs),
        )?;
        let judged = backups.into_iter().map(|backup| {
            let known = Known {
                readability: (backup.state == State::Stored)
                    .then(|| readabilities.get(&backup.job).cloned().unwrap_or_default()),
                nodes: nodes.get(&backup.upload).copied(),
                receipt: receipts.get(&backup.upload).cloned(),
                conflicts: conflicts.get(&backup.job).cloned(),
            };
            let looked = self.looked(&backup, known);
            Judged { backup, looked }
        });
        Ok(judged.collect())
    }

    fn looked(&self, backup: &Backup, known: Known) -> Looked {
        let Known { readability, nodes, receipt, conflicts } = known;
        let kept = self.watched.archives.look(backup);
        let readability = readability.map(|unpacked| shelved(backup).unwrap_or(unpacked));
        let facts = Facts {
            state: backup.state,
            progress: &backup.progress,
            findings: &backup.findings,
            conflicts: conflicts.as_ref(),
            kept,
            unpacked: backup.is_unpacked(),
            verified: backup.verified.as_ref(),
            readability: readability.as_ref(),
            nodes,
            receipt: receipt.as_ref().map(|receipt| receipt.number),
            overrides: &backup.overrides,
        };
        let (verdict, nodes) = (Verdict::of(&facts), facts.nodes_with_all());
        let readability = readability.unwrap_or_default();
        Looked { verdict, readability, kept, nodes, receipt }
    }
}

/// How readable the media of a backup are in its archive; nothing of one that was unpacked.
fn shelved(backup: &Backup) -> Option<Readability> {
    let examined = backup.readability.clone();
    match backup.modes {
        Some(modes) if modes.online => None,
        Some(_) => {
            let media = backup.progress.media;
            Some(examined.unwrap_or(Readability { waiting: media, ..Readability::default() }))
        }
        // Of older versions: its media were looked at in the archive only where the store has none.
        None => examined,
    }
}
