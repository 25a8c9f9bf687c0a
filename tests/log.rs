//! The Backup Log: what its lines say, how it is filtered, sorted, paged and taken away, and the page
//! of a backup beside those before it.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use mongodb::bson::{Bson, DateTime, Document, doc};
use rand::RngCore;
use retention::{
    backup::{
        Condition, DirectoryId, Reason, State, UploadId, WaitCode, history::What, state::Claimed,
    },
    store::backups::{Change, NewBackup},
};
use serde_json::{Value, json};

use crate::{
    archives::{self, Sample, job},
    browser::Browser,
    portal::{activate, signed_in},
    world::{Options, World, until},
};

const PATIENCE: Duration = Duration::from_secs(60);
const LOG: &str = "/retention/backups";

/// How many lines [`furnished`] adds to the one that it took in.
const ADDED: usize = 70;

/// A world with one backup that was taken in, and an administrator's browser.
async fn with(sample: &Sample) -> Result<(World, Browser, Document)> {
    let mut world = World::start(Options::default()).await?;
    world.upload(&archives::write(world.directory(), 1, &sample.bytes()?)?).await?;
    world.wait_state(&job(1), State::Stored, PATIENCE).await?;
    world.receipt(&job(1)).await?;
    let backups = world.database().collection::<Document>("backups");
    let settled =
        doc! { "job": job(1), "media_examined": { "$exists": true }, "archive_kept": true };
    until("everything was looked at", || async {
        Ok(backups.find_one(settled.clone()).await?.is_some())
    })
    .await?;
    let mut browser = Browser::new(&world)?;
    browser.sign_in("Admin", &Options::default().admin_password).await?;
    // The first look at it notes since when each node has it.
    ensure!(browser.get(LOG).await?.body.contains("Safe to delete"), "it is not safe");
    let line = world.backup(&job(1)).await?.context("it is in the log")?;
    Ok((world, browser, line))
}

/// The log of a site that has run for months: the lines of many backups, in every condition.
async fn furnished() -> Result<(World, Browser)> {
    let (world, browser, line) = with(&Sample::new(5)).await?;
    let receipt = world.receipt(&job(1)).await?;
    let (mut lines, mut receipts) = (Vec::new(), Vec::new());
    for n in 0..ADDED {
        let (upload, job) = (upload(n), job(1000 + u32::try_from(n)?));
        let service = if n == 7 { "=1+1" } else { "acme" };
        let day = DateTime::from_millis(1_609_459_200_000 + 86_400_000 * i64::try_from(n / 2)?);
        let mut line = line.clone();
        line.extend(doc! {
            "_id": &upload, "job": &job, "service": service, "taken": day,
            "file": format!("backup_{service}_{job}_{:03}.zip", n * 37 % 101),
            "archive_kept": false,
        });
        let progress = line.get_document_mut("progress")?;
        progress.extend(doc! {
            "media": 0_i64,
            "entries_total": i64::try_from(n % 5)?,
            "bytes_total": i64::try_from(n * 7919 % 31)? * 1_000_000,
        });
        line.extend(match n % 10 {
            0 => {
                doc! { "state": "Rejected", "rejection": reason("damaged", "Its end is missing.") }
            }
            1 if n % 20 == 1 => doc! { "state": "Rejected", "superseded": true },
            1 => doc! {
                "state": "Rejected",
                "rejection": reason("damaged", "Its end is missing."),
                "acknowledged": {
                    "reason": "The job never comes again.",
                    "by": "Admin",
                    "at": DateTime::from_millis(1_619_000_000_000),
                },
            },
            2 => doc! { "state": "Waiting", "waiting": reason("disk-short", "There is no room.") },
            3 => doc! { "state": "Storing" },
            4 => doc! { "deletion": deletion("Deleting") },
            5 => doc! { "deletion": deletion("Failed") },
            6 => doc! { "deletion": deletion("Completed") },
            _ => doc! {},
        });
        // Every other one that is stored has its receipt, and is safe.
        if n % 10 > 3 && n % 2 == 0 {
            let mut receipt = receipt.clone();
            receipt.insert("_id", format!("{n:064x}"));
            let number = i64::try_from(n)? + 100;
            receipt
                .get_document_mut("metadata")?
                .extend(doc! { "number": number, "job": &job, "upload": &upload });
            receipts.push(receipt);
        }
        lines.push(line);
    }
    world.database().collection("backups").insert_many(lines).await?;
    world.database().collection("receipts.files").insert_many(receipts).await?;
    Ok((world, browser))
}

