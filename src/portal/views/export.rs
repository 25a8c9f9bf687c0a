//! The Backup Log to take away: as CSV for a spreadsheet, as JSON for a program.
//!
//! Sizes are in bytes and times in UTC, so that nothing has to be guessed. Lines are sent as they are
//! read and judged. A spreadsheet must never take a name for a formula.

use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use serde::Serialize;
use warp::{http::header, reply::Response};

use super::{
    backup_line,
    coming::{self, Coming},
    log::Ask,
};
use crate::{
    backup::{BackupName, State},
    portal::{
        answer, disposition,
        errors::Error,
        gate::{Judged, SignedIn},
        request::Request,
        zone::Zone,
    },
    store,
};

/// One line of what is exported, in the order of its columns.
#[derive(Debug, Default, Serialize)]
struct Row {
    date_and_time: Option<Timestamp>,
    file_name: String,
    total_data_size_bytes: Option<u64>,
    backup_files: Option<u64>,
    status: &'static str,
    data_here: &'static str,
    reasons: Vec<String>,
    accepted: Vec<String>,
    stored_on_nodes: Option<u32>,
    data_nodes: Option<u32>,
    findings: Option<u64>,
    archive: Option<&'static str>,
    archive_size_bytes: Option<u64>,
    receipt: Option<u64>,
    upload_complete: Option<Timestamp>,
    service: String,
    job_id: String,
    upload_id: String,
    sha256: Option<String>,
}

/// The names of the columns.
const COLUMNS: [&str; 19] = [
    "date_and_time",
    "file_name",
    "total_data_size_bytes",
    "backup_files",
    "status",
    "data_here",
    "reasons",
    "accepted",
    "stored_on_nodes",
    "data_nodes",
    "findings",
    "archive",
    "archive_size_bytes",
    "receipt",
    "upload_complete",
    "service",
    "job_id",
    "upload_id",
    "sha256",
];

/// What the filter of the log finds, as CSV (RFC 4180).
pub(in crate::portal) async fn csv(who: SignedIn, request: Request) -> Result<Response, Error> {
    let head = COLUMNS.join(",") + "\r\n";
    let rows = rows(&who, &request).await?;
    let lines = rows.map_ok(|rows| rows.iter().map(Row::csv).collect::<String>());
    let text = stream::once(async { Ok(head) }).chain(lines).map_ok(Bytes::from);
    Ok(sent(answer::stream(text), "text/csv; charset=utf-8", "csv", &request))
}

/// The same as JSON.
pub(in crate::portal) async fn json(who: SignedIn, request: Request) -> Result<Response, Error> {
    let filter = Ask::read(&request)?.detail();
    let about = serde_json::json!({ "exported": request.now(), "filter": filter }).to_string();
    let head = format!("{},\"backups\":[", about.trim_end_matches('}'));
    let rows = rows(&who, &request).await?;
    let mut is_first = true;
    let lines = rows.map_ok(move |rows| {
        let mut text = String::new();
        for row in &rows {
            text.push_str(if std::mem::take(&mut is_first) { "\n" } else { ",\n" });
            text.push_str(&row.json());
        }
        text
    });
    let (head, tail) =
        (stream::once(async { Ok(head) }), stream::once(async { Ok("\n]}\n".into()) }));
    let text = head.chain(lines).chain(tail).map_ok(Bytes::from);
    Ok(sent(answer::stream(text), "application/json", "json", &request))
}

/// What the filter finds: uploads on their way first, as the log shows them.
async fn rows(
    who: &SignedIn,
    request: &Request,
) -> Result<impl Stream<Item = Result<Vec<Row>, store::Error>> + Send + use<>, Error> {
    let (ask, zone) = (Ask::read(request)?, Zone::of(request));
    let lines = who.export_log(request, &ask.query(&zone), ask.detail()).await?;
    let (missing, under_way) = (who.missing().await?, who.under_way().await?);
    let coming = coming::all(&missing, &under_way).filter(|one| ask.fits(one, &zone));
    let coming = coming.map(|one| Row::coming(&one)).collect();
    let lines = lines.map_ok(|lines| lines.iter().map(Row::new).collect::<Vec<_>>());
    Ok(stream::once(async { Ok(coming) }).chain(lines))
}

fn sent(mut response: Response, mime: &str, ending: &str, request: &Request) -> Response {
    let name = format!("backup-log-{}.{ending}", request.now().strftime("%Y-%m-%d-%H%M"));
    answer::set(&mut response, header::CONTENT_TYPE, mime);
    answer::set(&mut response, header::CONTENT_DISPOSITION, &disposition::header(true, &name));
    response
}

