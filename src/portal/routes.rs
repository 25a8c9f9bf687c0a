//! The table of all routes: which address, which method, who may.
//!
//! A route is declared together with its handler, and its handler takes the
//! permit that the route says, so the table cannot say one thing and the code do
//! another. A request that matches a route ends in an answer of that route and
//! never falls through to another one.

use std::{future::Future, net::IpAddr, pin::Pin, sync::Arc, time::Duration};

use futures_util::Stream;
use warp::{
    Filter,
    filters::{BoxedFilter, path::FullPath},
    http::{HeaderMap, Method},
    reply::Response,
};

use super::{
    answer,
    errors::Error,
    gate::{Gate, Permit, Probe, Visitor},
    listener::Peer,
    request::{Form, Request},
    views::{
        accounts, archived, audit, backups, coming, condition, conversation, deletion, entries,
        export, home, list, log, media, own, progress, receipt, record, rejection, settings,
        sign_in,
    },
};

/// How long the body of a request may take to arrive.
const BODY: Duration = Duration::from_secs(30);

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Anybody, without a session.
    Anybody,
    /// Programs on this machine, without a session; anybody where `health.metrics` says so.
    Probe,
    /// Whoever is signed in.
    SignedIn,
    /// Whoever may see the data type that the path names.
    See,
    /// Whoever may download the data type that the path names.
    Download,
    /// Administrators.
    Administrator,
}

/// One route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// `GET` or `POST`; `GET` answers `HEAD` as well.
    pub method: &'static str,
    /// The path; `{…}` stands for one part of it.
    pub pattern: &'static str,
    /// Who may use it.
    pub who: Who,
}

type Answer = Pin<Box<dyn Future<Output = Result<Response, Error>> + Send>>;

struct Entry {
    route: Route,
    handle: Box<dyn Fn(Arc<Gate>, Request) -> Answer + Send + Sync>,
}

/// All routes, for tests and documentation.
pub fn table() -> Vec<Route> {
    entries().into_iter().map(|entry| entry.route).collect()
}

fn entries() -> Vec<Entry> {
    vec![
        open_to_anybody("GET", "/sign-in", sign_in::page),
        open_to_anybody("POST", "/sign-in", sign_in::sign_in),
        open_to_anybody("GET", "/assets/{name}", sign_in::asset),
        open_to_probes("/healthz", condition::alive),
        open_to_probes("/readyz", condition::ready),
        open_to_probes("/metrics", condition::metrics),
        post("/sign-out", sign_in::sign_out),
        get("/", home::page),
        get("/retention/backups", log::page),
        get("/retention/log.csv", export::csv),
        get("/retention/log.json", export::json),
        get("/retention/backups/{upload}", backups::page),
        get("/retention/backups/{upload}/entries", entries::page),
        get("/retention/backups/{upload}/entry", archived::entry),
        get("/retention/backups/{upload}/receipt", receipt::statement),
        get("/retention/backups/{upload}/receipt/signature", receipt::signature),
        get("/retention/backups/{upload}/receipt/signers", receipt::signers),
        get("/retention/backups/{upload}/delete", deletion::page),
        post("/retention/backups/{upload}/delete", deletion::press),
        post("/retention/backups/{upload}/outcome", deletion::outcome),
        post("/retention/backups/{upload}/elsewhere", deletion::elsewhere),
        post("/retention/backups/{upload}/responsibility", deletion::responsibility),
        post("/retention/backups/{upload}/acknowledgement", rejection::acknowledge),
        get("/retention/cloud/{job}/upload", coming::page),
        post("/retention/cloud/{job}/upload", coming::press),
        get("/retention/progress", progress::bars),
        get("/retention/settings", settings::page),
        get("/retention/settings/sheet", settings::sheet),
        post("/retention/settings/power", settings::power),
        post("/retention/settings/general", settings::general),
        post("/retention/settings/online", settings::modes::online),
        post("/retention/settings/offline", settings::modes::offline),
        post("/retention/settings/keys", settings::keys::add),
        post("/retention/settings/keys/fetch", settings::keys::fetch),
        post("/retention/settings/keys/generate", settings::keys::generate),
        post("/retention/settings/keys/remove", settings::keys::remove),
        post("/retention/settings/test/{what}", settings::trial::run),
        get("/health", condition::page),
        post("/health/test", condition::test),
        get("/records/{view}", list::page),
        get("/records/{view}/{key}", record::page),
        get("/records/{view}/{key}/medium", media::show),
        get("/records/{view}/{key}/download", media::download),
        get("/records/{view}/{key}/record", media::download_record),
        get("/conversations/{view}/{room}", conversation::page),
        get("/accounts", accounts::page),
        get("/accounts/{name}", accounts::account),
        post("/accounts/{name}/password", accounts::set_password),
        post("/accounts/{name}/permissions", accounts::set_permissions),
        post("/accounts/{name}/active", accounts::set_active),
        get("/activate/{eid}", accounts::activation),
        post("/activate/{eid}", accounts::activate),
        get("/audit", audit::page),
        get("/password", own::password),
        post("/password", own::change_password),
        get("/zone", own::zone),
        post("/zone", own::change_zone),
    ]
}

