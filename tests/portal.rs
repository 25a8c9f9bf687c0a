//! The portal as its visitors meet it: who gets what, and who is turned away.

use std::{collections::HashSet, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use futures_util::TryStreamExt;
use mongodb::bson::{Document, doc};
use retention::{
    backup::{BackupName, State},
    portal::routes,
};
use serde_json::json;

use crate::{
    archives::{self, Sample},
    browser::Browser,
    world::{Options, World, until},
};

const PATIENCE: Duration = Duration::from_secs(60);

/// The password of every account but the first.
const PASSWORD: &str = "a quiet Harbour 2021";

/// What has to be filled in for a placeholder, found in the stored backup.
struct Places {
    upload: String,
    key: String,
    room: String,
    eid: String,
    account: String,
}

/// A route, and the status that each visitor gets: nobody in particular, an account that may see
/// something else, one that may see and download this, and an administrator.
///
/// What changes something is sent without its form's token here, so that nothing is changed.
type Row = (&'static str, &'static str, &'static str, [u16; 4]);

const TABLE: &[Row] = &[
    ("GET", "/sign-in", "/sign-in", [200, 303, 303, 303]),
    ("POST", "/sign-in", "/sign-in", [200, 200, 200, 200]),
    ("GET", "/assets/{name}", "/assets/no-such-file", [404, 404, 404, 404]),
    ("GET", "/healthz", "/healthz", [200, 200, 200, 200]),
    ("GET", "/readyz", "/readyz", [200, 200, 200, 200]),
    ("GET", "/metrics", "/metrics", [200, 200, 200, 200]),
    ("POST", "/sign-out", "/sign-out", [303, 403, 403, 403]),
    ("GET", "/", "/", [303, 200, 200, 200]),
    ("GET", "/retention/backups", "/retention/backups", [303, 200, 200, 200]),
    ("GET", "/retention/log.csv", "/retention/log.csv", [303, 200, 200, 200]),
    ("GET", "/retention/log.json", "/retention/log.json", [303, 200, 200, 200]),
    ("GET", "/retention/backups/{upload}", "/retention/backups/UPLOAD", [303, 200, 200, 200]),
    (
        "GET",
        "/retention/backups/{upload}/entries",
        "/retention/backups/UPLOAD/entries",
        [303, 200, 200, 200],
    ),
    (
        "GET",
        "/retention/backups/{upload}/entry",
        "/retention/backups/UPLOAD/entry?name=history%2Fmessage.json",
        [303, 403, 403, 200],
    ),
    (
        "GET",
        "/retention/backups/{upload}/receipt",
        "/retention/backups/UPLOAD/receipt",
        [303, 403, 403, 200],
    ),
    (
        "GET",
        "/retention/backups/{upload}/receipt/signature",
        "/retention/backups/UPLOAD/receipt/signature",
        [303, 200, 200, 200],
    ),
    (
        "GET",
        "/retention/backups/{upload}/receipt/signers",
        "/retention/backups/UPLOAD/receipt/signers",
        [303, 200, 200, 200],
    ),
    (
        "GET",
        "/retention/backups/{upload}/delete",
        "/retention/backups/UPLOAD/delete",
        [303, 403, 403, 200],
    ),
    (
        "POST",
        "/retention/backups/{upload}/delete",
        "/retention/backups/UPLOAD/delete",
        [303, 403, 403, 403],
    ),
    (
        "POST",
        "/retention/backups/{upload}/outcome",
        "/retention/backups/UPLOAD/outcome",
        [303, 403, 403, 403],
    ),
    (
        "POST",
        "/retention/backups/{upload}/elsewhere",
        "/retention/backups/UPLOAD/elsewhere",
        [303, 403, 403, 403],
    ),
    (
        "POST",
        "/retention/backups/{upload}/responsibility",
        "/retention/backups/UPLOAD/responsibility",
        [303, 403, 403, 403],
    ),
    (
        "POST",
        "/retention/backups/{upload}/acknowledgement",
        "/retention/backups/UPLOAD/acknowledgement",
        [303, 403, 403, 403],
    ),
    ("GET", "/retention/cloud/{job}/upload", "/retention/cloud/JOB/upload", [303, 403, 403, 404]),
    ("POST", "/retention/cloud/{job}/upload", "/retention/cloud/JOB/upload", [303, 403, 403, 403]),
    ("GET", "/retention/progress", "/retention/progress", [303, 200, 200, 200]),
    ("GET", "/retention/settings", "/retention/settings", [303, 403, 403, 200]),
    ("GET", "/retention/settings/sheet", "/retention/settings/sheet", [303, 403, 403, 200]),
    ("POST", "/retention/settings/power", "/retention/settings/power", [303, 403, 403, 403]),
    ("POST", "/retention/settings/general", "/retention/settings/general", [303, 403, 403, 403]),
    ("POST", "/retention/settings/online", "/retention/settings/online", [303, 403, 403, 403]),
    ("POST", "/retention/settings/offline", "/retention/settings/offline", [303, 403, 403, 403]),
    ("POST", "/retention/settings/keys", "/retention/settings/keys", [303, 403, 403, 403]),
    (
        "POST",
        "/retention/settings/keys/fetch",
        "/retention/settings/keys/fetch",
        [303, 403, 403, 403],
    ),
    (
        "POST",
        "/retention/settings/keys/generate",
        "/retention/settings/keys/generate",
        [303, 403, 403, 403],
    ),
    (
        "POST",
        "/retention/settings/keys/remove",
        "/retention/settings/keys/remove",
        [303, 403, 403, 403],
    ),
    (
        "POST",
        "/retention/settings/test/{what}",
        "/retention/settings/test/sftp",
        [303, 403, 403, 403],
    ),
    ("GET", "/health", "/health", [303, 200, 200, 200]),
    ("POST", "/health/test", "/health/test", [303, 403, 403, 403]),
    ("GET", "/records/{view}", "/records/voicemails", [303, 403, 200, 200]),
    ("GET", "/records/{view}/{key}", "/records/voicemails/KEY", [303, 403, 200, 200]),
    ("GET", "/records/{view}/{key}/medium", "/records/voicemails/KEY/medium", [303, 403, 200, 200]),
    (
        "GET",
        "/records/{view}/{key}/download",
        "/records/voicemails/KEY/download",
        [303, 403, 200, 200],
    ),
    ("GET", "/records/{view}/{key}/record", "/records/voicemails/KEY/record", [303, 403, 200, 200]),
    ("GET", "/conversations/{view}/{room}", "/conversations/messages/ROOM", [303, 403, 200, 200]),
    ("GET", "/accounts", "/accounts", [303, 403, 403, 200]),
    ("GET", "/accounts/{name}", "/accounts/ACCOUNT", [303, 403, 403, 200]),
    ("POST", "/accounts/{name}/password", "/accounts/ACCOUNT/password", [303, 403, 403, 403]),
    ("POST", "/accounts/{name}/permissions", "/accounts/ACCOUNT/permissions", [303, 403, 403, 403]),
    ("POST", "/accounts/{name}/active", "/accounts/ACCOUNT/active", [303, 403, 403, 403]),
    ("GET", "/activate/{eid}", "/activate/EID", [303, 403, 403, 200]),
    ("POST", "/activate/{eid}", "/activate/EID", [303, 403, 403, 403]),
    ("GET", "/audit", "/audit", [303, 403, 403, 200]),
    ("GET", "/password", "/password", [303, 200, 200, 200]),
    ("POST", "/password", "/password", [303, 403, 403, 403]),
    ("GET", "/zone", "/zone", [303, 200, 200, 200]),
    ("POST", "/zone", "/zone", [303, 403, 403, 403]),
];

#[test]
fn every_route_has_a_row() {
    let rows: HashSet<(&str, &str)> =
        TABLE.iter().map(|(method, pattern, ..)| (*method, *pattern)).collect();
    let routes: HashSet<(&str, &str)> =
        routes::table().into_iter().map(|route| (route.method, route.pattern)).collect();
    assert_eq!(rows, routes);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_visitor_gets_from_every_route_what_the_table_says() -> Result<()> {
    let (world, places) = furnished().await?;
    let mut administrator = Browser::new(&world)?;
    administrator.sign_in("Admin", &Options::default().admin_password).await?;
    let staff = staff(&world).await?;
    let [(eid_without, without), (eid_with, with), ..] = staff.as_slice() else {
        anyhow::bail!("too few members of staff: {staff:?}");
    };
    let contacts = [("see-contacts", "on"), ("download-contacts", "on")];
    activate(&mut administrator, eid_without, &contacts).await?;
    let all = ["voicemails", "messages"].map(|view| format!("download-{view}"));
    let all: Vec<(&str, &str)> = all.iter().map(|name| (name.as_str(), "on")).collect();
    activate(&mut administrator, eid_with, &all).await?;

    let mut visitors = [
        ("nobody", Browser::new(&world)?),
        ("an account without the permission", signed_in(&world, without).await?),
        ("an account with the permission", signed_in(&world, with).await?),
        ("an administrator", administrator),
    ];
    for (method, pattern, path, expected) in TABLE {
        for ((who, browser), expected) in visitors.iter_mut().zip(expected) {
            let path = places.fill(path, with);
            let answer = if *method == "GET" {
                browser.get(&path).await
            } else {
                browser.post(&path, &[]).await
            };
            let answer = answer.with_context(|| format!("{method} {pattern} of {who}"))?;
            ensure!(
                answer.status == *expected,
                "{method} {pattern} gives {who} {} and not {expected}: {}",
                answer.status,
                answer.body
            );
            let turned_away = *who == "nobody" && *expected == 303;
            ensure!(!turned_away || answer.header("location").starts_with("/sign-in"));
            ensure!(answer.header("cache-control").contains("no-store"), "{method} {pattern}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_medium_is_played_in_parts_and_whoever_played_it_is_in_the_audit_log() -> Result<()> {
    let (world, places) = furnished().await?;
    let mut browser = Browser::new(&world)?;
    browser.sign_in("Admin", &Options::default().admin_password).await?;
    let path = places.fill("/records/voicemails/KEY/medium", "");
    let audit = world.database().collection::<Document>("audit");
    let before = audit.count_documents(doc! { "account": "Admin" }).await?;
    let whole = browser.get(&path).await?;
    ensure!(audit.count_documents(doc! { "account": "Admin" }).await? == before + 1);
    let length: usize = whole.header("content-length").parse()?;
    for (range, status, content_range) in [
        ("bytes=10-19", 206, format!("bytes 10-19/{length}")),
        ("bytes=-5", 206, format!("bytes {}-{}/{length}", length - 5, length - 1)),
        (&format!("bytes={length}-"), 416, format!("bytes */{length}")),
    ] {
        let part = browser.get_part(&path, range).await?;
        ensure!(part.status == status, "{range}: {part:?}");
        ensure!(part.header("content-range") == content_range, "{range}: {part:?}");
    }
    ensure!(whole.header("accept-ranges") == "bytes", "{whole:?}");
    ensure!(whole.header("content-type").starts_with("audio/"), "{whole:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_with_signing_out_and_with_the_account() -> Result<()> {
    let (world, places) = furnished().await?;
    let mut administrator = Browser::new(&world)?;
    administrator.sign_in("Admin", &Options::default().admin_password).await?;
    activate(&mut administrator, &places.eid, &[("see-calls", "on")]).await?;
    let account = &places.account;

    let mut browser = signed_in(&world, account).await?;
    let signed_out = browser.submit("/sign-out", &[]).await?;
    ensure!(signed_out.status == 303, "{signed_out:?}");
    ensure!(browser.get("/records/calls").await?.status == 303, "signed out, and still in");

    let mut browser = signed_in(&world, account).await?;
    let copy = &mut browser.clone();
    ensure!(browser.get("/records/calls").await?.status == 200);
    let path = format!("/accounts/{account}/active");
    let deactivated = administrator.submit(&path, &[("active", "no")]).await?;
    ensure!(deactivated.status == 303, "{deactivated:?}");
    ensure!(copy.get("/records/calls").await?.status == 303, "deactivated, and still in");
    let again = browser.sign_in(account, PASSWORD).await;
    ensure!(again.is_err(), "deactivated, and signed in");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_find_the_end_of_a_long_message_and_own_up_to_what_has_no_time() -> Result<()> {
    let (mut world, mut browser) = empty().await?;
    let long = json!({ "_id": "long", "type": "im", "roomID": "r", "ts": "2021-05-01T08:00:00Z",
        "msgText": format!("{}the very end", "so it goes ".repeat(15_000 / 11 + 1)) });
    let undated = json!({ "_id": "undated", "type": "im", "roomID": "r", "msgText": "whenever" });
    let sample = Sample::new(2).with("history/more.json", json!([long, undated]).to_string());
    let file = archives::write(world.directory(), 1, &sample.bytes()?)?;
    world.upload(&file).await?;
    world.wait_state(&archives::job(1), State::Stored, PATIENCE).await?;

    let list = browser.get("/records/messages?q=the+very+end").await?.body;
    ensure!(found(&list) == ["long%231"], "not found by its end: {list}");
    ensure!(!list.contains(&"so it goes ".repeat(100)), "the list shows all of a long text");

    let list = browser.get("/records/messages?from=2021-05-01&until=2021-05-01").await?.body;
    ensure!(!found(&list).contains(&"undated%231"), "no time lies in no range: {list}");
    ensure!(list.contains("1 record") && list.contains("/records/messages?undated=1"), "{list}");
    let list = browser.get("/records/messages?undated=1").await?.body;
    ensure!(found(&list) == ["undated%231"], "not just those without a time: {list}");
    let list = browser.get("/records/messages?from=2021-05-01&q=the+very+end").await?.body;
    ensure!(!list.contains("undated=1"), "nothing that matches has no time: {list}");
    for nonsense in
        ["messages?undated=1&from=2021-05-01", "staff?undated=1", "calls?as-of=2021-05-01"]
    {
        let answer = browser.get(&format!("/records/{nonsense}")).await?;
        ensure!(answer.status == 400, "{nonsense}: {answer:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_named_as_they_write_themselves_and_pictures_are_shown() -> Result<()> {
    let (mut world, mut browser) = empty().await?;
    let staff = json!([{ "_id": "s1", "id": "e1", "displayName": "Mei Wong",
        "status": "Activated", "avatarUrl": "data-retention/avatars/a.png" }]);
    let contacts = json!([{ "_id": "c1", "id": "e2", "firstName": "家豪", "lastName": "梁" }]);
    let conferences = json!([{ "_id": "v1", "fromEID": "e1", "callDate": "2021-05-01T08:00:00Z",
        "callConferenceList": [{ "toEID": "e2" }] }]);
    let sample = Sample::new(1)
        .with("lc-data-server/staff.json", staff.to_string())
        .with("dynamic-phonebook/contact.json", contacts.to_string())
        .with("history/conference.json", conferences.to_string())
        .with("data-retention/avatars/a.png", b"\x89PNG\r\n\x1a\n".to_vec());
    let file = archives::write(world.directory(), 1, &sample.bytes()?)?;
    world.upload(&file).await?;
    world.wait_state(&archives::job(1), State::Stored, PATIENCE).await?;

    let list = browser.get("/records/contacts?q=%E6%A2%81%E5%AE%B6%E8%B1%AA").await?.body;
    ensure!(list.contains("梁家豪") && list.contains("1 record<"), "not found by name: {list}");
    let page = browser.get("/records/conferences/v1%231").await?.body;
    ensure!(page.contains("梁家豪"), "somebody who took part has no name: {page}");
    let page = browser.get("/records/staff/s1%231").await?.body;
    ensure!(page.contains(r#"<img src="/records/staff/s1%231/medium""#), "no picture: {page}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_log_is_filtered_by_an_index_and_its_pages_keep_the_filter() -> Result<()> {
    let (world, mut browser) = empty().await?;
    ensure!(Browser::new(&world)?.sign_in("mallory", "let me in, please").await.is_err());
    for n in 0..105 {
        let listed = browser.get(&format!("/records/calls?q=number+{n}")).await?;
        ensure!(listed.status == 200, "{listed:?}");
    }
    browser.get("/retention/backups").await?;
    world.database().run_command(doc! { "profile": 2 }).await?;
    let page = browser.get("/audit?account=Admin&action=list").await?.body;
    world.database().run_command(doc! { "profile": 0 }).await?;
    let finds = world.database().collection::<Document>("system.profile");
    let finds = finds.find(doc! { "command.find": "audit" }).await?;
    let finds: Vec<Document> = finds.try_collect().await?;
    ensure!(!finds.is_empty(), "the log was not read");
    for find in finds {
        let plan = find.get_str("planSummary")?;
        ensure!(plan.contains("account: 1") || plan.contains("action: 1"), "{find}");
        ensure!(!find.contains_key("hasSortStage"), "sorted by hand: {find}");
        // One more than the page has tells whether there is another.
        ensure!(find.get_i32("docsExamined")? <= 101, "it looks at more than it shows: {find}");
    }

    // The look at the log itself is the newest.
    ensure!(page.contains("107 events") && !page.contains("mallory"), "{page}");
    let (_, next) = page.split_once(r#"rel="next" href=""#).context("there is a next page")?;
    let next =
        next.split('"').next().unwrap_or_default().replace("&amp;", "&").replace("&#38;", "&");
    ensure!(next.starts_with("/audit?account=Admin&action=list&after="), "{next}");
    let page = browser.get(&next).await?.body;
    ensure!(page.matches("<tr class=\"leads\">").count() == 7, "not the 7 older ones: {page}");
    ensure!(page.contains("number 0") && !page.contains("number 90"), "{page}");

    for (query, some, other) in [
        ("action=sign-in-refused", "mallory", "/records/calls"),
        ("q=%22number+7%22", "number 7", "number 70"),
        ("q=%2Fretention%2F", "/retention/backups", "/records/calls"),
        ("until=2021-01-01", "No such event", "class=\"leads\""),
        ("account=mallory&from=2021-01-01", "mallory", "/records/calls"),
    ] {
        // What was looked for stands in the form, too, and long words may be broken.
        let page = browser.get(&format!("/audit?{query}")).await?.body.replace("<wbr>", "");
        let (_, table) = page.rsplit_once("</form>").context("there is a form")?;
        ensure!(table.contains(some) && !table.contains(other), "{query}: {page}");
    }
    ensure!(browser.get("/audit?action=dance").await?.status == 400);
    Ok(())
}

/// The keys of the records that a list shows.
fn found(list: &str) -> Vec<&str> {
    let links = list.split(r#"class="lead" href="/records/messages/"#).skip(1);
    links.filter_map(|rest| rest.split('"').next()).collect()
}

/// A world without a backup, and its administrator.
async fn empty() -> Result<(World, Browser)> {
    let world = World::start(Options::default()).await?;
    let mut browser = Browser::new(&world)?;
    browser.sign_in("Admin", &Options::default().admin_password).await?;
    Ok((world, browser))
}

/// A world with a stored backup in it.
async fn furnished() -> Result<(World, Places)> {
    let mut world = World::start(Options::default()).await?;
    let name =
        "backup_acme.maaiiconnect.example_55125cfe-0535-4b4e-a885-54b5fa1f0a3c_20210601020000.zip";
    world.upload(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)).await?;
    let name: BackupName = name.parse()?;
    let backup = world.wait_state(name.job.as_str(), State::Stored, PATIENCE).await?;
    world.receipt(name.job.as_str()).await?;
    let kept = world.state_directory().join("archive/2021").join(name.as_str());
    until("the archive is kept", || async { Ok(kept.exists()) }).await?;
    let voicemails = world.database().collection::<Document>("voicemails");
    let with_medium = doc! { "medium": { "$exists": true } };
    let voicemail = voicemails.find_one(with_medium).await?.context("there is a voicemail")?;
    let messages = world.database().collection::<Document>("messages");
    let message = messages.find_one(doc! {}).await?.context("there is a message")?;
    let staff = staff(&world).await?;
    let (eid, account) = staff.last().context("there is staff")?.clone();
    let places = Places {
        upload: backup.get_str("_id")?.to_owned(),
        key: voicemail.get_str("_id")?.replace('#', "%23"),
        room: message.get_document("raw")?.get_str("roomID")?.to_owned(),
        eid,
        account,
    };
    Ok((world, places))
}

impl Places {
    fn fill(&self, path: &str, account: &str) -> String {
        path.replace("UPLOAD", &self.upload)
            .replace("KEY", &self.key)
            .replace("ROOM", &self.room)
            .replace("EID", &self.eid)
            .replace("ACCOUNT", account)
    }
}

/// Members of staff who can be given an account: id and name of the account.
pub(crate) async fn staff(world: &World) -> Result<Vec<(String, String)>> {
    let staff = world.database().collection::<Document>("staff");
    let mut members = Vec::new();
    let mut found = staff.find(doc! { "raw.status": "Activated" }).sort(doc! { "_id": 1 }).await?;
    while let Some(member) = found.try_next().await? {
        let raw = member.get_document("raw")?;
        members.push((raw.get_str("id")?.to_owned(), raw.get_str("email")?.to_owned()));
    }
    Ok(members)
}

/// Gives a member of staff an account with these permissions.
pub(crate) async fn activate(
    administrator: &mut Browser,
    eid: &str,
    boxes: &[(&str, &str)],
) -> Result<()> {
    let mut form = vec![("scope", "selected"), ("new", PASSWORD), ("again", PASSWORD)];
    form.extend_from_slice(boxes);
    let answer = administrator.submit(&format!("/activate/{eid}"), &form).await?;
    ensure!(answer.status == 303, "{eid} cannot be activated: {answer:?}");
    Ok(())
}

/// The browser of an account that was activated here.
pub(crate) async fn signed_in(world: &World, account: &str) -> Result<Browser> {
    let mut browser = Browser::new(world)?;
    browser.sign_in(account, PASSWORD).await?;
    Ok(browser)
}
