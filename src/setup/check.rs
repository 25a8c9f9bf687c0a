//! `retention check`: can the configuration work, and everything that it names?
//!
//! Each part of it is looked at by itself, so that one look shows all that is wrong.
//! This module must never change anything, not even what it could mend.

mod connector;
mod places;
mod settings_key;

use std::path::Path;

use super::{
    file,
    finding::Finding,
    machine::{Machine, judge},
    plan,
};
use crate::{
    appliance,
    config::{self, Config, Spec},
    portal::certificate::{
        authority::RENEW_DAYS,
        inspect::{self, Certificate},
    },
    store::{self, Store, administration::Rights},
    trial::database::patiently,
};

/// Looks at everything.
pub async fn all(path: &Path) -> Vec<Finding> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            let said = format!("cannot read {}: {error}", path.display());
            return vec![Finding::error("configuration", said, "Run `sudo retention setup`.")];
        }
    };
    let config = match understand(&text, path) {
        Ok(config) => config,
        Err(finding) => return vec![finding],
    };
    let mut findings =
        vec![Finding::ok("configuration", format!("{} can be understood", path.display()))];
    let machine = Machine::look(config.state_directory(), &config.sftp().user);
    let ports = judge::Ports { sftp: config.sftp().listen, portal: config.portal().listen };
    findings.extend(judge::all(&machine, &config.sftp().user, ports));
    findings.extend(places::all(&config));
    findings.extend(endpoint(&config));
    findings.push(certificate(&config));
    findings.extend(mongodb(&config).await);
    findings.push(settings_key::look(&config).await);
    findings.extend(connector::look(&config).await);
    let lines = findings.into_iter().map(|finding| {
        let line = key_of(finding.id).and_then(|key| file::line_of(&text, key));
        let line = finding.line.or(line).filter(|_| finding.todo.is_some());
        finding.at(line)
    });
    lines.collect()
}

/// The words of the configuration, and the values that cannot work.
fn understand(text: &str, path: &Path) -> Result<Config, Finding> {
    let spec: Spec = toml::from_str(text).map_err(|error| {
        let line = super::answers::line_of(text, error.span());
        let todo = "Mend that line; retention.toml(5) has all words.";
        Finding::error("configuration", error.message(), todo).at(Some(line))
    })?;
    Config::new(spec, path).map_err(|error| match error {
        config::Error::Value { key, why, .. } => {
            let line = file::line_of(text, key);
            Finding::error("configuration", format!("{key}: {why}"), "Mend that line.").at(line)
        }
        other => Finding::error("configuration", other.to_string(), "Mend the file."),
    })
}

/// The key of the configuration that a finding is about.
fn key_of(id: &str) -> Option<&str> {
    Some(match id {
        "disk" => "state_directory",
        "uploading user" => "sftp.user",
        "port of the endpoint" => "sftp.listen",
        "port of the portal" => "portal.listen",
        "MongoDB" => "mongodb.host",
        "replica set" => "mongodb.replica_set",
        "connector" => "connector.url",
        id if id.contains(['.', '_']) => id,
        _ => return None,
    })
}

fn endpoint(config: &Config) -> Vec<Finding> {
    let endpoint = appliance::endpoint(config);
    let todo = "Run `retention sftp prepare` as root: it names what is wrong, or writes it anew.";
    let mut findings = vec![match endpoint.check() {
        Ok(path) => Finding::ok("sshd", format!("accepts {}", path.display())),
        Err(error) => Finding::error("sshd", crate::steps::sentence(&error), todo),
    }];
    findings.push(match endpoint.host_keys() {
        Ok(keys) if keys.is_empty() => Finding::error("host keys", "there are none", todo),
        Ok(keys) => Finding::ok("host keys", format!("{} are there", keys.len())),
        Err(error) => Finding::error("host keys", crate::steps::sentence(&error), todo),
    });
    let add = "Copy the SFTP Public Key from maaiiconnect and run `retention key add`.";
    match endpoint.authorized_keys().list() {
        Err(error) => {
            findings.push(Finding::error("authorised keys", crate::steps::sentence(&error), todo));
        }
        Ok(listing) => {
            findings.push(match listing.keys.len() {
                0 => Finding::warning("authorised keys", "nobody can upload", add),
                some => Finding::ok("authorised keys", format!("{some} may upload")),
            });
            findings.extend(listing.foreign.into_iter().map(|foreign| {
                let file = endpoint.authorized_keys().path().display().to_string();
                let said = format!("line {} of {file}: {}", foreign.number, foreign.refusal);
                Finding::warning("authorised keys", said, "Mend or remove that line by hand.")
            }));
        }
    }
    findings
}

fn certificate(config: &Config) -> Finding {
    let id = "portal.certificate";
    let (certificate, key) = appliance::portal_certificate(config);
    let is_own = config.portal().certificate.is_some();
    let todo = if is_own {
        "Have it renewed, and name files that belong together."
    } else {
        "Run `retention setup` again, which makes one."
    };
    if !is_own && !certificate.exists() {
        let said = "there is none yet: a self-signed one is made at the start";
        return Finding::warning(id, said, todo);
    }
    let found = match (inspect::unusable(&certificate, &key), Certificate::read(&certificate)) {
        (Some(error), _) | (None, Err(error)) => {
            return Finding::error(id, crate::steps::sentence(&error), todo);
        }
        (None, Ok(found)) => found,
    };
    let now = appliance::now();
    let (from, until) =
        (found.not_before.strftime("%Y-%m-%d"), found.not_after.strftime("%Y-%m-%d"));
    if found.not_after <= now || found.not_before > now {
        return Finding::error(id, format!("it is valid from {from} to {until}"), todo);
    }
    let names = &config.portal().names;
    let missing: Vec<_> = names.iter().filter(|name| !found.is_for(name)).cloned().collect();
    if !missing.is_empty() {
        return Finding::error(id, format!("it is not for {}", missing.join(", ")), todo);
    }
    if found.days_left(now) < RENEW_DAYS {
        return Finding::warning(id, format!("it is valid until {until}"), todo);
    }
    Finding::ok(id, format!("for {}, until {until}", found.names.join(", ")))
}

