//! Media are decoded and not just kept: by hand, and by the daemon for each backup.

use std::{fs, path::Path, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use flate2::{Compression, write::ZlibEncoder};
use mongodb::bson::{Document, doc};
use nix::sys::signal::Signal;
use retention::backup::{
    DirectoryId, JobId, Readability, State,
    examined::{MediumKind, RULES},
};

use crate::{
    archives::{self, Sample},
    browser::Browser,
    world::{self, Options, World, disks::Ballast, until},
};

const PATIENCE: Duration = Duration::from_secs(60);

const MIB: u64 = 1 << 20;

fn fixture(name: &str) -> Result<Vec<u8>> {
    let media = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/media");
    fs::read(media.join(name)).with_context(|| name.to_owned())
}

/// What `retention media examine` says of files, and how it ends.
fn examine(files: &[&Path]) -> Result<(Option<i32>, Vec<serde_json::Value>)> {
    let output =
        Command::new(world::binary()?).args(["media", "examine", "--json"]).args(files).output()?;
    let lines = String::from_utf8(output.stdout)?;
    let lines: serde_json::Result<Vec<_>> = lines.lines().map(serde_json::from_str).collect();
    Ok((output.status.code(), lines?))
}

#[test]
fn one_can_have_files_examined_by_hand() -> Result<()> {
    let directory = world::scratch()?;
    let place = |name: &str| directory.path().join(name);
    fs::write(place("photo.txt"), fixture("baseline.jpg")?)?;
    fs::write(place("letter"), "Dear customer")?;
    let (code, lines) = examine(&[&place("photo.txt"), &place("letter")])?;
    ensure!(code == Some(0) && lines.len() == 2, "{code:?} {lines:?}");
    ensure!(lines[0]["kind"] == "jpeg" && lines[0]["outcome"] == "readable", "{}", lines[0]);
    ensure!(lines[1]["outcome"] == "not-examined", "{}", lines[1]);

    let half = fixture("h264.mp4")?;
    fs::write(place("half.mp4"), &half[..half.len() / 2])?;
    let (code, lines) = examine(&[&place("half.mp4")])?;
    ensure!(code == Some(1) && lines[0]["outcome"] == "damaged", "{code:?} {lines:?}");

    let (code, _) = examine(&[&place("no-such-file")])?;
    ensure!(code == Some(2), "{code:?}");
    Ok(())
}

/// A document of half a megabyte whose one stream is a gigabyte of zeros once it is inflated.
fn bomb() -> Result<Vec<u8>> {
    let mut zeros = ZlibEncoder::new(Vec::new(), Compression::best());
    std::io::copy(&mut std::io::Read::take(std::io::repeat(0), 1 << 30), &mut zeros)?;
    let mut pdf = b"%PDF-1.4\n".to_vec();
    let mut places = Vec::new();
    let stream = hex::encode(zeros.finish()?);
    let head = format!("<< /Length {} /Filter [/ASCIIHexDecode /FlateDecode] >>", stream.len() + 1);
    for object in [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_owned(),
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 4 0 R >>".to_owned(),
        format!("{head}\nstream\n{stream}>\nendstream"),
    ] {
        places.push(pdf.len());
        pdf.extend(format!("{} 0 obj\n{object}\nendobj\n", places.len()).bytes());
    }
    let index = pdf.len();
    pdf.extend(b"xref\n0 5\n0000000000 65535 f \n");
    places.iter().for_each(|place| pdf.extend(format!("{place:010} 00000 n \n").bytes()));
    let trailer = format!("trailer\n<< /Size 5 /Root 1 0 R >>\nstartxref\n{index}\n%%EOF\n");
    pdf.extend(trailer.bytes());
    Ok(pdf)
}

#[test]
fn a_decoder_that_eats_memory_ends_and_that_is_an_outcome() -> Result<()> {
    let directory = world::scratch()?;
    let path = directory.path().join("bomb.pdf");
    fs::write(&path, bomb()?)?;
    let (code, lines) = examine(&[&path])?;
    let said = lines.first().context("an outcome")?;
    ensure!(code == Some(0) && said["outcome"] == "not-decoded", "{code:?} {said}");
    let why = said["why"].as_str().unwrap_or_default();
    ensure!(why.contains("more than 256 MiB of memory") && said["kind"] == "pdf", "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_picture_in_a_backup_is_found_and_shown() -> Result<()> {
    let mut world = World::start(Options::default()).await?;
    let mut broken = fixture("progressive.jpg")?;
    broken.truncate(2000);
    let sample = Sample::new(3)
        .with("data-retention/room1/broken.jpg", broken.clone())
        .with("data-retention/room1/photo.jpg", fixture("baseline.jpg")?)
        .with("data-retention/room1/call.mp4", fixture("h264.mp4")?);
    let expected = Readability {
        readable: 1,
        readable_in_part: 1,
        damaged: 1,
        not_examined: 3,
        ..Readability::default()
    };
    let found = examined(&mut world, 1, &sample).await?;
    let [named] = found.examples.as_slice() else { anyhow::bail!("{found:?}") };
    ensure!(
        named.entry.ends_with("broken.jpg") && named.why.contains("end is missing"),
        "{named:?}"
    );
    ensure!(Readability { examples: Vec::new(), ..found } == expected);

    let mut browser = Browser::new(&world)?;
    browser.sign_in("Admin", &Options::default().admin_password).await?;
    let page = browser.get(&format!("/retention/backups/{}", archives::job(1))).await?.body;
    for words in ["1 readable, 1 readable as far as", "1 damaged", "3 not examined", "broken.jpg"] {
        ensure!(page.contains(words), "{words} is not in {page}");
    }

    // The same bytes under another name, in a backup that is not the first to bring them.
    let again = Sample::new(4).with("data-retention/room2/again.jpg", broken);
    let found = examined(&mut world, 2, &again).await?;
    ensure!((found.damaged, found.not_examined, found.waiting) == (1, 3, 0), "{found:?}");
    ensure!(found.examples[0].entry.ends_with("again.jpg"), "{found:?}");

    // That they were unpacked shows without a note of the mode: nobody looks into their archives.
    let backups = world.database().collection::<Document>("backups");
    backups.update_many(doc! {}, doc! { "$unset": { "modes": "" } }).await?;
    let shelved = {
        let own = fs::read_to_string(world.state_directory().join("id"))?;
        let own: DirectoryId = own.trim().parse()?;
        world.store()?.shelved_to_examine(&own, RULES).await?
    };
    ensure!(shelved.is_empty(), "{shelved:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_to_be_decoded_and_was_not_stands_in_the_way_however_it_is_known() -> Result<()> {
    let mut world = World::start(Options::default()).await?;
    let records = r#"[{"_id":"f9","fileID":"scan","fileName":"scan","mimeType":"application/pdf",
        "path":"data-retention/room1/scan","size":3}]"#;
    let heic = b"\0\0\0\x18ftypheic\0\0\0\0heicmif1".to_vec();
    let sample = Sample::new(3)
        .with("file-management/more.json", records)
        .with("data-retention/room1/shot.bin", heic)
        .with("data-retention/room1/photo.jpg", "404 Not Found")
        .with("data-retention/room1/empty.wav", "")
        .with("data-retention/room1/scan", b"\x01\x02\x03".to_vec())
        .with("data-retention/room1/other", b"\x03\x02\x01".to_vec());
    let found = examined(&mut world, 1, &sample).await?;
    let kinds = [(MediumKind::Heif, 1), (MediumKind::Text, 1), (MediumKind::Unknown, 2)];
    ensure!(found.not_decoded == kinds.into() && found.not_examined == 4, "{found:?}");
    let named: Vec<&str> = found.examples.iter().map(|medium| &*medium.entry).collect();
    ensure!(named.len() == 4 && named.iter().any(|it| it.ends_with("photo.jpg")), "{named:?}");

    let mut browser = Browser::new(&world)?;
    browser.sign_in("Admin", &Options::default().admin_password).await?;
    let page = browser.get(&format!("/retention/backups/{}", archives::job(1))).await?.body;
    for words in [
        "Not yet",
        "4 files were not decoded to the end",
        "HEIF or AVIF picture (1), text (1), unknown kind of file (2)",
        "4 not decoded, 4 not examined",
        "but any text is readable",
    ] {
        ensure!(page.contains(words), "{words} is not in {page}");
    }

    // The same bytes in a later backup, under a name that says what they have to be.
    let again = Sample::new(3).with("data-retention/room2/film.MP4", b"\x03\x02\x01".to_vec());
    let found = examined(&mut world, 2, &again).await?;
    ensure!(found.not_decoded == [(MediumKind::Unknown, 1)].into(), "{found:?}");
    ensure!(found.examples[0].entry.ends_with("film.MP4"), "{found:?}");
    Ok(())
}

/// Has a backup stored and its media examined; how readable they are.
async fn examined(world: &mut World, number: u32, sample: &Sample) -> Result<Readability> {
    let file = archives::write(world.directory(), number, &sample.bytes()?)?;
    world.upload(&file).await?;
    let job = archives::job(number);
    world.wait_state(&job, State::Stored, PATIENCE).await?;
    let backups = world.database().collection::<Document>("backups");
    until("all media of the backup are examined", || {
        let wanted = doc! { "job": &job, "media_examined": RULES };
        let found = backups.find_one(wanted);
        async move { Ok(found.await?.is_some()) }
    })
    .await?;
    let store = world.store()?;
    Ok(store.readability(&job.parse::<JobId>()?, RULES).await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn with_offline_mode_alone_media_are_decoded_out_of_their_archive() -> Result<()> {
    let sections = "[modes]\nonline = false\n".to_owned();
    let mut world = World::start(Options { sections, ..Options::default() }).await?;
    let mut broken = fixture("progressive.jpg")?;
    broken.truncate(2000);
    let photo = fixture("baseline.jpg")?;
    let sound = Sample::new(3)
        .with("data-retention/room1/photo.jpg", photo.clone())
        .with("data-retention/room2/the-same.jpg", photo);
    let damaged = Sample::new(3).with("data-retention/room1/broken.jpg", broken);
    let empty = Sample::new(3).with("data-retention/room1/empty.wav", "");
    let mut browser = Browser::new(&world)?;
    browser.sign_in("Admin", &Options::default().admin_password).await?;
    for (number, sample, parts) in [
        (1, sound, &["1 readable, 3 not examined", "Safe to delete"][..]),
        (2, damaged, &["1 damaged, 3 not examined", "broken.jpg", "1 file cannot be played"]),
        (3, empty, &["1 not decoded, 3 not examined", "empty.wav", "unknown kind of file (1)"]),
    ] {
        let file = archives::write(world.directory(), number, &sample.bytes()?)?;
        world.upload(&file).await?;
        let job = archives::job(number);
        world.wait_state(&job, State::Stored, PATIENCE).await?;
        for part in parts {
            until(&format!("{part:?} is shown"), || {
                let (mut browser, job) = (browser.clone(), job.clone());
                async move {
                    let page = browser.get(&format!("/retention/backups/{job}")).await?.body;
                    Ok(page.contains(part))
                }
            })
            .await?;
        }
    }
    let media = world.database().collection::<Document>("media.files");
    ensure!(media.count_documents(doc! {}).await? == 0, "something was unpacked");
    let left = fs::read_dir(world.state_directory().join("examining"))?.count();
    ensure!(left == 0, "{left} files are left where media are taken out");

    // As older versions left it, which did not note the mode: nothing is safe before it was examined.
    let older = doc! { "$unset": { "modes": "", "readability": "" } };
    world.database().collection::<Document>("backups").update_many(doc! {}, older).await?;
    let page = format!("/retention/backups/{}", archives::job(1));
    let before = browser.get(&page).await?.body;
    ensure!(before.contains("it is not known in which mode"), "{before}");
    ensure!(!before.contains("Safe to delete"), "{before}");
    world.daemon.stop(Signal::SIGTERM).await?;
    world.start_daemon().await?;
    browser.sign_in("Admin", &Options::default().admin_password).await?;
    until("it is examined and safe", || {
        let (mut browser, page) = (browser.clone(), page.clone());
        async move {
            let page = browser.get(&page).await?.body;
            Ok(page.contains("1 readable, 3 not examined") && page.contains("Safe to delete"))
        }
    })
    .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_of_ours_that_is_full_is_never_noted_as_a_fault_of_a_medium() -> Result<()> {
    let options = Options {
        state_disk_bytes: Some(1200 * MIB),
        sections: format!("[modes]\nonline = false\n[health]\nreserve_bytes = {MIB}\n"),
        ..Options::default()
    };
    let mut world = World::start(options).await?;
    // Less than stays free when a medium is taken out.
    let ballast = Ballast::leaving(&world.state_directory(), 1000 * MIB)?;
    let sample = Sample::new(3).with("data-retention/room1/photo.jpg", fixture("baseline.jpg")?);
    let file = archives::write(world.directory(), 1, &sample.bytes()?)?;
    world.upload(&file).await?;
    let job = archives::job(1);
    world.wait_state(&job, State::Stored, PATIENCE).await?;
    let log = world.directory().join("logs/daemon.log");
    until("there is no room to take a medium out", || async {
        Ok(fs::read_to_string(&log)?.contains("there is no room to take "))
    })
    .await?;
    let line = world.backup(&job).await?.context("it is in the log")?;
    ensure!(!line.contains_key("readability"), "{line}");
    let mut browser = Browser::new(&world)?;
    browser.sign_in("Admin", &Options::default().admin_password).await?;
    let path = format!("/retention/backups/{job}");
    let page = browser.get(&path).await?.body;
    ensure!(page.contains("0 of 4 files were looked at so far"), "{page}");

    drop(ballast);
    until("its media are examined", || {
        let (mut browser, path) = (browser.clone(), path.clone());
        async move { Ok(browser.get(&path).await?.body.contains("1 readable, 3 not examined")) }
    })
    .await
}
