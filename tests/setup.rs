//! `retention setup`, `check` and `test`, with real parts: MongoDB that was started in every way
//! that an administrator may have started it, OpenSSH, and the program itself.

mod several;

use std::{
    fs::{self, Permissions},
    io::Write,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use mongodb::{
    Client,
    bson::doc,
    options::{ClientOptions, Credential, ServerAddress, Tls, TlsOptions},
};
use nix::sys::signal::Signal;
use retention::{
    config::Secret,
    settings::{Change, Settings, seal::Seal},
    store::{self, Store},
};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    browser::Browser,
    world::{
        self, Program,
        daemon::Daemon,
        process::{self, GLANCE, Process},
        sshd::Sshd,
    },
};

/// How a server is started.
#[derive(Clone, Copy, Debug)]
struct Server {
    series: &'static str,
    replica_set: bool,
    access_control: bool,
}

/// A machine before and after it was set up: all of it below one directory.
struct Site {
    mongod: Process,
    mongod_port: u16,
    sftp_port: u16,
    portal_port: u16,
    program: Program,
    directory: TempDir,
}

impl Site {
    /// A machine with a server that runs and that nobody has initiated or given a user.
    async fn new(server: Server) -> Result<Self> {
        let directory = world::scratch()?;
        let place = |name: &str| directory.path().join(name);
        fs::create_dir(place("mongodb"))?;
        let mongod_port = process::free_port()?;
        let mongod = start_mongod(server, directory.path(), mongod_port)?;
        let program =
            Program { path: world::binary()?, config: place("etc/retention.toml"), disks: None };
        let (sftp_port, portal_port) = (process::free_port()?, process::free_port()?);
        let mut site = Self { mongod, mongod_port, sftp_port, portal_port, program, directory };
        let deadline = Instant::now() + Duration::from_secs(60);
        while site
            .client(None)?
            .database("admin")
            .run_command(doc! { "isMaster": 1 })
            .await
            .is_err()
        {
            site.mongod.still_runs()?;
            ensure!(Instant::now() < deadline, "mongod does not answer");
            tokio::time::sleep(GLANCE).await;
        }
        Ok(site)
    }

    fn place(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn client(&self, user: Option<(&str, &str)>) -> Result<Client> {
        let address = ServerAddress::Tcp { host: "127.0.0.1".into(), port: Some(self.mongod_port) };
        let mut options = ClientOptions::builder()
            .hosts(vec![address])
            .direct_connection(true)
            .server_selection_timeout(Duration::from_secs(5))
            .build();
        options.credential = user.map(|(name, password)| {
            let credential = Credential::builder().username(name.to_owned());
            credential.password(password.to_owned()).source("admin".to_owned()).build()
        });
        Ok(Client::with_options(options)?)
    }

    /// Answers that suffice, with what a test adds to them.
    fn answers(&self, mongodb: &str, more: &str) -> Result<PathBuf> {
        let text = format!(
            "state_directory = {state:?}\nsecrets_directory = {secrets:?}\n{more}\n{sftp_section}\
             listen = \"127.0.0.1:{sftp}\"\nuser = {user:?}\n\
             [portal]\nlisten = \"127.0.0.1:{portal}\"\nnames = [\"vault.example\"]\n\
             [mongodb]\nhost = \"127.0.0.1:{port}\"\n{mongodb}\n",
            sftp_section = if more.contains("[sftp]") { "" } else { "[sftp]\n" },
            state = self.place("state"),
            secrets = self.place("etc/secrets"),
            sftp = self.sftp_port,
            portal = self.portal_port,
            port = self.mongod_port,
            user = world::uploader()?,
        );
        let path = self.place("answers.toml");
        process::write_secret(&path, &text)?;
        Ok(path)
    }

    fn run(&self, arguments: &[&str]) -> Result<Output> {
        let Program { path, config, .. } = &self.program;
        let mut command = Command::new(path);
        command.args(arguments).arg("--config").arg(config).stdin(Stdio::null());
        command.output().context("cannot run the program")
    }

    /// Runs something that answers with JSON, and expects it to end well or not.
    fn json(&self, arguments: &[&str], ok: bool) -> Result<Value> {
        let output = self.run(arguments)?;
        let errors = String::from_utf8_lossy(&output.stderr);
        let said = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success() == ok, "{arguments:?}: {errors}\n{said}");
        serde_json::from_str(&said).with_context(|| format!("{arguments:?}: {errors}\n{said}"))
    }

