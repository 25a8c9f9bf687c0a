//! Somebody outside: maaiiconnect, which uploads, and a member of staff with a browser. Both know
//! the appliance only by the router's public address.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context, Result, bail, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use sha2::{Digest, Sha256};

use crate::{
    network::{Namespace, Network, PUBLIC, Side},
    place::Place,
    process,
};

/// Where the client is.
const ADDRESS: &str = "198.51.100.10";

/// A client with a key of its own, a browser's cookies, and what it knows of the appliance.
pub(crate) struct Client {
    namespace: Namespace,
    place: Place,
    forms: AtomicU32,
}

impl Client {
    /// A client that knows nobody yet.
    pub(crate) fn new(network: &Network) -> Result<Self> {
        let place = Place::new()?;
        fs::set_permissions(place.path(), Permissions::from_mode(0o700))?;
        let namespace = Namespace::new(&place)?;
        network.attach(&namespace, Side::Outside, ADDRESS)?;
        let client = Self { namespace, place, forms: AtomicU32::new(0) };
        let mut keygen = client.namespace.command("ssh-keygen");
        keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", "maaiiconnect", "-f"]);
        process::output(keygen.arg(client.place.file("identity")))?;
        Ok(client)
    }

    /// Its public key, which is copied into the appliance.
    pub(crate) fn public_key(&self) -> Result<String> {
        Ok(fs::read_to_string(self.place.file("identity.pub"))?)
    }

    /// Remembers the endpoint if its host key is among those of the setup sheet, and the portal by
    /// the authority that signed for it. `certificate` is the one that it signed.
    pub(crate) fn trust(
        &self,
        fingerprints: &[&str],
        authority: &[u8],
        certificate: &[u8],
    ) -> Result<()> {
        let mut scan = self.namespace.command("ssh-keyscan");
        let known = process::output(scan.args(["-T", "20", "-t", "ed25519", PUBLIC]))?;
        let file = self.place.file("known_hosts");
        fs::write(&file, known)?;
        let listed = process::output(Command::new("ssh-keygen").arg("-lf").arg(&file))?;
        let fingerprint = listed.split_whitespace().find(|word| word.starts_with("SHA256:"));
        let fingerprint = fingerprint.context("the endpoint shows a host key")?;
        let is_known = fingerprints.iter().any(|known| known.ends_with(fingerprint));
        ensure!(is_known, "{fingerprint} is not among {fingerprints:?}");
        fs::write(self.place.file("authority.pem"), authority)?;
        Ok(fs::write(self.place.file("certificate.pem"), certificate)?)
    }

    /// Uploads a file under its own name, with the stock client, at so many kilobits a second.
    pub(crate) fn upload(&self, user: &str, file: &Path, kilobits: Option<u32>) -> Result<()> {
        let batch = self.place.file("batch");
        fs::write(&batch, format!("put \"{}\"\n", file.display()))?;
        let setting =
            |name: &str, file: &str| format!("{name}={}", self.place.file(file).display());
        let mut sftp = self.namespace.command("sftp");
        sftp.args(["-q", "-F", "none", "-i"]).arg(self.place.file("identity"));
        sftp.arg("-b").arg(batch);
        if let Some(kilobits) = kilobits {
            // In pieces so small that it is slow from the first.
            sftp.args(["-l", &kilobits.to_string(), "-B", "1024"]);
        }
        for option in [
            "BatchMode=yes",
            "IdentitiesOnly=yes",
            "IdentityAgent=none",
            "StrictHostKeyChecking=yes",
            "ConnectTimeout=10",
            &setting("UserKnownHostsFile", "known_hosts"),
            "GlobalKnownHostsFile=none",
        ] {
            sftp.args(["-o", option]);
        }
        process::output(sftp.arg(format!("{user}@{PUBLIC}"))).map(drop)
    }

    /// Signs in to the portal.
    pub(crate) fn sign_in(&self, name: &str, password: &str) -> Result<()> {
        let form = [("name", name), ("password", password), ("then", "/")];
        let answer = self.send("/sign-in", &form)?;
        ensure!(answer.ends_with("303"), "{name} cannot sign in: {answer}");
        Ok(())
    }

    /// Sends a form of a page of the portal, for whoever has signed in: what is answered, and the
    /// status after it.
    pub(crate) fn submit(&self, path: &str, form: &[(&str, &str)]) -> Result<String> {
        let page = self.page("/password")?;
        let (_, rest) = page.split_once(r#"name="csrf" value=""#).context("a form has a token")?;
        let token = rest.split('"').next().unwrap_or_default();
        self.send(path, &[form, &[("csrf", token)]].concat())
    }

    fn send(&self, path: &str, form: &[(&str, &str)]) -> Result<String> {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        // In a file, for whoever lists processes sees their arguments.
        let file = self.place.file(&format!("form-{}", self.forms.fetch_add(1, Ordering::Relaxed)));
        process::write_secret(&file, &form)?;
        let data = format!("@{}", file.display());
        let answer = self.curl(path, &["--data-binary", &data, "--write-out", "%{http_code}"]);
        fs::remove_file(file)?;
        answer
    }

    /// A page of the portal, for whoever has signed in.
    pub(crate) fn page(&self, path: &str) -> Result<String> {
        self.curl(path, &["--fail"])
    }

    /// Asks the portal with the stock client, which trusts that authority and no other.
    pub(crate) fn curl(&self, path: &str, options: &[&str]) -> Result<String> {
        let mut curl = self.namespace.command("curl");
        curl.args(["--silent", "--show-error", "--max-time", "30", "--cacert"]);
        curl.arg(self.place.file("authority.pem"));
        let cookies = self.place.file("cookies");
        curl.arg("--cookie-jar").arg(&cookies).arg("--cookie").arg(&cookies).args(options);
        process::output(curl.arg(format!("https://{PUBLIC}{path}")))
    }

    /// What a page is once Chromium has shown it, with nobody signed in. It trusts the portal's
    /// key and no other.
    pub(crate) fn browse(&self, path: &str) -> Result<String> {
        let pin = self.pin()?;
        let profile = self.place.file("chromium");
        let mut chromium = self.namespace.command("chromium");
        // It writes elsewhere, too, and reads settings of whoever runs the tests.
        chromium.env("HOME", self.place.path()).env_remove("CHROME_LOG_FILE");
        chromium.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"]);
        chromium.args(["--no-first-run", "--disable-background-networking"]);
        chromium.args(["--disable-component-update", "--disable-sync"]);
        chromium.arg(format!("--user-data-dir={}", profile.display()));
        chromium.arg(format!("--ignore-certificate-errors-spki-list={pin}"));
        chromium.args(["--timeout=20000", "--dump-dom", &format!("https://{PUBLIC}{path}")]);
        let shown = process::output(&mut chromium)?;
        if shown.contains("ERR_") {
            bail!("Chromium does not show {path}: {shown}");
        }
        Ok(shown)
    }

    /// The SHA-256 of the portal's public key, as Chromium wants it.
    fn pin(&self) -> Result<String> {
        let mut openssl = Command::new("openssl");
        openssl.args(["x509", "-noout", "-pubkey", "-in"]);
        let pem = process::output(openssl.arg(self.place.file("certificate.pem")))?;
        let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        Ok(BASE64_STANDARD.encode(Sha256::digest(BASE64_STANDARD.decode(base64)?)))
    }
}