impl Row {
    fn new(judged: &Judged) -> Self {
        let (backup, looked) = (&judged.backup, &judged.looked);
        let is_stored = backup.state == State::Stored;
        let entries = backup.progress.entries_total;
        Self {
            date_and_time: Some(backup.taken),
            file_name: backup.file.clone(),
            total_data_size_bytes: backup.total_data_bytes(),
            backup_files: (entries > 0).then_some(entries),
            status: backup.retention_status().words(),
            data_here: judged.condition().words(),
            reasons: backup_line::reasons(judged),
            accepted: backup_line::accepted(judged),
            stored_on_nodes: looked.nodes.map(|nodes| nodes.have_it),
            data_nodes: looked.nodes.map(|nodes| nodes.all),
            findings: is_stored.then(|| backup_line::remarkable(judged)),
            archive: is_stored.then(|| backup_line::archive(looked.kept)),
            archive_size_bytes: Some(backup.size_bytes),
            receipt: looked.receipt.as_ref().map(|receipt| receipt.number),
            upload_complete: Some(backup.arrived),
            service: backup.service.clone(),
            job_id: backup.job.to_string(),
            upload_id: backup.upload.to_string(),
            sha256: backup.sha256.clone(),
        }
    }

    fn coming(coming: &Coming<'_>) -> Self {
        let name = coming.file().parse::<BackupName>().ok();
        Self {
            date_and_time: Some(coming.made()),
            file_name: coming.file().to_owned(),
            status: coming.status().words(),
            data_here: coming.word(),
            reasons: coming.note().into_iter().collect(),
            service: name.as_ref().map(|name| name.service.clone()).unwrap_or_default(),
            job_id: name.map(|name| name.job.to_string()).unwrap_or_default(),
            ..Self::default()
        }
    }

    fn json(&self) -> String {
        // Texts, numbers and lists of texts can always be written.
        serde_json::to_string(self).unwrap_or_default()
    }

    fn csv(&self) -> String {
        let number = |number: Option<u64>| number.map(|it| it.to_string()).unwrap_or_default();
        let time = |time: Option<Timestamp>| time.map(|it| it.to_string()).unwrap_or_default();
        let cells = [
            time(self.date_and_time),
            text(&self.file_name),
            number(self.total_data_size_bytes),
            number(self.backup_files),
            text(self.status),
            text(self.data_here),
            text(&self.reasons.join(" ")),
            text(&self.accepted.join(" ")),
            number(self.stored_on_nodes.map(u64::from)),
            number(self.data_nodes.map(u64::from)),
            number(self.findings),
            text(self.archive.unwrap_or_default()),
            number(self.archive_size_bytes),
            number(self.receipt),
            time(self.upload_complete),
            text(&self.service),
            text(&self.job_id),
            text(&self.upload_id),
            text(self.sha256.as_deref().unwrap_or_default()),
        ];
        cells.join(",") + "\r\n"
    }
}

/// A text as a cell. Spreadsheets take what begins like a formula for one, also in quotes; an
/// apostrophe before it tells them that it is a text.
fn text(text: &str) -> String {
    let is_formula =
        text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
    let guard = if is_formula { "'" } else { "" };
    if text.contains(['"', ',', '\r', '\n']) || is_formula {
        return format!("\"{guard}{}\"", text.replace('"', "\"\""));
    }
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spreadsheet_takes_no_text_for_a_formula_and_no_comma_for_a_column() {
        for (given, expected) in [
            ("", ""),
            ("backup_acme.zip", "backup_acme.zip"),
            ("Stored on 1 of 2. 5 more", "Stored on 1 of 2. 5 more"),
            ("a, \"b\"", "\"a, \"\"b\"\"\""),
            ("two\nlines", "\"two\nlines\""),
            ("=1+1", "\"'=1+1\""),
            ("+1", "\"'+1\""),
            ("-1", "\"'-1\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
            ("\t=1", "\"'\t=1\""),
            ("＝1", "\"'＝1\""),
            ("=HYPERLINK(\"x\")", "\"'=HYPERLINK(\"\"x\"\")\""),
        ] {
            assert_eq!(text(given), expected, "{given:?}");
        }
    }

    #[test]
    fn both_exports_have_the_same_columns_in_the_same_order() {
        let row = Row {
            date_and_time: Some("2021-05-01T02:00:00Z".parse().expect("a time")),
            file_name: "b.zip".into(),
            total_data_size_bytes: Some(2_000_000),
            status: "Backup uploaded",
            reasons: vec!["One.".into(), "Two, or more.".into()],
            accepted: vec!["Three. Accepted by Admin: Four.".into()],
            ..Row::default()
        };
        let json = row.json();
        let mut last = 0;
        for column in COLUMNS {
            let at = json.find(&format!("\"{column}\":")).expect(column);
            assert!(at > last, "{column} is in another place: {json}");
            last = at;
        }
        let members: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(&json).expect("an object");
        assert_eq!(members.len(), COLUMNS.len());
        let csv = row.csv();
        let start = "2021-05-01T02:00:00Z,b.zip,2000000,,Backup uploaded,,\"One. Two, or more.\",\
                     Three. Accepted by Admin: Four.,";
        assert!(csv.starts_with(start) && csv.ends_with("\r\n"), "{csv}");
        assert_eq!(csv.matches(',').count(), COLUMNS.len());
    }
}