    fn setup(&self, answers: &Path) -> Result<Value> {
        self.json(&["setup", "--json", "--answers", &answers.to_string_lossy()], true)
    }

    /// What the appliance stored as its password.
    fn password(&self) -> Result<String> {
        Ok(fs::read_to_string(self.place("etc/secrets/mongodb-password"))?.trim().to_owned())
    }

    /// Starts endpoint and daemon, as the services would be.
    async fn start(&self) -> Result<(Sshd, Daemon)> {
        let sshd =
            Sshd::start(self.program.clone(), self.sftp_port, &self.place("sshd.log")).await?;
        let log = self.place("daemon.log");
        let mut daemon = Daemon::new(self.program.clone(), &log, self.place("notify"), None);
        daemon.launch()?;
        daemon.ready(Duration::from_secs(30)).await?;
        Ok((sshd, daemon))
    }
}

fn start_mongod(server: Server, directory: &Path, port: u16) -> Result<Process> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/mongod");
    let found = process::output(Command::new(script).arg(server.series).stderr(Stdio::inherit()))?;
    let key = directory.join("mongodb.key");
    process::write_secret(&key, "b25seWZvcnRoaXN0ZXN0")?;
    Process::start("mongod", Path::new(found.trim()), &directory.join("mongod.log"), |command| {
        command.args(["--bind_ip", "127.0.0.1", "--port", &port.to_string()]);
        command.arg("--dbpath").arg(directory.join("mongodb"));
        command.args(["--wiredTigerCacheSizeGB", "0.25", "--nounixsocket"]);
        if server.replica_set {
            command.args(["--replSet", "records"]);
        }
        if server.access_control {
            command.arg("--auth");
        }
        if server.access_control && server.replica_set {
            command.arg("--keyFile").arg(&key);
        }
    })
}

/// Step or finding of that name.
fn named<'a>(list: &'a Value, key: &str, name: &str) -> Result<&'a Value> {
    let found = list.as_array().into_iter().flatten().find(|it| it[key] == name);
    found.with_context(|| format!("no {name} in {list}"))
}

