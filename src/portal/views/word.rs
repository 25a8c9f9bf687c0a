//! The word of somebody who has to give a reason, and the way back to the backup that it is about.

use warp::reply::Response;

use crate::portal::{
    answer,
    errors::Error,
    request::{Form, Request},
};

/// How long a reason may be, in characters.
const REASON_CHARS: usize = 1000;

/// To the page of the backup.
pub(super) fn back(request: &Request, done: &str) -> Response {
    answer::redirect(&format!("/retention/backups/{}?done={done}", request.capture(0)))
}

/// What somebody wrote, who has to.
pub(super) fn reason(form: &Form, name: &str) -> Result<String, Error> {
    let text = form.get(name).trim();
    if text.is_empty() {
        return Err(Error::Input("A reason is needed.".into()));
    }
    if text.chars().count() > REASON_CHARS {
        return Err(Error::Input(format!("A reason has at most {REASON_CHARS} characters.")));
    }
    Ok(text.to_owned())
}
