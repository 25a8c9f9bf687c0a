//! A rejected backup: that an administrator knows of it, and awaits no good upload any more.

use warp::reply::Response;

use super::{coming, word};
use crate::{
    backup::{Reason, RejectionCode, State},
    portal::{
        errors::Error,
        gate::{Administrator, SignedIn},
        request::{Form, Request},
        zone::{When, Zone},
    },
    store::backups::Backup,
};

/// What the page of a backup says of its rejection.
pub(super) struct Known {
    /// Whether the viewer may acknowledge it.
    pub(super) may_acknowledge: bool,
    /// Where the viewer may have maaiiconnect upload it again.
    pub(super) again: Option<String>,
    /// Who has, when and why.
    pub(super) word: Option<(String, When, String)>,
}

impl Known {
    /// How it is with the rejection of a backup.
    pub(super) fn new(who: &SignedIn, backup: &Backup, zone: &Zone) -> Self {
        let stands = backup.state == State::Rejected && !backup.superseded;
        let word = backup.acknowledged.as_ref();
        // The job of a conflict is stored already: another upload of the same would settle nothing.
        let conflicts = |reason: &Reason<RejectionCode>| reason.code == RejectionCode::Conflict;
        let would_help = !backup.rejection.as_ref().is_some_and(conflicts);
        let may_ask = stands && would_help && who.is_administrator() && who.has_connector();
        Self {
            again: may_ask.then(|| coming::path(&backup.job)),
            may_acknowledge: stands && word.is_none() && who.is_administrator(),
            word: word.map(|word| (word.by.clone(), zone.show(word.at), word.reason.clone())),
        }
    }
}

/// Acknowledges a rejection.
pub(in crate::portal) async fn acknowledge(
    administrator: Administrator,
    request: Request,
    form: Form,
) -> Result<Response, Error> {
    let reason = word::reason(&form, "reason")?;
    administrator.acknowledge_rejection(&request, request.capture(0), reason).await?;
    Ok(word::back(&request, "acknowledged"))
}
