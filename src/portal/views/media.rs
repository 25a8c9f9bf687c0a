//! Media: shown or played in the browser, or taken away as files.
//!
//! A player seeks with ranges, which are read straight from the store. What is
//! shown is boxed in: whatever a file holds, it cannot act in the portal's name.

use warp::{
    http::{StatusCode, header},
    reply::Response,
};

use super::record::file_name;
use crate::{
    portal::{
        answer, columns, disposition,
        errors::Error,
        gate::{Download, May, Opened, See},
        mime::{self, Kind, Show},
        range::{self, Wanted},
        request::Request,
    },
    store::{RecordKey, browse::Row},
};

/// What a medium may do in the browser: be itself, and nothing else.
const MEDIA_POLICY: &str = "default-src 'none'; img-src 'self'; media-src 'self'; \
    style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'";
/// Browsers refuse to open a PDF in a sandbox; their viewers are one of their own.
const PDF_POLICY: &str = "default-src 'none'; object-src 'self'; \
    style-src 'unsafe-inline'; frame-ancestors 'none'";

/// Shows or plays the medium of a record.
pub(in crate::portal) async fn show(may: May<See>, request: Request) -> Result<Response, Error> {
    let key = key(&request)?;
    let opened = may.open(&request, &key).await?;
    let kind = kind(&opened);
    if kind.show == Show::Never {
        // What browsers do not show can only be taken away, which is another permission.
        return if may.may_download() {
            let address = columns::address(may.data_type(), &key);
            Ok(answer::redirect(&format!("{address}/download")))
        } else {
            Err(Error::Forbidden)
        };
    }
    Ok(send(&opened, &request, kind, false))
}

/// Sends the medium of a record as a file.
pub(in crate::portal) async fn download(
    may: May<Download>,
    request: Request,
) -> Result<Response, Error> {
    let opened = may.take(&request, &key(&request)?).await?;
    Ok(send(&opened, &request, kind(&opened), true))
}

/// Sends a record as a file, as it was delivered.
pub(in crate::portal) async fn download_record(
    may: May<Download>,
    request: Request,
) -> Result<Response, Error> {
    let (record, opened) = may.take_record(&request, &key(&request)?).await?;
    let mut response = match opened {
        Some(opened) => send(&opened, &request, mime::kind("record.json", None), true),
        None => answer::json(record.raw.clone()),
    };
    let name = format!("{}-{}.json", may.data_type().as_str(), record.row.key);
    answer::set(&mut response, header::CONTENT_DISPOSITION, &disposition::header(true, &name));
    Ok(response)
}

fn key(request: &Request) -> Result<RecordKey, Error> {
    request.capture(1).parse().map_err(|_| Error::NotFound)
}

fn kind(opened: &Opened) -> Kind {
    let row = &opened.record.row;
    mime::kind(&opened.medium.entry, columns::text(row, "mime"))
}

fn send(opened: &Opened, request: &Request, kind: Kind, attachment: bool) -> Response {
    let length = opened.medium.length_bytes;
    let tag = format!("\"{}\"", opened.medium.id);
    let wanted = if answer::if_range_allows(request.header(header::IF_RANGE), &tag) {
        range::wanted(request.header(header::RANGE), length)
    } else {
        Wanted::Whole
    };
    let (status, start, end) = match wanted {
        Wanted::Whole => (StatusCode::OK, 0, length),
        Wanted::Part(start, end) => (StatusCode::PARTIAL_CONTENT, start, end),
        Wanted::Beyond => (StatusCode::RANGE_NOT_SATISFIABLE, 0, 0),
    };
    let mut response = if request.is_head() || start == end {
        Response::default()
    } else {
        answer::stream(opened.bytes(start, end))
    };
    *response.status_mut() = status;
    let mut set = |name, value: &str| answer::set(&mut response, name, value);
    match wanted {
        Wanted::Whole => {}
        Wanted::Part(..) => {
            set(header::CONTENT_RANGE, &format!("bytes {start}-{}/{length}", end - 1));
        }
        Wanted::Beyond => set(header::CONTENT_RANGE, &format!("bytes */{length}")),
    }
    set(header::CONTENT_LENGTH, &(end - start).to_string());
    set(header::CONTENT_TYPE, kind.mime);
    set(header::ACCEPT_RANGES, "bytes");
    set(header::ETAG, &tag);
    let name = name(&opened.record.row, &opened.medium.entry);
    set(header::CONTENT_DISPOSITION, &disposition::header(attachment, &name));
    set(header::CONTENT_SECURITY_POLICY, policy(kind));
    set(header::CACHE_CONTROL, "private, no-store");
    response
}

/// What a medium of this kind may do in the browser.
pub(super) fn policy(kind: Kind) -> &'static str {
    if kind.mime == "application/pdf" { PDF_POLICY } else { MEDIA_POLICY }
}

/// What a file is called where it is kept: as in its record, with the extension
/// that its entry in the archive has.
fn name(row: &Row, entry: &str) -> String {
    let name = file_name(row);
    let extension = entry
        .rsplit('/')
        .next()
        .and_then(|entry| entry.rsplit_once('.'))
        .map(|(_, extension)| extension)
        .filter(|extension| extension.len() <= 8);
    match extension {
        Some(extension)
            if !name.to_lowercase().ends_with(&format!(".{}", extension.to_lowercase())) =>
        {
            format!("{name}.{extension}")
        }
        _ => name,
    }
}
