//! The SFTP endpoint, asked as a client asks it: a key exchange, in which it has to prove that it
//! holds the host key by which clients know it.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{process::Command, time::timeout};

use super::check::Verdict;

/// How long the endpoint may take: a machine that is busy storing a backup takes its time for a key
/// exchange, and is well all the same.
const PATIENCE: Duration = Duration::from_secs(17);

/// The same for `ssh-keyscan`, in seconds, which is to end first.
const SCAN_SECONDS: &str = "15";

/// The kind of host key that is asked for; the endpoint always has one.
const KEY_TYPE: &str = "ssh-ed25519";

/// The SFTP endpoint as a client sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Where it was asked.
    pub address: SocketAddr,
    /// How it introduced itself.
    pub banner: String,
    /// The host key that it proved to have, in base64; empty where it proved none.
    #[serde(default)]
    pub host_key: String,
}

/// Why the endpoint could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The program that asks cannot be run.
    #[error("cannot run ssh-keyscan, of the package openssh-client")]
    Run(#[source] std::io::Error),
    /// It did not answer in time.
    #[error("nothing answers at {0}")]
    Silent(SocketAddr),
    /// What answered is no SSH server.
    #[error("what answers at {0} is no SSH server")]
    Foreign(SocketAddr),
}

/// Asks the endpoint that listens on `address`.
pub async fn look(address: SocketAddr) -> Result<Endpoint, Error> {
    let asked = reachable(address);
    let mut command = Command::new("ssh-keyscan");
    command.args(["-T", SCAN_SECONDS, "-t", "ed25519", "-p", &asked.port().to_string()]);
    command.arg(asked.ip().to_string()).kill_on_drop(true).stdin(std::process::Stdio::null());
    let output = timeout(PATIENCE, command.output()).await.map_err(|_| Error::Silent(asked))?;
    let output = output.map_err(Error::Run)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (said, remarks) = (text(&output.stdout), text(&output.stderr));
    // OpenSSH has printed the remark with the greeting to either of the two.
    let banner = banner(&remarks).or_else(|| banner(&said));
    match (banner, host_key(&said)) {
        (Some(banner), key) => {
            Ok(Endpoint { address: asked, banner, host_key: key.unwrap_or_default() })
        }
        (None, _) if remarks.contains("bad greeting") || remarks.contains("banner") => {
            Err(Error::Foreign(asked))
        }
        (None, _) => Err(Error::Silent(asked)),
    }
}

/// Where a server that listens on `address` can be reached from this machine.
fn reachable(address: SocketAddr) -> SocketAddr {
    let mut asked = address;
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => asked.set_ip(Ipv4Addr::LOCALHOST.into()),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => asked.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    asked
}

/// The greeting, out of a line `# HOST:PORT SSH-2.0-…`.
fn banner(text: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with('#'))?;
    line.find("SSH-2.0-").map(|at| line[at..].trim().to_owned())
}

/// The key, out of a line `HOST ssh-ed25519 KEY`.
fn host_key(text: &str) -> Option<String> {
    let mut lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.find_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        (words.next()? == KEY_TYPE).then(|| words.next().map(str::to_owned))?
    })
}

/// Judges the answer. `ours` are the public keys of our own host keys, as `TYPE KEY`.
pub fn judge(answer: Result<&Endpoint, &str>, ours: &[String]) -> Verdict {
    let advice = "Uploads do not arrive. Start retention-sftp.service, and look at its journal.";
    let found = match answer {
        Ok(found) => found,
        Err(why) => return Verdict::critical(format!("The endpoint: {why}."), advice),
    };
    if found.host_key.is_empty() {
        let sentence = format!("The endpoint at {} offers no host key.", found.address);
        return Verdict::critical(sentence, advice);
    }
    let known = ours.iter().any(|key| key.split_whitespace().nth(1) == Some(&found.host_key));
    if ours.is_empty() {
        return Verdict::unknown(
            format!("The endpoint at {} answers; our own host keys cannot be read.", found.address),
            "Run this as root.",
        );
    }
    if known {
        Verdict::ok(format!("{} answers with our host key.", found.address))
    } else {
        Verdict::critical(
            format!("What answers at {} has another host key than ours.", found.address),
            "Another SSH server has taken the port. Give one of them another port.",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::{super::check::State, *};

    #[test]
    fn what_ssh_keyscan_prints_is_read() {
        let said = "[127.0.0.1]:2222 ssh-ed25519 AAAAkey\n";
        let remark = "# 127.0.0.1:2222 SSH-2.0-OpenSSH_9.2p1 Debian-2\n";
        assert_eq!(host_key(said).as_deref(), Some("AAAAkey"));
        assert_eq!(banner(remark).as_deref(), Some("SSH-2.0-OpenSSH_9.2p1 Debian-2"));
        assert_eq!(host_key(remark), None);
        assert_eq!(banner("connect: refused"), None);
    }

    #[test]
    fn the_endpoint_has_to_have_our_own_key() {
        let found = |key: &str| Endpoint {
            address: ([127, 0, 0, 1], 2222).into(),
            banner: "SSH-2.0-x".into(),
            host_key: key.into(),
        };
        let ours = ["ssh-ed25519 AAAA".to_owned()];
        for (answer, ours, state) in [
            (Ok(&found("AAAA")), &ours[..], State::Ok),
            (Ok(&found("BBBB")), &ours, State::Critical),
            (Ok(&found("")), &ours, State::Critical),
            (Ok(&found("AAAA")), &[], State::Unknown),
            (Err("nothing answers"), &ours, State::Critical),
        ] {
            assert_eq!(judge(answer, ours).state, state, "{answer:?}");
        }
    }
}
