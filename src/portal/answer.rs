//! Answers: pages, redirects, data, and the headers that all of them carry.

use std::{
    pin::Pin,
    sync::Mutex,
    task::{Context, Poll},
};

use askama::Template;
use bytes::Bytes;
use futures_util::Stream;
use warp::{
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    reply::{Reply, Response},
};

use super::errors::Error;

/// What pages may load and where forms may go: ourselves only. There is no
/// script and no style inside a page.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; \
    img-src 'self'; media-src 'self'; connect-src 'self'; form-action 'self'; \
    base-uri 'none'; frame-ancestors 'none'";

/// A page.
pub(super) fn page(template: &impl Template) -> Result<Response, Error> {
    Ok(html(template.render()?))
}

/// A page that is rendered already.
pub(super) fn html(text: String) -> Response {
    typed("text/html; charset=utf-8", text)
}

/// Data for a script.
pub(super) fn json(text: String) -> Response {
    typed("application/json", text)
}

/// Some text of a media type.
pub(super) fn typed(mime: &'static str, body: impl Into<Bytes>) -> Response {
    let mut response = Response::new(body.into().into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(mime));
    response
}

/// Go there instead, with GET.
pub(super) fn redirect(path: &str) -> Response {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::SEE_OTHER;
    let path = HeaderValue::from_str(path).unwrap_or(HeaderValue::from_static("/"));
    response.headers_mut().insert(header::LOCATION, path);
    response
}

/// A stream of bytes. What breaks it is logged here, for the answer has begun.
pub(super) fn stream<S, E>(bytes: S) -> Response
where
    S: Stream<Item = Result<Bytes, E>> + Send + 'static,
    E: std::error::Error + Send + Sync + 'static,
{
    warp::reply::stream(Shared(Mutex::new(Box::pin(bytes)))).into_response()
}

/// Sets a header.
pub(super) fn set(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// Adds the headers that every answer carries, unless it has its own.
pub(super) fn finish(mut response: Response, is_head: bool) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, PAGE_POLICY),
        (header::CACHE_CONTROL, "no-store"),
        (header::STRICT_TRANSPORT_SECURITY, "max-age=31536000"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        // Not `no-referrer`: browsers would then hide the origin of our own forms from us.
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (
            HeaderName::from_static("permissions-policy"),
            "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
        ),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if is_head { without_body(response) } else { response }
}

/// The answer to HEAD: all that GET would say, without the body.
fn without_body(response: Response) -> Response {
    use hyper::body::Body as _;
    let (mut parts, body) = response.into_parts();
    if let Some(length) = body.size_hint().exact() {
        parts.headers.entry(header::CONTENT_LENGTH).or_insert(length.into());
    }
    Response::from_parts(parts, Bytes::new().into())
}

/// Whether the `If-Range` of a request allows a part of what has this tag.
pub(super) fn if_range_allows(headers: Option<&str>, tag: &str) -> bool {
    headers.is_none_or(|header| header.trim() == tag)
}

/// Sets a cookie that only this site gets, over TLS. Scripts see it where `script` says so.
pub(super) fn set_cookie(
    headers: &mut HeaderMap,
    name: &str,
    value: &str,
    seconds: i64,
    script: bool,
) {
    let scope = if script { "SameSite=Lax" } else { "HttpOnly; SameSite=Strict" };
    let cookie = format!("{name}={value}; Path=/; Secure; {scope}; Max-Age={seconds}");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        headers.append(header::SET_COOKIE, cookie);
    }
}

/// Lets a stream be where only what threads can share may be: it is polled
/// through `&mut`, so the lock is never taken.
struct Shared<S>(Mutex<Pin<Box<S>>>);

impl<S, E> Stream for Shared<S>
where
    S: Stream<Item = Result<Bytes, E>>,
    E: std::error::Error + 'static,
{
    type Item = Result<Bytes, E>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let stream = match self.0.get_mut() {
            Ok(stream) => stream,
            Err(poisoned) => poisoned.into_inner(),
        };
        let polled = stream.as_mut().poll_next(context);
        if let Poll::Ready(Some(Err(error))) = &polled {
            tracing::error!("an answer broke off: {}", crate::cause::chain(error));
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_says_what_get_would_say() {
        let response = finish(html("<p>x</p>".into()), true);
        assert_eq!(response.headers()[header::CONTENT_LENGTH], "8");
        for name in [
            "content-security-policy",
            "cache-control",
            "strict-transport-security",
            "x-content-type-options",
            "referrer-policy",
        ] {
            assert!(response.headers().contains_key(name), "{name}");
        }
        assert!(!PAGE_POLICY.contains("unsafe"));
    }

    #[test]
    fn a_part_is_sent_only_of_what_the_client_knows() {
        for (header, allows) in [
            (None, true),
            (Some("\"a\""), true),
            (Some("\"b\""), false),
            (Some("W/\"a\""), false),
            (Some("Wed, 21 Oct 2015 07:28:00 GMT"), false),
        ] {
            assert_eq!(if_range_allows(header, "\"a\""), allows, "{header:?}");
        }
    }
}
