//! Answers, and problem details (RFC 9457) where there is none.
//!
//! A problem says in one sentence what the caller can do about it; what only we can do anything
//! about is in the log, and the caller is told that it is.

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{
    Response, StatusCode,
    body::Incoming,
    header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE},
};
use retention::cause;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::settings::input::Fault;

/// The largest request.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// The body of an answer.
pub(super) type Body = Full<Bytes>;

/// Something that was asked for.
#[derive(Debug)]
pub(super) struct Answer {
    status: StatusCode,
    kind: &'static str,
    body: Vec<u8>,
    tag: Option<String>,
}

impl Answer {
    pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Result<Self, Problem> {
        let body = serde_json::to_vec(value);
        let body = body.map_err(|error| Problem::internal(&cause::chain(&error)))?;
        Ok(Self { status, kind: "application/json", body, tag: None })
    }

    pub(super) fn ok(value: &impl Serialize) -> Result<Self, Problem> {
        Self::json(StatusCode::OK, value)
    }

    pub(super) fn html(text: String) -> Self {
        let kind = "text/html; charset=utf-8";
        Self { status: StatusCode::OK, kind, body: text.into_bytes(), tag: None }
    }

    pub(super) fn with_tag(self, tag: String) -> Self {
        Self { tag: Some(tag), ..self }
    }

    pub(super) fn response(self) -> Response<Body> {
        let mut response = plain(self.status, self.kind, self.body);
        if let Some(tag) = self.tag.and_then(|tag| HeaderValue::from_str(&tag).ok()) {
            response.headers_mut().insert(ETAG, tag);
        }
        response
    }
}

/// The stable word of a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    NotJson,
    Invalid,
    Unauthorized,
    NoSuchBackup,
    NoSuchPlace,
    WrongMethod,
    SettingsChanged,
    NotConfigured,
    AnotherKey,
    UnknownRevision,
    DeletionBegun,
    DigestDiffers,
    NotUploaded,
    TooLarge,
    TooMany,
    Unavailable,
    Internal,
}

impl Code {
    /// Word, status and title.
    fn said(self) -> (&'static str, u16, &'static str) {
        match self {
            Self::NotJson => ("not-json", 400, "The request is no JSON"),
            Self::Invalid => ("invalid", 422, "The request has faults"),
            Self::Unauthorized => ("unauthorized", 401, "A token is needed"),
            Self::NoSuchBackup => ("no-such-backup", 404, "There is no such backup"),
            Self::NoSuchPlace => ("no-such-place", 404, "There is nothing here"),
            Self::WrongMethod => ("wrong-method", 405, "That cannot be done here"),
            Self::SettingsChanged => {
                ("settings-changed", 412, "The settings were changed by somebody else")
            }
            Self::NotConfigured => ("not-configured", 409, "There is nothing to test yet"),
            Self::AnotherKey => {
                ("another-key", 409, "The key that is to be replaced is not the service's")
            }
            Self::UnknownRevision => ("unknown-revision", 409, "The log has no such revision"),
            Self::DeletionBegun => ("deletion-begun", 409, "The data is being deleted, or was"),
            Self::DigestDiffers => {
                ("digest-differs", 409, "What the appliance holds is not what was sent")
            }
            Self::NotUploaded => ("not-uploaded", 409, "The backup is not uploaded yet"),
            Self::TooLarge => ("too-large", 413, "The request is too large"),
            Self::TooMany => ("too-many", 429, "Too many callers wait"),
            Self::Unavailable => ("unavailable", 503, "The service cannot do that just now"),
            Self::Internal => ("internal", 500, "Something went wrong"),
        }
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) code: Code,
    detail: String,
    errors: Vec<Fault>,
}