#[tokio::test]
async fn setup_makes_a_configuration_that_the_appliance_starts_with() -> Result<()> {
    let server = Server { series: "4.2", replica_set: true, access_control: false };
    let site = Site::new(server).await?;
    let mut key = Command::new("ssh-keygen");
    key.args(["-q", "-t", "ed25519", "-N", "", "-C", "maaiiconnect", "-f"]);
    process::output(key.arg(site.place("sender")))?;
    let public = fs::read_to_string(site.place("sender.pub"))?;
    let archive = "[archive]\nkey = \"Str0ng!Key\"";
    let more = format!("{archive}\n[sftp]\nkeys = [{:?}]", public.trim());
    let answers = site.answers("initiate_replica_set = true", &more)?;

    let said = site.setup(&answers)?;
    let sheet = &said["sheet"];
    assert_eq!(sheet["sftp"]["address"], format!("127.0.0.1:{}", site.sftp_port));
    assert_eq!(sheet["mongodb"]["user"], "retention");
    assert_eq!(sheet["portal"]["url"], format!("https://vault.example:{}/", site.portal_port));
    assert_eq!(sheet["once"]["mongodb_password"], site.password()?);
    let admin = sheet["once"]["admin_password"].as_str().context("a password")?.to_owned();
    assert_eq!(said["tests"][0]["ok"], true, "{said}");
    for secret in ["archive-keys", "mongodb-password"] {
        let found = fs::metadata(site.place("etc/secrets").join(secret))?;
        assert_eq!(found.mode() & 0o777, 0o600, "{secret}");
    }
    let text = serde_json::to_string(&said)?;
    assert!(!text.contains("Str0ng!Key"), "a stored secret is shown: {text}");

    let (sshd, mut daemon) = site.start().await?;
    let tested = site.json(&["test", "all", "--json"], true)?;
    for (number, subject) in ["mongodb", "sftp", "portal"].into_iter().enumerate() {
        assert_eq!(tested["tests"][number]["subject"], subject);
        let steps = tested["tests"][number]["steps"].as_array().context("steps")?;
        assert!(steps.iter().all(|step| step["outcome"] == "done"), "{tested}");
    }
    // Nothing of it is left.
    let keys = fs::read_to_string(site.place("state/sftp-server/authorized_keys"))?;
    assert!(!keys.contains("retention-trial") && keys.contains("maaiiconnect"), "{keys}");
    assert_eq!(fs::read_dir(site.place("state/sftp/inbox"))?.count(), 0);
    let password = site.password()?;
    let database = site.client(Some(("retention", &password)))?.database("retention");
    let accounts = database.collection::<mongodb::bson::Document>("accounts");
    assert_eq!(accounts.count_documents(doc! {}).await?, 1, "Admin alone");
    let names = database.list_collection_names().await?;
    assert!(!names.iter().any(|name| name.starts_with("trial")), "{names:?}");
    let log = database.collection::<mongodb::bson::Document>("backups");
    assert_eq!(log.count_documents(doc! {}).await?, 0, "it never counts as a backup");

    let checked = site.json(&["check", "--json"], true)?;
    for id in [
        "configuration",
        "sshd",
        "host keys",
        "authorised keys",
        "portal.certificate",
        "mongodb.user",
    ] {
        let finding = named(&checked["findings"], "id", id)?;
        assert_ne!(finding["grade"], "error", "{finding}");
    }

    // Again, and nothing changes.
    let before = fs::read_to_string(&site.program.config)?;
    let authority = fs::read(site.place("state/portal/authority.pem"))?;
    let again = site.setup(&answers)?;
    assert_eq!(fs::read_to_string(&site.program.config)?, before);
    assert_eq!(fs::read(site.place("state/portal/authority.pem"))?, authority);
    assert_eq!(site.password()?, password);
    for step in ["secrets", "MongoDB user", "configuration"] {
        assert_eq!(named(&again["steps"], "name", step)?["outcome"], "kept", "{again}");
    }
    assert_eq!(again["sheet"]["once"], serde_json::json!({}), "nothing was made up");

    // The password that was shown is the one that lets in.
    let mut browser = Browser::at(&site.place("state/portal/authority.pem"), site.portal_port)?;
    browser.sign_in("Admin", &admin).await?;
    drop(sshd);
    daemon.stop(Signal::SIGTERM).await?;
    Ok(())
}

#[tokio::test]
async fn every_way_in_which_mongodb_may_run_ends_with_a_user_of_least_rights() -> Result<()> {
    for (series, replica_set, access_control) in [
        ("4.2", true, true),
        ("4.2", false, true),
        ("4.4", true, true),
        ("6.0", true, true),
        ("6.0", false, false),
    ] {
        let server = Server { series, replica_set, access_control };
        let site = Site::new(server).await?;
        let initiate = format!("initiate_replica_set = {replica_set}");
        let said = site.setup(&site.answers(&initiate, "")?)?;
        let once = &said["sheet"]["once"];
        let administrator = once["mongodb_administrator_password"].as_str().map(str::to_owned);
        assert_eq!(administrator.is_some(), access_control, "{server:?}: {once}");
        let password = site.password()?;
        let admin = site.client(Some(("retention", &password)))?.database("admin");
        let status = admin.run_command(doc! { "connectionStatus": 1 }).await?;
        let info = status.get_document("authInfo")?;
        let roles: Vec<_> = info.get_array("authenticatedUserRoles")?.iter().collect();
        assert_eq!(roles.len(), 2, "{server:?}: {roles:?}");
        if let Some(secret) = administrator {
            assert!(
                !fs::read_to_string(site.place("etc/secrets/mongodb-password"))?.contains(&secret)
            );
            // What it must not do.
            let other = site.client(Some(("retention", &password)))?.database("other");
            let refused = other.collection("x").insert_one(doc! { "a": 1 }).await;
            assert!(refused.is_err(), "{server:?}: it may write elsewhere");
        }
        let checked = site.json(&["check", "--json"], true)?;
        assert_eq!(named(&checked["findings"], "id", "mongodb.user")?["grade"], "ok", "{checked}");
    }
    Ok(())
}

