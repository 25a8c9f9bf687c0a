//! Where alerts arrive: a real SMTP server, or a real HTTPS server, of Python's.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::bail;
use serde_json::Value;
use tokio::net::TcpStream;

use super::process::{self, GLANCE, Process};

/// How long a server may take until it listens.
const START: Duration = Duration::from_secs(30);

/// A server that keeps what arrives.
pub(crate) struct Sink {
    kind: &'static str,
    port: u16,
    secret: PathBuf,
    directory: PathBuf,
    process: Option<Process>,
}

impl Sink {
    /// A server for `smtp` or `https`, not yet started, with its files in `directory`. `secret` is
    /// the password of the user `alerts`, or the key of signatures.
    pub(crate) fn new(kind: &'static str, directory: &Path, secret: &str) -> anyhow::Result<Self> {
        let certificate = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
        let place = |name: &str| directory.join(format!("{kind}.{name}"));
        fs::write(place("pem"), certificate.cert.pem())?;
        process::write_secret(&place("key"), &certificate.signing_key.serialize_pem())?;
        process::write_secret(&place("secret"), secret)?;
        Ok(Self {
            kind,
            port: process::free_port()?,
            secret: place("secret"),
            directory: directory.to_owned(),
            process: None,
        })
    }

    /// Starts it.
    pub(crate) async fn start(&mut self) -> anyhow::Result<()> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/world/sink.py");
        let secret = File::open(&self.secret)?;
        // Debian's own Python, for which its packages are.
        let python = Path::new("/usr/bin/python3");
        let mut process = Process::start(self.kind, python, &self.place("log"), |command| {
            command.arg(script).arg(self.kind).arg(self.port.to_string());
            command.args([self.certificate(), self.place("key"), self.place("out")]);
            command.stdin(secret);
        })?;
        let deadline = Instant::now() + START;
        while TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
            process.still_runs()?;
            if Instant::now() > deadline {
                bail!("{} does not listen; it said:\n{}", self.kind, process.last_words());
            }
            tokio::time::sleep(GLANCE).await;
        }
        self.process = Some(process);
        Ok(())
    }

    /// Its port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The certificate to trust.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.place("pem")
    }

    /// What arrived, the oldest first.
    pub(crate) fn arrived(&self) -> anyhow::Result<Vec<Value>> {
        let text = fs::read_to_string(self.place("out")).unwrap_or_default();
        Ok(text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
    }

    fn place(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{}.{name}", self.kind))
    }
}
