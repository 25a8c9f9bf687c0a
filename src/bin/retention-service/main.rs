//! `retention-service`: the other side of the appliance, maaiiconnect's.
//!
//! It holds the data of a service account, makes a backup of what is old enough once a day,
//! uploads it by SFTP, and deletes what a backup held when the appliance asks for it. It is for
//! demonstrations, for tests, and for sources on one's own premises.
//!
//! ```text
//!            web ── connector, simulation, page
//!             │
//!           cycle ── schedule, build, upload, delete
//!             │
//!   ┌─────────┼──────────┬─────────┐
//!  live    archive    client    company      MongoDB; the ZIP; the stock sftp; an invented business,
//!   │         │          │       folder       or days that somebody laid out in a directory
//!   └─────────┴─────┬────┴─────────┘
//!    settings  keys  job  record  mischief  clock    the ground floor
//! ```
//!
//! The appliance knows nothing of this program, and this program knows nothing of how the
//! appliance works: they meet in `packaging/connector/openapi.yaml` and in the archive. It uses
//! the library for what both sides have words for: job ids, names of backups, datasets, the rules
//! for Archive Keys, and steps of a test.

mod archive;
mod cli;
mod client;
mod clock;
mod company;
mod cycle;
mod folder;
mod job;
mod keys;
mod live;
mod mischief;
mod record;
mod serve;
mod settings;
mod trial;
mod web;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match cli::Cli::parse().run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("retention-service: {error:#}");
            ExitCode::from(2)
        }
    }
}
