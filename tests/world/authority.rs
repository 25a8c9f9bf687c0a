//! A certificate authority of a test, and the certificates that it signs.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::process;

/// The authority.
pub(crate) struct Authority {
    directory: PathBuf,
}

impl Authority {
    /// One that keeps its files in this directory.
    pub(crate) fn new(directory: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(directory)?;
        let authority = Self { directory: directory.to_owned() };
        authority.openssl(
            "req -x509 -newkey rsa:2048 -nodes -keyout authority.key -out authority.pem -days 2 \
             -subj /CN=Authority",
        )?;
        Ok(authority)
    }

    /// Its own certificate.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.directory.join("authority.pem")
    }

    /// Signs a certificate for this machine, and returns it and its key.
    pub(crate) fn sign(&self, name: &str) -> anyhow::Result<(PathBuf, PathBuf)> {
        self.openssl(&format!(
            "req -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}"
        ))?;
        let names = self.directory.join("names");
        fs::write(&names, "subjectAltName=DNS:localhost,IP:127.0.0.1\n")?;
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA authority.pem -CAkey authority.key -CAcreateserial \
             -out {name}.crt -days 2 -extfile names"
        ))?;
        let place = |ending: &str| self.directory.join(format!("{name}.{ending}"));
        Ok((place("crt"), place("key")))
    }

    fn openssl(&self, line: &str) -> anyhow::Result<()> {
        let mut openssl = Command::new("openssl");
        process::output(openssl.current_dir(&self.directory).args(line.split(' '))).map(drop)
    }
}