#[tokio::test]
async fn an_administrators_address_makes_the_user_once_and_is_kept_nowhere() -> Result<()> {
    let server = Server { series: "4.2", replica_set: false, access_control: true };
    let site = Site::new(server).await?;
    let make =
        doc! { "createUser": "boss", "pwd": "B0ss!Password", "roles": ["userAdminAnyDatabase"] };
    site.client(None)?.database("admin").run_command(make).await?;

    let refused = site.answers("", "")?;
    let said = site.json(&["setup", "--json", "--answers", &refused.to_string_lossy()], false)?;
    let finding = named(&said["findings"], "id", "mongodb.user")?;
    assert!(finding["todo"].as_str().is_some_and(|todo| todo.contains("createUser")), "{finding}");
    assert!(!site.program.config.exists(), "nothing was changed");

    let uri =
        format!("admin_uri = \"mongodb://boss:B0ss!Password@127.0.0.1:{}\"", site.mongod_port);
    let said = site.setup(&site.answers(&uri, "")?)?;
    assert_eq!(named(&said["steps"], "name", "MongoDB user")?["outcome"], "done");
    assert!(!said.to_string().contains("B0ss"), "{said}");
    for file in walk(&site.place("etc"))?.into_iter().chain(walk(&site.place("state"))?) {
        let bytes = fs::read(&file).unwrap_or_default();
        assert!(!bytes.windows(4).any(|part| part == b"B0ss"), "{}", file.display());
    }
    // Without the administrator it goes on with what is there.
    let again = site.setup(&site.answers("", "")?)?;
    assert_eq!(named(&again["steps"], "name", "MongoDB user")?["outcome"], "kept");
    // A password that no longer fits is found out, and put right by the administrator.
    process::write_secret(&site.place("etc/secrets/mongodb-password"), "wrong")?;
    let checked = site.json(&["check", "--json"], false)?;
    assert_eq!(named(&checked["findings"], "id", "mongodb.user")?["grade"], "error");
    let tested = site.json(&["test", "mongodb", "--json"], false)?;
    let steps = &tested["tests"][0]["steps"];
    assert_eq!(named(steps, "name", "sign in")?["outcome"], "failed", "{tested}");
    assert_eq!(named(steps, "name", "write at majority")?["outcome"], "not_done", "{tested}");
    site.setup(&site.answers(&uri, "")?)?;
    site.json(&["test", "mongodb", "--json"], true)?;
    Ok(())
}

#[tokio::test]
async fn a_test_names_the_step_that_failed_and_leaves_nothing_behind() -> Result<()> {
    let server = Server { series: "4.2", replica_set: true, access_control: false };
    let site = Site::new(server).await?;
    site.setup(&site.answers("initiate_replica_set = true", "")?)?;
    for (subject, step) in [("sftp", "connect"), ("portal", "shake hands over TLS")] {
        let said = site.json(&["test", subject, "--json"], false)?;
        let steps = said["tests"][0]["steps"].as_array().context("steps")?;
        let failed: Vec<_> = steps.iter().filter(|it| it["outcome"] == "failed").collect();
        ensure!(failed.len() == 1 && failed[0]["name"] == step, "{said}");
        assert!(failed[0]["todo"].as_str().is_some_and(|todo| todo.contains("journalctl")));
    }
    let (_sshd, _daemon) = site.start().await?;
    // The upload fails where the inbox is not there.
    let inbox = site.place("state/sftp/inbox");
    fs::set_permissions(&inbox, Permissions::from_mode(0o000))?;
    fs::rename(&inbox, site.place("state/sftp/elsewhere"))?;
    let said = site.json(&["test", "sftp", "--json"], false)?;
    let steps = &said["tests"][0]["steps"];
    let upload = named(steps, "name", "upload with the stock sftp client")?;
    assert_eq!(upload["outcome"], "failed", "{said}");
    let keys = fs::read_to_string(site.place("state/sftp-server/authorized_keys"))?;
    assert!(!keys.contains("retention-trial"), "{keys}");
    Ok(())
}

