//! maaiiconnect's side, played by `retention-service`: a program of its own with a database of
//! its own in the world's MongoDB, that is spoken to as the appliance would.

use std::{
    fs::{self, Permissions},
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use ssh_key::{HashAlg, PublicKey};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{
    World,
    process::{self, GLANCE, Process, lost_a_port},
};

/// How long the service may take until it answers; filling its database takes longest.
const START: Duration = Duration::from_secs(60);

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(90);

/// The service's database.
const DATABASE: &str = "maaiiconnect";

/// How many days its business has been at work.
const HISTORY_DAYS: &str = "6";

/// The service.
pub(crate) struct Service {
    directory: PathBuf,
    database_uri: String,
    arguments: Vec<String>,
    port: u16,
    /// What callers have to know.
    pub(crate) token: String,
    process: Option<Process>,
}

impl Service {
    /// Starts a service whose time is simulated, with an invented business.
    pub(crate) async fn start(world: &World) -> anyhow::Result<Self> {
        let simulated = ["--simulate", "--seed", "1", "--quick", "--history", HISTORY_DAYS];
        Self::start_with(world, &simulated).await
    }

    /// Starts a service with these arguments beside the ones that each needs.
    pub(crate) async fn start_with(world: &World, arguments: &[&str]) -> anyhow::Result<Self> {
        // Noon, so that the next backup is due tomorrow whenever this runs.
        let noon = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date().at(12, 0, 0, 0);
        let noon = noon.to_zoned(jiff::tz::TimeZone::UTC)?.timestamp();
        Self::start_at(world, arguments, noon).await
    }

    /// Starts one for which it is `time`, if its time is simulated.
    pub(crate) async fn start_at(
        world: &World,
        arguments: &[&str],
        time: jiff::Timestamp,
    ) -> anyhow::Result<Self> {
        let directory = world.directory().join("service");
        fs::create_dir_all(&directory)?;
        fs::set_permissions(&directory, Permissions::from_mode(0o700))?;
        let token =
            process::output(std::process::Command::new("openssl").args(["rand", "-hex", "24"]))?;
        let token = token.trim().to_owned();
        process::write_secret(&directory.join("token"), &token)?;
        let mut service = Self {
            directory: directory.clone(),
            database_uri: world.mongod.uri(),
            arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
            port: process::free_port()?,
            token,
            process: None,
        };
        fs::create_dir_all(directory.join("state"))?;
        fs::write(directory.join("state/clock"), time.to_string())?;
        for _ in 0..3 {
            match service.resume().await {
                Err(error) if lost_a_port(&error) => service.port = process::free_port()?,
                outcome => return outcome.map(|()| service),
            }
        }
        service.resume().await.map(|()| service)
    }

    /// Where its page is.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    /// Makes it the connector of a world, whose daemon is started anew for that.
    pub(crate) async fn connect(&self, world: &mut World) -> anyhow::Result<()> {
        let config = world.directory().join("retention.toml");
        let mut config = fs::File::options().append(true).open(config)?;
        writeln!(config, "[connector]\nurl = \"{}connector/v1\"", self.url())?;
        process::write_secret(&world.secret("connector-token"), &self.token)?;
        world.daemon.stop(Signal::SIGTERM).await?;
        world.start_daemon().await
    }

    /// Fails if it has ended.
    pub(crate) fn still_runs(&mut self) -> anyhow::Result<()> {
        self.process.as_mut().map_or(Ok(()), Process::still_runs)
    }

    /// Starts it again, and waits until it answers.
    pub(crate) async fn resume(&mut self) -> anyhow::Result<()> {
        let place = |name: &str| self.directory.join(name);
        let mut process =
            Process::start("retention-service", &program()?, &place("log"), |command| {
                command.args(["serve", "--listen", &format!("127.0.0.1:{}", self.port)]);
                command.args(["--mongodb", &self.database_uri, "--database", DATABASE]);
                command.arg("--token-file").arg(place("token"));
                command.arg("--state").arg(place("state")).args(&self.arguments);
                command.env("RUST_BACKTRACE", "1");
            })?;
        let deadline = Instant::now() + START;
        while self.call("GET", "/connector/v1/service", None).await.is_err() {
            process.still_runs()?;
            ensure!(Instant::now() < deadline, "it does not answer: {}", process.last_words());
            tokio::time::sleep(GLANCE).await;
        }
        process.still_runs()?;
        self.process = Some(process);
        Ok(())
    }

    /// Ends it.
    pub(crate) async fn stop(&mut self, signal: Signal) -> anyhow::Result<()> {
        if let Some(mut process) = self.process.take() {
            process.signal(signal);
            process.wait(Duration::from_secs(20)).await?;
        }
        Ok(())
    }

    /// All that it has said.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    /// Where its state is.
    pub(crate) fn state(&self) -> PathBuf {
        self.directory.join("state")
    }

    /// Calls it: the status, and what was answered.
    pub(crate) async fn call(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<(u16, Value)> {
        let (status, text) = self.request(method, path, body, Some(&self.token)).await?;
        let value =
            if text.starts_with('<') { Value::from(text) } else { serde_json::from_str(&text)? };
        Ok((status, value))
    }

    /// Calls it with this token, or none.
    pub(crate) async fn request(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        token: Option<&str>,
    ) -> anyhow::Result<(u16, String)> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let token = token.map(|it| format!("Authorization: Bearer {it}\r\n")).unwrap_or_default();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{token}\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len(),
        );
        let asking = async {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
            stream.write_all(request.as_bytes()).await?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await?;
            anyhow::Ok(String::from_utf8(answer)?)
        };
        let answer = timeout(ANSWER, asking).await.context("no answer in time")??;
        let (head, body) = answer.split_once("\r\n\r\n").context("an answer has a head")?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Ok((status.context("an answer has a status")?, body.to_owned()))
    }

    /// Calls it, and wants it to do as it is told.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: Value) -> anyhow::Result<Value> {
        let body = Some(&body).filter(|body| !body.is_null());
        let (status, answer) = self.call(method, path, body).await?;
        ensure!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        Ok(answer)
    }

    /// What it answers to a question.
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.ask("GET", path, Value::Null).await
    }

    /// The settings with which it uploads to a world.
    pub(crate) fn settings(world: &World, archive_key: &str, days: u16) -> anyhow::Result<Value> {
        let host_key = world.state_directory().join("sftp-server/host_key_ed25519.pub");
        let host_key = PublicKey::read_openssh_file(&host_key)?.fingerprint(HashAlg::Sha256);
        Ok(json!({
            "enabled": true,
            "general": {
                "days_retained": days, "schedule_hour_utc": 2, "archive_key": archive_key,
            },
            "sftp": {
                "user": world.sftp.user(), "address": "127.0.0.1", "port": world.sftp_port(),
                "host_key_fingerprints": [host_key.to_string()],
            },
            "online_mode": {
                "portal_password": "Correct-Horse-7-Staple",
                "mongodb": {
                    "host": world.mongod.address(), "user": "", "auth_db": "admin",
                    "target_db": "retention",
                },
            },
            "offline_mode": {},
        }))
    }

    /// Lets it upload to a world: its key is authorised there.
    pub(crate) async fn introduce(&self, world: &World) -> anyhow::Result<()> {
        let key = self.get("/connector/v1/sftp-key").await?;
        let file = self.directory.join("public-key");
        fs::write(&file, key["public_key"].as_str().context("a public key")?)?;
        world.sshd.authorize(&file)
    }

    /// Goes on to the next scheduled hour, and returns the job that begins then.
    pub(crate) async fn advance(&self) -> anyhow::Result<String> {
        let answer = self.ask("POST", "/simulation/advance", Value::Null).await?;
        let job = answer["backup"]["job_id"].as_str();
        Ok(job.with_context(|| format!("no backup was begun: {answer}"))?.to_owned())
    }

    /// Waits, as the appliance would, until a line of the log is as it is wanted.
    pub(crate) async fn wait(
        &self,
        job: &str,
        what: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<Value> {
        let deadline = Instant::now() + Duration::from_secs(120);
        let (mut since, mut last) = (0, Value::Null);
        while Instant::now() < deadline {
            let path = format!("/connector/v1/backups/changes?since={since}&wait_seconds=5");
            let changes = self.get(&path).await?;
            let backups = changes["backups"].as_array().context("a list of changes")?;
            for backup in backups.iter().filter(|backup| backup["job_id"] == job) {
                last = backup.clone();
                if wanted(backup) {
                    return Ok(last);
                }
            }
            since = changes["revision"].as_i64().context("a revision")?;
        }
        bail!("{job} never: {what}; it is {last}. The service said:\n{}", self.log());
    }

    /// Waits until a backup has a status.
    pub(crate) async fn wait_status(&self, job: &str, status: &str) -> anyhow::Result<Value> {
        self.wait(job, status, |backup| backup["status"] == status).await
    }
}

/// The program, built beside the test or the demonstration.
pub(crate) fn program() -> anyhow::Result<PathBuf> {
    if let Some(path) = option_env!("CARGO_BIN_EXE_retention-service") {
        return Ok(path.into());
    }
    let own = std::env::current_exe()?;
    let path = own.ancestors().nth(2).unwrap_or(&own).join("retention-service");
    ensure!(Path::exists(&path), "{} is not built", path.display());
    Ok(path)
}
