//! Plans, as tables.

use super::*;
use crate::{
    setup::{answers, finding::Grade, machine::Disk},
    store::administration::{Probe, Rights},
};

const PUBLIC_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIINNGfW/pNUAlECXhpgtEeBc0PAX0z1wvtiTBB3VVJsl sender";

/// What a plan is made from, to be changed by each test.
struct Site {
    answers: Answers,
    machine: Machine,
    existing: Existing,
    kept: Kept,
    database: Database,
}

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

fn there(set: ReplicaSet, access: Access, own: Option<Rights>) -> Database {
    Database::There { probe: Probe { version: "4.2.6".into(), set, access }, own }
}

fn member() -> ReplicaSet {
    ReplicaSet::Member { name: "records".into(), primary: true }
}

/// Rights that suffice.
fn enough() -> Rights {
    let (missing_for_storing, missing_for_watching) = (Vec::new(), Vec::new());
    Rights { anybody: false, missing_for_storing, missing_for_watching, too_many: Vec::new() }
}

impl Site {
    fn new() -> Self {
        let disk = Disk {
            mounted_at: "/".into(),
            kind: "ext4".into(),
            total_bytes: 1 << 40,
            free_bytes: 1 << 39,
            read_only: false,
        };
        let machine = Machine {
            root: true,
            host: "vault".into(),
            addresses: vec![[192, 0, 2, 7].into()],
            systemd: true,
            disk: Some(disk),
            sshd: true,
            uploader_exists: true,
            ..Machine::default()
        };
        Self {
            answers: Answers::default(),
            machine,
            existing: Existing::default(),
            kept: Kept { settings_key: true, ..Kept::default() },
            database: there(member(), Access::Open, None),
        }
    }

    fn plan(&self) -> Result<Plan, Vec<Finding>> {
        plan(Facts {
            path: Path::new("/etc/retention/retention.toml"),
            answers: &self.answers,
            machine: &self.machine,
            existing: &self.existing,
            kept: &self.kept,
            database: &self.database,
            fresh: &Fresh {
                mongodb: secret("fresh-mongodb"),
                administrator: secret("fresh-administrator"),
                admin: secret("fresh-admin"),
                settings_key: secret("fresh-settings-key"),
            },
        })
    }

    /// The same site after its plan was carried out.
    fn after(mut self, plan: &Plan) -> Self {
        let spec = toml::from_str(&plan.text).expect("a configuration");
        self.existing = Existing { text: Some(plan.text.clone()), spec };
        let password = plan.secrets.get("mongodb-password").cloned();
        self.kept.mongodb_password = password.or(self.kept.mongodb_password);
        if let Some(keys) = plan.secrets.get("archive-keys") {
            self.kept.archive_keys = keys.reveal().lines().map(secret).collect();
        }
        let access = match &self.database {
            Database::There { probe, .. } if probe.access == Access::Open => Access::Open,
            _ => Access::Users,
        };
        self.database = there(member(), access, Some(enough()));
        self
    }
}

#[test]
fn without_any_answer_everything_is_made_from_defaults() {
    let plan = Site::new().plan().expect("a plan");
    let config = &plan.config;
    assert_eq!(config.mongodb().user, MONGODB_USER);
    assert_eq!(config.mongodb().replica_set, "records");
    assert_eq!(config.portal().names, ["vault"]);
    assert!(plan.text_changes && plan.start && plan.test);
    assert_eq!(
        plan.certificate_names.as_deref(),
        Some(&["vault".to_owned(), "192.0.2.7".into()][..])
    );
    assert_eq!(plan.secrets["mongodb-password"].reveal(), "fresh-mongodb");
    assert!(matches!(plan.admin, Admin::IfMissing(_)));
}

#[test]
fn a_second_run_has_nothing_to_do() {
    for access in [Access::Open, Access::NoUserYet] {
        let mut site = Site::new();
        site.database = there(member(), access, None);
        site.answers.archive.key = Some(secret("Str0ng!Key"));
        let first = site.plan().expect("a plan");
        assert!(first.mongodb.user.is_some() && first.text_changes);
        let mut site = site.after(&first);
        for keep in [true, false] {
            if !keep {
                site.answers = Answers::default();
            }
            let second = site.plan().expect("a plan");
            assert!(!second.text_changes, "{}", second.text);
            assert!(second.secrets.is_empty(), "{:?}", second.secrets.keys());
            assert!(second.mongodb.user.is_none() && second.mongodb.make_administrator.is_none());
        }
    }
}

