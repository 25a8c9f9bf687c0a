//! A request as handlers see it: captured parts of the path, query, cookies, form.

use std::{net::IpAddr, pin::pin};

use bytes::{Buf, Bytes};
use futures_util::{Stream, TryStreamExt};
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use warp::http::{HeaderMap, Method, header};

use super::errors::Error;

/// The largest form that is read, in bytes.
const FORM_LIMIT_BYTES: usize = 64 * 1024;
/// How much of a larger one is read and thrown away, in bytes: a client that is
/// cut off while it sends does not see why.
const DRAIN_LIMIT_BYTES: usize = 1024 * 1024;

/// A request.
#[derive(Debug)]
pub(super) struct Request {
    method: Method,
    path: String,
    captures: Vec<String>,
    query: Vec<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
    peer: IpAddr,
    now: Timestamp,
}

impl Request {
    /// A request without a body, that matched a route which captures nothing.
    pub(super) fn new(
        method: Method,
        path: &str,
        query: &str,
        headers: HeaderMap,
        peer: IpAddr,
        now: Timestamp,
    ) -> Self {
        Self {
            method,
            path: path.to_owned(),
            captures: Vec::new(),
            query: pairs(query.as_bytes()),
            headers,
            body: Bytes::new(),
            peer,
            now,
        }
    }

    /// The same request with what its route captured, as it stands in the path.
    pub(super) fn with_captures(mut self, captures: &[&str]) -> Result<Self, Error> {
        let decode = |part: &&str| {
            percent_decode_str(part).decode_utf8().map(Into::into).map_err(|_| Error::NotFound)
        };
        self.captures = captures.iter().map(decode).collect::<Result<_, _>>()?;
        Ok(self)
    }

    /// The same request with its body, which may not be larger than a form.
    pub(super) async fn with_body<B: Buf>(
        mut self,
        body: impl Stream<Item = Result<B, warp::Error>>,
    ) -> Result<Self, Error> {
        let cut_off = |_| Error::Input("The request was cut off.".into());
        let mut form = Vec::new();
        let mut read_bytes = 0;
        let mut body = pin!(body.map_err(cut_off));
        while let Some(mut part) = body.try_next().await? {
            read_bytes += part.remaining();
            if read_bytes > DRAIN_LIMIT_BYTES {
                return Err(Error::TooLarge);
            }
            let part = part.copy_to_bytes(part.remaining());
            if read_bytes <= FORM_LIMIT_BYTES {
                form.extend_from_slice(&part);
            }
        }
        if read_bytes > FORM_LIMIT_BYTES {
            return Err(Error::TooLarge);
        }
        self.body = form.into();
        Ok(self)
    }

    /// Whether only the head of the answer is wanted.
    pub(super) fn is_head(&self) -> bool {
        self.method == Method::HEAD
    }

    /// The path as it was asked for, without the query.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The path with its query, to come back to.
    pub(super) fn path_and_query(&self) -> String {
        if self.query.is_empty() {
            return self.path.clone();
        }
        let query =
            form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.query).finish();
        format!("{}?{query}", self.path)
    }

    /// Whether the same can be asked for again after signing in.
    pub(super) fn goes_on(&self) -> bool {
        matches!(self.method, Method::GET | Method::HEAD)
    }

    /// What the route's `index`th placeholder stands for.
    pub(super) fn capture(&self, index: usize) -> &str {
        self.captures.get(index).map_or("", String::as_str)
    }

    /// A value of the query, unless it is missing or empty.
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        find(&self.query, name).map(str::trim).filter(|value| !value.is_empty())
    }

    /// A header, where it is text.
    pub(super) fn header(&self, name: header::HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// A cookie.
    pub(super) fn cookie(&self, name: &str) -> Option<&str> {
        let cookies = self.headers.get_all(header::COOKIE).into_iter();
        cookies
            .filter_map(|header| header.to_str().ok())
            .flat_map(|header| header.split(';'))
            .filter_map(|cookie| cookie.trim().split_once('='))
            .find_map(|(found, value)| (found == name).then_some(value))
    }

    /// From where it came.
    pub(super) fn peer(&self) -> IpAddr {
        self.peer.to_canonical()
    }

    /// When it came.
    pub(super) fn now(&self) -> Timestamp {
        self.now
    }

    /// Whether the script asks by itself, which does not mean that somebody is there.
    pub(super) fn is_by_script(&self) -> bool {
        self.path == "/retention/progress"
    }

    /// The form that it brings, not yet known to be meant by who sent it.
    pub(super) fn unchecked_form(&self) -> Form {
        Form(pairs(&self.body))
    }

    /// Whether a page of our own sent it, as far as the browser says.
    ///
    /// Browsers say it with every form; programs, which carry no cookies against
    /// their user's will, need not.
    pub(super) fn is_from_here(&self) -> bool {
        if let Some(site) = self.headers.get("sec-fetch-site") {
            return site == "same-origin" || site == "none";
        }
        let Some(origin) = self.header(header::ORIGIN) else {
            return true;
        };
        let host = self.header(header::HOST);
        origin.strip_prefix("https://").is_some_and(|origin| host.is_none_or(|h| h == origin))
    }
}

/// What a form holds.
#[derive(Clone, Debug)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// A value, unless it is missing; as it was typed.
    pub(super) fn get(&self, name: &str) -> &str {
        find(&self.0, name).unwrap_or_default()
    }

    /// Whether a box of that name is ticked.
    pub(super) fn has(&self, name: &str) -> bool {
        find(&self.0, name).is_some()
    }
}

fn pairs(text: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(text).into_owned().collect()
}

fn find<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn request(headers: &[(&'static str, &str)]) -> Request {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().expect("a header"));
        }
        let peer = Ipv4Addr::LOCALHOST.into();
        Request::new(Method::GET, "/a", "x=1+2&y=%E9%99%88&z=", map, peer, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn queries_and_cookies_are_read() {
        let request = request(&[("cookie", "a=1; b=2=3"), ("cookie", "c=4")]);
        assert_eq!(request.query("x"), Some("1 2"));
        assert_eq!(request.query("y"), Some("陈"));
        assert_eq!(request.query("z"), None);
        for (name, value) in [("a", Some("1")), ("b", Some("2=3")), ("c", Some("4")), ("d", None)] {
            assert_eq!(request.cookie(name), value);
        }
        assert_eq!(request.path_and_query(), "/a?x=1+2&y=%E9%99%88&z=");
    }

    #[test]
    fn forms_of_other_sites_are_told_apart() {
        for (headers, here) in [
            (&[][..], true),
            (&[("sec-fetch-site", "same-origin"), ("origin", "null")], true),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("sec-fetch-site", "same-site")], false),
            (&[("origin", "https://vault:8443"), ("host", "vault:8443")], true),
            (&[("origin", "https://vault"), ("host", "vault:8443")], false),
            (&[("origin", "http://vault:8443"), ("host", "vault:8443")], false),
            (&[("origin", "null"), ("host", "vault:8443")], false),
        ] {
            assert_eq!(request(headers).is_from_here(), here, "{headers:?}");
        }
    }
}
