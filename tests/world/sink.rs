//! Where alerts arrive: a real SMTP server, or a real HTTPS server, of Python's.

use std::{
    ffi::OsString,
    fs::{self, File},
    net::{Ipv4Addr, SocketAddrV4},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::bail;
use serde_json::Value;

use super::process::{self, GLANCE, Process};

/// How long a server may take until it listens.
const START: Duration = Duration::from_secs(30);

/// A server that keeps what arrives.
pub(crate) struct Sink {
    kind: &'static str,
    address: SocketAddrV4,
    /// The command line that leads to where it runs; empty for here.
    enter: Vec<OsString>,
    secret: PathBuf,
    directory: PathBuf,
    process: Option<Process>,
}

impl Sink {
    /// A server for `smtp` or `https` on a loopback port, not yet started, with its files in
    /// `directory`. `secret` is the password of the user `alerts`, or the key of signatures.
    pub(crate) fn new(kind: &'static str, directory: &Path, secret: &str) -> anyhow::Result<Self> {
        let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, process::free_port()?);
        Self::at(address, Vec::new(), kind, directory, secret)
    }

    /// The same, where the command line `enter` leads to and at an address of that place.
    pub(crate) fn at(
        address: SocketAddrV4,
        enter: Vec<OsString>,
        kind: &'static str,
        directory: &Path,
        secret: &str,
    ) -> anyhow::Result<Self> {
        let certificate = rcgen::generate_simple_self_signed([address.ip().to_string()])?;
        let place = |name: &str| directory.join(format!("{kind}.{name}"));
        fs::write(place("pem"), certificate.cert.pem())?;
        process::write_secret(&place("key"), &certificate.signing_key.serialize_pem())?;
        process::write_secret(&place("secret"), secret)?;
        Ok(Self {
            kind,
            address,
            enter,
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
        let log = self.place("log");
        let mut process = Process::start_within(&self.enter, self.kind, python, &log, |command| {
            command.arg(script).arg(self.kind);
            command.args([self.address.ip().to_string(), self.port().to_string()]);
            command.args([self.certificate(), self.place("key"), self.place("out")]);
            command.stdin(secret);
        })?;
        let deadline = Instant::now() + START;
        while !self.place("out").exists() {
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
        self.address.port()
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
