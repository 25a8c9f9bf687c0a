//! `retention`: the retention appliance.

use std::process::ExitCode;

use clap::Parser;
use retention::cli::Cli;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("retention: {error:#}");
            ExitCode::from(2)
        }
    }
}
