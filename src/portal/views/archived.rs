//! An entry of an archive that is kept, as it was delivered: record files as text, media as they can be
//! shown, all else to be taken away.

use tokio_util::io::ReaderStream;
use warp::{http::header, reply::Response};

use super::{ask, media};
use crate::{
    audit::Action,
    portal::{
        answer, disposition,
        errors::Error,
        gate::Administrator,
        mime::{self, Show},
        request::Request,
    },
};

/// What record files are sent as: browsers show it, and run nothing in it.
const TEXT: &str = "text/plain; charset=utf-8";

/// How much is read from the file at a time.
const PIECE_BYTES: usize = 128 * 1024;

/// Where an entry of a backup is shown.
pub(super) fn address(backup: &str, name: &str) -> String {
    ask::address(&format!("{backup}/entry"), [("name", Some(name.to_owned()))], None)
}

/// Shows an entry, or hands it out where a browser does not show its kind.
pub(in crate::portal) async fn entry(
    administrator: Administrator,
    request: Request,
) -> Result<Response, Error> {
    let name = request.query("name").ok_or_else(|| Error::Input("Which entry?".into()))?.to_owned();
    let kind = mime::kind(&name, None);
    let is_json = name.to_ascii_lowercase().ends_with(".json");
    let is_text = is_json || administrator.is_record_file(&name);
    let is_shown = is_text || kind.show != Show::Never;
    let action = if is_shown { Action::View } else { Action::Download };
    let entry = administrator.archived_entry(&request, request.capture(0), &name, action).await?;
    let mut response = if request.is_head() {
        Response::default()
    } else {
        let file = tokio::fs::File::from_std(entry.file);
        answer::stream(ReaderStream::with_capacity(file, PIECE_BYTES))
    };
    let mut set = |name, value: &str| answer::set(&mut response, name, value);
    set(header::CONTENT_LENGTH, &entry.length_bytes.to_string());
    set(header::CONTENT_TYPE, if is_text { TEXT } else { kind.mime });
    let file = name.rsplit(['/', '\\']).next().unwrap_or(&name);
    set(header::CONTENT_DISPOSITION, &disposition::header(!is_shown, file));
    set(header::CONTENT_SECURITY_POLICY, media::policy(kind));
    set(header::CACHE_CONTROL, "private, no-store");
    Ok(response)
}