impl Problem {
    pub(super) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), errors: Vec::new() }
    }

    pub(super) fn unauthorized() -> Self {
        Self::new(Code::Unauthorized, "The bearer token is missing or wrong.")
    }

    /// Faults in what was sent.
    pub(super) fn faults(errors: Vec<Fault>) -> Self {
        let detail = errors.first().map(|fault| fault.detail.clone()).unwrap_or_default();
        Self { code: Code::Invalid, detail, errors }
    }

    /// Our own trouble, which passes.
    pub(super) fn unavailable(error: &dyn std::error::Error) -> Self {
        tracing::warn!(error = cause::chain(error), "a request was not answered");
        Self::new(Code::Unavailable, "The service's database does not answer. Try again.")
    }

    /// Our own trouble.
    pub(super) fn internal(why: &str) -> Self {
        tracing::error!(error = why, "a request failed");
        Self::new(Code::Internal, "The service's log says what went wrong.")
    }

    /// As an answer; a browser that asks for the page is asked who it is.
    pub(super) fn response(self, page: bool) -> Response<Body> {
        let (code, number, title) = self.code.said();
        let mut value = json!({
            "type": format!("https://retention.example/problems/{code}"),
            "title": title, "status": number, "code": code, "detail": self.detail,
        });
        if !self.errors.is_empty() {
            value["errors"] = json!(self.errors);
        }
        let status = StatusCode::from_u16(number).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = value.to_string().into_bytes();
        let mut response = plain(status, "application/problem+json", body);
        let headers = response.headers_mut();
        if self.code == Code::Unauthorized {
            let asked = if page { "Basic realm=\"retention-service\"" } else { "Bearer" };
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(asked));
        }
        if matches!(self.code, Code::TooMany | Code::Unavailable) {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("2"));
        }
        response
    }
}

fn plain(status: StatusCode, kind: &'static str, body: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    headers.insert(
        "content-security-policy",
        HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'"),
    );
    response
}

/// Reads a request that is not too large.
pub(super) async fn read(body: Incoming) -> Result<Bytes, Problem> {
    match Limited::new(body, MAX_BODY_BYTES).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(Problem::new(Code::TooLarge, "A request has at most 64 KiB."))
        }
        Err(_) => Err(Problem::new(Code::NotJson, "The request broke off.")),
    }
}

/// Understands a request. What is no JSON is told from what is not what was asked for.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let value: Value = serde_json::from_slice(body)
        .map_err(|error| Problem::new(Code::NotJson, format!("That is no JSON: {error}.")))?;
    serde_json::from_value(value).map_err(|error| {
        // Serde's words quote what it found where it looked for another kind of value; that
        // could be a secret, so only what it says of names and places is passed on.
        let said = error.to_string();
        let safe = ["unknown field", "missing field"].iter().any(|word| said.contains(word));
        let detail =
            if safe { said } else { "A value is of another kind than is asked for.".into() };
        Problem::faults(vec![Fault { pointer: "", detail }])
    })
}

/// The value of a name in a query.
pub(super) fn queried(query: &str, name: &str) -> Option<String> {
    form_urlencoded::parse(query.as_bytes())
        .find(|(found, _)| found == name)
        .map(|(_, value)| value.into_owned())
}

/// A number in a query, within bounds.
pub(super) fn number(
    query: &str,
    name: &'static str,
    default: Option<i64>,
    bounds: std::ops::RangeInclusive<i64>,
) -> Result<i64, Problem> {
    let found = match queried(query, name) {
        Some(text) => text.parse().ok().filter(|number| bounds.contains(number)),
        None => default,
    };
    found.ok_or_else(|| {
        let (from, to) = (bounds.start(), bounds.end());
        let detail = format!("{name} is a number from {from} to {to}.");
        Problem::faults(vec![Fault { pointer: "", detail }])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_never_quotes_a_value() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Wanted {
            #[expect(dead_code, reason = "only read")]
            number: u8,
        }
        for (body, code, said) in [
            ("{", Code::NotJson, "no JSON"),
            (r#"{"number": "hush"}"#, Code::Invalid, "another kind"),
            (r#"{"number": 300}"#, Code::Invalid, "another kind"),
            ("{}", Code::Invalid, "missing field `number`"),
            (r#"{"number": 3, "x": 1}"#, Code::Invalid, "unknown field `x`"),
        ] {
            let problem = parse::<Wanted>(body.as_bytes()).expect_err("a problem");
            assert_eq!(problem.code, code, "{body}");
            assert!(problem.detail.contains(said), "{}", problem.detail);
            assert!(!problem.detail.contains("hush"), "{}", problem.detail);
        }
    }

    #[test]
    fn numbers_have_bounds() {
        for (query, expected) in [
            ("limit=7", Some(7)),
            ("", Some(50)),
            ("limit=0", None),
            ("limit=201", None),
            ("limit=x", None),
            ("other=3&limit=200", Some(200)),
        ] {
            assert_eq!(number(query, "limit", Some(50), 1..=200).ok(), expected, "{query}");
        }
    }
}
