//! How fast and how small intake is, as ratios against floors taken in the same run.
//!
//! The floors are what the bare MongoDB driver does with data that is in memory already, and what
//! `7z t` does with the same file. Run it by `tests/bench`.

#[allow(dead_code, reason = "tests use other parts of it")]
mod world;

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use futures_util::{AsyncWriteExt, TryStreamExt};
use mongodb::{
    IndexModel,
    bson::{Bson, Document, RawDocumentBuf, doc},
    options::{Acknowledgment, GridFsBucketOptions, WriteConcern},
};
use retention::backup::State;
use serde_json::json;
use sha2::{Digest, Sha256};
use world::{Options, World};
use zip::{
    AesMode, CompressionMethod, ZipWriter, unstable::write::FileOptionsExt,
    write::SimpleFileOptions,
};

const KEY: &str = "Str0ng!Key#2021";
const PATIENCE: Duration = Duration::from_secs(1800);
const MIB: usize = 1024 * 1024;

/// How much of everything.
#[derive(Clone, Copy)]
struct Sizes {
    records: usize,
    large_bytes: usize,
    small: usize,
}

#[derive(Clone, Copy)]
enum Protection {
    Aes,
    ZipCrypto,
}

/// One archive, stored once.
struct Stored {
    seconds: f64,
    peak_mib: f64,
}

fn main() -> Result<()> {
    // cargo adds words of its own, such as `--bench`.
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let part = if arguments.iter().any(|argument| argument == "--quick") { 20 } else { 1 };
    let sizes =
        Sizes { records: 1_000_000 / part, large_bytes: 2048 * MIB / part, small: 50_000 / part };
    let named = |what: &str| arguments.iter().any(|argument| argument == what);
    let all = !["records", "large", "small"].into_iter().any(named);
    let wanted = |what: &str| all || named(what);
    let cache = arguments.iter().position(|argument| argument == "--cache");
    let cache_gb = match cache {
        Some(at) => arguments.get(at + 1).context("--cache GB")?.parse()?,
        None => 0.25,
    };
    let options = Options { cache_gb, ..Options::default() };
    tokio::runtime::Runtime::new()?.block_on(measure(options, sizes, wanted))
}

async fn measure(options: Options, sizes: Sizes, wanted: impl Fn(&str) -> bool) -> Result<()> {
    let cache_gb = options.cache_gb;
    let mut world = World::start(options).await?;
    say(&format!(
        "{} records, {} MiB of large media, {} small media, MongoDB 4.2 with {cache_gb} GB of cache, {} cores",
        sizes.records,
        sizes.large_bytes / MIB,
        sizes.small,
        std::thread::available_parallelism()?
    ));
    if wanted("records") {
        records(&mut world, sizes).await?;
    }
    if wanted("large") {
        large(&mut world, sizes).await?;
    }
    if wanted("small") {
        small(&mut world, sizes).await?;
    }
    Ok(())
}

async fn records(world: &mut World, sizes: Sizes) -> Result<()> {
    let archive = archive(world, 1, Protection::Aes, |zip, options| {
        zip.start_file("history/message.json", options)?;
        let mut out = BufWriter::new(zip);
        for n in 0..sizes.records {
            writeln!(out, "{}", message(n))?;
        }
        Ok(out.flush()?)
    })?;
    check("records", &archive)?;
    let stored = store(world, 1, &archive).await?;
    let messages = world.database().collection::<RawDocumentBuf>("messages");
    let documents: Vec<RawDocumentBuf> = messages.find(doc! {}).await?.try_collect().await?;
    ensure!(documents.len() == sizes.records, "{} records were stored", documents.len());
    let indexes = messages.list_indexes().await?.try_collect::<Vec<IndexModel>>().await?;
    let plain: Vec<RawDocumentBuf> = documents
        .iter()
        .map(|document| Ok(document.get_document("raw")?.to_owned()))
        .collect::<Result<_>>()?;
    let same = insert(world, "floor_same", &documents, indexes).await?;
    let bare = insert(world, "floor_bare", &plain, Vec::new()).await?;
    let rate = |seconds: f64| sizes.records as f64 / seconds;
    say(&format!(
        "records stored: {:.0} a second; the same documents and indexes by the bare driver {:.0}: ratio {:.2}; \
         the plain records without indexes {:.0}: ratio {:.2}; peak memory {:.0} MiB",
        rate(stored.seconds),
        rate(same),
        same / stored.seconds,
        rate(bare),
        bare / stored.seconds,
        stored.peak_mib
    ));
    Ok(())
}

