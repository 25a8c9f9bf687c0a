//! Writing `retention.toml`: only what differs from the defaults or what people look
//! for, and nothing of what an administrator wrote by hand is lost.

use toml_edit::{Array, DocumentMut, Item, Table, TableLike, TomlError, Value, value};

use crate::config::Spec;

const HEAD: &str = "\
# The configuration of the retention appliance. See retention.toml(5) for all that it can say.
#
# `retention setup` wrote it, and changes in it what it is told to; whatever else stands here stays
# as it is. `retention check` looks at it, and changes take effect when the services are started
# again. Secrets are not in here but in files of their own below /etc/retention/secrets.

# The version of this file's format.
version = 1
";

/// One thing that the file says.
struct Key {
    table: &'static str,
    name: &'static str,
    /// Nothing where the file should not say it.
    wanted: Option<Value>,
    default: Option<Value>,
    /// Whether people look for it, so that it is written even if it is the default.
    always: bool,
    comment: &'static str,
}

/// What the file has to say, in place of what `existing` says.
///
/// What says the same already is left as it is written. `more` is put in as it is.
pub fn render(
    existing: Option<&str>,
    spec: &Spec,
    more: &toml::Table,
) -> Result<String, TomlError> {
    let mut document: DocumentMut = existing.unwrap_or(HEAD).parse()?;
    for key in keys(spec) {
        set(&mut document, key);
    }
    merge(document.as_table_mut(), more.to_string().parse::<DocumentMut>()?.as_table());
    Ok(document.to_string())
}

/// The line on which the file says `path`, such as `portal.certificate`, counted from 1.
pub fn line_of(text: &str, path: &str) -> Option<usize> {
    let document = toml_edit::Document::parse(text).ok()?;
    let mut table: &dyn TableLike = document.as_table();
    let mut found = None;
    for name in path.split('.') {
        let (key, item) = table.get_key_value(name)?;
        found = key.span().or_else(|| item.span()).or(found);
        match item.as_table_like() {
            Some(below) => table = below,
            None => break,
        }
    }
    found.map(|span| super::answers::line_of(text, Some(span)))
}

fn set(document: &mut DocumentMut, key: Key) {
    let root = document.as_table_mut();
    let exists = key.table.is_empty() || root.contains_key(key.table);
    let said = match key.table {
        "" => root.get(key.name),
        table => root.get(table).and_then(|table| table.get(key.name)),
    };
    let says = said.and_then(Item::as_value);
    let same = |a: &Value, b: &Value| plain(a) == plain(b);
    match (says, &key.wanted) {
        (Some(says), Some(wanted)) if same(says, wanted) => return,
        (None, None) => return,
        (None, Some(wanted))
            if !key.always && key.default.as_ref().is_some_and(|it| same(it, wanted)) =>
        {
            return;
        }
        _ => {}
    }
    let table: &mut dyn TableLike = if key.table.is_empty() {
        root
    } else {
        if !exists {
            let mut table = Table::new();
            table.decor_mut().set_prefix(format!("\n{}", section(key.table)));
            root.insert(key.table, Item::Table(table));
        }
        match root.get_mut(key.table).and_then(Item::as_table_like_mut) {
            Some(table) => table,
            None => return,
        }
    };
    let Some(mut wanted) = key.wanted else {
        table.remove(key.name);
        return;
    };
    if let Some(old) = table.get_mut(key.name).and_then(Item::as_value_mut) {
        *wanted.decor_mut() = old.decor().clone();
        *old = wanted;
        return;
    }
    table.insert(key.name, value(wanted));
    if let Some(mut written) = table.key_mut(key.name)
        && !key.comment.is_empty()
    {
        let gap = if key.table.is_empty() { "\n" } else { "" };
        written.leaf_decor_mut().set_prefix(format!("{gap}# {}\n", key.comment));
    }
}

