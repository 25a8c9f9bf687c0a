//! Signing in and out, and the files that the sign-in page needs: all that is
//! open to anybody.

use askama::Template;
use warp::{
    http::{HeaderValue, StatusCode, header},
    reply::Response,
};

use crate::{
    config::Secret,
    portal::{
        answer,
        assets::Assets,
        errors::Error,
        gate::{self, SignIn, SignedIn, Visitor},
        password,
        request::{Form, Request},
    },
};

#[derive(Template)]
#[template(path = "sign_in.html", config = "src/portal/askama.toml")]
struct SignInPage {
    assets: &'static Assets,
    then: String,
    name: String,
    objection: String,
    farewell: bool,
}

/// The form to sign in with.
pub(in crate::portal) async fn page(visitor: Visitor, request: Request) -> Result<Response, Error> {
    let then = local(request.query("then"));
    if visitor.is_signed_in(&request).await? {
        return Ok(answer::redirect(&then));
    }
    let farewell = request.query("done") == Some("signed-out");
    show(then, String::new(), String::new(), farewell, StatusCode::OK)
}

/// Signs in, or shows the form again with the reason.
pub(in crate::portal) async fn sign_in(
    visitor: Visitor,
    request: Request,
) -> Result<Response, Error> {
    let form = visitor.form(&request)?;
    let (name, then) = (form.get("name").trim(), local(Some(form.get("then"))));
    if form.get("password").len() > password::MAX_BYTES || name.len() > 320 {
        return Err(Error::TooLarge);
    }
    let password = Secret::new(form.get("password").to_owned());
    let objection = match visitor.sign_in(&request, name, password).await? {
        SignIn::Welcome(token) => {
            let mut response = answer::redirect(&then);
            keep(&mut response, token.reveal());
            return Ok(response);
        }
        SignIn::Refused => "Account and password do not go together, or the account is not \
                            active."
            .to_owned(),
        SignIn::Wait(seconds) => wait(seconds),
    };
    show(then, name.to_owned(), objection, false, StatusCode::OK)
}

/// Ends the session.
pub(in crate::portal) async fn sign_out(
    who: SignedIn,
    request: Request,
    _form: Form,
) -> Result<Response, Error> {
    who.sign_out(&request).await?;
    let mut response = answer::redirect("/sign-in?done=signed-out");
    answer::set_cookie(response.headers_mut(), gate::COOKIE, "", 0, false);
    // Nothing that was seen stays behind in the browser.
    answer::set(&mut response, header::HeaderName::from_static("clear-site-data"), "\"cache\"");
    Ok(response)
}

/// A file of the portal itself.
pub(in crate::portal) async fn asset(
    _visitor: Visitor,
    request: Request,
) -> Result<Response, Error> {
    let asset = Assets::get().find(request.path()).ok_or(Error::NotFound)?;
    let mut response = answer::typed(asset.mime, asset.bytes);
    let for_ever = HeaderValue::from_static("public, max-age=31536000, immutable");
    response.headers_mut().insert(header::CACHE_CONTROL, for_ever);
    Ok(response)
}

/// Gives the browser a session's token to keep.
pub(super) fn keep(response: &mut Response, token: &str) {
    let headers = response.headers_mut();
    answer::set_cookie(headers, gate::COOKIE, token, gate::LONGEST_SECONDS, false);
}

/// The sentence for somebody who guessed too often.
pub(super) fn wait(seconds: u64) -> String {
    let time = if seconds >= 120 {
        format!("{} minutes", seconds.div_ceil(60))
    } else {
        crate::portal::cells::counted(seconds, "second", "seconds")
    };
    format!("Too many attempts. Wait {time} and try again.")
}

fn show(
    then: String,
    name: String,
    objection: String,
    farewell: bool,
    status: StatusCode,
) -> Result<Response, Error> {
    let assets = Assets::get();
    let mut response = answer::page(&SignInPage { assets, then, name, objection, farewell })?;
    *response.status_mut() = status;
    Ok(response)
}

/// A path of this portal to go on to; the overview where it is anything else.
pub(super) fn local(path: Option<&str>) -> String {
    let safe = |path: &&str| {
        path.starts_with('/')
            && !path.starts_with("//")
            && !path.contains('\\')
            && path.bytes().all(|b| b.is_ascii_graphic())
            && path.len() < 2000
    };
    path.filter(safe).unwrap_or("/").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_led_elsewhere_after_signing_in() {
        for (path, expected) in [
            (Some("/records/calls?q=%E9%99%88"), "/records/calls?q=%E9%99%88"),
            (Some("//evil.example/"), "/"),
            (Some("/\\evil.example"), "/"),
            (Some("https://evil.example/"), "/"),
            (Some("/a\r\nSet-Cookie: x"), "/"),
            (Some(""), "/"),
            (None, "/"),
        ] {
            assert_eq!(local(path), expected, "{path:?}");
        }
    }

    #[test]
    fn waits_are_said_in_words() {
        assert!(wait(1).contains("1 second "));
        assert!(wait(90).contains("90 seconds"));
        assert!(wait(121).contains("3 minutes"));
    }
}