async fn large(world: &mut World, sizes: Sizes) -> Result<()> {
    let lengths: Vec<usize> = (0..)
        .map(|n: usize| (1 + n * 37 % 64) * MIB)
        .scan(0, |total, length| {
            let room = sizes.large_bytes.saturating_sub(*total);
            *total += length;
            (room > 0).then(|| length.min(room))
        })
        .collect();
    let mut floor = None;
    for (n, protection, name) in
        [(2, Protection::Aes, "AES"), (3, Protection::ZipCrypto, "ZipCrypto")]
    {
        let archive = archive(world, n, protection, |zip, options| {
            let options =
                options.compression_method(CompressionMethod::Stored).compression_level(None);
            for (at, length) in lengths.iter().enumerate() {
                zip.start_file(format!("data-retention/room/{n}-{at}.wav"), options)?;
                zip.write_all(&noise(n as usize * 1000 + at, *length))?;
            }
            Ok(())
        })?;
        check(&format!("large media, {name}"), &archive)?;
        let stored = store(world, n, &archive).await?;
        fs::remove_file(&archive).ok();
        let floor = match floor {
            Some(floor) => floor,
            None => *floor.insert(
                gridfs(world, lengths.iter().enumerate().map(|(at, length)| noise(at, *length)))
                    .await?,
            ),
        };
        let rate = |seconds: f64| sizes.large_bytes as f64 / 1e6 / seconds;
        say(&format!(
            "large media stored, {name}: {:.0} MB/s; GridFS upload by the bare driver {:.0} MB/s: ratio {:.2}; peak memory {:.0} MiB",
            rate(stored.seconds),
            rate(floor),
            floor / stored.seconds,
            stored.peak_mib
        ));
    }
    Ok(())
}

async fn small(world: &mut World, sizes: Sizes) -> Result<()> {
    let sample = sizes.small.min(5000);
    let floor = gridfs(world, (0..sample).map(|n| noise(9_000_000 + n, 8192))).await?;
    for (n, protection, name) in
        [(4, Protection::Aes, "AES"), (5, Protection::ZipCrypto, "ZipCrypto")]
    {
        let archive = archive(world, n, protection, |zip, options| {
            let options =
                options.compression_method(CompressionMethod::Stored).compression_level(None);
            for at in 0..sizes.small {
                zip.start_file(format!("data-retention/{}/{n}-{at}.jpg", at % 100), options)?;
                zip.write_all(&noise(n as usize * 10_000_000 + at, 8192))?;
            }
            Ok(())
        })?;
        check(&format!("small media, {name}"), &archive)?;
        let stored = store(world, n, &archive).await?;
        let (ours, theirs) = (sizes.small as f64 / stored.seconds, sample as f64 / floor);
        say(&format!(
            "small media stored, {name}: {ours:.0} files a second; one GridFS upload stream each {theirs:.0}: ratio {:.1}; peak memory {:.0} MiB",
            ours / theirs,
            stored.peak_mib
        ));
    }
    Ok(())
}

/// Makes an archive beside the inbox.
fn archive(
    world: &World,
    n: u32,
    protection: Protection,
    fill: impl FnOnce(&mut ZipWriter<BufWriter<File>>, SimpleFileOptions) -> Result<()>,
) -> Result<PathBuf> {
    let name = format!("backup_bench_00000000-0000-4000-8000-{n:012}_20210501020000.zip");
    let path = world.directory().join(name);
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(1));
    let options = match protection {
        Protection::Aes => options.with_aes_encryption(AesMode::Aes256, KEY),
        Protection::ZipCrypto => options.with_deprecated_encryption(KEY.as_bytes())?,
    };
    let mut zip = ZipWriter::new(BufWriter::new(File::create(&path)?));
    fill(&mut zip, options.large_file(true))?;
    zip.finish()?.flush()?;
    Ok(path)
}

/// `retention verify` against `7z t`, the better of two runs each.
fn check(what: &str, archive: &Path) -> Result<()> {
    let better = |run: &dyn Fn() -> Result<f64>| Ok::<_, anyhow::Error>(run()?.min(run()?));
    let ours = better(&|| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_retention"));
        timed(command.args(["verify", "--json", "--key-file", "-"]).arg(archive), KEY)
    })?;
    let theirs =
        better(&|| timed(Command::new("7z").args(["t", "-bso0", "-bsp0"]).arg(archive), KEY))?;
    say(&format!("checking {what}: {ours:.2} s; 7z t {theirs:.2} s: ratio {:.2}", theirs / ours));
    Ok(())
}

