//! The demonstration behind `packaging/demo`: a whole appliance, and backups that arrive in it.
//!
//! Standard output is one line of JSON; whatever is for people goes to standard error. Nothing
//! that is started or written here outlives this program.

#[path = "../tests"]
mod parts {
    #[expect(dead_code, reason = "the demonstration needs only a part of it")]
    pub(crate) mod world;
}

use std::{
    fs::{self, File},
    io::{Write, stderr, stdout},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use futures_util::TryStreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use mongodb::bson::{self, Document, doc};
use parts::world::{
    Options, World,
    process::{self, Process},
};
use rand::{Rng, distr::Alphanumeric};
use retention::backup::{BackupName, Findings, Progress, State};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

/// Between two looks at how far something is.
const GLANCE: Duration = Duration::from_millis(100);

/// A backup that does not get any further for so long is given up.
const STANDSTILL: Duration = Duration::from_secs(120);

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

    let files = match arguments.files {
        files if files.is_empty() => invent_company(&world, &keys[0], arguments.quick).await?,
        files => files,
    };
    let mut backups = Vec::new();
    for file in &files {
        backups.push(carry(&mut world, file).await?);
    }
    let stored = backups.iter().filter(|backup| backup["state"] == "Stored").count();
    report(&world, &options, &backups)?;
    reported.store(true, Ordering::Relaxed);
    say(&format!("\n{stored} of {} backups are stored.", backups.len()));
    if arguments.once {
        return Ok(ExitCode::from(u8::from(stored != backups.len())));
    }
    say(&format!("The portal is at {} - press Ctrl-C to end everything.", world.portal_url()));
    loop {
        world.daemon.still_runs()?;
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

/// Has the backups of an invented company made, and returns them in the order of their time.
async fn invent_company(world: &World, key: &str, quick: bool) -> Result<Vec<PathBuf>> {
    let place = |name: &str| world.directory().join(name);
    let (archives, key_file) = (place("company"), place("secrets/company-key"));
    process::write_secret(&key_file, &format!("{key}\n"))?;
    let key_file = File::open(key_file)?;
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/company");
    let scratch = place("scratch");
    fs::create_dir(&scratch)?;
    let mut company = Process::start("company", &program, &place("logs/company.log"), |command| {
        command.arg("--out").arg(&archives).args(["--key", "-"]).stdin(key_file);
        // Its programs leave files in these when they are killed, and some even if they are not.
        for name in ["TMPDIR", "HOME", "XDG_RUNTIME_DIR", "PULSE_RUNTIME_PATH"] {
            command.env(name, &scratch);
        }
        if quick {
            command.arg("--quick");
        }
    })?;
    let bar = ProgressBar::new_spinner().with_message("Making the backups of an invented company");
    if bar.is_hidden() {
        say("Making the backups of an invented company ...");
    }
    bar.enable_steady_tick(GLANCE);
    let status = company.wait(Duration::from_secs(900)).await?;
    bar.finish_and_clear();
    ensure!(status.success(), "packaging/company failed: {}", company.last_words());

    let mut made = Vec::new();
    for entry in fs::read_dir(&archives)? {
        let path = entry?.path();
        let name: BackupName = file_name(&path)?.parse()?;
        made.push((name.taken, path));
    }
    made.sort();
    Ok(made.into_iter().map(|(_, path)| path).collect())
}

/// Uploads one archive, follows it to its end, and tells what became of it.
async fn carry(world: &mut World, file: &Path) -> Result<Value> {
    let name = file_name(file)?;
    let before = log_lines(world, &name).await?;
    let bar = bar(&name, file.metadata()?.len());
    if let Err(error) = upload(world, file, &name, &bar).await {
        bar.abandon_with_message("not uploaded");
        return Ok(unknown(&name, "Arriving", &format!("{error:#}")));
    }
    let (mut furthest, mut since) = (None, Instant::now());
    loop {
        tokio::time::sleep(GLANCE).await;
        world.daemon.still_runs()?;
        let lines = log_lines(world, &name).await?;
        let Some(line) = lines.iter().find(|line| !before.contains(line)) else {
            if let Some(reason) = set_aside(world, &name)? {
                finish(&bar, &name, &format!("set aside: {reason}"));
                return Ok(unknown(&name, "SetAside", &reason));
            }
            let lost = since.elapsed() > STANDSTILL;
            ensure!(!lost, "{name} was uploaded and is nowhere to be seen");
            continue;
        };
        let backup = Backup::read(&name, line)?;
        if furthest < Some(backup.progress.bytes_done) {
            (furthest, since) = (Some(backup.progress.bytes_done), Instant::now());
        }
        bar.set_message(backup.state.to_string().to_lowercase());
        bar.update(|bar| {
            bar.set_len(backup.progress.bytes_total.max(1));
            bar.set_pos(backup.progress.bytes_done);
        });
        if backup.state.is_final() || since.elapsed() > STANDSTILL {
            finish(&bar, &name, &backup.sentence());
            return Ok(backup.json());
        }
    }
}

/// Uploads, and shows on the bar how much of the file has arrived.
async fn upload(world: &World, file: &Path, name: &str, bar: &ProgressBar) -> Result<()> {
    bar.set_message("uploading");
    let arriving = world.inbox().join(name);
    let watching = async {
        loop {
            if let Ok(found) = arriving.metadata() {
                bar.set_position(found.len());
            }
            tokio::time::sleep(GLANCE).await;
        }
    };
    tokio::select! {
        uploaded = world.sftp.put(file, name) => uploaded,
        () = watching => Ok(()),
    }
}

/// What the Backup Log says of uploads of that name.
async fn log_lines(world: &World, name: &str) -> Result<Vec<Document>> {
    let backups = world.database().collection::<Document>("backups");
    let found = backups.find(doc! { "file": name }).sort(doc! { "_id": -1 }).await?;
    found.try_collect().await.context("cannot read the Backup Log")
}

/// Why a file was taken out of the inbox without being a backup, if it was.
fn set_aside(world: &World, name: &str) -> Result<Option<String>> {
    let aside = world.state_directory().join("aside");
    for entry in fs::read_dir(&aside).with_context(|| aside.display().to_string())? {
        if entry?.path().join(name).exists() {
            let reason = name.parse::<BackupName>().err().map(|error| error.to_string());
            return Ok(Some(reason.unwrap_or_else(|| "it is not a backup".into())));
        }
    }
    Ok(None)
}

/// What became of a backup.
struct Backup<'a> {
    file: &'a str,
    job: &'a str,
    state: State,
    reason: Option<&'a str>,
    progress: Progress,
    findings: Findings,
}

impl<'a> Backup<'a> {
    fn read(file: &'a str, line: &'a Document) -> Result<Self> {
        let part = |name: &str| line.get(name).cloned().context("a line of the log lacks a part");
        let sentence = |name| line.get_document(name).and_then(|it| it.get_str("sentence")).ok();
        Ok(Self {
            file,
            job: line.get_str("job")?,
            state: line.get_str("state")?.parse()?,
            reason: sentence("rejection").or(sentence("waiting")),
            progress: bson::deserialize_from_bson(part("progress")?)?,
            findings: bson::deserialize_from_bson(part("findings")?)?,
        })
    }

    fn sentence(&self) -> String {
        let Progress { media, media_bytes, .. } = self.progress;
        match self.reason {
            Some(reason) if self.state != State::Stored => format!("{}: {reason}", self.state),
            _ => format!(
                "{}: {} records and {media} files of {}",
                self.state,
                self.progress.records_total(),
                indicatif::DecimalBytes(media_bytes)
            ),
        }
    }

    fn json(&self) -> Value {
        let findings: Vec<Value> = self
            .findings
            .iter()
            .map(|(kind, found)| {
                json!({ "kind": kind, "count": found.count, "sentence": kind.sentence(found.count),
                        "examples": found.examples })
            })
            .collect();
        let reason = self.reason.filter(|_| self.state != State::Stored);
        json!({ "file": self.file, "job_id": self.job, "state": self.state.as_str(),
                "reason": reason, "records": self.progress.records,
                "media": self.progress.media, "media_bytes": self.progress.media_bytes,
                "findings": findings })
    }
}

/// An upload that the Backup Log knows nothing of.
fn unknown(file: &str, state: &str, reason: &str) -> Value {
    let job = file.parse::<BackupName>().ok().map(|name| name.job.to_string());
    json!({ "file": file, "job_id": job, "state": state, "reason": reason, "records": {},
            "media": 0, "media_bytes": 0, "findings": [] })
}

/// The one line on standard output.
fn report(world: &World, options: &Options, backups: &[Value]) -> Result<()> {
    let line = json!({
        "portal": world.portal_url(),
        "account": "Admin",
        "password": options.admin_password,
        "mongodb": world.database_uri(),
        "sftp": { "host": "127.0.0.1", "port": world.sftp_port(), "user": world.sftp.user(),
                  "identity": world.sftp.identity() },
        "backups": backups,
    });
    let mut out = stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).context("cannot write the result")
}

fn file_name(path: &Path) -> Result<String> {
    match path.file_name().and_then(|name| name.to_str()) {
        Some(name) => Ok(name.to_owned()),
        None => bail!("the name of {} is not text", path.display()),
    }
}

fn bar(name: &str, size_bytes: u64) -> ProgressBar {
    let template = "  {prefix}  {msg:9} [{bar:30}] {decimal_bytes:>9} of {decimal_total_bytes}";
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(size_bytes).with_style(style.progress_chars("=> ")).with_prefix(short(name))
}

/// Clears a bar and says in its place what became of the backup.
fn finish(bar: &ProgressBar, name: &str, sentence: &str) {
    bar.finish_and_clear();
    say(&format!("  {}  {sentence}", short(name)));
}

/// The job and the time of a backup's name, for a narrow window.
fn short(name: &str) -> String {
    match name.parse::<BackupName>() {
        Ok(backup) => {
            format!("{} {:.8}", backup.taken.strftime("%Y-%m-%d %H:%M"), backup.job.as_str())
        }
        Err(_) => name.to_owned(),
    }
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