/// A page that needs the permit its handler takes.
fn get<P, F, A>(pattern: &'static str, handler: F) -> Entry
where
    P: Permit,
    F: Fn(P, Request) -> A + Copy + Send + Sync + 'static,
    A: Future<Output = Result<Response, Error>> + Send + 'static,
{
    let handle = move |gate: Arc<Gate>, request: Request| -> Answer {
        Box::pin(async move {
            let permit = P::check(&gate, &request).await?;
            handler(permit, request).await
        })
    };
    Entry { route: Route { method: "GET", pattern, who: P::WHO }, handle: Box::new(handle) }
}

/// A change: needs the permit, and the token of its session in the form.
fn post<P, F, A>(pattern: &'static str, handler: F) -> Entry
where
    P: Permit,
    F: Fn(P, Request, Form) -> A + Copy + Send + Sync + 'static,
    A: Future<Output = Result<Response, Error>> + Send + 'static,
{
    let handle = move |gate: Arc<Gate>, request: Request| -> Answer {
        Box::pin(async move {
            let permit = P::check(&gate, &request).await?;
            let form = permit.signed_in().form(&request)?;
            handler(permit, request, form).await
        })
    };
    Entry { route: Route { method: "POST", pattern, who: P::WHO }, handle: Box::new(handle) }
}

/// A route that needs no session. Its handler can do no more than a visitor can.
fn open_to_anybody<F, A>(method: &'static str, pattern: &'static str, handler: F) -> Entry
where
    F: Fn(Visitor, Request) -> A + Copy + Send + Sync + 'static,
    A: Future<Output = Result<Response, Error>> + Send + 'static,
{
    let handle = move |gate: Arc<Gate>, request: Request| -> Answer {
        Box::pin(handler(Visitor::anybody(&gate), request))
    };
    Entry { route: Route { method, pattern, who: Who::Anybody }, handle: Box::new(handle) }
}

/// A route for programs that watch the appliance. Its handler can do no more than a probe can.
fn open_to_probes<F, A>(pattern: &'static str, handler: F) -> Entry
where
    F: Fn(Probe, Request) -> A + Copy + Send + Sync + 'static,
    A: Future<Output = Result<Response, Error>> + Send + 'static,
{
    let handle = move |gate: Arc<Gate>, request: Request| -> Answer {
        Box::pin(async move {
            let probe = Probe::check(&gate, &request)?;
            handler(probe, request).await
        })
    };
    Entry { route: Route { method: "GET", pattern, who: Who::Probe }, handle: Box::new(handle) }
}

/// All routes as one filter, which never rejects.
pub(super) fn filter(gate: &Arc<Gate>) -> BoxedFilter<(Response,)> {
    let entries: Arc<[Entry]> = entries().into();
    let gate = gate.clone();
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    warp::method()
        .and(warp::path::full())
        .and(query)
        .and(warp::header::headers_cloned())
        .and(warp::ext::optional::<Peer>())
        .and(warp::body::stream())
        .then(
            move |method: Method, path: FullPath, query: String, headers: HeaderMap, peer, body| {
                let (gate, entries) = (gate.clone(), entries.clone());
                async move {
                    let peer: Option<Peer> = peer;
                    let peer = peer.map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.0.ip());
                    let now = gate.now();
                    let path = path.as_str();
                    let request = Request::new(method.clone(), path, &query, headers, peer, now);
                    let is_head = request.is_head();
                    let answer = match find(&entries, &method, path) {
                        Ok((entry, captures)) => run(entry, gate, request, &captures, body).await,
                        Err(error) => Err(error),
                    };
                    let answer = answer.unwrap_or_else(|error| error.into_response(path, now));
                    answer::finish(answer, is_head)
                }
            },
        )
        .boxed()
}

async fn run<B: bytes::Buf>(
    entry: &Entry,
    gate: Arc<Gate>,
    request: Request,
    captures: &[&str],
    body: impl Stream<Item = Result<B, warp::Error>>,
) -> Result<Response, Error> {
    let mut request = request.with_captures(captures)?;
    if entry.route.method == "POST" {
        let read = tokio::time::timeout(BODY, request.with_body(body)).await;
        request = read.map_err(|_| Error::TooSlow)??;
    }
    (entry.handle)(gate, request).await
}

fn find<'e, 'p>(
    entries: &'e [Entry],
    method: &Method,
    path: &'p str,
) -> Result<(&'e Entry, Vec<&'p str>), Error> {
    let wanted = if method == Method::HEAD { &Method::GET } else { method };
    let mut known = false;
    for entry in entries {
        if let Some(captures) = captures(entry.route.pattern, path) {
            if entry.route.method == wanted.as_str() {
                return Ok((entry, captures));
            }
            known = true;
        }
    }
    Err(if known { Error::Method } else { Error::NotFound })
}

/// What the placeholders of a pattern stand for in a path that fits it.
fn captures<'p>(pattern: &str, path: &'p str) -> Option<Vec<&'p str>> {
    let mut parts = path.split('/');
    let mut captured = Vec::new();
    for expected in pattern.split('/') {
        let part = parts.next()?;
        if expected.starts_with('{') {
            captured.push(part);
            if part.is_empty() {
                return None;
            }
        } else if expected != part {
            return None;
        }
    }
    parts.next().is_none().then_some(captured)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_matched_part_by_part() {
        for (pattern, path, expected) in [
            ("/", "/", Some(&[][..])),
            ("/", "/a", None),
            ("/a/{x}", "/a/b", Some(&["b"])),
            ("/a/{x}", "/a/b%2Fc", Some(&["b%2Fc"])),
            ("/a/{x}", "/a/", None),
            ("/a/{x}", "/a/b/", None),
            ("/a/{x}", "/a", None),
            ("/a/{x}/c/{y}", "/a/b/c/d", Some(&["b", "d"])),
        ] {
            assert_eq!(captures(pattern, path).as_deref(), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn no_route_hides_another() {
        let table = table();
        for (index, route) in table.iter().enumerate() {
            let example = route.pattern.replace(['{', '}'], "");
            let first = table.iter().position(|other| {
                other.method == route.method && captures(other.pattern, &example).is_some()
            });
            assert_eq!(first, Some(index), "{route:?}");
        }
    }

    #[test]
    fn only_signing_in_and_how_it_is_are_open_without_a_session() {
        let open: Vec<(&str, &str)> = table()
            .into_iter()
            .filter(|route| route.who == Who::Anybody)
            .map(|route| (route.method, route.pattern))
            .collect();
        assert_eq!(open, [("GET", "/sign-in"), ("POST", "/sign-in"), ("GET", "/assets/{name}")]);
        let probed = table().into_iter().filter(|route| route.who == Who::Probe);
        let probed: Vec<&str> = probed.map(|route| route.pattern).collect();
        assert_eq!(probed, ["/healthz", "/readyz", "/metrics"]);
        for route in table() {
            let names_a_view = route.pattern.contains("/{view}");
            assert_eq!(names_a_view, matches!(route.who, Who::See | Who::Download), "{route:?}");
            assert!(matches!(route.method, "GET" | "POST"));
        }
    }
}
