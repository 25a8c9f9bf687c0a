//! HTTP: the connector, the simulation and a page, for those who may call.
//!
//! Only this module and what is below it know HTTP. Who may call is decided before anything else
//! is looked at, so that no handler can forget it. A request has a limit, and so has what waits.

mod answer;
mod connector;
mod door;
mod line;
mod listener;
mod page;
mod simulation;

use std::{convert::Infallible, sync::Arc};

use hyper::{Method, Request, Response, body::Incoming};
use tokio_util::sync::CancellationToken;

use answer::{Answer, Body, Code, Problem};
pub(crate) use connector::Connector;
pub(crate) use door::Door;
pub(crate) use listener::{Listener, Tls};
pub(crate) use simulation::Simulation;

/// What can be called.
#[derive(Debug)]
pub(crate) struct Web {
    pub(crate) door: Door,
    pub(crate) connector: Connector,
    /// Where time is simulated.
    pub(crate) simulation: Option<Simulation>,
}

impl Web {
    /// Answers a request.
    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Infallible> {
        let page = request.uri().path() == "/";
        let answer = match self.door.admits(request.headers()) {
            true => self.find(request).await,
            false => Err(Problem::unauthorized()),
        };
        Ok(match answer {
            Ok(answer) => answer.response(),
            Err(problem) => problem.response(page),
        })
    }

    async fn find(self: &Arc<Self>, request: Request<Incoming>) -> Result<Answer, Problem> {
        let method = request.method().clone();
        let path = request.uri().path().to_owned();
        let query = request.uri().query().unwrap_or_default().to_owned();
        let seen = request.headers().get("if-match").and_then(|seen| seen.to_str().ok());
        let seen = seen.map(str::to_owned);
        let waits = method == Method::GET && path == "/connector/v1/backups/changes";
        if waits {
            // It may be given up while it waits, which harms nothing there.
            return self.connector.changes(&query).await;
        }
        let body = answer::read(request.into_body()).await?;
        let web = self.clone();
        // Whoever called may go away. What was begun, with the database too, goes on to its end.
        let work =
            tokio::spawn(async move { web.route(&method, &path, &query, seen, &body).await });
        work.await.unwrap_or_else(|_| Err(Problem::internal("a handler ended before its work")))
    }

    async fn route(
        &self,
        method: &Method,
        path: &str,
        query: &str,
        seen: Option<String>,
        body: &[u8],
    ) -> Result<Answer, Problem> {
        if let Some(rest) = path.strip_prefix("/connector/v1/") {
            return self.connector.route(method, rest, query, seen, body).await;
        }
        match (path.strip_prefix("/simulation/"), &self.simulation, path, method) {
            (Some(rest), Some(simulation), ..) => {
                simulation.route(&self.connector, method, rest, query, body).await
            }
            (None, _, "/", &Method::GET) => page::show(&self.connector).await,
            (None, _, "/", _) => Err(Problem::new(Code::WrongMethod, "This can only be read.")),
            _ => Err(Problem::new(Code::NoSuchPlace, "There is nothing at this address.")),
        }
    }
}

/// Serves until `stop`.
pub(crate) async fn serve(web: Web, listener: Listener, stop: CancellationToken) {
    let web = Arc::new(web);
    listener.serve(move |request| web.clone().answer(request), stop).await;
}
