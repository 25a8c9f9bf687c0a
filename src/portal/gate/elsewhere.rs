//! What was deleted in maaiiconnect's own console before anybody pressed it here.
//!
//! Whatever the verdict is, ours is the only copy then. Not to know that would be worse than to know
//! that it was deleted too early, so an administrator may say it, with the password and a reason.

use super::{
    office::Known,
    permit::Administrator,
    retention::{Pressed, subject},
};
use crate::{
    audit::Action,
    backup::{
        history::{Event, What},
        retention::{Deletion, Step},
    },
    config::Secret,
    portal::{errors::Error, request::Request},
};

impl Administrator {
    /// Writes down that maaiiconnect has deleted what a stored backup holds, without being asked from
    /// here: *Completed*, and the only copy.
    pub(in crate::portal) async fn note_deleted_elsewhere(
        &self,
        request: &Request,
        id: &str,
        reason: String,
        password: Secret,
    ) -> Result<Pressed, Error> {
        match self.who.knows(request, password, request.path()).await? {
            Known::Yes => {}
            Known::No => return Ok(Pressed::Refused),
            Known::Wait(seconds) => return Ok(Pressed::Wait(seconds)),
        }
        let backup = self.stored(id).await?;
        if self.who.is_told_by_maaiiconnect(&backup).await? {
            return Err(Error::Input("maaiiconnect itself says what becomes of it.".into()));
        }
        let from = backup.retention_status();
        let (name, now) = (self.who.account().name.clone(), request.now());
        let (step, by, asked) = match backup.deletion {
            None => (Step::begun_elsewhere(), name.clone(), now),
            Some(Deletion { step: Step::Failed(_), by, asked, .. }) => {
                (Step::begun_elsewhere(), by, asked)
            }
            Some(Deletion { step, by, asked, .. }) => (step, by, asked),
        };
        let Step::Deleting(deleting) = step else { return Ok(Pressed::Already) };
        let step = Step::Completed(deleting.complete());
        let deletion = Deletion { by, asked, step, changed: now };
        let said = Some(format!("In maaiiconnect, without being asked from here: {reason}"));
        let (action, upload) = (Action::DeletionCompleted, backup.upload);
        self.who.write_down(request, action, &subject(&upload), said.clone()).await?;
        let event = Event::by(&name, now, What::Completed, said);
        let changed = self.who.gate.store.change_deletion(&upload, from, &deletion, &event).await?;
        Ok(if changed { Pressed::Begun } else { Pressed::Already })
    }
}