#[test]
fn mongodb_is_made_ready_as_it_needs() {
    let uri = || Some(secret("mongodb://admin:x@h"));
    let mut lacking = enough();
    lacking.missing_for_watching = vec!["serverStatus".into()];
    let nobody = || None;
    let not_initiated = || ReplicaSet::NotInitiated { name: Some("rsx".into()) };
    // The database, whether there is an administrator, then: set to initiate, administrator
    // to make, user to make.
    let table = [
        (there(member(), Access::Open, None), nobody(), false, (None, false, true)),
        (there(member(), Access::NoUserYet, None), nobody(), false, (None, true, true)),
        (
            there(not_initiated(), Access::NoUserYet, None),
            nobody(),
            true,
            (Some("rsx"), true, true),
        ),
        (there(not_initiated(), Access::Open, None), nobody(), true, (Some("rsx"), false, true)),
        (there(member(), Access::Users, None), uri(), false, (None, false, true)),
        (there(member(), Access::Users, Some(enough())), uri(), false, (None, false, false)),
        (there(member(), Access::Users, Some(enough())), nobody(), false, (None, false, false)),
        (
            there(member(), Access::Users, Some(lacking.clone())),
            nobody(),
            false,
            (None, false, false),
        ),
        (there(member(), Access::Users, Some(lacking)), uri(), false, (None, false, true)),
        (there(ReplicaSet::None, Access::Open, None), nobody(), false, (None, false, true)),
    ];
    for (database, admin_uri, initiate, (set, administrator, user)) in table {
        let mut site = Site::new();
        let said = format!("{database:?}");
        site.database = database;
        site.answers.mongodb.admin_uri = admin_uri;
        site.answers.mongodb.initiate_replica_set = initiate;
        let plan = site.plan().expect(&said);
        assert_eq!(plan.mongodb.initiate.as_ref().map(|(name, _)| name.as_str()), set, "{said}");
        assert_eq!(plan.mongodb.make_administrator.is_some(), administrator, "{said}");
        assert_eq!(plan.mongodb.user.is_some(), user, "{said}");
        assert_eq!(plan.secrets.contains_key("mongodb-password"), user, "{said}");
    }
}

#[test]
fn what_cannot_work_is_said_before_anything_is_touched() {
    type Change = fn(&mut Site);
    let table: [(&str, Change); 13] = [
        ("mongodb", |s| s.database = Database::Away { why: "refused".into() }),
        ("replica set", |s| {
            s.database = there(ReplicaSet::NotInitiated { name: None }, Access::Open, None);
        }),
        ("mongodb.user", |s| s.database = there(member(), Access::Users, None)),
        ("mongodb.user", |s| {
            s.database = there(member(), Access::Users, None);
            s.answers.mongodb.user = Some(String::new());
        }),
        ("MongoDB", |s| {
            let set = member();
            let probe = Probe { version: "4.0.28".into(), set, access: Access::Open };
            s.database = Database::There { probe, own: None };
        }),
        ("archive.key", |s| s.answers.archive.key = Some(secret("w3ak"))),
        ("portal.admin_password", |s| s.answers.portal.admin_password = Some(secret("sh0rt"))),
        ("sftp.keys", |s| s.answers.sftp.keys.push("ssh-dss AAAA".into())),
        ("configuration", |s| s.answers.mongodb.target_db = Some("a.b".into())),
        ("configuration", |s| {
            s.answers.configuration = toml::from_str("[sftp]\nport = 1").expect("toml");
        }),
        ("configuration", |s| s.answers.portal.certificate = Some("/etc/c.pem".into())),
        ("portal.key", |s| {
            s.answers.portal.certificate = Some("/etc/c.pem".into());
            s.answers.portal.key = Some("/root/k.pem".into());
        }),
        ("uploading user", |s| s.machine.uploader_exists = false),
    ];
    for (id, change) in table {
        let mut site = Site::new();
        change(&mut site);
        let wrong = site.plan().expect_err(id);
        let ids: Vec<_> = wrong.iter().map(|finding| finding.id).collect();
        assert_eq!(ids, [id], "{wrong:?}");
        assert!(wrong.iter().all(|it| it.grade == Grade::Error && it.todo.is_some()), "{wrong:?}");
        let text = format!("{wrong:?}");
        assert!(!text.contains("w3ak") && !text.contains("sh0rt"), "{text}");
    }
}

#[test]
fn answers_change_what_they_name_and_nothing_else() {
    let site = Site::new();
    let first = site.plan().expect("a plan");
    let mut site = site.after(&first);
    site.kept.archive_keys = vec![secret("0lder?Key")];
    site.answers.archive.key = Some(secret("Str0ng!Key"));
    site.answers.portal.names = Some(vec!["vault.example".into()]);
    site.answers.portal.admin_password = Some(secret("a good password"));
    site.answers.sftp.keys = vec![PUBLIC_KEY.into()];
    site.answers.secrets.insert("smtp-password".into(), answers::Given::Text(secret("post")));
    let plan = site.plan().expect("a plan");
    assert_eq!(plan.secrets["archive-keys"].reveal(), "Str0ng!Key\n0lder?Key");
    assert_eq!(plan.secrets["smtp-password"].reveal(), "post");
    assert_eq!(plan.secrets.len(), 2);
    assert!(matches!(&plan.admin, Admin::Set(password) if password.reveal() == "a good password"));
    let changed = plan.text.lines().filter(|line| !first.text.lines().any(|old| old == *line));
    assert_eq!(changed.collect::<Vec<_>>(), ["names = [\"vault.example\"]"]);
}

#[test]
fn the_password_of_a_user_that_was_made_by_hand_is_stored_and_the_user_left_alone() {
    for (rights, remarks) in
        [(enough(), 0), (Rights { missing_for_watching: vec!["x".into()], ..enough() }, 1)]
    {
        let mut site = Site::new();
        site.answers.mongodb.password = Some(secret("by-hand"));
        site.database = there(member(), Access::Users, Some(rights));
        let plan = site.plan().expect("a plan");
        assert_eq!(plan.secrets["mongodb-password"].reveal(), "by-hand");
        assert!(plan.mongodb.user.is_none());
        let about_user = plan.remarks.iter().filter(|it| it.id == "mongodb.user");
        assert_eq!(about_user.count(), remarks, "{:?}", plan.remarks);
        let site = site.after(&plan);
        assert!(!site.plan().expect("a plan").secrets.contains_key("mongodb-password"));
    }
}