/// A value without the spaces and comments around it.
fn plain(value: &Value) -> String {
    let mut value = value.clone();
    if let Value::Array(array) = &value {
        let items: Array = array.iter().map(plain).collect();
        value = Value::Array(items);
    }
    match &value {
        Value::String(text) => format!("{:?}", text.value()),
        other => {
            let mut other = other.clone();
            other.decor_mut().clear();
            other.to_string()
        }
    }
}

/// Puts every value of `more` in its place.
fn merge(into: &mut dyn TableLike, more: &Table) {
    for (name, item) in more {
        match (into.get_mut(name).and_then(Item::as_table_like_mut), item) {
            (Some(below), Item::Table(more)) => merge(below, more),
            _ => match (into.get_mut(name).and_then(Item::as_value_mut), item) {
                (Some(old), Item::Value(new)) if plain(old) == plain(new) => {}
                (Some(old), Item::Value(new)) => {
                    let decor = old.decor().clone();
                    *old = new.clone();
                    *old.decor_mut() = decor;
                }
                _ => {
                    let mut item = item.clone();
                    if let Item::Table(table) = &mut item {
                        table.set_position(None);
                        table.decor_mut().set_prefix("\n");
                    }
                    into.insert(name, item);
                }
            },
        }
    }
}

fn section(table: &str) -> &'static str {
    match table {
        "sftp" => "# The endpoint that maaiiconnect uploads to.\n",
        "mongodb" => {
            "# The database: with the secret `mongodb-password`, the five settings of maaiiconnect.\n"
        }
        "portal" => "# The Retention Portal.\n",
        "modes" => "# What becomes of a backup. One of the two has to be on.\n",
        _ => "",
    }
}

fn keys(spec: &Spec) -> Vec<Key> {
    let default = Spec::default();
    let all = |spec: &Spec| -> Vec<Option<Value>> {
        let text = |text: &str| Some(Value::from(text));
        let path = |path: &std::path::Path| Some(Value::from(path.display().to_string()));
        let names: Array = spec.portal.names.iter().map(String::as_str).collect();
        vec![
            path(&spec.state_directory),
            path(&spec.secrets_directory),
            text(&spec.sftp.listen.to_string()),
            text(&spec.sftp.address),
            text(&spec.sftp.user),
            Some(spec.sftp.sha1_rsa.into()),
            text(&spec.mongodb.host),
            text(&spec.mongodb.user),
            text(&spec.mongodb.auth_db),
            text(&spec.mongodb.target_db),
            text(&spec.mongodb.replica_set),
            Some(spec.mongodb.tls.into()),
            spec.mongodb.tls_ca_file.as_deref().and_then(path),
            text(&spec.portal.listen.to_string()),
            Some(Value::Array(names)),
            spec.portal.certificate.as_deref().and_then(path),
            spec.portal.key.as_deref().and_then(path),
            Some(spec.modes.online.into()),
            Some(spec.modes.offline.into()),
        ]
    };
    NAMES
        .iter()
        .zip(all(spec))
        .zip(all(&default))
        .map(|((&(table, name, always, comment), wanted), default)| Key {
            table,
            name,
            wanted,
            default,
            always,
            comment,
        })
        .collect()
}