#[tokio::test]
async fn check_names_what_is_wrong_with_the_line_and_what_to_do() -> Result<()> {
    let server = Server { series: "4.2", replica_set: true, access_control: false };
    let site = Site::new(server).await?;
    site.setup(&site.answers("initiate_replica_set = true", "")?)?;
    let config = site.program.config.clone();
    let good = fs::read_to_string(&config)?;
    let line = |text: &str, part: &str| {
        text.lines().position(|line| line.contains(part)).map(|line| line + 1)
    };
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let taken = taken.local_addr()?.port();
    let elsewhere = site.mongod_port;
    for (from, to, id, at) in [
        ("[portal]", "[portals]", "configuration", "[portals]"),
        ("target_db = \"retention\"", "target_db = \"a.b\"", "configuration", "target_db"),
        (
            &format!("127.0.0.1:{}", site.portal_port),
            &format!("127.0.0.1:{elsewhere}"),
            "port of the portal",
            "",
        ),
        ("names = [\"vault.example\"]", "names = [\"other.example\"]", "portal.certificate", ""),
        (
            &format!("host = \"127.0.0.1:{}\"", site.mongod_port),
            &format!("host = \"127.0.0.1:{taken}\""),
            "MongoDB",
            "host = ",
        ),
    ] {
        let bad = good.replace(from, to);
        ensure!(bad != good, "{from} is not there");
        fs::write(&config, &bad)?;
        let said = site.json(&["check", "--json"], false)?;
        let finding = named(&said["findings"], "id", id)?;
        assert_eq!(finding["grade"], "error", "{to}: {finding}");
        assert!(finding["todo"].is_string(), "{to}: {finding}");
        if let Some(expected) = line(&bad, at).filter(|_| !at.is_empty()) {
            assert_eq!(finding["line"], expected, "{to}: {finding}");
        }
    }
    fs::write(&config, &good)?;
    let secret = site.place("etc/secrets/mongodb-password");
    for (path, mode, id) in
        [(&secret, 0o644, "secrets_directory"), (&site.place("state"), 0o777, "state_directory")]
    {
        let before = fs::metadata(path)?.permissions();
        fs::set_permissions(path, Permissions::from_mode(mode))?;
        let said = site.json(&["check", "--json"], false)?;
        assert_eq!(named(&said["findings"], "id", id)?["grade"], "error", "{said}");
        fs::set_permissions(path, before)?;
    }
    site.json(&["check", "--json"], true)?;
    Ok(())
}

#[tokio::test]
async fn check_says_whether_the_settings_key_opens_what_was_set() -> Result<()> {
    let server = Server { series: "4.2", replica_set: true, access_control: false };
    let site = Site::new(server).await?;
    site.setup(&site.answers("initiate_replica_set = true", "")?)?;
    let says = |grade: &str, part: &str| -> Result<()> {
        let said = site.json(&["check", "--json"], grade != "error")?;
        let finding = named(&said["findings"], "id", "settings-key")?;
        let said = finding["said"].as_str().unwrap_or_default();
        ensure!(finding["grade"] == grade && said.contains(part), "{part}: {finding}");
        ensure!(finding["todo"].is_string() == (grade != "ok"), "{finding}");
        Ok(())
    };
    says("ok", "nothing is sealed with it yet")?;

    let path = site.place("etc/secrets/settings-key");
    let key = fs::read_to_string(&path)?;
    let store = Store::connect(&store::Settings {
        host: format!("127.0.0.1:{}", site.mongod_port),
        user: None,
        auth_db: "admin".into(),
        target_db: "retention".into(),
        replica_set: Some("records".into()),
        tls: None,
    })?;
    let mut settings = Settings { revision: 1, ..Settings::default() };
    let change = Change { at: jiff::Timestamp::now(), by: "Admin".into() };
    let seal = Seal::new(&Secret::new(key.clone()));
    settings.set_archive_key(&Secret::new("Str0ng!Key".into()), &seal, change)?;
    ensure!(store.begin_settings(&settings).await?, "there were settings");
    says("ok", "it opens what the settings have sealed (1 secret)")?;
    process::write_secret(&path, "another one")?;
    says("error", "it does not open 1")?;
    fs::remove_file(&path)?;
    says("error", "it is missing")?;
    process::write_secret(&path, &key)?;
    fs::set_permissions(&path, Permissions::from_mode(0o644))?;
    says("error", "others can read the secret")
}