async fn mongodb(config: &Config) -> Vec<Finding> {
    let section = config.mongodb();
    let start = "See whether it runs (`systemctl status mongod`) and where it listens.";
    let settings = match appliance::store_settings(config) {
        Ok(settings) => settings,
        Err(error) => {
            let todo = "Run `retention setup`, which stores it.";
            return vec![Finding::error("mongodb.user", format!("{error:#}"), todo)];
        }
    };
    let anonymous = store::Settings { user: None, ..settings.clone() };
    let pinged = patiently(async move { Store::connect(&anonymous)?.ping().await }).await;
    let server = match pinged {
        Ok(Ok(server)) => server,
        Ok(Err(error)) => {
            return vec![Finding::error("MongoDB", crate::steps::sentence(&error), start)];
        }
        Err(failure) => return vec![Finding::error("MongoDB", failure.why, start)],
    };
    let mut findings = vec![plan::version(&server.version)];
    if !server.writable {
        let said = "the database accepts no writes from here";
        let todo = "Name all members in mongodb.host and the set in mongodb.replica_set.";
        findings.push(Finding::error("MongoDB", said, todo));
    }
    findings.push(match (&server.replica_set, section.replica_set.as_str()) {
        (None, "") => Finding::warning(
            "replica set",
            "MongoDB runs without a replica set",
            "Start mongod with `replication.replSetName` and run `retention setup` again.",
        ),
        (Some(name), "") => Finding::warning(
            "replica set",
            format!("it is called {name}, and the configuration does not say so"),
            "Run `retention setup` again, which writes it down.",
        ),
        (name, _) => Finding::ok("replica set", name.clone().unwrap_or_default()),
    });
    let asked = patiently(async move { Store::connect(&settings)?.rights().await }).await;
    findings.push(match asked {
        Ok(Ok(rights)) => judge_rights(&rights, &section.user, &section.target_db),
        Ok(Err(error)) => {
            let todo = "Run `retention setup` with mongodb.admin_uri, or mend user and password.";
            Finding::error("mongodb.user", crate::steps::sentence(&error), todo)
        }
        Err(failure) => Finding::error("mongodb.user", failure.why, start),
    });
    findings
}

fn judge_rights(rights: &Rights, user: &str, target: &str) -> Finding {
    let id = "mongodb.user";
    if !rights.missing_for_storing.is_empty() {
        let said = format!("{user} may not {} in {target}", rights.missing_for_storing.join(", "));
        return Finding::error(id, said, format!("Grant it readWrite on {target}."));
    }
    if !rights.missing_for_watching.is_empty() {
        let said = format!("{user} may not {}", rights.missing_for_watching.join(", "));
        return Finding::warning(id, said, "Grant it clusterMonitor on admin.");
    }
    if !rights.too_many.is_empty() {
        let said = format!("{user} has the role {}", rights.too_many.join(", "));
        let todo = format!("Leave it readWrite on {target} and clusterMonitor, which is enough.");
        return Finding::warning(id, said, todo);
    }
    if rights.anybody {
        let todo = "Name a user with `retention setup`, and switch access control on.";
        return Finding::warning(id, "nobody has to sign in to the database", todo);
    }
    Finding::ok(id, format!("{user} may do what it has to, and no more"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::finding::Grade;

    #[test]
    fn what_cannot_be_understood_is_said_with_its_line() {
        for (text, line, part) in [
            ("version = 1\n\nstate_dir = '/x'", 3, "state_dir"),
            ("version = 1\n[portal]\nlisten = 'x'", 3, "socket address"),
            ("[modes]\n\nonline = false\noffline = false", 1, "modes"),
            ("[portal]\n# mine\ncertificate = '/a'", 3, "portal.certificate"),
            ("version = ", 1, ""),
        ] {
            let finding = understand(text, Path::new("retention.toml")).expect_err(text);
            assert_eq!(finding.line, Some(line), "{text}: {finding:?}");
            assert!(finding.said.contains(part), "{text}: {finding:?}");
            assert!(finding.todo.is_some());
        }
    }

    #[test]
    fn rights_are_judged_by_what_is_needed() {
        let rights = |anybody, storing: &[&str], watching: &[&str], many: &[&str]| {
            let own = |list: &[&str]| list.iter().map(|it| (*it).to_owned()).collect();
            Rights {
                anybody,
                missing_for_storing: own(storing),
                missing_for_watching: own(watching),
                too_many: own(many),
            }
        };
        for (rights, grade, part) in [
            (rights(false, &[], &[], &[]), Grade::Ok, "no more"),
            (rights(false, &["insert"], &[], &[]), Grade::Error, "may not insert"),
            (rights(false, &[], &["serverStatus"], &[]), Grade::Warning, "serverStatus"),
            (rights(false, &[], &[], &["root"]), Grade::Warning, "role root"),
            (rights(true, &[], &[], &[]), Grade::Warning, "nobody has to sign in"),
        ] {
            let finding = judge_rights(&rights, "retention", "kept");
            assert_eq!(finding.grade, grade, "{finding:?}");
            assert!(finding.said.contains(part), "{finding:?}");
        }
    }
}
