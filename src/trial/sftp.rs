//! An upload through the endpoint, with the stock client and a key that lives only that long.
//!
//! The file has a temporary name, so that the inbox takes it for an upload on its way
//! and never for a backup.

use std::{
    fs,
    io::{self, Write},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use jiff::Timestamp;
use ssh_key::{Algorithm, LineEnding, PrivateKey, rand_core::OsRng};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpStream,
    process::Command,
    time::timeout,
};

use super::{Failure, Steps, token};
use crate::{
    appliance,
    config::Config,
    sftp::keys::{AuthorizedKeys, TRIAL},
};

/// Begins the names of all that a trial makes.
const NAME: &str = TRIAL;

/// Where the client's files are. Each trial has a directory there that is closed to others.
const SCRATCH: &str = "/tmp";

/// How much is uploaded.
const SIZE_BYTES: usize = 64 * 1024;

/// How long the endpoint may take to greet, and an upload to end.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) async fn run(config: &Config, steps: &mut Steps<'_>) {
    let endpoint = appliance::endpoint(config);
    let address = reachable(config.sftp().listen);
    let inbox = endpoint.inbox.clone();
    steps.step("connect", greeting(address)).await;

    let keys = endpoint.authorized_keys();
    let host_keys = endpoint.host_keys();
    let client = steps
        .step("authorise a key for this test alone", async {
            let todo = "Run `retention sftp prepare` as root, which makes what is missing.";
            let host_keys = host_keys.map_err(|error| Failure::of(&error, todo))?;
            let lines = host_keys.iter().map(|key| known_host(address, &key.public_key));
            let client = Client::new(keys, &inbox, &lines.collect::<String>())?;
            let said = "it is removed at the end".to_owned();
            Ok((client, said))
        })
        .await;
    let user = config.sftp().user.clone();
    if let Some(client) = &client {
        let upload = client.upload(address, &user);
        steps.step("upload with the stock sftp client", upload).await;
        steps.step("find it in the inbox, byte by byte", async { client.compare() }).await;
    } else {
        steps.not_done("upload with the stock sftp client", "", None);
        steps.not_done("find it in the inbox, byte by byte", "", None);
    }
    // What was made goes, whatever happened.
    match client.map(Client::tidy) {
        Some(Ok(())) => steps.push(crate::steps::Step {
            name: "take file and key out again".to_owned(),
            outcome: crate::steps::Outcome::Done,
            said: "nothing of it is left".to_owned(),
            todo: None,
        }),
        Some(Err(failure)) => steps.failed("take file and key out again", failure),
        None => steps.not_done("take file and key out again", "", None),
    }
}

/// The first thing that every SSH server says.
async fn greeting(address: SocketAddr) -> Result<((), String), Failure> {
    let todo = "Start it with `systemctl start retention-sftp`; `journalctl -u retention-sftp` says \
                why it does not run.";
    let connect = async {
        let mut line = String::new();
        BufReader::new(TcpStream::connect(address).await?).read_line(&mut line).await?;
        Ok::<_, io::Error>(line.trim().to_owned())
    };
    let said = match timeout(PATIENCE, connect).await {
        Ok(Ok(said)) => said,
        Ok(Err(error)) => {
            return Err(Failure::new(format!("nothing answers at {address}: {error}"), todo));
        }
        Err(_) => return Err(Failure::new(format!("{address} does not greet"), todo)),
    };
    if !said.starts_with("SSH-2.0-") {
        let why = format!("what answers at {address} is no SSH server");
        return Err(Failure::new(why, "Choose another port in sftp.listen."));
    }
    Ok(((), format!("{said} at {address}")))
}

/// The client's side of one trial.
struct Client {
    keys: AuthorizedKeys,
    comment: String,
    /// Gone with all that is in it when this is dropped.
    directory: Scratch,
    arrives: PathBuf,
    name: String,
    contents: Vec<u8>,
}

