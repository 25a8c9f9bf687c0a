//! Connections: TCP, with TLS where it is configured, and HTTP over it, each within limits.
//!
//! Without TLS only loopback is listened on. This module must never look at what is asked for.

use std::{convert::Infallible, io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, RootCertStore, ServerConfig,
        crypto::ring,
        server::{VerifierBuilderError, WebPkiClientVerifier},
    },
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::answer::Body;

/// How long a TLS handshake may take, and the head of a request.
const HANDSHAKE: Duration = Duration::from_secs(10);
const HEAD: Duration = Duration::from_secs(30);

/// How many connections there may be; further ones wait to be accepted.
const CONNECTIONS: usize = 64;

/// How long requests may take to end when this program ends.
const GRACE: Duration = Duration::from_secs(2);

/// Why nobody can call.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The address is taken, or is none of this machine.
    #[error("cannot listen on {address}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Tokens and keys would be sent where others can read them.
    #[error("{0} is not loopback: TLS is needed there")]
    Plain(SocketAddr),
    /// A PEM file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rustls_pki_types::pem::Error,
    },
    /// The certificate or the authority cannot be used.
    #[error("cannot use the certificate")]
    Use(#[from] rustls::Error),
    /// The authority of the callers cannot be used.
    #[error("cannot use the authority of those who may call")]
    Authority(#[from] VerifierBuilderError),
}

/// What TLS is done with.
#[derive(Clone, Debug)]
pub(crate) struct Tls {
    /// The certificate and its chain.
    pub(crate) certificate: PathBuf,
    /// Its key.
    pub(crate) key: PathBuf,
    /// Who has to have signed the certificates of callers, if they need one.
    pub(crate) client_authority: Option<PathBuf>,
}

/// A bound socket.
pub(crate) struct Listener {
    socket: TcpListener,
    tls: Option<TlsAcceptor>,
}

impl Listener {
    /// Takes the address.
    pub(crate) async fn bind(address: SocketAddr, tls: Option<&Tls>) -> Result<Self, Error> {
        if tls.is_none() && !address.ip().is_loopback() {
            return Err(Error::Plain(address));
        }
        let tls = tls.map(config).transpose()?.map(|config| TlsAcceptor::from(Arc::new(config)));
        let socket = TcpListener::bind(address).await;
        let socket = socket.map_err(|source| Error::Listen { address, source })?;
        Ok(Self { socket, tls })
    }

    /// The address that was taken.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Answers with `answer` until `stop`.
    pub(super) async fn serve<A, F>(self, answer: A, stop: CancellationToken)
    where
        A: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<Response<Body>, Infallible>> + Send + 'static,
    {
        let slots = Arc::new(Semaphore::new(CONNECTIONS));
        let connections = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                accepted = async {
                    let slot = slots.clone().acquire_owned().await;
                    (slot, self.socket.accept().await)
                } => accepted,
                () = stop.cancelled() => break,
            };
            let (slot, Ok((stream, _))) = accepted else {
                // Out of file descriptors, or the caller is gone again. Neither lasts.
                sleep(Duration::from_millis(20)).await;
                continue;
            };
            let (tls, answer, stop) = (self.tls.clone(), answer.clone(), stop.clone());
            connections.spawn(async move {
                let _slot = slot;
                connection(stream, tls, answer, stop).await;
            });
        }
        connections.close();
        let _ = timeout(GRACE, connections.wait()).await;
    }
}

async fn connection<A, F>(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    answer: A,
    stop: CancellationToken,
) where
    A: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<Response<Body>, Infallible>> + Send + 'static,
{
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else { return http(stream, answer, stop).await };
    match timeout(HANDSHAKE, tls.accept(stream)).await {
        Ok(Ok(stream)) => http(stream, answer, stop).await,
        Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
        Err(_) => tracing::debug!("a TLS handshake took too long"),
    }
}

