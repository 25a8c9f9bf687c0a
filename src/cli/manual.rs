//! `retention manual`: the manual pages and the completion for the shell.
//!
//! Neither is written by hand. The pages of the commands come from the command line
//! itself, and retention.toml(5) from the example of the configuration, which has every
//! key with its default and what it means.

mod configuration;

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use clap::{Args, CommandFactory};
use clap_complete::Shell::Bash;
use clap_mangen::{
    Man,
    roff::{Roff, bold, roman},
};

use super::Cli;

/// What stands above and below each page.
const MANUAL: &str = "Retention appliance";

/// The arguments.
#[derive(Debug, Args)]
pub(super) struct Manual {
    /// Where to write them.
    #[arg(value_name = "DIRECTORY")]
    directory: PathBuf,
}

impl Manual {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let directory = self.directory;
        let all = || {
            write(Cli::command(), "retention", &directory)?;
            let mut page = File::options().append(true).open(directory.join("retention.1"))?;
            page.write_all(endnotes().to_roff().as_bytes())?;
            fs::write(directory.join("retention.toml.5"), configuration::page())
        };
        all().with_context(|| format!("cannot write to {}", directory.display()))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Writes a page for each command of a program, and its completion for bash.
pub fn write(command: clap::Command, name: &str, directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory.join("completion"))?;
    let command = command.disable_help_subcommand(true);
    // By this name bash finds it.
    let mut completion = File::create(directory.join("completion").join(name))?;
    clap_complete::generate(Bash, &mut command.clone(), name, &mut completion);
    for page in pages(command) {
        page.generate_to(directory)?;
    }
    Ok(())
}

/// A page for each command that is shown, the subcommands of subcommands included.
fn pages(mut command: clap::Command) -> Vec<Man> {
    fn collect(command: &clap::Command, pages: &mut Vec<Man>) {
        let shown = command.get_subcommands().filter(|command| !command.is_hide_set());
        shown.for_each(|command| collect(command, pages));
        pages.push(Man::new(command.clone()).source(source()).manual(MANUAL));
    }
    command.build();
    let mut pages = Vec::new();
    collect(&command, &mut pages);
    pages
}

fn source() -> String {
    format!("retention {}", env!("CARGO_PKG_VERSION"))
}

/// What the command line does not know of: files, and other pages.
fn endnotes() -> Roff {
    let mut page = Roff::new();
    page.control("SH", ["FILES"]);
    for (path, what) in [
        ("/etc/retention/retention.toml", "The configuration; see retention.toml(5)."),
        ("/etc/retention/secrets/", "The secrets, each a file that its owner alone can read."),
        (
            "/var/lib/retention/",
            "Uploads, archives, quarantine, host keys, and the key that signs receipts.",
        ),
    ] {
        page.control("TP", []).text([bold(path)]).text([roman(what)]);
    }
    page.control("SH", ["SEE ALSO"]);
    page.text([bold("retention.toml"), roman("(5), "), bold("systemd.exec"), roman("(5), ")]);
    page.text([bold("sshd"), roman("(8)")]);
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_that_is_shown_has_a_page() {
        let names: Vec<_> = pages(Cli::command().disable_help_subcommand(true))
            .iter()
            .map(Man::get_filename)
            .collect();
        for name in ["retention.1", "retention-status.1", "retention-key-add.1"] {
            assert!(names.iter().any(|found| found == name), "{name} in {names:?}");
        }
        assert!(!names.iter().any(|name| name.contains("manual")), "{names:?}");
    }
}
