//! The deletion that follows a verdict.
//!
//! Nothing is deleted from here, and nothing that was asked for goes unwritten: a deletion begins
//! with a verdict that was made at that moment, the administrator's password, a line in the audit
//! log, and only then a change of the backup.

use super::{
    judging::Looked,
    office::Known,
    permit::{Administrator, SignedIn},
};
use crate::{
    audit::Action,
    backup::{
        Acknowledged, State, UploadId,
        history::{Event, What},
        retention::{Deletion, Status, Step},
        verdict::{Judged, Override, Point},
    },
    config::Secret,
    portal::{errors::Error, request::Request},
    store::backups::Backup,
};

/// What came of pressing *Delete from maaiiconnect*.
pub(in crate::portal) enum Pressed {
    /// The deletion has begun.
    Begun,
    /// It is not safe.
    NotSafe,
    /// The password was wrong.
    Refused,
    /// Too many wrong ones: come back after so many seconds.
    Wait(u64),
    /// It was begun already, or is done.
    Already,
}

/// What an administrator says of a deletion that maaiiconnect was asked for by hand.
pub(in crate::portal) enum Outcome {
    /// maaiiconnect shows *Completed*.
    Completed,
    /// maaiiconnect shows *Failed to delete data*, or the administrator did not get that far.
    Failed(String),
}

impl SignedIn {
    /// Why maaiiconnect cannot be asked now, if so.
    pub(in crate::portal) fn connector_trouble(&self) -> Option<String> {
        self.gate.watched.connector.as_ref().and_then(|it| it.trouble.borrow().clone())
    }

    /// Whether somebody follows deletions; else an administrator says what came of them.
    pub(in crate::portal) fn has_connector(&self) -> bool {
        self.gate.watched.connector.is_some()
    }
}

impl Administrator {
    /// Begins the deletion of a backup's data from maaiiconnect, or tries it again.
    pub(in crate::portal) async fn delete_from_maaiiconnect(
        &self,
        request: &Request,
        id: &str,
        password: Secret,
    ) -> Result<Pressed, Error> {
        match self.who.knows(request, password, request.path()).await? {
            Known::Yes => {}
            Known::No => return Ok(Pressed::Refused),
            Known::Wait(seconds) => return Ok(Pressed::Wait(seconds)),
        }
        let backup = self.stored(id).await?;
        let looked = self.who.judge(&backup).await?;
        let Some(cleared) = looked.verdict.cleared() else { return Ok(Pressed::NotSafe) };
        let from = backup.retention_status();
        let (by, at) = (self.who.account().name.clone(), request.now());
        let deleting = match backup.deletion.map(|deletion| deletion.step) {
            None => cleared.delete(),
            Some(Step::Failed(failed)) => failed.try_again(cleared),
            Some(Step::Deleting(_) | Step::Completed(_)) => return Ok(Pressed::Already),
        };
        let deletion = Deletion { by, asked: at, step: Step::Deleting(deleting), changed: at };
        let said = Some(grounds(&looked));
        let changed = self.change(request, &backup.upload, from, deletion, said).await?;
        if let Some(connector) = &self.who.gate.watched.connector {
            connector.wake.notify_one();
        }
        Ok(if changed { Pressed::Begun } else { Pressed::Already })
    }

    /// Writes down what came of a deletion that was done by hand. Returns whether it was going on.
    pub(in crate::portal) async fn note_outcome(
        &self,
        request: &Request,
        id: &str,
        outcome: Outcome,
    ) -> Result<bool, Error> {
        if self.who.has_connector() {
            return Err(Error::Input("maaiiconnect itself says what becomes of it.".into()));
        }
        let backup = self.stored(id).await?;
        let Some(Deletion { step: Step::Deleting(deleting), by, asked, .. }) = backup.deletion
        else {
            return Ok(false);
        };
        let (step, said) = match outcome {
            Outcome::Completed => (Step::Completed(deleting.complete()), None),
            Outcome::Failed(why) => (Step::Failed(deleting.fail(&*why)), Some(why)),
        };
        let deletion = Deletion { by, asked, step, changed: request.now() };
        self.change(request, &backup.upload, Status::Deleting, deletion, said).await
    }

