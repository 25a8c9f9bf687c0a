//! Directories and secrets: are they there, whose are they, and who can read them?

use std::{fs, io, os::unix::fs::MetadataExt, path::Path};

use nix::unistd::geteuid;

use crate::{
    appliance, config::Config, settings::archive_key, setup::finding::Finding,
    sftp::account::Account,
};

pub(super) fn all(config: &Config) -> Vec<Finding> {
    let mut findings = vec![state(config.state_directory()), uploader(&config.sftp().user)];
    findings.extend(secrets(config.secrets_directory()));
    findings.push(archive_keys(config));
    findings
}

fn state(path: &Path) -> Finding {
    let id = "state_directory";
    let at = path.display();
    let found = match fs::metadata(path) {
        Ok(found) if found.is_dir() => found,
        Ok(_) => return Finding::error(id, format!("{at} is no directory"), "Move it away."),
        Err(error) => {
            let todo = "Run `sudo retention setup`, which makes it.";
            return Finding::error(id, format!("{at}: {error}"), todo);
        }
    };
    let owner = found.uid();
    if owner != 0 && owner != geteuid().as_raw() {
        let said = format!("{at} belongs to user {owner}");
        return Finding::error(id, said, format!("chown root:root {at}"));
    }
    if found.mode() & 0o022 != 0 {
        let said = format!("others can write to {at} (mode {:04o})", found.mode() & 0o7777);
        return Finding::error(id, said, format!("chmod go-w {at}"));
    }
    if found.mode() & 0o001 == 0 && geteuid().is_root() {
        let said = format!("the uploading user may not pass through {at}");
        return Finding::error(id, said, format!("chmod o+x {at}"));
    }
    Finding::ok(id, format!("{at} is closed to others and lets the uploading user through"))
}

fn uploader(name: &str) -> Finding {
    match Account::find(name) {
        Ok(_) => Finding::ok("sftp.user", format!("{name} can upload")),
        Err(error) => {
            let todo = "Do what it says, or name another system user.";
            Finding::error("sftp.user", crate::steps::sentence(&error), todo)
        }
    }
}

fn secrets(directory: &Path) -> Vec<Finding> {
    let id = "secrets_directory";
    let at = directory.display();
    let found = match fs::metadata(directory) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return vec![Finding::ok(id, format!("{at} is not there: no secret is kept"))];
        }
        Err(error) => {
            return vec![Finding::error(id, format!("{at}: {error}"), "Run this as root.")];
        }
    };
    let mut findings = Vec::new();
    if found.mode() & 0o022 != 0 {
        let said = format!("others can write to {at}");
        findings.push(Finding::error(id, said, format!("chmod 700 {at}")));
    }
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        let at = path.display();
        let Some(metadata) = entry.metadata().ok().filter(fs::Metadata::is_file) else { continue };
        if metadata.mode() & 0o077 != 0 {
            let said = format!("others can read {at} (mode {:04o})", metadata.mode() & 0o7777);
            findings.push(Finding::error(id, said, format!("chmod 600 {at}")));
        }
        let owner = metadata.uid();
        if owner != 0 && owner != geteuid().as_raw() {
            let said = format!("{at} belongs to user {owner}");
            findings.push(Finding::error(id, said, format!("chown root:root {at}")));
        }
    }
    if findings.is_empty() {
        findings.push(Finding::ok(id, format!("what is in {at} is closed to others")));
    }
    findings
}

fn archive_keys(config: &Config) -> Finding {
    let id = "Archive Key";
    let set = "Set it in the portal under Retention > Settings, or with `retention setup`: the one that \
               maaiiconnect has.";
    match appliance::secrets(config).archive_keys() {
        Err(error) => Finding::error(id, crate::steps::sentence(&error), "Do what it says."),
        Ok(keys) if keys.is_empty() => {
            let said = "there is none in the file archive-keys; the portal's settings may have one";
            Finding::warning(id, said, set)
        }
        Ok(keys) => match archive_key::objection(keys[0].reveal()) {
            Some(_) => {
                let said = "the newest is not one that maaiiconnect would accept";
                Finding::warning(id, said, set)
            }
            None => Finding::ok(id, format!("{} kept, the newest first", keys.len())),
        },
    }
}
