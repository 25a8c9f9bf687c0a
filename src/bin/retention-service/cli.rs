//! The command line: what can be asked for.

use std::{
    fs::{self, File},
    io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::Context;
use clap::{CommandFactory, Parser, Subcommand};
use nix::sys::signal::Signal;
use retention::cli::manual;

use crate::serve;

/// The other side of the retention appliance, for demonstrations, tests and sources of your own.
///
/// It plays the part of maaiiconnect: holds the data of a service account in MongoDB, makes a
/// backup of what is old enough once a day, uploads it by SFTP with the stock client, and deletes
/// what a backup held when the appliance asks for it. The appliance speaks to it through the
/// connector, an HTTP interface that is described in
/// /usr/share/doc/retention-appliance/connector/openapi.yaml.
#[derive(Debug, Parser)]
#[command(name = "retention-service", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Serve the connector, and do what its settings say.
    #[command(after_long_help = AFTER_HELP)]
    Serve(Box<serve::Arguments>),
    /// Write the manual pages and the completion for bash. The package is built with it.
    #[command(hide = true)]
    Manual {
        /// Where to write them.
        #[arg(value_name = "DIRECTORY")]
        directory: PathBuf,
    },
    /// Become the sftp client, and end with the program that started this.
    #[command(hide = true)]
    Client {
        /// The process that started this.
        #[arg(long, value_name = "PID")]
        parent: i32,
        /// The file with its commands. It is removed.
        #[arg(long, value_name = "FILE")]
        batch: PathBuf,
        /// Its arguments.
        #[arg(last = true)]
        arguments: Vec<String>,
    },
}

const AFTER_HELP: &str = "\
Retention is off until the connector is given settings. Nothing is uploaded before that.

Who may call: whoever has the token, in the header \"Authorization: Bearer TOKEN\"; with
--tls-client-ca whoever has a certificate of that authority; with both, who has both. A browser is
asked for a user and a password: any user, and the token. Over anything but loopback TLS is needed.

State is in two places: DIR has the settings with their secrets (mode 0600), the SFTP keys and the
archives that are not completed; the database has the data and the Backup Log. Either without the
other is of no use. Killed at any moment, it goes on where it was.

With --simulate, time stands still until it is set, and /simulation can be called with the token:
  GET  /simulation/clock                  what time it is
  PUT  /simulation/clock                  {\"time\": \"2026-11-24T02:00:00Z\"}
  POST /simulation/advance                to the next scheduled hour; answers with the backup begun
  POST /simulation/traffic                {\"days\": 1, \"noise_bytes\": 0}: what happens in a day
  POST /simulation/day                    {\"directory\": PATH}: a day that lies there, with the
                                          folders of a backup, instead of an invented one
  GET  /simulation/mischief, PUT          {\"abort_upload\": true, \"upload_twice\": true,
                                          \"corrupt_upload\": true, \"fail_deletion\": true,
                                          \"hold_deletion\": true,
                                          \"slow_kbit_per_second\": 500}
  GET  /simulation/rooms                  rooms and their messages
  GET  /simulation/records[?backup=JOB]   ids of the records that are here, or that a backup held

examples:
  head -c 24 /dev/urandom | base64 > token; chmod 600 token
  retention-service serve --listen 127.0.0.1:8480 --mongodb mongodb://127.0.0.1:27017/?replicaSet=rs0 \\
      --database maaiiconnect --token-file token --state service --seed 1 --simulate
  curl -H \"Authorization: Bearer $(cat token)\" http://127.0.0.1:8480/connector/v1/service";

impl Cli {
    /// Does what was asked for.
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self.task {
            Task::Serve(arguments) => {
                let runtime = tokio::runtime::Builder::new_multi_thread()
                    .worker_threads(2)
                    .enable_all()
                    .build()?;
                let outcome = runtime.block_on(serve::serve(*arguments));
                runtime.shutdown_timeout(std::time::Duration::from_millis(500));
                outcome.map(|()| ExitCode::SUCCESS)
            }
            Task::Manual { directory } => {
                manual::write(Self::command(), "retention-service", &directory)
                    .with_context(|| format!("cannot write to {}", directory.display()))?;
                Ok(ExitCode::SUCCESS)
            }
            Task::Client { parent, batch, arguments } => {
                Err(become_client(parent, &batch, &arguments).into())
            }
        }
    }
}

/// Becomes the client. The kernel ends it when the program that started this ends, however.
fn become_client(parent: i32, batch: &Path, arguments: &[String]) -> io::Error {
    if let Err(error) = nix::sys::prctl::set_pdeathsig(Signal::SIGKILL) {
        return error.into();
    }
    if nix::unistd::getppid().as_raw() != parent {
        return io::Error::other("the program that started this has ended");
    }
    let commands = match File::open(batch) {
        Ok(file) => file,
        Err(error) => return error,
    };
    let _ = fs::remove_file(batch);
    Command::new("sftp").args(arguments).stdin(commands).exec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_needs_somebody_who_may_call() {
        let parse = |more: &[&str]| {
            let line = ["retention-service", "serve", "--state", "d"].iter().chain(more);
            Cli::try_parse_from(line).map(drop)
        };
        assert!(parse(&[]).is_err());
        assert!(parse(&["--token-file", "t"]).is_ok());
        assert!(parse(&["--tls-client-ca", "a"]).is_err());
        assert!(
            parse(&["--tls-client-ca", "a", "--tls-certificate", "c", "--tls-key", "k"]).is_ok()
        );
        Cli::command().debug_assert();
    }
}
