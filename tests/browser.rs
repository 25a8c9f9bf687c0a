//! The portal's visitor: HTTPS with the portal's own certificate, a cookie, and forms.

use std::{fs, io::Cursor, path::Path, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, RootCertStore, crypto::ring},
};

use crate::world::World;

/// How long an answer may take; checking a password takes longest.
const PATIENCE: Duration = Duration::from_secs(20);

/// A browser with at most one session.
#[derive(Clone)]
pub(crate) struct Browser {
    address: String,
    tls: TlsConnector,
    cookie: Option<String>,
}

/// What the portal answered.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status code.
    pub(crate) status: u16,
    head: String,
    /// The body, as far as it is text.
    pub(crate) body: String,
}

impl Browser {
    /// A browser that trusts the portal's certificate and no other.
    pub(crate) fn new(world: &World) -> Result<Self> {
        let url = world.portal_url();
        let address = url.trim_start_matches("https://").trim_end_matches('/').to_owned();
        Self::trusting(&world.state_directory().join("portal/certificate.pem"), address)
    }

    /// A browser of the portal on a port of this machine, that trusts who signed in `trusted`.
    pub(crate) fn at(trusted: &Path, port: u16) -> Result<Self> {
        Self::trusting(trusted, format!("127.0.0.1:{port}"))
    }

    fn trusting(trusted: &Path, address: String) -> Result<Self> {
        let pem = fs::read(trusted)?;
        let mut trusted = RootCertStore::empty();
        for certificate in CertificateDer::pem_reader_iter(Cursor::new(pem)) {
            trusted.add(certificate?)?;
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(trusted)
            .with_no_client_auth();
        Ok(Self { address, tls: Arc::new(config).into(), cookie: None })
    }

    /// Asks for a page.
    pub(crate) async fn get(&mut self, path: &str) -> Result<Answer> {
        self.ask("GET", path, &[]).await
    }

    /// Asks for a part of a medium, as a player does that seeks: `bytes=10-19`.
    pub(crate) async fn get_part(&mut self, path: &str, range: &str) -> Result<Answer> {
        let header = format!("Range: {range}\r\n");
        let answer = self.exchange("GET", path, &[], &header);
        timeout(PATIENCE, answer).await.with_context(|| format!("no answer for {range}"))?
    }

    /// Takes a file away: the status, and every byte.
    pub(crate) async fn take(&mut self, path: &str) -> Result<(u16, Vec<u8>)> {
        let answer = self.exchange_bytes("GET", path, &[], "");
        let bytes = timeout(PATIENCE, answer).await.with_context(|| format!("no {path}"))??;
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").context("a head")?;
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let status = head.split(' ').nth(1).unwrap_or_default().parse()?;
        Ok((status, bytes[end + 4..].to_vec()))
    }

    /// Sends a form.
    pub(crate) async fn post(&mut self, path: &str, form: &[(&str, &str)]) -> Result<Answer> {
        self.ask("POST", path, form).await
    }

    /// Sends a form as a page of this session does: with its token.
    pub(crate) async fn submit(&mut self, path: &str, form: &[(&str, &str)]) -> Result<Answer> {
        let page = self.get("/password").await?.body;
        let (_, rest) = page.split_once(r#"name="csrf" value=""#).context("a form has a token")?;
        let token = rest.split('"').next().unwrap_or_default().to_owned();
        let mut form = form.to_vec();
        form.push(("csrf", &token));
        self.ask("POST", path, &form).await
    }

    /// Signs in.
    pub(crate) async fn sign_in(&mut self, name: &str, password: &str) -> Result<()> {
        let form = [("name", name), ("password", password), ("then", "/")];
        let answer = self.post("/sign-in", &form).await?;
        ensure!(answer.status == 303, "{name} cannot sign in: {answer:?}");
        Ok(())
    }

    async fn ask(&mut self, method: &str, path: &str, form: &[(&str, &str)]) -> Result<Answer> {
        let answer = timeout(PATIENCE, self.exchange(method, path, form, "")).await;
        let answer = answer.with_context(|| format!("no answer to {method} {path}"))??;
        for line in answer.head.lines() {
            if let Some((name, value)) = line.split_once(": ")
                && name.eq_ignore_ascii_case("set-cookie")
                && value.starts_with("__Host-")
            {
                self.cookie = value.split(';').next().map(str::to_owned);
            }
        }
        Ok(answer)
    }

    async fn exchange(
        &self,
        method: &str,
        path: &str,
        form: &[(&str, &str)],
        more_headers: &str,
    ) -> Result<Answer> {
        let bytes = self.exchange_bytes(method, path, form, more_headers).await?;
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            bail!("no answer to {method} {path}: {text:?}");
        };
        let status = head.split(' ').nth(1).unwrap_or_default().parse()?;
        Ok(Answer { status, head: head.to_owned(), body: body.to_owned() })
    }

    async fn exchange_bytes(
        &self,
        method: &str,
        path: &str,
        form: &[(&str, &str)],
        more_headers: &str,
    ) -> Result<Vec<u8>> {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let cookie =
            self.cookie.as_ref().map_or(String::new(), |cookie| format!("Cookie: {cookie}\r\n"));
        // In the old protocol the answer ends with the connection, and comes in one piece.
        let request = format!(
            "{method} {path} HTTP/1.0\r\nHost: {}\r\n{cookie}{more_headers}\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        let stream = TcpStream::connect(&self.address).await?;
        let mut stream = self.tls.connect(ServerName::try_from("127.0.0.1")?, stream).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await?;
        Ok(bytes)
    }
}

impl Answer {
    /// A header's value; empty where there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let mut found = lines.filter(|(known, _)| known.eq_ignore_ascii_case(name));
        found.next().map_or("", |(_, value)| value)
    }
}