impl Client {
    fn new(keys: AuthorizedKeys, inbox: &Path, known_hosts: &str) -> Result<Self, Failure> {
        let token = token();
        sweep(&keys, inbox, appliance::now());
        let comment = format!("{NAME}{token}");
        let name = format!("{NAME}{token}.part");
        let local = |error: io::Error| {
            Failure::new(
                format!("cannot write a temporary file: {error}"),
                "Look for room in /tmp.",
            )
        };
        let directory = Scratch::new(&token).map_err(local)?;
        let (key, public) = make_key(&comment)?;
        let contents: Vec<u8> = token.bytes().cycle().take(SIZE_BYTES).collect();
        directory.write("key", key.as_bytes()).map_err(local)?;
        directory.write("known_hosts", known_hosts.as_bytes()).map_err(local)?;
        directory.write("file", &contents).map_err(local)?;
        let batch = format!("put file {name}\n");
        directory.write("batch", batch.as_bytes()).map_err(local)?;
        keys.add(&public).map_err(|error| {
            Failure::of(&error, "Run this as root, which alone may change the authorised keys.")
        })?;
        Ok(Self { keys, comment, directory, arrives: inbox.join(&name), name, contents })
    }

    async fn upload(&self, address: SocketAddr, user: &str) -> Result<((), String), Failure> {
        let todo = "`journalctl -u retention-sftp` tells what the server objects to; `retention \
                    check` looks at accounts and directories.";
        let mut command = Command::new("sftp");
        command.current_dir(self.directory.path()).kill_on_drop(true);
        command.args(["-q", "-F", "none", "-b", "batch", "-i", "key"]);
        command.args(["-P", &address.port().to_string()]);
        for option in [
            "BatchMode=yes",
            "IdentitiesOnly=yes",
            "IdentityAgent=none",
            "PasswordAuthentication=no",
            "StrictHostKeyChecking=yes",
            "UserKnownHostsFile=known_hosts",
            "GlobalKnownHostsFile=none",
            "ConnectTimeout=10",
        ] {
            command.args(["-o", option]);
        }
        let host = match address {
            SocketAddr::V4(address) => address.ip().to_string(),
            SocketAddr::V6(address) => format!("[{}]", address.ip()),
        };
        command.arg(format!("{user}@{host}"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = match timeout(PATIENCE, command.output()).await {
            Ok(Ok(output)) => output,
            Ok(Err(error)) => {
                let todo = "Install the package openssh-client.";
                return Err(Failure::new(format!("cannot run sftp: {error}"), todo));
            }
            Err(_) => return Err(Failure::new("the upload does not end", todo)),
        };
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said.trim().replace('\n', "; ");
            return Err(Failure::new(format!("sftp says: {said}"), todo));
        }
        Ok(((), format!("{SIZE_BYTES} bytes as {user}, under the temporary name {}", self.name)))
    }

    fn compare(&self) -> Result<((), String), Failure> {
        let path = self.arrives.display();
        let todo = "The endpoint writes somewhere else than the daemon looks: run `retention sftp \
                    prepare` and `systemctl reload retention-sftp`.";
        match fs::read(&self.arrives) {
            Ok(found) if found == self.contents => Ok(((), format!("{path} is what was sent"))),
            Ok(found) => {
                let why = format!("{path} has {} bytes and is not what was sent", found.len());
                Err(Failure::new(why, todo))
            }
            Err(error) => Err(Failure::new(format!("cannot read {path}: {error}"), todo)),
        }
    }

    /// Takes everything out again.
    fn tidy(self) -> Result<(), Failure> {
        let removed = match fs::remove_file(&self.arrives) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Failure::new(
                format!("cannot remove {}: {error}", self.arrives.display()),
                "Remove it by hand.",
            )),
            _ => Ok(()),
        };
        let withdrawn = self.keys.remove(&self.comment).map_err(|error| {
            Failure::of(&error, format!("Run `retention key remove {}`.", self.comment))
        });
        withdrawn.map(drop).and(removed)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // After `tidy` there is nothing left to do, and this does nothing.
        let _ = fs::remove_file(&self.arrives);
        let _ = self.keys.remove(&self.comment);
    }
}

/// Removes what trials have left behind that were killed.
fn sweep(keys: &AuthorizedKeys, inbox: &Path, now: Timestamp) {
    let listed = keys.list().map(|listing| listing.keys).unwrap_or_default();
    for key in listed.iter().filter(|key| is_left_over(&key.comment, now)) {
        let _ = keys.remove(&key.fingerprint);
    }
    for directory in [inbox, Path::new(SCRATCH)] {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        for entry in entries.filter(|entry| is_left_over(&entry.file_name().to_string_lossy(), now))
        {
            let _ = fs::remove_file(entry.path()).or_else(|_| fs::remove_dir_all(entry.path()));
        }
    }
}

