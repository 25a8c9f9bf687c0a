//! One backup on its way into the appliance: what a bar shows meanwhile, and what became of it.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use futures_util::TryStreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use mongodb::bson::{self, Document, doc};
use retention::backup::{BackupName, Findings, Progress, State, retention::Status};
use serde_json::{Value, json};

use crate::{
    parts::world::{World, service::Service},
    say,
};

/// Between two looks at how far something is.
pub(crate) const GLANCE: Duration = Duration::from_millis(100);

/// A backup that does not get any further for so long is given up.
pub(crate) const STANDSTILL: Duration = Duration::from_secs(120);

/// Uploads one archive, follows it to its end, and tells what became of it.
pub(crate) async fn carry(world: &mut World, file: &Path) -> Result<Value> {
    let name = file_name(file)?;
    let before = log_lines(world, &name).await?;
    let bar = bar(&name, file.metadata()?.len());
    if let Err(error) = upload(world, file, &name, &bar).await {
        bar.abandon_with_message("not uploaded");
        return Ok(unknown(&name, "Arriving", &format!("{error:#}")));
    }
    let since = Instant::now();
    loop {
        tokio::time::sleep(GLANCE).await;
        world.daemon.still_runs()?;
        let lines = log_lines(world, &name).await?;
        if let Some(line) = lines.iter().find(|line| !before.contains(line)) {
            let upload = line.get_str("_id")?.to_owned();
            return end(world, &name, &upload, &bar).await;
        }
        if let Some(reason) = set_aside(world, &name)? {
            finish(&bar, &name, &format!("set aside: {reason}"));
            return Ok(unknown(&name, "SetAside", &reason));
        }
        let lost = since.elapsed() > STANDSTILL;
        ensure!(!lost, "{name} was uploaded and is nowhere to be seen");
    }
}

/// Follows a backup that the service makes and uploads by itself, and says under which id the
/// upload is in the log.
pub(crate) async fn expect(world: &mut World, service: &Service, job: &str) -> Result<String> {
    let path = format!("/connector/v1/backups/{job}");
    let begun = service.get(&path).await?;
    let name = begun["file_name"].as_str().context("a backup has a name")?.to_owned();
    let bar = bar(&name, 1);
    let (mut furthest, mut since) = (Value::Null, Instant::now());
    loop {
        tokio::time::sleep(GLANCE).await;
        world.daemon.still_runs()?;
        if let Some(line) = log_lines(world, &name).await?.first() {
            let upload = line.get_str("_id")?.to_owned();
            end(world, &name, &upload, &bar).await?;
            return Ok(upload);
        }
        let line = service.get(&path).await?;
        let (size, sent) = (&line["archive_size_bytes"], &line["sent_bytes"]);
        bar.set_message(if size.is_null() { "being made" } else { "uploading" });
        bar.set_length(size.as_u64().unwrap_or(1).max(1));
        bar.set_position(sent.as_u64().unwrap_or(0));
        if furthest != *sent {
            (furthest, since) = (sent.clone(), Instant::now());
        }
        let trouble = line["trouble"].as_str().unwrap_or("nothing moves");
        ensure!(since.elapsed() < STANDSTILL, "{name} does not arrive: {trouble}");
    }
}

/// Follows an upload in the log to its end, and tells what became of it.
async fn end(world: &mut World, name: &str, upload: &str, bar: &ProgressBar) -> Result<Value> {
    let (mut furthest, mut since) = (None, Instant::now());
    loop {
        world.daemon.still_runs()?;
        let lines = log_lines(world, name).await?;
        let line = lines.iter().find(|line| line.get_str("_id").is_ok_and(|id| id == upload));
        let backup = Backup::read(name, line.context("a line of the log has gone")?)?;
        if furthest < Some(backup.progress.bytes_done) {
            (furthest, since) = (Some(backup.progress.bytes_done), Instant::now());
        }
        bar.set_message(backup.state.to_string().to_lowercase());
        bar.update(|bar| {
            bar.set_len(backup.progress.bytes_total.max(1));
            bar.set_pos(backup.progress.bytes_done);
        });
        if backup.state.is_final() || since.elapsed() > STANDSTILL {
            finish(bar, name, &backup.sentence());
            return Ok(backup.json());
        }
        tokio::time::sleep(GLANCE).await;
    }
}

/// What has become of an upload by now.
pub(crate) async fn outcome(world: &World, upload: &str) -> Result<Value> {
    let backups = world.database().collection::<Document>("backups");
    let line = backups.find_one(doc! { "_id": upload }).await?;
    let line = line.context("a line of the log has gone")?;
    Ok(Backup::read(line.get_str("file")?, &line)?.json())
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
    status: Status,
    reason: Option<&'a str>,
    progress: Progress,
    findings: Findings,
}

impl<'a> Backup<'a> {
    fn read(file: &'a str, line: &'a Document) -> Result<Self> {
        let part = |name: &str| line.get(name).cloned().context("a line of the log lacks a part");
        let sentence = |name| line.get_document(name).and_then(|it| it.get_str("sentence")).ok();
        let state = line.get_str("state")?.parse()?;
        let deletion = line.get_document("deletion").and_then(|it| it.get_str("status"));
        Ok(Self {
            file,
            job: line.get_str("job")?,
            state,
            status: match deletion {
                Ok(status) => status.parse()?,
                Err(_) => Status::of(state, None),
            },
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
                "status": self.status.words(), "reason": reason, "records": self.progress.records,
                "media": self.progress.media, "media_bytes": self.progress.media_bytes,
                "findings": findings })
    }
}

/// An upload that the Backup Log knows nothing of.
fn unknown(file: &str, state: &str, reason: &str) -> Value {
    let job = file.parse::<BackupName>().ok().map(|name| name.job.to_string());
    json!({ "file": file, "job_id": job, "state": state, "status": null, "reason": reason,
            "records": {}, "media": 0, "media_bytes": 0, "findings": [] })
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
pub(crate) fn short(name: &str) -> String {
    match name.parse::<BackupName>() {
        Ok(backup) => {
            format!("{} {:.8}", backup.taken.strftime("%Y-%m-%d %H:%M"), backup.job.as_str())
        }
        Err(_) => name.to_owned(),
    }
}
