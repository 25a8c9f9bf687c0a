//! Connections: TCP, TLS and HTTP/1.1 or HTTP/2, each within limits.
//!
//! A client may be slow or hostile: a handshake has to end in time, so has the
//! head of each request, and there are only so many connections at once. This
//! module must never look at what is asked for.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use hyper::service::{Service, service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use warp::{filters::BoxedFilter, reply::Response};

/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long the head of a request may take, the time between two requests included.
const HEAD: Duration = Duration::from_secs(30);
/// How many connections there may be; further ones wait to be accepted.
const CONNECTIONS: usize = 256;
/// How long requests may take to end when the portal stops.
pub(super) const GRACE: Duration = Duration::from_secs(3);
/// How much of an answer is buffered for a client that reads slowly, in bytes.
const SEND_BUFFER_BYTES: usize = 256 * 1024;

/// From where a request came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) SocketAddr);

/// A bound socket and the certificate to show on it.
pub(super) struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    tls: TlsAcceptor,
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listener").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Listener {
    /// Takes the address.
    pub(super) async fn bind(address: SocketAddr, tls: ServerConfig) -> io::Result<Self> {
        let socket = TcpListener::bind(address).await?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address, tls: TlsAcceptor::from(Arc::new(tls)) })
    }

    /// The address that was taken.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves `routes` until `stop` is cancelled.
    pub(super) async fn serve(self, routes: BoxedFilter<(Response,)>, stop: CancellationToken) {
        let slots = Arc::new(Semaphore::new(CONNECTIONS));
        let connections = TaskTracker::new();
        loop {
            let slot = tokio::select! {
                slot = slots.clone().acquire_owned() => slot,
                () = stop.cancelled() => break,
            };
            let accepted = tokio::select! {
                accepted = self.socket.accept() => accepted,
                () = stop.cancelled() => break,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, or the client is gone again. Neither lasts.
                    tracing::debug!(%error, "a connection could not be accepted");
                    sleep(Duration::from_millis(20)).await;
                    continue;
                }
            };
            let (tls, routes, stop) = (self.tls.clone(), routes.clone(), stop.clone());
            connections.spawn(async move {
                let _slot = slot;
                connection(stream, peer, &tls, routes, stop).await;
            });
        }
        drop(self.socket);
        connections.close();
        if timeout(GRACE, connections.wait()).await.is_err() {
            tracing::info!(open = connections.len(), "connections were cut off at the end");
        }
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    tls: &TlsAcceptor,
    routes: BoxedFilter<(Response,)>,
    stop: CancellationToken,
) {
    // Pages are small: waiting for more to send would only delay them.
    let _ = stream.set_nodelay(true);
    let handshake = tokio::select! {
        handshake = timeout(HANDSHAKE, tls.accept(stream)) => handshake,
        () = stop.cancelled() => return,
    };
    let stream = match handshake {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::debug!(%peer, %error, "a TLS handshake failed");
            return;
        }
        Err(_) => {
            tracing::debug!(%peer, "a TLS handshake took too long");
            return;
        }
    };
    let routes = TowerToHyperService::new(warp::service(routes));
    // Routes cannot see the connection: each request is told where it came from.
    let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        routes.call(request)
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(64 * 1024);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(HEAD)
        .keep_alive_timeout(HANDSHAKE)
        .max_concurrent_streams(64)
        .max_header_list_size(64 * 1024)
        .max_send_buf_size(SEND_BUFFER_BYTES);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            match timeout(GRACE, connection).await {
                Ok(served) => served,
                Err(_) => return,
            }
        }
    };
    if let Err(error) = served {
        tracing::debug!(%peer, error, "a connection broke");
    }
}