/// Table, name, whether people look for it, and what to say about it, in the order of [`keys`].
const NAMES: [(&str, &str, bool, &str); 19] = [
    ("", "state_directory", false, "Where uploads, archives, quarantine and host keys are kept."),
    ("", "secrets_directory", false, "Where secrets are looked for."),
    ("sftp", "listen", true, "Address and port."),
    ("sftp", "address", false, "How maaiiconnect reaches that, where it differs."),
    ("sftp", "user", true, "The one user who may upload."),
    ("sftp", "sha1_rsa", false, "SHA-1 RSA signatures, as old Java clients send them."),
    ("mongodb", "host", true, ""),
    ("mongodb", "user", true, ""),
    ("mongodb", "auth_db", true, ""),
    ("mongodb", "target_db", true, ""),
    ("mongodb", "replica_set", true, ""),
    ("mongodb", "tls", false, ""),
    ("mongodb", "tls_ca_file", false, ""),
    ("portal", "listen", true, "Address and port."),
    ("portal", "names", true, "Names and addresses by which browsers reach it."),
    ("portal", "certificate", false, ""),
    ("portal", "key", false, ""),
    ("modes", "online", true, "Unpack records and media for the portal's views."),
    ("modes", "offline", true, "Keep the archive as it was delivered."),
];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    fn spec(text: &str) -> Spec {
        toml::from_str(text).expect("a configuration")
    }

    #[test]
    fn a_new_file_says_what_people_look_for_and_what_differs() {
        let wanted =
            spec("[mongodb]\nuser = 'retention'\ntls = true\n[portal]\nnames = ['a.example']");
        let text = render(None, &wanted, &toml::Table::new()).expect("written");
        for part in
            ["user = \"retention\"", "tls = true", "names = [\"a.example\"]", "0.0.0.0:2222"]
        {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        for part in ["state_directory =", "sha1_rsa", "certificate", "max_entries"] {
            assert!(!text.contains(part), "{part} in\n{text}");
        }
        Config::new(spec(&text), Path::new("retention.toml")).expect("valid");
        let again = render(Some(&text), &spec(&text), &toml::Table::new()).expect("written");
        assert_eq!(again, text, "written again, it is the same");
    }

    #[test]
    fn what_an_administrator_wrote_stays_as_it_is() {
        let by_hand = "# mine\nversion = 1\n\n[inbox] # slow line\ngrace_seconds   = 172800\n\n\
                       [sftp]\nlisten = '0.0.0.0:2222'  # DNAT from 22\n\n[mongodb]\nhost='db:27017'\n";
        let mut wanted = spec(by_hand);
        let text = render(Some(by_hand), &wanted, &toml::Table::new()).expect("written");
        for line in by_hand.lines() {
            assert!(text.lines().any(|kept| kept == line), "{line} in\n{text}");
        }
        wanted.sftp.listen = "0.0.0.0:2022".parse().expect("address");
        let text = render(Some(by_hand), &wanted, &toml::Table::new()).expect("written");
        assert!(text.contains("listen = \"0.0.0.0:2022\"  # DNAT from 22"), "{text}");
        assert_eq!(spec(&text).inbox.grace_seconds, 172_800);
    }

    #[test]
    fn inline_and_dotted_tables_are_changed_where_they_are() {
        for by_hand in ["sftp.listen = '0.0.0.0:1'\n", "sftp = { listen = '0.0.0.0:1' }\n"] {
            let mut wanted = spec(by_hand);
            wanted.sftp.listen = "0.0.0.0:2".parse().expect("address");
            let text = render(Some(by_hand), &wanted, &toml::Table::new()).expect("written");
            assert_eq!(spec(&text).sftp.listen.port(), 2, "{text}");
            assert_eq!(
                text.matches("listen").count(),
                2,
                "the endpoint's and the portal's: {text}"
            );
        }
    }

    #[test]
    fn whatever_else_the_configuration_can_say_is_put_in() {
        let more: toml::Table =
            toml::from_str("[inbox]\nrescan_seconds = 5\n[archive]\nmax_entries = 7")
                .expect("toml");
        let by_hand = "[inbox]\n# slow\ngrace_seconds = 9\nrescan_seconds = 8 # often\n";
        let text = render(Some(by_hand), &spec(by_hand), &more).expect("written");
        assert!(text.contains("# slow") && text.contains("rescan_seconds = 5 # often"), "{text}");
        assert_eq!(spec(&text).archive.max_entries, 7);
        let again = render(Some(&text), &spec(&text), &more).expect("written");
        assert_eq!(again, text);
    }

    #[test]
    fn the_line_of_a_key_is_found() {
        let text = "version = 1\n[portal]\n\ncertificate = '/a'\n[sftp]\n";
        for (path, line) in [
            ("version", Some(1)),
            ("portal.certificate", Some(4)),
            ("portal.key", None),
            ("sftp", Some(5)),
            ("modes", None),
        ] {
            assert_eq!(line_of(text, path), line, "{path}");
        }
    }
}
