//! The questions of `retention setup`. What is there already is what is offered.

use std::{net::SocketAddr, path::Path};

use anyhow::Context;
use dialoguer::{Confirm, Input, Password};

use crate::{
    config::Secret,
    portal::password,
    settings::archive_key,
    setup::{Known, answers::Answers, plan, present::Database},
    sftp::keys::AuthorizedKey,
    store::administration::{Access, ReplicaSet},
};

/// Asks everything. Nothing if it is not to be done after all.
pub(super) async fn answers(path: &Path) -> anyhow::Result<Option<Answers>> {
    let mut answers = Answers::default();
    let known = Known::look(path, &answers).await?;
    let spec = plan::wanted(&answers, &known.existing, &known.machine);
    eprintln!("Enter takes what stands in brackets. Ctrl-C ends without any change.\n");

    answers.sftp.listen = Some(ask("SFTP: address and port to listen on", spec.sftp.listen)?);
    let port = answers.sftp.listen.map_or(0, |listen| listen.port());
    let guess = SocketAddr::new(known.machine.address(), port).to_string();
    let said = Some(spec.sftp.address.clone()).filter(|said| !said.is_empty());
    let address: String =
        ask("SFTP: address and port as maaiiconnect reaches it", said.unwrap_or(guess.clone()))?;
    answers.sftp.address = Some(if address == guess { String::new() } else { address });
    let key = optional("SFTP: public key from maaiiconnect, or empty", |key| {
        AuthorizedKey::parse(key).err().map(|why| why.to_string())
    })?;
    answers.sftp.keys.extend(key);
    let keep = if known.kept.archive_keys.is_empty() { "none for now" } else { "keep it" };
    answers.archive.key = hidden(&format!("Archive Key (empty: {keep})"), archive_key::objection)?;

    answers.mongodb.host = Some(ask("MongoDB: host and port", spec.mongodb.host.clone())?);
    answers.mongodb.target_db = Some(ask("MongoDB: TargetDB", spec.mongodb.target_db.clone())?);
    answers.mongodb.auth_db = Some(ask("MongoDB: AuthDB", spec.mongodb.auth_db.clone())?);
    let user = Some(spec.mongodb.user.clone()).filter(|user| !user.is_empty());
    let user = user.unwrap_or(plan::MONGODB_USER.to_owned());
    answers.mongodb.user = Some(ask("MongoDB: user of the appliance", user)?);
    database(path, &mut answers).await?;

    answers.portal.listen = Some(ask("Portal: address and port to listen on", spec.portal.listen)?);
    let names: String =
        ask("Portal: names for browsers, the first in the address", spec.portal.names.join(" "))?;
    answers.portal.names =
        Some(names.split([' ', ',']).filter(|it| !it.is_empty()).map(str::to_owned).collect());
    let own = spec.portal.certificate.is_none()
        && confirm("Portal: do you have a certificate of your own?", false)?;
    if own {
        answers.portal.certificate = Some(ask_path("Portal: certificate chain (PEM)")?);
        answers.portal.key = Some(ask_path("Portal: its key (PEM)")?);
    }
    let said = "Portal: password of Admin (empty: keep it, or make one up)";
    answers.portal.admin_password = hidden(said, password::objection)?;
    answers.modes.online =
        Some(confirm("Online mode: unpack into MongoDB for the portal?", spec.modes.online)?);
    answers.modes.offline =
        Some(confirm("Offline mode: keep each archive as it came?", spec.modes.offline)?);
    Ok(confirm("Set this machine up like that?", true)?.then_some(answers))
}

/// What has to be asked about this database, which depends on what it says.
async fn database(path: &Path, answers: &mut Answers) -> anyhow::Result<()> {
    let known = Known::look(path, answers).await?;
    let Database::There { probe, own } = &known.database else {
        eprintln!("MongoDB does not answer there.");
        return Ok(());
    };
    if let ReplicaSet::NotInitiated { .. } = probe.set {
        let question = "MongoDB: initiate a replica set of this one machine?";
        answers.mongodb.initiate_replica_set = confirm(question, true)?;
    }
    let works = own.as_ref().is_some_and(|own| own.missing_for_storing.is_empty());
    if probe.access == Access::Users && !works {
        let uri = "MongoDB: administrator's mongodb:// address, used once (empty: user exists)";
        answers.mongodb.admin_uri = unseen(uri)?;
        if answers.mongodb.admin_uri.is_none() {
            answers.mongodb.password = unseen("MongoDB: password of the user")?;
        }
    }
    Ok(())
}

fn ask<T>(question: &str, default: T) -> anyhow::Result<T>
where
    T: Clone + ToString + std::str::FromStr,
    T::Err: ToString,
{
    let input = Input::new().with_prompt(question).default(default);
    input.interact_text().context("nobody answered")
}

fn ask_path(question: &str) -> anyhow::Result<std::path::PathBuf> {
    let path: String = Input::new().with_prompt(question).interact_text()?;
    Ok(path.into())
}

fn confirm(question: &str, default: bool) -> anyhow::Result<bool> {
    let asked = Confirm::new().with_prompt(question).default(default);
    asked.interact().context("nobody answered")
}

/// A text that may be left out, asked for again while there is something wrong with it.
fn optional(
    question: &str,
    objection: impl Fn(&str) -> Option<String>,
) -> anyhow::Result<Option<String>> {
    let refuse = move |text: &String| match text.is_empty() {
        true => Ok(()),
        false => objection(text).map_or(Ok(()), Err),
    };
    let input = Input::<String>::new().with_prompt(question).allow_empty(true);
    let text = input.validate_with(refuse).interact_text().context("nobody answered")?;
    Ok(Some(text).filter(|text| !text.is_empty()))
}

/// A secret, typed twice and never shown. Nothing if it is left out.
fn hidden(
    question: &str,
    objection: impl Fn(&str) -> Option<String>,
) -> anyhow::Result<Option<Secret>> {
    loop {
        let Some(secret) = unseen(question)? else { return Ok(None) };
        if let Some(said) = objection(secret.reveal()) {
            eprintln!("{said}");
        } else if unseen("Once more")?.as_ref() == Some(&secret) {
            return Ok(Some(secret));
        } else {
            eprintln!("The two differ.");
        }
    }
}

/// A secret that exists elsewhere, typed once. Nothing if it is left out.
fn unseen(question: &str) -> anyhow::Result<Option<Secret>> {
    let asked = Password::new().with_prompt(question).allow_empty_password(true);
    let text = asked.interact().context("nobody answered")?;
    Ok(Some(Secret::new(text)).filter(|secret| !secret.reveal().is_empty()))
}
