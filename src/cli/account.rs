//! `retention account`: the accounts of the Retention Portal.

use std::{
    io::{self, BufRead, IsTerminal},
    process::ExitCode,
};

use anyhow::{Context, bail};
use clap::Subcommand;
use serde_json::json;

use super::output;
use crate::{
    accounts::{ADMIN, Role},
    appliance,
    config::{Config, Secret},
    portal::password,
};

/// What can be done with accounts.
#[derive(Debug, Subcommand)]
pub(super) enum Account {
    /// Show who may sign in.
    List {
        /// Print one line of JSON an account.
        #[arg(long)]
        json: bool,
    },
    /// Set the password of an account. Sessions of that account end.
    ///
    /// The password is read from standard input, so that it stands in no process list and
    /// no shell history:  retention account password < FILE
    Password {
        /// The account's name.
        #[arg(default_value = ADMIN)]
        name: String,
    },
}

impl Account {
    pub(super) fn run(self, config: &Config) -> anyhow::Result<ExitCode> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            match self {
                Self::List { json } => list(config, json).await,
                Self::Password { name } => set_password(config, &name).await,
            }
        })?;
        runtime.shutdown_background();
        Ok(ExitCode::SUCCESS)
    }
}

async fn list(config: &Config, as_json: bool) -> anyhow::Result<()> {
    for account in appliance::store(config)?.accounts().await? {
        let role = match account.role {
            Role::Admin => "administrator",
            Role::Staff => "staff",
        };
        if as_json {
            output::print_json(&json!({
                "name": account.name,
                "display_name": account.display_name,
                "role": role,
                "active": account.active,
            }))?;
        } else {
            let state = if account.active { "active" } else { "deactivated" };
            output::print(&format!("{:<40} {role:<14} {state}\n", account.name))?;
        }
    }
    Ok(())
}

async fn set_password(config: &Config, name: &str) -> anyhow::Result<()> {
    let secret = read_password()?;
    let store = appliance::store(config)?;
    if name.eq_ignore_ascii_case(ADMIN) {
        appliance::ensure_admin(&store, &secret).await?;
    }
    if store.account(name).await?.is_none() {
        bail!("there is no account named {name}; `retention account list` shows all");
    }
    let hash = password::Passwords::default().hash(secret).await?;
    store.set_password(name, &hash, appliance::now()).await?;
    output::print(&format!("The password of {name} was set.\n"))?;
    Ok(())
}

fn read_password() -> anyhow::Result<Secret> {
    if io::stdin().is_terminal() {
        bail!("write the password to a file that only you can read, and pass it on standard input");
    }
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).context("cannot read the password")?;
    let text = line.trim_end_matches(['\r', '\n']);
    match password::objection(text) {
        Some(objection) => bail!("{objection}"),
        None => Ok(Secret::new(text.to_owned())),
    }
}