#[tokio::test]
async fn answers_that_cannot_work_change_nothing() -> Result<()> {
    let server = Server { series: "4.2", replica_set: true, access_control: false };
    let site = Site::new(server).await?;
    // Nobody said that the set may be initiated.
    let answers = site.answers("", "")?;
    let said = site.json(&["setup", "--json", "--answers", &answers.to_string_lossy()], false)?;
    named(&said["findings"], "id", "replica set")?;
    for name in ["etc", "state"] {
        assert!(!site.place(name).exists(), "{name}");
    }
    // Others could read the password in it.
    let text = fs::read_to_string(&answers)? + "password = \"Secret7!word\"\n";
    fs::write(&answers, text)?;
    fs::set_permissions(&answers, Permissions::from_mode(0o644))?;
    let output = site.run(&["setup", "--answers", &answers.to_string_lossy()])?;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && errors.contains("chmod 600"), "{errors}");
    assert!(!errors.contains("Secret7"), "{errors}");
    // And there is nobody to ask.
    let output = site.run(&["setup"])?;
    assert!(String::from_utf8_lossy(&output.stderr).contains("--answers"));
    Ok(())
}

#[tokio::test]
async fn who_is_asked_again_and_only_presses_enter_changes_nothing() -> Result<()> {
    let server = Server { series: "4.2", replica_set: true, access_control: true };
    let site = Site::new(server).await?;
    let archive = "[archive]\nkey = \"Str0ng!Key\"";
    site.setup(&site.answers("initiate_replica_set = true", archive)?)?;
    let read = || -> Result<Vec<Vec<u8>>> {
        let files = [
            site.program.config.clone(),
            site.place("etc/secrets/archive-keys"),
            site.place("etc/secrets/mongodb-password"),
            site.place("state/portal/certificate.pem"),
        ];
        files.iter().map(|file| Ok(fs::read(file)?)).collect()
    };
    let before = read()?;
    let Program { path, config, .. } = &site.program;
    let command = format!("{} setup --config {}", path.display(), config.display());
    // A terminal, on which somebody presses Enter again and again.
    let mut terminal = Command::new("script")
        .args(["--quiet", "--return", "--command", &command, "/dev/null"])
        .env("TERM", "xterm")
        .stdin(Stdio::piped())
        .stdout(fs::File::create(site.place("terminal.log"))?)
        .spawn()?;
    let mut keys = terminal.stdin.take().context("a terminal is typed at")?;
    let deadline = Instant::now() + Duration::from_secs(60);
    let status = loop {
        if let Some(status) = terminal.try_wait()? {
            break status;
        }
        if Instant::now() > deadline {
            terminal.kill()?;
            bail!("it never ends: {}", fs::read_to_string(site.place("terminal.log"))?);
        }
        // It may have ended just now.
        let _ = keys.write_all(b"\r");
        tokio::time::sleep(GLANCE).await;
    };
    let said = fs::read_to_string(site.place("terminal.log"))?;
    ensure!(status.success(), "{said}");
    assert!(said.contains("Archive Key") && said.contains("Setup sheet"), "{said}");
    assert!(!said.contains("Str0ng!Key") && !said.contains(&site.password()?), "{said}");
    assert_eq!(read()?, before, "{said}");
    Ok(())
}

/// All files below a directory.
fn walk(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        match path.is_dir() {
            true => found.extend(walk(&path)?),
            false => found.push(path),
        }
    }
    if found.len() > 10_000 {
        bail!("{} holds too much", directory.display());
    }
    Ok(found)
}