fn timed(command: &mut Command, input: &str) -> Result<f64> {
    let begun = Instant::now();
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let mut stdin = child.stdin.take().context("standard input")?;
    // 7z asks for the password twice in some versions.
    stdin.write_all(format!("{input}\n{input}\n").as_bytes()).ok();
    drop(stdin);
    ensure!(child.wait()?.success(), "{command:?} failed");
    Ok(begun.elapsed().as_secs_f64())
}

/// Lets the daemon take an archive in; how long it took and how much memory at most.
async fn store(world: &mut World, n: u32, archive: &Path) -> Result<Stored> {
    let pid = world.daemon.pid().context("the daemon runs")?;
    fs::write(format!("/proc/{pid}/clear_refs"), "5").ok();
    let target = world.inbox().join(archive.file_name().context("a name")?);
    fs::rename(archive, target)?;
    let job = format!("00000000-0000-4000-8000-{n:012}");
    let backup = world.wait_state(&job, State::Stored, PATIENCE).await?;
    let span = backup.get_datetime("changed")?.timestamp_millis()
        - backup.get_datetime("begun")?.timestamp_millis();
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("VmHWM")?;
    let peak: f64 = peak.trim().trim_end_matches("kB").trim().parse()?;
    Ok(Stored { seconds: span as f64 / 1000.0, peak_mib: peak / 1024.0 })
}

/// The bare driver's `insert_many`, a thousand documents at a time.
async fn insert(
    world: &World,
    name: &str,
    documents: &[RawDocumentBuf],
    indexes: Vec<IndexModel>,
) -> Result<f64> {
    let collection = world.database().collection::<RawDocumentBuf>(name);
    if !indexes.is_empty() {
        collection.create_indexes(indexes).await?;
    }
    let begun = Instant::now();
    for batch in documents.chunks(1000) {
        let acknowledged = WriteConcern::builder().w(Acknowledgment::Nodes(1)).build();
        collection.insert_many(batch).ordered(false).write_concern(acknowledged).await?;
    }
    let seconds = begun.elapsed().as_secs_f64();
    collection.drop().await?;
    Ok(seconds)
}

/// The bare driver's GridFS upload with chunks of 1 MiB, one stream after another.
async fn gridfs(world: &World, media: impl Iterator<Item = Vec<u8>>) -> Result<f64> {
    let options =
        GridFsBucketOptions::builder().bucket_name("floor".to_owned()).chunk_size_bytes(1_048_576);
    let bucket = world.database().gridfs_bucket(options.build());
    let mut seconds = 0.0;
    for (n, bytes) in media.enumerate() {
        let begun = Instant::now();
        let mut upload = bucket.open_upload_stream(n.to_string()).id(Bson::Int64(n as i64)).await?;
        upload.write_all(&bytes).await?;
        upload.close().await?;
        seconds += begun.elapsed().as_secs_f64();
    }
    bucket.drop().await?;
    let left =
        world.database().collection::<Document>("floor.chunks").estimated_document_count().await?;
    ensure!(left == 0);
    Ok(seconds)
}

/// A message of about 700 bytes.
fn message(n: usize) -> serde_json::Value {
    let words = [
        "order",
        "delivery",
        "table",
        "invoice",
        "confirm",
        "thank you",
        "tomorrow",
        "contract",
        "多謝",
        "請稍等",
    ];
    let text: Vec<&str> =
        (0..28).map(|at| words[(n * 7 + at * (n % 13 + 1)) % words.len()]).collect();
    json!({
        "_id": format!("{n:024x}"), "hid": format!("{:024x}", n * 31), "roomID": format!("{:024x}", n % 5000),
        "seq": n / 5000, "type": "im", "fromEID": format!("{:024x}", n % 97), "toEID": format!("{:024x}", n % 89),
        "msgID": format!("{:024x}", n * 17), "msgContentType": "TYPE_TEXT", "msgEventType": "TYPE_MESSAGE",
        "msgText": text.join(" "), "ts": format!("2021-05-{:02}T{:02}:{:02}:{:02}.000Z", 1 + n % 28, n % 24, n % 60, n / 7 % 60),
        "content": { "ts": 1_619_827_200_000_i64 + n as i64, "msg": { "type": 1 } },
    })
}

/// Bytes that cannot be compressed, and that no other number yields.
fn noise(seed: usize, length: usize) -> Vec<u8> {
    let digest = Sha256::digest(seed.to_le_bytes());
    let mut state = digest.iter().take(8).fold(1_u64, |all, byte| all << 8 | u64::from(*byte)) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

#[expect(clippy::print_stdout, reason = "the figures are what this program is for")]
fn say(line: &str) {
    println!("{line}");
}