    /// Takes responsibility for a point of the verdict that does not hold, as far as `seen` says that
    /// it does not. Nobody accepts what did not stand on the page, nor anything that is still to come.
    pub(in crate::portal) async fn take_responsibility(
        &self,
        request: &Request,
        id: &str,
        point: Point,
        seen: &str,
        reason: String,
    ) -> Result<(), Error> {
        let backup = self.stored(id).await?;
        let verdict = self.who.judge(&backup).await?.verdict;
        let Some(Judged { sentence, acceptable: Some(wrong), .. }) = verdict.point(point) else {
            return Err(Error::Input(
                "Nobody can take responsibility for this as it is now.".into(),
            ));
        };
        if wrong.to_string() != seen {
            let why = "This has changed since the page was shown. Look at it again.";
            return Err(Error::Input(why.into()));
        }
        let (by, at) = (self.who.account().name.clone(), request.now());
        let said = format!("{}: {reason} This was accepted: {sentence}", point.title());
        let event = Event::by(&by, at, What::Responsibility, Some(said.clone()));
        let action = Action::ResponsibilityTaken;
        self.who.write_down(request, action, &subject(&backup.upload), Some(said)).await?;
        let word = Override { point, accepted: Some(wrong.clone()), reason, by, at };
        if self.who.gate.store.take_responsibility(&backup.upload, &word, &event).await? {
            Ok(())
        } else {
            Err(Error::NotFound)
        }
    }

    /// Acknowledges that a backup was rejected. Does nothing more if somebody has before.
    pub(in crate::portal) async fn acknowledge_rejection(
        &self,
        request: &Request,
        id: &str,
        reason: String,
    ) -> Result<(), Error> {
        let backup = self.in_state(id, State::Rejected).await?;
        let (by, at) = (self.who.account().name.clone(), request.now());
        let said = Some(reason.clone());
        let event = Event::by(&by, at, What::Acknowledged, said.clone());
        let action = Action::RejectionAcknowledged;
        self.who.write_down(request, action, &subject(&backup.upload), said).await?;
        let word = Acknowledged { reason, by, at };
        self.who.gate.store.acknowledge_rejection(&backup.upload, &word, &event).await?;
        Ok(())
    }

    async fn change(
        &self,
        request: &Request,
        upload: &UploadId,
        from: Status,
        deletion: Deletion,
        said: Option<String>,
    ) -> Result<bool, Error> {
        let (action, what) = match &deletion.step {
            Step::Deleting(_) => (Action::DeletionBegun, What::Deleting),
            Step::Failed(_) => (Action::DeletionFailed, What::Failed),
            Step::Completed(_) => (Action::DeletionCompleted, What::Completed),
        };
        self.who.write_down(request, action, &subject(upload), said.clone()).await?;
        let event = Event::by(&self.who.account().name, request.now(), what, said);
        Ok(self.who.gate.store.change_deletion(upload, from, &deletion, &event).await?)
    }

    /// A backup that is stored.
    pub(super) async fn stored(&self, id: &str) -> Result<Backup, Error> {
        self.in_state(id, State::Stored).await
    }

    async fn in_state(&self, id: &str, state: State) -> Result<Backup, Error> {
        let upload: UploadId = id.parse().map_err(|_| Error::NotFound)?;
        let found = self.who.gate.store.backup(&upload).await?;
        found.filter(|backup| backup.state == state).ok_or(Error::NotFound)
    }
}

/// On what a deletion is begun: the receipt, and what somebody took responsibility for.
fn grounds(looked: &Looked) -> String {
    let receipt = looked.receipt.as_ref().map(|receipt| format!("Receipt {}.", receipt.number));
    let words = looked.verdict.relied_on().map(ToString::to_string);
    receipt.into_iter().chain(words).collect::<Vec<_>>().join(" ")
}

/// What the audit log calls a backup.
pub(super) fn subject(upload: &UploadId) -> String {
    format!("/retention/backups/{upload}")
}
