//! Setup on a replica set of several members that speak TLS and know their users.

use super::*;
use crate::world::authority::Authority;

/// Two data nodes and an arbiter.
const MEMBERS: usize = 3;

/// The set, with its own authority.
struct Several {
    members: Vec<Process>,
    ports: Vec<u16>,
    directory: TempDir,
}

impl Several {
    /// A set that was initiated and has no user yet. Its first member is primary.
    async fn new() -> Result<Self> {
        let directory = world::scratch()?;
        certificates(directory.path())?;
        let ports = (0..MEMBERS).map(|_| process::free_port()).collect::<Result<Vec<_>>>()?;
        let members = ports.iter().map(|port| member(directory.path(), *port));
        let members = members.collect::<Result<Vec<_>>>()?;
        let several = Self { members, ports, directory };
        several.initiate().await?;
        Ok(several)
    }

    fn place(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn host(&self) -> String {
        let [first, second, ..] = self.ports.as_slice() else { return String::new() };
        format!("127.0.0.1:{first},127.0.0.1:{second}")
    }

    fn client(&self, number: usize, user: Option<(&str, &str)>) -> Result<Client> {
        let address =
            ServerAddress::Tcp { host: "127.0.0.1".into(), port: Some(self.ports[number]) };
        let mut options = ClientOptions::builder()
            .hosts(vec![address])
            .direct_connection(true)
            .server_selection_timeout(Duration::from_secs(5))
            .build();
        let tls = TlsOptions::builder().ca_file_path(self.place("authority.pem")).build();
        options.tls = Some(Tls::Enabled(tls));
        options.credential = user.map(|(name, password)| {
            let credential = Credential::builder().username(name.to_owned());
            credential.password(password.to_owned()).source("admin".to_owned()).build()
        });
        Ok(Client::with_options(options)?)
    }

    async fn initiate(&self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(60);
        let admin = self.client(0, None)?.database("admin");
        let host = |number: usize| format!("127.0.0.1:{}", self.ports[number]);
        let set = doc! { "replSetInitiate": {
            "_id": "records",
            "members": [
                { "_id": 0, "host": host(0), "priority": 2 },
                { "_id": 1, "host": host(1), "priority": 1 },
                { "_id": 2, "host": host(2), "arbiterOnly": true },
            ],
            "settings": { "electionTimeoutMillis": 2000 },
        } };
        while admin.run_command(set.clone()).await.is_err() {
            ensure!(Instant::now() < deadline, "the set cannot be initiated");
            tokio::time::sleep(GLANCE).await;
        }
        while !admin.run_command(doc! { "isMaster": 1 }).await?.get_bool("ismaster")? {
            ensure!(Instant::now() < deadline, "the first member does not become primary");
            tokio::time::sleep(GLANCE).await;
        }
        Ok(())
    }
}

fn member(directory: &Path, port: u16) -> Result<Process> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/mongod");
    let found = process::output(Command::new(script).arg("4.2").stderr(Stdio::inherit()))?;
    let (key, data) = (directory.join("key"), directory.join(format!("data-{port}")));
    process::write_secret(&key, "b25seWZvcnRoaXN0ZXN0")?;
    fs::create_dir(&data)?;
    let log = directory.join(format!("mongod-{port}.log"));
    Process::start("mongod", Path::new(found.trim()), &log, |command| {
        command.args(["--bind_ip", "127.0.0.1", "--port", &port.to_string(), "--nounixsocket"]);
        command.args(["--replSet", "records", "--enableMajorityReadConcern", "false"]);
        command.args(["--wiredTigerCacheSizeGB", "0.25", "--tlsMode", "requireTLS"]);
        command.arg("--tlsAllowConnectionsWithoutCertificates");
        command.arg("--tlsCertificateKeyFile").arg(directory.join("member.pem"));
        command.arg("--tlsCAFile").arg(directory.join("authority.pem"));
        command.arg("--keyFile").arg(&key).arg("--dbpath").arg(&data);
    })
}

/// An authority, and a certificate of it for this machine.
fn certificates(directory: &Path) -> Result<()> {
    let (certificate, key) = Authority::new(directory)?.sign("member")?;
    let both = fs::read_to_string(certificate)? + &fs::read_to_string(key)?;
    process::write_secret(&directory.join("member.pem"), &both)
}

#[tokio::test]
async fn a_replica_set_of_several_over_tls_is_set_up_and_found_after_an_election() -> Result<()> {
    let several = Several::new().await?;
    let alone = Server { series: "4.2", replica_set: false, access_control: false };
    let site = Site::new(alone).await?;
    let text = fs::read_to_string(site.answers("", "")?)?;
    let one = format!("host = \"127.0.0.1:{}\"", site.mongod_port);
    ensure!(text.contains(&one), "{text}");
    let all = format!(
        "host = {:?}\ntls = true\ntls_ca_file = {:?}",
        several.host(),
        several.place("authority.pem")
    );
    let answers = site.place("answers.toml");
    process::write_secret(&answers, &text.replace(&one, &all))?;

    let said = site.setup(&answers)?;
    assert_eq!(said["sheet"]["mongodb"]["host"], several.host(), "{said}");
    let written = fs::read_to_string(&site.program.config)?;
    ensure!(written.contains("replica_set = \"records\""), "{written}");
    let password = site.password()?;
    let admin = several.client(0, Some(("retention", &password)))?.database("admin");
    admin.run_command(doc! { "connectionStatus": 1 }).await?;
    let other = several.client(0, Some(("retention", &password)))?.database("other");
    ensure!(other.collection("x").insert_one(doc! { "a": 1 }).await.is_err(), "too many rights");
    site.json(&["test", "mongodb", "--json"], true)?;
    site.json(&["check", "--json"], true)?;

    // Another member is primary: nothing has to be changed.
    let boss = said["sheet"]["once"]["mongodb_administrator_password"].as_str();
    let boss = boss.context("the set had no user")?;
    let elections = several.client(0, Some(("admin", boss)))?.database("admin");
    let grant = doc! { "grantRolesToUser": "admin", "roles": ["clusterAdmin"] };
    elections.run_command(grant).await?;
    elections.run_command(doc! { "replSetStepDown": 120, "force": true }).await?;
    let deadline = Instant::now() + Duration::from_secs(60);
    let second = several.client(1, None)?.database("admin");
    while !second.run_command(doc! { "isMaster": 1 }).await?.get_bool("ismaster")? {
        ensure!(Instant::now() < deadline, "no election");
        tokio::time::sleep(GLANCE).await;
    }
    site.json(&["test", "mongodb", "--json"], true)?;
    let again = site.setup(&answers)?;
    assert_eq!(named(&again["steps"], "name", "MongoDB user")?["outcome"], "kept", "{again}");
    ensure!(!several.members.is_empty());
    Ok(())
}
