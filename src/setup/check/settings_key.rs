//! The secret `settings-key`: is it there, and does it open what the settings have sealed?

use crate::{
    appliance::{self, database},
    config::Config,
    settings::{
        Settings,
        seal::{self, Seal},
    },
    setup::finding::Finding,
    steps::sentence,
    trial::database::patiently,
};

const ID: &str = "settings-key";

const RESTORE: &str = "Restore the secret settings-key from a backup, or copy it from the node where they \
                       were set. Where nobody has it any more, these secrets have to be given anew: \
                       OPERATIONS.md, section 8.";

/// Looks at the key, and has it open what was sealed in the database that is in use.
pub(super) async fn look(config: &Config) -> Finding {
    let seal = match appliance::secrets(config).settings_key() {
        Ok(key) => key.as_ref().map(Seal::new),
        Err(error) => return Finding::error(ID, sentence(&error), "Do what it says."),
    };
    // The password of a database that was set in the portal is sealed as well.
    let used = match database::in_force(config.clone()) {
        Ok(used) => used,
        Err(error) if error.is::<seal::Error>() => {
            return Finding::error(ID, format!("{error:#}"), RESTORE);
        }
        Err(error) => return unknown(&format!("{error:#}")),
    };
    let store = match appliance::store(&used) {
        Ok(store) => store,
        Err(error) => return unknown(&format!("{error:#}")),
    };
    match patiently(async move { store.settings().await }).await {
        Ok(Ok(settings)) => judge(seal.as_ref(), &settings),
        Ok(Err(error)) => unknown(&sentence(&error)),
        Err(failure) => unknown(&failure.why),
    }
}

fn unknown(why: &str) -> Finding {
    let said = format!("what it has to open cannot be read: {why}");
    Finding::warning(ID, said, "Mend that first, and check again.")
}

fn judge(seal: Option<&Seal>, settings: &Settings) -> Finding {
    let sealed = settings.sealed();
    let count = match sealed.len() {
        1 => "1 secret".to_owned(),
        many => format!("{many} secrets"),
    };
    let Some(seal) = seal else {
        if sealed.is_empty() {
            let said = "it is missing, so that no secret can be set in the portal";
            let todo =
                "Run `sudo retention setup`, which makes it, or copy it from the other node.";
            return Finding::warning(ID, said, todo);
        }
        let said = format!(
            "it is missing, and nothing else opens what the settings have sealed ({count})"
        );
        return Finding::error(ID, said, RESTORE);
    };
    if sealed.is_empty() {
        return Finding::ok(ID, "it is there; nothing is sealed with it yet");
    }
    match sealed.iter().filter(|(sealed, what)| seal.open(sealed, what).is_err()).count() {
        0 => Finding::ok(ID, format!("it opens what the settings have sealed ({count})")),
        closed => {
            let said =
                format!("of what the settings have sealed ({count}) it does not open {closed}");
            Finding::error(ID, said, RESTORE)
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::{config::Secret, settings::Change, setup::finding::Grade};

    #[test]
    fn the_key_is_judged_by_what_it_has_to_open() {
        let [own, other] = ["own", "other"].map(|key| Seal::new(&Secret::new(key.into())));
        let change = || Change { at: Timestamp::UNIX_EPOCH, by: "Admin".into() };
        let set = |keys: &[(&Seal, &str)]| {
            let mut settings = Settings::default();
            for (seal, key) in keys {
                let key = Secret::new((*key).to_owned());
                settings.set_archive_key(&key, seal, change()).expect("sealed");
            }
            settings
        };
        let (nothing, ours) = (set(&[]), set(&[(&own, "One!1234"), (&own, "Two!1234")]));
        let mixed = set(&[(&other, "One!1234"), (&own, "Two!1234")]);
        for (seal, settings, grade, part) in [
            (None, &nothing, Grade::Warning, "no secret can be set"),
            (None, &ours, Grade::Error, "(2 secrets)"),
            (Some(&own), &nothing, Grade::Ok, "nothing is sealed"),
            (Some(&own), &ours, Grade::Ok, "(2 secrets)"),
            (Some(&own), &mixed, Grade::Error, "does not open 1"),
            (Some(&other), &ours, Grade::Error, "does not open 2"),
        ] {
            let finding = judge(seal, settings);
            assert_eq!(finding.grade, grade, "{finding:?}");
            assert!(finding.said.contains(part), "{finding:?}");
            assert_eq!(finding.todo.is_none(), grade == Grade::Ok, "{finding:?}");
        }
    }
}
