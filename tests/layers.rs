//! The shape of the house: what must not be known where.

use std::{fs, path::Path};

use anyhow::Result;

/// All source files with their contents, by path below `src`.
fn sources() -> Result<Vec<(String, String)>> {
    fn collect(directory: &Path, root: &Path, found: &mut Vec<(String, String)>) -> Result<()> {
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            if path.is_dir() {
                collect(&path, root, found)?;
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let name = path.strip_prefix(root)?.to_string_lossy().into_owned();
                found.push((name, fs::read_to_string(&path)?));
            }
        }
        Ok(())
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    collect(&root, &root, &mut found)?;
    assert!(found.len() > 50, "the sources were not found");
    Ok(found)
}

/// Where the second program is, the other side of the appliance.
const SERVICE: &str = "bin/retention-service/";

/// The source files of the second program, by path below its own directory.
fn service_sources() -> Result<Vec<(String, String)>> {
    let own = |(file, text): (String, String)| Some((file.strip_prefix(SERVICE)?.to_owned(), text));
    let found: Vec<_> = sources()?.into_iter().filter_map(own).collect();
    assert!(found.len() > 20, "the sources of the service were not found");
    Ok(found)
}

/// The code of a file without comments and tests.
fn code(text: &str) -> String {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn each_part_knows_only_what_it_may() -> Result<()> {
    // What is not to be known, and the part that alone may know it.
    let rules: [(&[&str], &[&str]); 9] = [
        (&["warp::", "hyper::", "http_body"], &["portal"]),
        (&["ureq::"], &["alerts", "connector", "trust"]),
        (&["mongodb::", "bson::"], &["store"]),
        (&["zip::"], &["archive"]),
        (&["flate2::"], &["archive", "examine"]),
        (&["symphonia", "hayro_syntax", "zune_jpeg", "h264_reader"], &["examine"]),
        (&["Timestamp::now", "SystemTime::now", "env::var"], &["appliance", "cli"]),
        (&["askama::"], &["portal"]),
        (&["inotify::", "F_SETLEASE"], &["inbox"]),
    ];
    // A module's tests may make what the module itself must not know.
    let own = |file: &str| !file.starts_with(SERVICE) && !file.ends_with("/tests.rs");
    for (file, text) in sources()?.into_iter().filter(|(file, _)| own(file)) {
        let code = code(&text);
        for (unknown, knows) in &rules {
            let may = knows.iter().any(|part| file.starts_with(part));
            for word in unknown.iter().filter(|_| !may) {
                assert!(!code.contains(word), "src/{file} knows {word}");
            }
        }
    }
    Ok(())
}

#[test]
fn each_part_of_the_service_knows_only_what_it_may() -> Result<()> {
    let rules: [(&[&str], &[&str]); 6] = [
        (&["hyper::", "http_body", "tokio_rustls"], &["web"]),
        (&["mongodb::", "bson::"], &["live"]),
        (&["zip::"], &["archive"]),
        (&["flate2::"], &["company/pictures"]),
        (&["Timestamp::now", "SystemTime::now", "env::var"], &["clock"]),
        (&["\"sftp\"", "ssh-keyscan"], &["client", "cli"]),
    ];
    for (file, text) in service_sources()? {
        let code = code(&text);
        for (unknown, knows) in &rules {
            let may = knows.iter().any(|part| file.starts_with(part));
            for word in unknown.iter().filter(|_| !may) {
                // A member of an answer may have the name of a program.
                let named = code.replace(&format!("{word}: "), "");
                assert!(!named.contains(word), "the service's {file} knows {word}");
            }
        }
    }
    Ok(())
}

#[test]
fn arrows_point_down_in_the_service_too() -> Result<()> {
    let layers = [
        "cli", "serve", "web", "cycle", "trial", "live", "archive", "client", "folder", "company",
        "settings", "keys", "record", "job", "mischief", "clock",
    ];
    for (file, text) in service_sources()? {
        let part = file.split(['/', '.']).next().unwrap_or_default().to_owned();
        if part == "main" {
            continue;
        }
        let own = layers.iter().position(|layer| *layer == part);
        let own = own.unwrap_or_else(|| panic!("{file} has no layer"));
        for above in &layers[..own] {
            for line in imports(&text) {
                let first = line.split([':', ',', ' ', '{']).find(|word| !word.is_empty());
                assert!(first != Some(above), "the service's {file} knows {above}");
            }
        }
    }
    Ok(())
}

/// What a file takes from its own crate, a line each, groups taken apart.
fn imports(text: &str) -> Vec<String> {
    let code = code(text);
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => {
                let mut depth = 0;
                let mut item = String::new();
                for c in group.chars() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => {
                            found.push(std::mem::take(&mut item).trim().to_owned());
                            continue;
                        }
                        _ => {}
                    }
                    item.push(c);
                }
                found.push(item.trim().to_owned());
            }
            None => found.push(rest.chars().take(40).collect()),
        }
    }
    found
}

#[test]
fn the_appliance_does_not_know_the_service() -> Result<()> {
    for (file, text) in sources()?.iter().filter(|(file, _)| !file.starts_with(SERVICE)) {
        for word in ["retention-service", "retention_service"] {
            assert!(!code(text).contains(word), "src/{file} knows {word}");
        }
    }
    Ok(())
}

#[test]
fn what_a_backup_is_does_no_input_and_no_output() -> Result<()> {
    for (file, text) in sources()?.iter().filter(|(file, _)| file.starts_with("backup")) {
        for word in ["std::fs", "std::io", "std::net", "tokio", "async fn", "crate::store"] {
            assert!(!code(text).contains(word), "src/{file} has {word}");
        }
    }
    Ok(())
}

#[test]
fn arrows_point_down_only() -> Result<()> {
    // From the top to the ground. A part may know those behind it.
    let layers = [
        "cli",
        "setup",
        "trial",
        "appliance",
        "portal",
        "steward",
        "connector",
        "intake",
        "alerts",
        "health",
        "inbox",
        "sftp",
        "receipt",
        "examine",
        "shelf",
        "verification",
        "idle",
        "archive",
        "store",
        "records",
        "backup",
    ];
    for (file, text) in sources()?.into_iter().filter(|(file, _)| !file.starts_with(SERVICE)) {
        let part = file.split(['/', '.']).next().unwrap_or_default().to_owned();
        let Some(own) = layers.iter().position(|layer| *layer == part) else { continue };
        for above in &layers[..own] {
            // The command line and the appliance lean on each other at the very top.
            assert!(!code(&text).contains(&format!("crate::{above}")), "src/{file} knows {above}");
        }
    }
    Ok(())
}

#[test]
fn nothing_has_a_name_that_says_nothing() -> Result<()> {
    for (file, _) in sources()? {
        for name in ["utils", "common", "misc", "types", "helpers", "manager", "prelude"] {
            assert!(!file.split(['/', '.']).any(|part| part == name), "src/{file}");
        }
    }
    Ok(())
}
