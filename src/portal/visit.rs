//! A visit to the portal, as a browser would make it: a handshake, a sign-in, a sign-out.
//!
//! This is how the portal is tried out from outside. It must never know more of the
//! portal than a visitor does, and it accepts the one certificate that it expects.

use std::{io, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        self, ClientConfig, DigitallySignedStruct, SignatureScheme,
        client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    },
};

use super::{
    certificate::{self, inspect::Certificate},
    gate,
};
use crate::config::Secret;

/// How long an answer may take; checking a password takes longest.
const PATIENCE: Duration = Duration::from_secs(15);

/// More than any page that is asked for here.
const MAX_ANSWER_BYTES: u64 = 1024 * 1024;

/// What went wrong with a visit.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody answers.
    #[error("nothing answers at {address}")]
    Connect {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The handshake failed, or another certificate was shown.
    #[error("the TLS handshake failed")]
    Handshake(#[source] io::Error),
    /// The certificate that is expected cannot be read.
    #[error(transparent)]
    Certificate(#[from] certificate::Error),
    /// The answer was cut off, or is none.
    #[error("{path} was not answered")]
    Answer {
        /// What was asked for.
        path: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The portal did not let the account in.
    #[error("the portal answered {status} and not with a session")]
    SignIn {
        /// The status code.
        status: u16,
    },
    /// The session did not open a page, or did not end.
    #[error("{path} answered {status}")]
    Page {
        /// What was asked for.
        path: &'static str,
        /// The status code.
        status: u16,
    },
}

/// A visitor without a session.
#[derive(Clone)]
pub struct Visit {
    address: SocketAddr,
    host: ServerName<'static>,
    tls: TlsConnector,
}

impl std::fmt::Debug for Visit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Visit").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Visit {
    /// A visitor of the portal at `address` who accepts the first certificate in the file
    /// `certificate`, and no other.
    pub fn new(address: SocketAddr, certificate: &Path) -> Result<Self, Error> {
        let expected = Certificate::read(certificate)?.der().clone();
        let provider = Arc::new(ring::default_provider());
        let only = Arc::new(Only { expected, provider: provider.clone() });
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::Handshake(io::Error::other(error)))?
            .dangerous()
            .with_custom_certificate_verifier(only)
            .with_no_client_auth();
        let host = ServerName::from(address.ip());
        Ok(Self { address, host, tls: Arc::new(config).into() })
    }

    /// Connects and shakes hands. Returns the version of TLS that was agreed upon.
    pub async fn handshake(&self) -> Result<&'static str, Error> {
        let stream = self.connect().await?;
        Ok(match stream.get_ref().1.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_3) => "TLS 1.3",
            Some(rustls::ProtocolVersion::TLSv1_2) => "TLS 1.2",
            _ => "TLS",
        })
    }

    /// Signs in.
    pub async fn sign_in(&self, name: &str, password: &Secret) -> Result<Session, Error> {
        let form = [("name", name), ("password", password.reveal()), ("then", "/")];
        let answer = self.ask("POST", "/sign-in", None, &form).await?;
        let cookie = answer.cookie();
        match cookie {
            Some(cookie) if answer.status == 303 => Ok(Session { visit: self.clone(), cookie }),
            _ => Err(Error::SignIn { status: answer.status }),
        }
    }

    async fn connect(&self) -> Result<tokio_rustls::client::TlsStream<TcpStream>, Error> {
        let unanswered = |source| Error::Connect { address: self.address, source };
        let stream = timeout(PATIENCE, TcpStream::connect(self.address)).await;
        let stream =
            stream.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(unanswered)?;
        let shaken = timeout(PATIENCE, self.tls.connect(self.host.clone(), stream)).await;
        shaken.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(Error::Handshake)
    }

    async fn ask(
        &self,
        method: &str,
        path: &'static str,
        cookie: Option<&str>,
        form: &[(&str, &str)],
    ) -> Result<Answer, Error> {
        let mut stream = self.connect().await?;
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let cookie = cookie.map_or(String::new(), |cookie| format!("Cookie: {cookie}\r\n"));
        // In the old protocol the answer ends with the connection, and comes in one piece.
        let request = format!(
            "{method} {path} HTTP/1.0\r\nHost: {}\r\n{cookie}Content-Type: \
             application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        let request = zeroize::Zeroizing::new(request);
        let exchange = async {
            stream.write_all(request.as_bytes()).await?;
            let mut bytes = Vec::new();
            stream.take(MAX_ANSWER_BYTES).read_to_end(&mut bytes).await?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        let text = timeout(PATIENCE, exchange).await;
        let text = text.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let text = text.map_err(|source| Error::Answer { path, source })?;
        Answer::parse(&text).ok_or_else(|| {
            let source = io::Error::other("what came is not HTTP");
            Error::Answer { path, source }
        })
    }
}

/// A session that was begun by a [`Visit`].
pub struct Session {
    visit: Visit,
    cookie: String,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("visit", &self.visit).finish_non_exhaustive()
    }
}

impl Session {
    /// Opens the page on which everybody may change the own password, which needs a session.
    /// Returns what its forms have to carry.
    pub async fn open(&self) -> Result<String, Error> {
        let path = "/password";
        let answer = self.visit.ask("GET", path, Some(&self.cookie), &[]).await?;
        let token = answer.body.split_once("name=\"csrf\" value=\"");
        let token = token.and_then(|(_, rest)| rest.split('"').next());
        match token {
            Some(token) if answer.status == 200 => Ok(token.to_owned()),
            _ => Err(Error::Page { path, status: answer.status }),
        }
    }

    /// Signs out.
    pub async fn sign_out(self, csrf: &str) -> Result<(), Error> {
        let path = "/sign-out";
        let answer = self.visit.ask("POST", path, Some(&self.cookie), &[("csrf", csrf)]).await?;
        match answer.status {
            303 => Ok(()),
            status => Err(Error::Page { path, status }),
        }
    }
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn parse(text: &str) -> Option<Self> {
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
        Some(Self { status, head: head.to_owned(), body: body.to_owned() })
    }

    /// The session's cookie, if one was given.
    fn cookie(&self) -> Option<String> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let mut values = lines.filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
        values.find_map(|(_, value)| {
            let pair = value.split(';').next()?;
            let (name, token) = pair.split_once('=')?;
            (name == gate::COOKIE && !token.is_empty()).then(|| pair.to_owned())
        })
    }
}

/// Accepts one certificate, whoever signed it. That the other side has its key is checked.
#[derive(Debug)]
struct Only {
    expected: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Only {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if end_entity.as_ref() == self.expected.as_ref() {
            return Ok(ServerCertVerified::assertion());
        }
        let why = "the portal shows another certificate than the file holds; restart retention";
        Err(rustls::Error::General(why.to_owned()))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_begun_only_by_its_own_cookie() {
        for (head, expected) in [
            ("HTTP/1.0 303 See Other\r\nset-cookie: __Host-retention=abc; Path=/", Some(true)),
            ("HTTP/1.0 303 See Other\r\nset-cookie: __Host-retention=; Max-Age=0", Some(false)),
            ("HTTP/1.0 303 See Other\r\nset-cookie: other=abc", Some(false)),
            ("SSH-2.0-OpenSSH", None),
        ] {
            let answer = Answer::parse(&format!("{head}\r\n\r\nbody"));
            assert_eq!(answer.map(|answer| answer.cookie().is_some()), expected, "{head}");
        }
    }
}