/// Whether something was made by a trial that has to be over by now.
fn is_left_over(name: &str, now: Timestamp) -> bool {
    const LONGEST_SECONDS: i64 = 300;
    let Some(token) = name.strip_prefix(NAME) else { return false };
    let token = token.trim_end_matches(".part").parse::<uuid::Uuid>().ok();
    let begun = token.and_then(|token| token.get_timestamp()).map(|time| time.to_unix().0);
    begun.is_some_and(|begun| now.as_second().saturating_sub_unsigned(begun) > LONGEST_SECONDS)
}

/// A directory of our own that goes when this is dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new(token: &str) -> io::Result<Self> {
        let path = Path::new(SCRATCH).join(format!("{NAME}{token}"));
        std::os::unix::fs::DirBuilderExt::mode(&mut fs::DirBuilder::new(), 0o700).create(&path)?;
        Ok(Self(path))
    }

    fn path(&self) -> &Path {
        &self.0
    }

    fn write(&self, name: &str, contents: &[u8]) -> io::Result<()> {
        let mut options = fs::File::options();
        let mut file = options.write(true).create_new(true).mode(0o600).open(self.0.join(name))?;
        file.write_all(contents)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A private key in OpenSSH's format, and its public half as one line.
fn make_key(comment: &str) -> Result<(zeroize::Zeroizing<String>, String), Failure> {
    let make = || {
        let mut key = PrivateKey::random(&mut OsRng, Algorithm::Ed25519)?;
        key.set_comment(comment);
        Ok((key.to_openssh(LineEnding::LF)?, key.public_key().to_openssh()?))
    };
    make().map_err(|error: ssh_key::Error| Failure::of(&error, ""))
}

/// Where a client on this machine finds what listens at `listen`.
pub(crate) fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen {
        SocketAddr::V4(address) if address.ip().is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(address) if address.ip().is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        other => other.ip(),
    };
    SocketAddr::new(ip, listen.port())
}

/// A line of `known_hosts`.
fn known_host(address: SocketAddr, key: &str) -> String {
    match address.port() {
        22 => format!("{} {key}\n", address.ip()),
        port => format!("[{}]:{port} {key}\n", address.ip()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_on_all_addresses_is_asked_on_the_loopback_address() {
        for (listen, expected) in [
            ("0.0.0.0:2222", "127.0.0.1:2222"),
            ("[::]:22", "[::1]:22"),
            ("192.0.2.1:22", "192.0.2.1:22"),
        ] {
            let listen: SocketAddr = listen.parse().expect("address");
            assert_eq!(reachable(listen).to_string(), expected);
        }
    }

    #[test]
    fn what_a_killed_trial_left_behind_is_removed_and_nothing_else() {
        let scratch = tempfile::tempdir().expect("scratch");
        let keys = AuthorizedKeys::new(scratch.path().join("authorized_keys"));
        let begun = uuid::Uuid::now_v7();
        let (killed, now) = (format!("{NAME}{}", begun.simple()), begun.get_timestamp());
        let now = now.and_then(|now| Timestamp::from_second(now.to_unix().0.cast_signed()).ok());
        let now = now.expect("the time in the name");
        for comment in [&killed, "maaiiconnect", "retention-trial-of-somebody"] {
            keys.add(&make_key(comment).expect("key").1).expect("add");
        }
        let inbox = scratch.path().join("inbox");
        fs::create_dir(&inbox).expect("inbox");
        for name in [format!("{killed}.part"), "backup.zip".to_owned()] {
            fs::write(inbox.join(name), "").expect("write");
        }
        let left = || {
            let keys = keys.list().expect("list").keys.len();
            (keys, fs::read_dir(&inbox).expect("list").count())
        };
        sweep(&keys, &inbox, now);
        assert_eq!(left(), (3, 2), "it may still go on");
        sweep(&keys, &inbox, now + jiff::SignedDuration::from_mins(6));
        assert_eq!(left(), (2, 1));
        assert!(inbox.join("backup.zip").exists());
    }
}
