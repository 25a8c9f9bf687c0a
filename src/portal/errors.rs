//! What goes wrong with a request, and what the user and the journal are told.
//!
//! Only this module knows status codes of failure. The user gets a sentence and
//! a reference number; the journal gets the chain of causes under the same
//! number, and never a password or personal data.

use askama::Template;
use rand::Rng;
use warp::{
    http::{HeaderValue, StatusCode, header},
    reply::Response,
};

use super::{answer, assets::Assets, password};
use crate::{cause, store};

/// Why a request got something else than what it asked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// Nobody is signed in; afterwards the path is gone on with.
    #[error("nobody is signed in")]
    SignIn {
        /// Where to go after signing in.
        then: Option<String>,
    },
    /// The account may not have this.
    #[error("the account may not do this")]
    Forbidden,
    /// A form without its token: of another site, or of a session that is over.
    #[error("a form without the token of its session")]
    StaleForm,
    /// There is no such thing.
    #[error("there is no such page")]
    NotFound,
    /// There is such a thing, but not for this method.
    #[error("the method does not fit the route")]
    Method,
    /// Something was asked for that makes no sense, as the sentence explains.
    #[error("the request makes no sense")]
    Input(String),
    /// A form is too large.
    #[error("a form is too large")]
    TooLarge,
    /// The request's body took too long.
    #[error("a request's body took too long")]
    TooSlow,
    /// The database failed.
    #[error("the store failed")]
    Store(#[from] store::Error),
    /// A page could not be put together.
    #[error("cannot render a page")]
    Render(#[from] askama::Error),
    /// A password could not be hashed.
    #[error("cannot check a password")]
    Password(#[from] password::Error),
    /// No session could be begun.
    #[error("cannot begin a session")]
    Session(#[source] rand::rand_core::OsError),
}

/// What the user is told.
struct Told {
    status: StatusCode,
    title: &'static str,
    sentence: String,
}

#[derive(Template)]
#[template(path = "error.html", config = "src/portal/askama.toml")]
struct Page<'a> {
    assets: &'static Assets,
    title: &'a str,
    sentence: &'a str,
    reference: &'a str,
    at: String,
}

impl Error {
    /// The answer to a request that failed, with its line in the journal.
    pub(super) fn into_response(self, path: &str, now: jiff::Timestamp) -> Response {
        if let Self::SignIn { then } = &self {
            return answer::redirect(&sign_in_path(then.as_deref()));
        }
        let reference = reference();
        let told = self.told();
        if told.status.is_server_error() {
            tracing::error!(%reference, path, "request {reference} failed: {}", cause::chain(&self));
        } else {
            tracing::debug!(%reference, path, error = cause::chain(&self), "a request was refused");
        }
        let page = Page {
            assets: Assets::get(),
            title: told.title,
            sentence: &told.sentence,
            reference: &reference,
            at: now.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        };
        let html = page.render().unwrap_or_else(|_| told.sentence.clone());
        let mut response = answer::html(html);
        *response.status_mut() = told.status;
        if told.status == StatusCode::METHOD_NOT_ALLOWED {
            let methods = HeaderValue::from_static("GET, HEAD, POST");
            response.headers_mut().insert(header::ALLOW, methods);
        }
        response
    }

    fn told(&self) -> Told {
        use StatusCode as Code;
        let (status, title, sentence) = match self {
            Self::SignIn { .. } => (Code::UNAUTHORIZED, "Sign in first", "Nobody is signed in."),
            Self::Forbidden => (
                Code::FORBIDDEN,
                "Not permitted",
                "Your account may not see or do this. An administrator can change what it may do \
                 under Account management.",
            ),
            Self::StaleForm => (
                Code::FORBIDDEN,
                "The form is out of date",
                "The form belongs to a session that has ended, so nothing was changed. Go back, \
                 reload the page and send it again.",
            ),
            Self::NotFound => (
                Code::NOT_FOUND,
                "Not found",
                "There is nothing at this address. It may have been mistyped.",
            ),
            Self::Method => (
                Code::METHOD_NOT_ALLOWED,
                "Not that way",
                "This address cannot be used in this way.",
            ),
            Self::Input(sentence) => (Code::BAD_REQUEST, "That did not work", sentence.as_str()),
            Self::TooLarge => {
                (Code::PAYLOAD_TOO_LARGE, "Too much", "The form is larger than the portal reads.")
            }
            Self::TooSlow => {
                (Code::REQUEST_TIMEOUT, "Too slow", "The form took too long to arrive.")
            }
            Self::Store(error) if error.is_away() => (
                Code::SERVICE_UNAVAILABLE,
                "The database does not answer",
                "Nothing is lost: uploads are kept and will be stored once the database is back. \
                 Try again in a moment; if it lasts, tell the administrator of this appliance.",
            ),
            Self::Store(_) | Self::Render(_) | Self::Password(_) | Self::Session(_) => (
                Code::INTERNAL_SERVER_ERROR,
                "Something went wrong",
                "The portal could not answer. Tell the administrator of this appliance the \
                 reference below: it leads to the cause in the journal.",
            ),
        };
        Told { status, title, sentence: sentence.to_owned() }
    }
}

/// The page to sign in at, from where the user goes on to `then`.
pub(super) fn sign_in_path(then: Option<&str>) -> String {
    match then.filter(|then| *then != "/") {
        Some(then) => {
            let then: String = form_urlencoded::byte_serialize(then.as_bytes()).collect();
            format!("/sign-in?then={then}")
        }
        None => "/sign-in".to_owned(),
    }
}

/// A number that joins what the user sees with what the journal says.
fn reference() -> String {
    // Without the letters and digits that are mistaken for each other.
    const LETTERS: &[u8] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";
    let mut random = rand::rng();
    let mut letter = || char::from(LETTERS[random.random_range(0..LETTERS.len())]);
    let first: String = (0..4).map(|_| letter()).collect();
    let second: String = (0..4).map(|_| letter()).collect();
    format!("{first}-{second}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_has_its_status() {
        let then = Some("/calls?q=a b".to_owned());
        for (error, status) in [
            (Error::SignIn { then }, 303),
            (Error::Forbidden, 403),
            (Error::StaleForm, 403),
            (Error::NotFound, 404),
            (Error::Method, 405),
            (Error::Input("No.".into()), 400),
            (Error::TooLarge, 413),
            (Error::TooSlow, 408),
            (Error::Render(askama::Error::Fmt), 500),
        ] {
            let text = error.to_string();
            let response = error.into_response("/x", jiff::Timestamp::UNIX_EPOCH);
            assert_eq!(response.status().as_u16(), status, "{text}");
        }
        assert_eq!(sign_in_path(Some("/calls?q=a b")), "/sign-in?then=%2Fcalls%3Fq%3Da+b");
        assert_eq!(sign_in_path(Some("/")), "/sign-in");
    }
}