async fn http<S, A, F>(stream: S, answer: A, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    A: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<Response<Body>, Infallible>> + Send + 'static,
{
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(64 * 1024);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(32);
    let connection = builder.serve_connection(TokioIo::new(stream), service_fn(answer));
    tokio::pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(error, "a connection broke");
    }
}

fn config(tls: &Tls) -> Result<ServerConfig, Error> {
    let certificates = |path: &PathBuf| -> Result<Vec<CertificateDer<'static>>, Error> {
        CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect)
            .map_err(|source| Error::Read { path: path.clone(), source })
    };
    let key = PrivateKeyDer::from_pem_file(&tls.key)
        .map_err(|source| Error::Read { path: tls.key.clone(), source })?;
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?;
    let builder = match &tls.client_authority {
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path)? {
                roots.add(certificate)?;
            }
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
            builder.with_client_cert_verifier(verifier)
        }
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(certificates(&tls.certificate)?, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use bytes::Bytes;
    use http_body_util::Full;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    use rustls_pki_types::ServerName;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_rustls::{TlsConnector, rustls::ClientConfig};

    use super::*;

    /// An authority, with a certificate for the server and one for a caller, as PEM files.
    fn certificates(directory: &Path) {
        let key = KeyPair::generate().expect("a key");
        let mut authority = CertificateParams::new(Vec::new()).expect("parameters");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let write = |name: &str, text: String| {
            fs::write(directory.join(name), text).expect("written");
        };
        write("authority", authority.self_signed(&key).expect("signed").pem());
        let authority = Issuer::new(authority, key);
        for name in ["server", "caller"] {
            let own = KeyPair::generate().expect("a key");
            let names = vec!["localhost".to_owned()];
            let parameters = CertificateParams::new(names).expect("parameters");
            let signed = parameters.signed_by(&own, &authority).expect("signed");
            write(name, signed.pem());
            write(&format!("{name}.key"), own.serialize_pem());
        }
    }

    /// What a caller gets, with a certificate or without.
    async fn call(directory: &Path, address: SocketAddr, certified: bool) -> io::Result<String> {
        let pem = |name: &str| CertificateDer::from_pem_file(directory.join(name)).expect("PEM");
        let mut roots = RootCertStore::empty();
        roots.add(pem("authority")).expect("an authority");
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots);
        let key = PrivateKeyDer::from_pem_file(directory.join("caller.key")).expect("a key");
        let config = match certified {
            true => config.with_client_auth_cert(vec![pem("caller")], key).expect("a pair"),
            false => config.with_no_client_auth(),
        };
        let name = ServerName::try_from("localhost").expect("a name");
        let stream = TcpStream::connect(address).await?;
        let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await.map(|_| text)
    }

    #[tokio::test]
    async fn with_an_authority_only_those_with_its_certificate_may_call() {
        let scratch = tempfile::tempdir().expect("scratch");
        certificates(scratch.path());
        let place = |name: &str| scratch.path().join(name);
        for (client_authority, without) in [(None, true), (Some(place("authority")), false)] {
            let (certificate, key) = (place("server"), place("server.key"));
            let tls = Tls { certificate, key, client_authority };
            let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
            let listener = Listener::bind(loopback, Some(&tls)).await.expect("a socket");
            let address = listener.address().expect("an address");
            let stop = CancellationToken::new();
            let hello = || Full::new(Bytes::from_static(b"hello"));
            let answer = move |_| std::future::ready(Ok(Response::new(hello())));
            let serving = tokio::spawn(listener.serve(answer, stop.clone()));
            for (certified, answered) in [(true, true), (false, without)] {
                let text = call(scratch.path(), address, certified).await.unwrap_or_default();
                assert_eq!(text.ends_with("hello"), answered, "{certified}: {text}");
            }
            stop.cancel();
            serving.await.expect("it ends");
        }
    }

    #[tokio::test]
    async fn without_tls_only_loopback_is_listened_on() {
        let everywhere = SocketAddr::from(([0, 0, 0, 0], 0));
        assert!(matches!(Listener::bind(everywhere, None).await, Err(Error::Plain(_))));
    }
}
