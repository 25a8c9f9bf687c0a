//! The command line: what can be asked for, and how the answer is printed.

mod account;
mod alerts;
mod ask;
mod check;
mod key;
pub mod manual;
mod media;
mod output;
mod receipt;
mod run;
mod setup;
mod sftp;
mod status;
mod test;
mod verify;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

use crate::{
    appliance,
    config::{self, Config},
};

/// Keeps on your own machine what maaiiconnect retires from its cloud.
///
/// The retention appliance receives the backups that maaiiconnect uploads by SFTP,
/// checks them, stores them in MongoDB and shows them in the Retention Portal.
#[derive(Debug, Parser)]
#[command(name = "retention", version, max_term_width = 100)]
pub struct Cli {
    /// The configuration file.
    #[arg(long, short, global = true, value_name = "FILE", default_value = config::DEFAULT_PATH)]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the appliance: take in backups and serve the portal. systemd starts this.
    Run,
    /// Make this machine an appliance, or change how it is one. Asks, or takes a file.
    #[command(after_long_help = setup::AFTER_HELP)]
    Setup(setup::Setup),
    /// Check the configuration and everything that it names. Changes nothing.
    #[command(after_help = "Exit code: 0 if it can work, 1 if something is wrong.")]
    Check(check::Check),
    /// Test this configuration now: an upload, a write, a sign-in, a message.
    #[command(after_help = "Exit code: 0 if all steps were done, 1 if one failed.")]
    Test(test::Test),
    /// Show the state of endpoint, inbox, MongoDB, disk and the newest backups.
    #[command(
        after_help = "Exit code: 0 if nothing is critical and no backup waits or was rejected, else 1."
    )]
    Status(status::Status),
    /// Check an archive without storing it, and say what is wrong with it.
    #[command(after_help = verify::AFTER_HELP)]
    Verify(verify::Verify),
    /// The receipts: signed statements of what was received, checked and stored.
    #[command(subcommand, after_long_help = receipt::AFTER_HELP)]
    Receipt(receipt::ReceiptCommand),
    /// Pictures, sound, video and documents: can they be read?
    #[command(subcommand)]
    Media(media::Media),
    /// The SFTP endpoint that maaiiconnect uploads to.
    #[command(subcommand)]
    Sftp(sftp::Sftp),
    /// The SSH keys that may upload.
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Who is told when something is wrong: silences, and a test.
    #[command(subcommand)]
    Alerts(alerts::Alerts),
    /// The accounts of the Retention Portal.
    #[command(subcommand)]
    Account(account::Account),
    /// Write the manual pages and the completion for bash. The package is built with it.
    #[command(hide = true)]
    Manual(manual::Manual),
}

impl Cli {
    /// Does what was asked for.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let config = self.config;
        let read = || Config::read(&config);
        // With the database that is in use, which may be another one than the file names.
        let used = || appliance::database::in_force(read()?);
        match self.command {
            Command::Verify(verify) => verify.run(&config),
            Command::Media(media) => media.run(),
            Command::Manual(manual) => manual.run(),
            Command::Setup(setup) => setup.run(&config),
            Command::Check(check) => check.run(&config),
            Command::Test(test) => test.run(&used()?),
            Command::Run => run::run(&read()?),
            Command::Sftp(sftp::Sftp::Keys(door)) => sftp::keys(&door),
            Command::Sftp(sftp::Sftp::CutOff(it)) => sftp::cut_off(it),
            Command::Sftp(sftp) => sftp.run(&read()?),
            Command::Key(command) => {
                key::run(&command, &appliance::endpoint(&read()?).authorized_keys())?;
                Ok(ExitCode::SUCCESS)
            }
            Command::Alerts(alerts) => alerts.run(&used()?),
            Command::Account(account) => account.run(&used()?),
            Command::Status(status) => status.run(&used()?),
            Command::Receipt(command) => command.run(&used()?),
        }
    }
}