fn upload(n: usize) -> String {
    format!("01700000-0000-7000-8000-{n:012}")
}

fn reason(code: &str, sentence: &str) -> Document {
    doc! { "code": code, "sentence": sentence }
}

fn deletion(status: &str) -> Document {
    let at = DateTime::from_millis(1_619_000_000_000);
    doc! { "status": status, "by": "Admin", "asked": at, "changed": at, "passed_on": true, "why": "It timed out." }
}

/// The lines of a page: the upload, and the line's markup without places to break words.
fn lines(page: &str) -> Vec<(String, String)> {
    let rows = page.split(r#"<tr class="leads">"#).skip(1);
    let line = |row: &str| {
        let row = row.split("</tr>").next()?.replace("<wbr>", "");
        let (_, rest) = row.split_once(r#"class="lead" href="/retention/backups/"#)?;
        Some((rest.split('"').next()?.to_owned(), row))
    };
    rows.filter_map(line).collect()
}

fn uploads(page: &str) -> Vec<String> {
    lines(page).into_iter().map(|(upload, _)| upload).collect()
}

/// Where a page's link with this relation leads.
fn link(page: &str, relation: &str) -> Option<String> {
    let (_, rest) = page.split_once(&format!(r#"rel="{relation}" href=""#))?;
    let address = rest.split('"').next()?;
    Some(address.replace("&amp;", "&").replace("&#38;", "&"))
}

/// All lines from a page on, by the links of a relation.
async fn walk(browser: &mut Browser, from: &str, relation: &str) -> Result<Vec<Vec<String>>> {
    let (mut pages, mut next) = (Vec::new(), Some(from.to_owned()));
    while let Some(address) = next {
        let page = browser.get(&address).await?;
        ensure!(page.status == 200, "{address}: {page:?}");
        pages.push(uploads(&page.body));
        next = link(&page.body, relation);
        ensure!(pages.len() < 20, "the pages of {from} do not end");
    }
    Ok(pages)
}

/// Every line of the log as the database has it.
async fn all(world: &World) -> Result<Vec<Document>> {
    use futures_util::TryStreamExt;
    let backups = world.database().collection::<Document>("backups");
    Ok(backups.find(doc! {}).await?.try_collect().await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_is_on_one_page_in_whatever_order_the_log_is_sorted() -> Result<()> {
    let (world, mut browser) = furnished().await?;
    let documents = all(&world).await?;
    let number = |line: &Document, name: &str| match line.get(name) {
        Some(Bson::Int64(number)) => *number,
        Some(Bson::Int32(number)) => i64::from(*number),
        _ => 0,
    };
    let key = |sort: &str, upload: &str| -> Result<(i64, String)> {
        let line = documents.iter().find(|line| line.get_str("_id").is_ok_and(|id| id == upload));
        let line = line.context("the log has this line")?;
        Ok(match sort {
            "made" => (line.get_datetime("taken")?.timestamp_millis(), String::new()),
            "file" => (0, line.get_str("file")?.to_owned()),
            "size" => (number(line.get_document("progress")?, "bytes_total"), String::new()),
            "files" => (number(line.get_document("progress")?, "entries_total"), String::new()),
            _ => {
                let deletion = line.get_document("deletion").ok();
                let words = match deletion.map(|deletion| deletion.get_str("status")).transpose()? {
                    Some("Deleting") => "Deleting data...",
                    Some("Failed") => "Failed to delete data",
                    Some(status) => status,
                    None => "Backup uploaded",
                };
                (0, words.to_owned())
            }
        })
    };
    for sort in ["made", "file", "size", "files", "status", "data"] {
        for sort in [sort.to_owned(), format!("-{sort}")] {
            let there = walk(&mut browser, &format!("{LOG}?sort={sort}"), "next").await?;
            ensure!(there.iter().map(Vec::len).collect::<Vec<_>>() == [30, 30, 11], "{there:?}");
            let found: Vec<String> = there.concat();
            let distinct: BTreeSet<&String> = found.iter().collect();
            ensure!(distinct.len() == ADDED + 1, "{sort}: a line is twice, or not at all");
            // From its end, the same lines the other way.
            let back = walk(&mut browser, &format!("{LOG}?sort={sort}&at=last"), "prev").await?;
            let back: Vec<String> = back.into_iter().rev().flatten().collect();
            ensure!(back == found, "{sort}: {back:?} is not {found:?}");
            let name = sort.trim_start_matches('-');
            if name == "data" {
                continue;
            }
            let mut keys = Vec::new();
            for upload in &found {
                keys.push(key(name, upload)?);
            }
            if sort.starts_with('-') {
                keys.reverse();
            }
            ensure!(keys.is_sorted(), "{sort}: {keys:?}");
        }
    }

    // By condition: trouble first, and the newest first among equals.
    let mut conditions = Vec::new();
    let mut next = Some(format!("{LOG}?sort=data"));
    while let Some(address) = next {
        let page = browser.get(&address).await?.body;
        for (upload, line) in lines(&page) {
            let condition = Condition::ALL.iter().position(|it| {
                let is_stored = *it != Condition::Storing;
                line.contains(&format!(">{}</span>", it.words())) == is_stored
                    && (is_stored || line.contains("<progress"))
            });
            conditions.push((condition.context("a condition")?, -key("made", &upload)?.0));
        }
        next = link(&page, "next");
    }
    ensure!(conditions.is_sorted(), "{conditions:?}");
    let kinds: BTreeSet<usize> = conditions.iter().map(|(kind, _)| *kind).collect();
    ensure!(kinds.len() == Condition::ALL.len() - 1, "not every condition is there: {kinds:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_filtered_and_what_it_finds_is_taken_away() -> Result<()> {
    let (world, mut browser) = furnished().await?;
    for (query, expected) in [
        ("", 71),
        ("q=00001007", 1),
        ("q=ACME", 70),
        ("q=nothing+like+it", 0),
        ("from=2021-01-01&until=2021-01-02", 4),
        ("until=2020-12-31", 0),
        ("status=Uploading", 0),
        ("status=Uploaded", 50),
        ("status=Deleting", 7),
        ("status=Failed", 7),
        ("status=Completed", 7),
        ("data=rejected", 7),
        ("data=replaced", 4),
        ("data=acknowledged", 3),
        ("data=waiting", 7),
        ("data=storing", 7),
        ("data=received", 0),
        ("data=only-copy", 7),
        // Of those that are stored, every other one of the added has a receipt.
        ("data=safe", 15),
        ("data=not-yet", 21),
        ("data=not-yet&status=Failed", 7),
        ("data=safe&sort=-size&q=acme", 15),
    ] {
        let address = format!("{LOG}?{query}");
        let pages = walk(&mut browser, &address, "next").await?;
        let found: BTreeSet<String> = pages.concat().into_iter().collect();
        ensure!(found.len() == expected, "{query}: {} and not {expected}", found.len());
        let page = browser.get(&address).await?.body;
        ensure!((expected == 0) == page.contains("No backup fits"), "{query}: {page}");

        let json = browser.get(&format!("/retention/log.json?{query}")).await?;
        let json: Value = serde_json::from_str(&json.body).with_context(|| json.body.clone())?;
        let rows = json["backups"].as_array().context("a list")?;
        let exported: Vec<&str> = rows.iter().filter_map(|row| row["upload_id"].as_str()).collect();
        ensure!(exported == pages.concat(), "{query}: not what the log shows, in its order");
        let csv = browser.get(&format!("/retention/log.csv?{query}")).await?.body;
        ensure!(csv.matches("\r\n").count() == expected + 1, "{query}: {csv}");
    }
    for nonsense in ["status=Gone", "data=fine", "sort=colour", "from=2021-02-30", "after=!"] {
        for path in [LOG, "/retention/log.csv", "/retention/log.json"] {
            let answer = browser.get(&format!("{path}?{nonsense}")).await?;
            ensure!(answer.status == 400, "{path} {nonsense}: {answer:?}");
        }
    }

    let csv = browser.get("/retention/log.csv?q=00001007").await?;
    ensure!(csv.header("content-type") == "text/csv; charset=utf-8", "{csv:?}");
    ensure!(csv.header("content-disposition").contains("backup-log-"), "{csv:?}");
    let (head, line) = csv.body.split_once("\r\n").context("a head and a line")?;
    ensure!(head.starts_with("date_and_time,file_name,total_data_size_bytes,"), "{head}");
    let start = "2021-01-04T00:00:00Z,backup_=1+1_";
    ensure!(line.starts_with(start) && line.contains(",\"'=1+1\","), "{line}");
    ensure!(line.contains(",5000000,2,Backup uploaded,Not yet,"), "{line}");

    let audit = world.database().collection::<Document>("audit");
    let event = audit.find_one(doc! { "action": "download", "subject": "/retention/log.csv" });
    let event = event.sort(doc! { "_id": -1 }).await?.context("the export is in the audit log")?;
    ensure!(event.get_str("detail")? == "text \"00001007\"", "{event}");
    let listed =
        doc! { "action": "list", "detail": "status Failed to delete data, data here Not yet" };
    ensure!(audit.count_documents(listed).await? > 0, "what was listed is not in the audit log");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_thirty_lines_asks_no_more_often_than_a_page_of_one() -> Result<()> {
    let (world, mut browser) = furnished().await?;
    let database = world.database();
    let profiled = database.collection::<Document>("system.profile");
    let mut asked = Vec::new();
    for (query, expected) in [("q=00001004", 1), ("data=safe", 15), ("", 30)] {
        database.run_command(doc! { "profile": 2 }).await?;
        let page = browser.get(&format!("{LOG}?{query}")).await?.body;
        database.run_command(doc! { "profile": 0 }).await?;
        ensure!(lines(&page).len() == expected, "{query}: {page}");
        asked.push(
            profiled.count_documents(doc! { "ns": { "$not": { "$regex": "profile" } } }).await?,
        );
        profiled.drop().await?;
    }
    ensure!(asked[0] > 5, "nothing was asked: {asked:?}");
    ensure!(asked.iter().max() <= Some(&(asked[0] + 4)), "{asked:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_say_the_verdict_and_administrators_can_delete_what_is_safe_from_there() -> Result<()>
{
    let staff = json!([{ "_id": "s1", "id": "e1", "displayName": "Mei Wong",
        "email": "mei@acme.example", "status": "Activated" }]);
    let sample = Sample::new(10).with("lc-data-server/staff.json", staff.to_string());
    let (mut world, mut browser, line) = with(&sample).await?;
    activate(&mut browser, "e1", &[("see-calls", "on")]).await?;
    let mut staff = signed_in(&world, "mei@acme.example").await?;
    let delete = format!("{LOG}/{}/delete", line.get_str("_id")?);
    let button = format!(r#"href="{delete}">Delete from maaiiconnect</a>"#);
    for (browser, may) in [(&mut browser, true), (&mut staff, false)] {
        let page = browser.get(LOG).await?.body;
        let (_, line) = lines(&page).pop().context("a line")?;
        for words in
            ["Backup uploaded", "Safe to delete", "Stored on 1 of 1, archive kept, no findings"]
        {
            ensure!(line.contains(words), "{words:?} is not in {line}");
        }
        ensure!(line.contains(&button) == may, "{line}");
        ensure!(page.contains("/retention/settings") == may, "{page}");
    }

    // One with a finding that stands in the way, and the first one's archive taken away.
    let lost = r#"[{"_id":"f9","fileID":"lost","path":"data-retention/room1/lost.png"}]"#;
    let second = Sample::new(10).with("file-management/more.json", lost);
    world.upload(&archives::write(world.directory(), 2, &second.bytes()?)?).await?;
    world.wait_state(&job(2), State::Stored, PATIENCE).await?;
    let kept = world.state_directory().join("archive/2021").join(archives::name(1));
    std::fs::rename(&kept, world.directory().join("elsewhere.zip"))?;
    until("the second was looked at", || {
        let mut browser = browser.clone();
        async move {
            let page = browser.get(LOG).await?.body;
            Ok(lines(&page).iter().any(|(_, line)| {
                line.contains("archive kept, 1 finding") && !line.contains("more.")
            }))
        }
    })
    .await?;
    let page = browser.get(&format!("{LOG}?sort=made")).await?.body;
    let shown = lines(&page);
    for (line, words) in [
        (&shown[0].1, "The archive should be kept and is not there."),
        (&shown[0].1, "archive missing"),
        (&shown[1].1, "A record names a medium that the archive does not hold."),
    ] {
        ensure!(line.contains("Not yet") && line.contains(words), "{words:?} is not in {line}");
        ensure!(!line.contains("Delete from maaiiconnect"), "{line}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_are_listed_to_administrators_and_counted_for_others() -> Result<()> {
    let staff = json!([{ "_id": "s1", "id": "e1", "displayName": "Mei Wong",
        "email": "mei@acme.example", "status": "Activated" }]);
    let mut sample = Sample::new(5).with("lc-data-server/staff.json", staff.to_string());
    for n in 0..230 {
        sample = sample.with(&format!("data-retention/room2/note {n:03} 訊息.txt"), format!("{n}"));
    }
    let (world, mut browser, line) = with(&sample).await?;
    let page = format!("{LOG}/{}", line.get_str("_id")?);
    let own = browser.get(&page).await?.body;
    ensure!(own.contains(&format!(r#"href="{page}/entries""#)), "{own}");

    let names = |page: &str| -> Vec<String> {
        let cells = page.replace("<wbr>", "").replace(r#"<span class="token">"#, "");
        let cells = cells.split(r#"data-title="Name"><a class="lead" href=""#).skip(1);
        let names = cells.filter_map(|cell| cell.split_once('>')?.1.split('<').next());
        names.map(str::to_owned).collect()
    };
    let (mut found, mut pages, mut next) =
        (Vec::new(), Vec::new(), Some(format!("{page}/entries")));
    while let Some(address) = next {
        let page = browser.get(&address).await?.body;
        found.extend(names(&page));
        next = link(&page, "next");
        pages.push(page);
    }
    let held: Vec<String> = sample.entries().iter().map(|(name, _)| name.clone()).collect();
    ensure!(found == held && pages.len() == 3, "{} pages: {found:?}", pages.len());
    ensure!(pages[0].contains("236 entries") && pages[0].contains("Medium"), "{}", pages[0]);
    let digest = "5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9";
    ensure!(pages[0].contains(digest), "the digest of \"0\" is missing: {}", pages[0]);
    let back = link(&pages[2], "prev").context("a page before")?;
    ensure!(names(&browser.get(&back).await?.body) == names(&pages[1]));
    let last = browser.get(&format!("{page}/entries?at=last")).await?.body;
    ensure!(names(&last) == held[held.len() - 100..], "{last}");
    for nonsense in ["at=7", "at=x", "at=99999999"] {
        let answer = browser.get(&format!("{page}/entries?{nonsense}")).await?;
        ensure!(answer.status == 400, "{nonsense}: {answer:?}");
    }

    // Each opens as it was delivered, and nothing else does.
    let entry = |name: &str| {
        let name: String = form_urlencoded::byte_serialize(name.as_bytes()).collect();
        format!("{page}/entry?name={name}")
    };
    ensure!(pages[0].contains(&format!(r#"href="{}""#, entry(&held[0]))), "{}", pages[0]);
    for (name, contents) in sample.entries().iter().take(6) {
        let (status, bytes) = browser.take(&entry(name)).await?;
        ensure!(status == 200 && bytes == *contents, "{name}: {status}");
    }
    let json = browser.get(&entry(&held[0])).await?;
    ensure!(json.header("content-type") == "text/plain; charset=utf-8", "{json:?}");
    ensure!(json.header("content-security-policy").contains("sandbox"), "{json:?}");
    ensure!(browser.get(&entry("history/../../x")).await?.status == 404);
    ensure!(browser.get(&format!("{page}/entry")).await?.status == 400);
    let audit = world.database().collection::<Document>("audit");
    let viewed = doc! { "subject": format!("{page}/entry"), "detail": &held[0], "action": "view" };
    ensure!(audit.count_documents(viewed).await? == 2, "it is not in the audit log");

    activate(&mut browser, "e1", &[("see-files", "on")]).await?;
    let mut staff = signed_in(&world, "mei@acme.example").await?;
    let shown = staff.get(&format!("{page}/entries")).await?.body;
    ensure!(shown.contains("236 entries") && shown.contains("Only administrators"), "{shown}");
    ensure!(!shown.contains("note 0") && names(&shown).is_empty(), "{shown}");
    ensure!(staff.get(&entry(&held[0])).await?.status == 403);
    let seen = doc! { "account": "Admin", "subject": format!("{page}/entries"), "detail": "names of its files" };
    ensure!(audit.count_documents(seen).await? >= 4, "what was seen is not in the audit log");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_with_far_fewer_records_than_those_before_it_says_so() -> Result<()> {
    let (world, mut browser, line) = with(&Sample::new(30)).await?;
    let path = format!("{LOG}/{}", line.get_str("_id")?);
    let page = browser.get(&path).await?.body;
    ensure!(!page.contains("than usual"), "there is nothing to compare with: {page}");
    let mut lines = Vec::new();
    for (n, messages) in [400_i64, 200, 300].into_iter().enumerate() {
        let mut line = line.clone();
        let taken = line.get_datetime("taken")?.timestamp_millis();
        let taken = DateTime::from_millis(taken - 86_400_000 * i64::try_from(n + 1)?);
        let job = job(2000 + u32::try_from(n)?);
        line.extend(doc! { "_id": upload(n), "job": job, "taken": taken });
        let records = line.get_document_mut("progress")?.get_document_mut("records")?;
        records.extend(doc! { "message": messages, "call": 12_i64 });
        lines.push(line);
    }
    world.database().collection("backups").insert_many(lines).await?;
    let page = browser.get(&path).await?.body;
    let row = |name: &str| {
        let rows = page.split("<tr>").map(|row| row.split("</tr>").next().unwrap_or_default());
        rows.filter(|row| row.contains(&format!(">{name}<"))).map(str::to_owned).next()
    };
    let messages = row("Messages").context("a row of messages")?;
    for words in ["far fewer than usual", ">30<", ">400<", ">300<"] {
        ensure!(messages.contains(words), "{words:?} is not in {messages}");
    }
    let calls = row("Calls").context("a row of what is missing")?;
    ensure!(calls.contains("none, and there always were some"), "{calls}");
    let files = row("Shared files").context("a row of files")?;
    ensure!(!files.contains("usual"), "{files}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_on_its_way_has_a_live_bar_and_its_rate() -> Result<()> {
    let (world, mut browser, line) = with(&Sample::new(3)).await?;
    let mut noise = vec![0; 4_000_000];
    rand::rng().fill_bytes(&mut noise);
    let sample = Sample::new(3).with("data-retention/room1/noise.bin", noise);
    let file = archives::write(world.directory(), 5, &sample.bytes()?)?;
    let name = archives::name(5);
    let _client = world.sftp.begin_slow_put(&file, &name, 2000)?;
    let bar = |browser: &Browser| {
        let (mut browser, name) = (browser.clone(), name.clone());
        async move {
            let progress: Value =
                serde_json::from_str(&browser.get("/retention/progress").await?.body)?;
            let bars = progress["bars"].as_array().cloned().unwrap_or_default();
            anyhow::Ok(bars.into_iter().find(|bar| bar["id"] == name.as_str()))
        }
    };
    until("the rate of the upload is shown", || async {
        let Some(bar) = bar(&browser).await? else { return Ok(false) };
        let text = bar["text"].as_str().unwrap_or_default().to_owned();
        // Nothing suggests how large it will be.
        ensure!(bar["percent"].is_null(), "{bar}");
        Ok(text.contains("so far") && text.contains("B/s") && !text.contains(" 0 bytes/s"))
    })
    .await?;
    let page = browser.get(LOG).await?.body;
    let indeterminate = r#"<progress max="100" aria-label="On its way"></progress>"#;
    ensure!(page.contains(indeterminate) && page.contains("Uploading backup..."), "{page}");
    for (query, shown) in [("status=Uploading", true), ("status=Uploaded", false), ("q=zzz", false)]
    {
        let page = browser.get(&format!("{LOG}?{query}")).await?.body;
        ensure!(page.contains(indeterminate) == shown, "{query}: {page}");
    }

    // Once there are backups before it, they suggest it.
    let mut before = Vec::new();
    for n in 0..3 {
        let mut line = line.clone();
        let taken = DateTime::from_millis(1_600_000_000_000);
        line.extend(doc! { "_id": upload(n), "job": job(3000 + u32::try_from(n)?), "taken": taken, "size_bytes": 5_000_000_i64 });
        before.push(line);
    }
    world.database().collection("backups").insert_many(before).await?;
    let bar = bar(&browser).await?.context("it is still on its way")?;
    ensure!(bar["percent"].as_u64().is_some_and(|percent| percent < 100), "{bar}");
    let text = bar["text"].as_str().unwrap_or_default();
    ensure!(text.contains("those before had about 5.0 MB"), "{bar}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_tried_again_and_again_does_not_drive_out_how_it_began() -> Result<()> {
    let world = World::start(Options::default()).await?;
    let store = world.store()?;
    let (upload, now) = (upload(1).parse::<UploadId>()?, Timestamp::from_second(1_700_000_000)?);
    store
        .add_backup(&NewBackup {
            upload: upload.clone(),
            name: archives::name(9).parse()?,
            size_bytes: 1,
            arrived: now,
            // Nobody's, so that nobody looks for its file.
            directory: DirectoryId::new(1, 1),
            senders: None,
        })
        .await?;
    let (mut state, mut storing) = (State::Claimed, Claimed.begin());
    let at = |n: i64| now + SignedDuration::from_secs(n);
    for n in 0..120 {
        let why = if n < 100 { "$disk is away." } else { "The database is away." };
        let why = Reason::new(WaitCode::ArchiveUnreadable, why);
        let waiting = storing.clone().wait(why);
        store.change_backup(&upload, state, Change::Storing(storing), at(2 * n)).await?;
        storing = waiting.clone().resume();
        let waits = Change::Waiting(waiting);
        store.change_backup(&upload, State::Storing, waits, at(2 * n + 1)).await?;
        state = State::Waiting;
    }
    let backup = store.backup(&upload).await?.context("it is there")?;
    let told: Vec<_> = backup
        .history
        .iter()
        .map(|event| (event.what, event.said.as_deref().unwrap_or_default()))
        .collect();
    let expected = [
        (What::Claimed, ""),
        (What::Waiting, "$disk is away."),
        (What::Storing, ""),
        (What::Waiting, "The database is away."),
    ];
    ensure!(told == expected, "{told:?}");
    // The time is that of the last.
    let last = backup.history.last().context("an event")?.at;
    ensure!(last.duration_since(now).as_secs() == 239, "{last}");
    ensure!(backup.begun.is_none(), "nothing of it is in the store");
    Ok(())
}
