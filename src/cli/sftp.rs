//! `retention sftp`: the endpoint that maaiiconnect uploads to.

use std::{os::unix::process::CommandExt, process::ExitCode};

use anyhow::Context;
use clap::Subcommand;
use serde_json::json;

use super::{output, run};
use crate::{
    appliance,
    config::Config,
    sftp::{
        Endpoint,
        cutoff::{self, CutOff},
        door::Door,
    },
};

/// What can be done with the endpoint.
#[derive(Debug, Subcommand)]
pub(super) enum Sftp {
    /// Write configuration and host keys, and become the SSH server. systemd starts this.
    ///
    /// The host's own SSH server, its configuration and its keys are not touched.
    Serve,
    /// Write configuration and host keys, check them, and show the host keys' fingerprints.
    Prepare {
        /// Print one line of JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print the authorised keys with what each opens now. sshd runs this at every sign-in.
    #[command(hide = true)]
    Keys(Door),
    /// Cut uploads off before the disk is full. `retention sftp serve` starts this beside sshd.
    #[command(hide = true, name = cutoff::COMMAND)]
    CutOff(CutOff),
}

impl Sftp {
    pub(super) fn run(self, config: &Config) -> anyhow::Result<ExitCode> {
        let endpoint = appliance::endpoint(config);
        let prepared = endpoint.prepare()?;
        match self {
            Self::Keys(door) => keys(&door),
            Self::CutOff(it) => cut_off(it),
            Self::Serve => {
                endpoint.refuse_locked()?;
                start_cut_off(&endpoint);
                let mut command = prepared.command();
                let error = command.exec();
                Err(error).with_context(|| {
                    format!("cannot start {}", command.get_program().to_string_lossy())
                })
            }
            Self::Prepare { json } => {
                if json {
                    output::print_json(&json!({
                        "configuration": prepared.config_path(),
                        "host_keys": prepared.host_keys(),
                    }))?;
                } else {
                    let mut text = format!("Configuration: {}\n", prepared.config_path().display());
                    for key in prepared.host_keys() {
                        text.push_str(&format!(
                            "Host key:      {} {}\n",
                            key.algorithm, key.fingerprint
                        ));
                    }
                    output::print(&text)?;
                }
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

/// Answers sshd. Needs no configuration, and no right but to read the keys.
pub(super) fn keys(door: &Door) -> anyhow::Result<ExitCode> {
    output::print(&door.answer(appliance::now())?)?;
    Ok(ExitCode::SUCCESS)
}

/// Watches the disk beside sshd. Needs no configuration.
pub(super) fn cut_off(it: CutOff) -> anyhow::Result<ExitCode> {
    run::start_log();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(it.run())?;
    Ok(ExitCode::SUCCESS)
}

/// An endpoint without it is better than none.
fn start_cut_off(endpoint: &Endpoint) {
    if let Some(mut command) = endpoint.cut_off()
        && let Err(error) = command.spawn()
    {
        eprintln!("retention: uploads that have begun will not be cut off: {error}");
    }
}
