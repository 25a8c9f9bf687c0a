//! The demonstration behind `packaging/demo`: a whole appliance, and backups that arrive in it.
//!
//! Standard output is one line of JSON; whatever is for people goes to standard error. Nothing
//! that is started or written here outlives this program.

mod arrival;
mod company;
mod cycle;

#[path = "../../tests"]
mod parts {
    #[expect(dead_code, reason = "the demonstration needs only a part of it")]
    pub(crate) mod browser;
    #[expect(dead_code, reason = "the demonstration needs only a part of it")]
    pub(crate) mod world;
}

use std::{
    io::{Write, stderr, stdout},
    path::PathBuf,
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use parts::world::{self, Options, World};
use rand::{Rng, distr::Alphanumeric};
use retention::settings::archive_key;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use cycle::Cycle;

/// Its help stands in `packaging/demo`, which gives it before anything is built.
#[derive(Parser)]
#[command(name = "packaging/demo", disable_help_flag = true)]
struct Arguments {
    #[arg(long)]
    once: bool,
    #[arg(long)]
    quick: bool,
    #[arg(long = "key", value_name = "KEY")]
    keys: Vec<String>,
    #[arg(long, default_value = "4.2", value_parser = ["4.2", "4.4", "6.0"])]
    mongod: String,
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let reported = AtomicBool::new(false);
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            say(&format!("demo: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(async {
        // Whichever comes second is dropped, and with it everything that was started.
        tokio::select! {
            outcome = demonstrate(arguments, &reported) => outcome,
            outcome = interrupted() => outcome.map(|number| {
                say("\nEnding everything.");
                ExitCode::from(if reported.load(Ordering::Relaxed) { 0 } else { 128 + number })
            }),
        }
    });
    outcome.unwrap_or_else(|error| {
        say(&format!("demo: {error:#}"));
        ExitCode::FAILURE
    })
}

/// Waits for a signal that asks this program to end, and returns its number.
async fn interrupted() -> Result<u8> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(tokio::select! {
        _ = interrupt.recv() => 2,
        _ = terminate.recv() => 15,
        _ = hangup.recv() => 1,
    })
}

/// Does everything; `reported` becomes true once the result is out.
async fn demonstrate(arguments: Arguments, reported: &AtomicBool) -> Result<ExitCode> {
    for file in &arguments.files {
        ensure!(file.is_file(), "there is no file {}", file.display());
    }
    let keys = match arguments.keys.as_slice() {
        [] => vec![invented_secret("#")],
        given => given.to_vec(),
    };
    if arguments.files.is_empty()
        && let Some(objection) = archive_key::objection(&keys[0])
    {
        bail!(objection);
    }
    let options = Options {
        mongod_series: arguments.mongod.clone(),
        archive_keys: keys.clone(),
        admin_password: invented_secret("-"),
        // Nobody resumes an upload here, so one that is cut off is refused soon.
        grace_seconds: 3,
        ..Options::default()
    };
    say(&format!("Starting MongoDB {}, sshd and the daemon ...", arguments.mongod));
    let mut world = World::start(options.clone()).await?;
    introduce(&world, &options);

    let (mut cycle, mut backups) = (None, Vec::new());
    if arguments.files.is_empty() {
        let mut whole = Cycle::begin(&mut world, &options, arguments.quick).await?;
        backups = whole.run(&mut world).await?;
        cycle = Some(whole);
    }
    for file in &arguments.files {
        backups.push(arrival::carry(&mut world, file).await?);
    }
    let stored = backups.iter().filter(|backup| backup["state"] == "Stored").count();
    report(&world, &options, cycle.as_ref(), &backups)?;
    reported.store(true, Ordering::Relaxed);
    say(&format!("\n{stored} of {} backups are stored.", backups.len()));
    if let Some(cycle) = &cycle {
        say(&cycle.told(&world));
    }
    if arguments.once {
        let deleted = cycle.as_ref().is_none_or(Cycle::is_completed);
        return Ok(ExitCode::from(u8::from(stored != backups.len() || !deleted)));
    }
    say(&format!("The portal is at {} - press Ctrl-C to end everything.", world.portal_url()));
    loop {
        world.daemon.still_runs()?;
        if let Some(cycle) = &mut cycle {
            cycle.service.still_runs()?;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Tells people what runs where, and how to get in.
fn introduce(world: &World, options: &Options) {
    let (sftp, port) = (&world.sftp, world.sftp_port());
    let text = [
        String::new(),
        format!("  Retention Portal   {}", world.portal_url()),
        format!(
            "                     sign in as Admin with the password {}",
            options.admin_password
        ),
        "                     The browser will warn of the certificate, which was made here".into(),
        "                     just now and is signed by nobody else: go on nevertheless.".into(),
        format!(
            "  SFTP endpoint      sftp -P {port} -i {} {}@127.0.0.1",
            sftp.identity().display(),
            sftp.user()
        ),
        format!("  MongoDB {}        {}", options.mongod_series, world.database_uri()),
        format!("  Files and logs     {}", world.directory().display()),
        String::new(),
    ];
    say(&text.join("\n"));
}

/// The one line on standard output.
fn report(
    world: &World,
    options: &Options,
    cycle: Option<&Cycle>,
    backups: &[Value],
) -> Result<()> {
    let mut line = json!({
        "portal": world.portal_url(),
        "account": "Admin",
        "password": options.admin_password,
        "mongodb": world.database_uri(),
        "sftp": { "host": "127.0.0.1", "port": world.sftp_port(), "user": world.sftp.user(),
                  "identity": world.sftp.identity() },
        "backups": backups,
    });
    if let Some(cycle) = cycle {
        line["service"] = json!({ "url": cycle.service.url(), "token": cycle.service.token });
    }
    let mut out = stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).context("cannot write the result")
}

/// Upper and lower case, a digit and a symbol, as the rules for Archive Keys want it.
fn invented_secret(symbol: &str) -> String {
    loop {
        let text: String = rand::rng().sample_iter(Alphanumeric).take(20).map(char::from).collect();
        let has = |class: fn(&u8) -> bool| text.as_bytes().iter().any(class);
        if has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_digit) {
            return format!("{}{symbol}{}", &text[..10], &text[10..]);
        }
    }
}

/// Says something to people.
fn say(text: &str) {
    let _ = writeln!(stderr().lock(), "{text}");
}
