//! How far uploads on their way and backups being stored are, in words and for the script that moves
//! their bars.
//!
//! How large an upload will be maaiiconnect alone can say. Where it does not, nothing here may claim to
//! know.

use serde::Serialize;
use sha2::{Digest, Sha256};
use warp::reply::Response;

use crate::{
    backup::{Progress, pace},
    portal::{
        answer,
        cells::{counted, size},
        errors::Error,
        gate::{OnItsWay, SignedIn, UnderWay},
        request::Request,
    },
};

/// How often browsers without scripts load a page again while something is under way.
pub(super) const REFRESH_SECONDS: u32 = 5;

#[derive(Serialize)]
struct News<'a> {
    signature: String,
    bars: Vec<Bar<'a>>,
}

#[derive(Serialize)]
struct Bar<'a> {
    id: &'a str,
    /// Nothing where the whole is not known.
    percent: Option<u8>,
    text: String,
}

/// How far backups under way are, for the script. It names no person and is asked
/// every second, so it is not in the audit log.
pub(in crate::portal) async fn bars(who: SignedIn, _request: Request) -> Result<Response, Error> {
    let under_way = who.under_way().await?;
    let stored = under_way.unfinished.iter().map(|backup| Bar {
        id: backup.upload.as_str(),
        percent: Some(backup.progress.percent()),
        text: storing(&backup.progress, who.bytes_per_second(&backup.upload)),
    });
    let uploads = under_way.coming.iter().filter(|coming| !coming.upload.interrupted);
    let uploads = uploads.map(|coming| Bar {
        id: &coming.upload.file,
        percent: percent(coming),
        text: uploading(coming),
    });
    let news = News { signature: watched(&under_way), bars: stored.chain(uploads).collect() };
    let json = serde_json::to_string(&news).map_err(|error| Error::Input(error.to_string()))?;
    Ok(answer::json(json))
}

/// After how many seconds a page is loaded again where there are no scripts.
pub(super) fn refresh(under_way: &UnderWay) -> Option<u32> {
    (!watched(under_way).is_empty()).then_some(REFRESH_SECONDS)
}

/// What the script watches; empty where nothing is under way.
pub(super) fn watched(under_way: &UnderWay) -> String {
    let UnderWay { coming, awaited, unfinished, deletions } = under_way;
    let is_quiet = coming.is_empty() && unfinished.is_empty() && deletions.is_empty();
    if is_quiet && awaited.is_empty() {
        return String::new();
    }
    signature(under_way)
}

/// How far a backup is that is being stored, and at what pace, in words.
pub(super) fn storing(progress: &Progress, bytes_per_second: Option<u64>) -> String {
    let (done, total) = (progress.bytes_done, progress.bytes_total);
    if total == 0 {
        return "being opened".to_owned();
    }
    let mut text = format!("{} %, {} of {}", progress.percent(), size(done), size(total));
    if let Some(rate) = bytes_per_second {
        text.push_str(&format!(", {}/s", size(rate)));
        let left = pace::seconds_left(total.saturating_sub(done), rate);
        text.extend(left.map(|seconds| format!(", {}", time_left(seconds))));
    }
    text
}

/// How much of an upload has arrived, and at what pace, in words.
pub(super) fn uploading(coming: &OnItsWay) -> String {
    let OnItsWay { upload, whole_bytes, .. } = coming;
    let rate = upload.bytes_per_second;
    if let Some(whole) = whole_bytes {
        let percent = percent(coming).unwrap_or_default();
        let mut text = format!("{percent} %, {} of {}", size(upload.size_bytes), size(*whole));
        text.extend(rate.map(|rate| format!(", {}/s", size(rate))));
        let left = whole.saturating_sub(upload.size_bytes);
        let seconds = rate.and_then(|rate| pace::seconds_left(left, rate));
        text.extend(seconds.map(|seconds| format!(", {}", time_left(seconds))));
        return text;
    }
    let mut text = format!("{} so far", size(upload.size_bytes));
    text.extend(rate.map(|rate| format!(", {}/s", size(rate))));
    if let (Some(usual), true) = (coming.usual_bytes, percent(coming).is_some()) {
        text.push_str(&format!("; those before had about {}", size(usual)));
    }
    text
}

/// How far an upload is; where nobody says how large it will be, how far it would be if it were as
/// large as those before it.
pub(super) fn percent(coming: &OnItsWay) -> Option<u8> {
    let so_far = coming.upload.size_bytes;
    let whole = match coming.whole_bytes {
        Some(whole) => whole.max(1),
        None => coming.usual_bytes.filter(|usual| so_far < *usual)?,
    };
    u8::try_from(u128::from(so_far.min(whole)) * 100 / u128::from(whole)).ok()
}

fn time_left(seconds: u64) -> String {
    match (seconds, seconds.div_ceil(60), seconds.div_ceil(3600)) {
        (0..60, ..) => "less than a minute left".to_owned(),
        (60..3600, minutes, _) => format!("about {} left", counted(minutes, "minute", "minutes")),
        (.., hours) => format!("about {} left", counted(hours, "hour", "hours")),
    }
}

/// Changes whenever what a page shows of backups under way is out of date, but
/// for bars and sizes, which a script keeps up to date.
fn signature(under_way: &UnderWay) -> String {
    let mut digest = Sha256::new();
    for OnItsWay { upload, .. } in &under_way.coming {
        digest.update(&upload.file);
        digest.update([0, u8::from(upload.interrupted)]);
    }
    digest.update([1]);
    for backup in &under_way.unfinished {
        digest.update(backup.upload.as_str());
        digest.update(backup.state.as_str());
    }
    digest.update([2]);
    for backup in &under_way.awaited {
        digest.update(backup.job.as_str());
        digest.update([0, u8::from(backup.archive_bytes.is_some())]);
        digest.update(backup.trouble.as_deref().unwrap_or_default());
    }
    digest.update([3]);
    for upload in &under_way.deletions {
        digest.update(upload.as_str());
    }
    hex::encode(&digest.finalize()[..8])
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::portal::Arriving;

    fn coming(size_bytes: u64, interrupted: bool) -> OnItsWay {
        let upload = Arriving {
            file: "a.zip".into(),
            size_bytes,
            since: Timestamp::UNIX_EPOCH,
            bytes_per_second: None,
            interrupted,
        };
        OnItsWay { upload, whole_bytes: None, usual_bytes: None }
    }

    fn under_way(coming: Vec<OnItsWay>) -> UnderWay {
        UnderWay { coming, awaited: vec![], unfinished: vec![], deletions: vec![] }
    }

    #[test]
    fn a_page_is_out_of_date_once_an_upload_moves_on() {
        let deletion = "01790000-0000-7000-8000-000000000000".parse().expect("an id");
        let deleting = UnderWay { deletions: vec![deletion], ..under_way(vec![]) };
        assert_eq!(watched(&under_way(vec![])), "");
        let signatures = [
            signature(&under_way(vec![])),
            signature(&under_way(vec![coming(1, false)])),
            signature(&under_way(vec![coming(1, true)])),
            watched(&deleting),
        ];
        assert_eq!(signatures[1], signature(&under_way(vec![coming(2, false)])));
        for (index, one) in signatures.iter().enumerate() {
            assert!(signatures[index + 1..].iter().all(|other| other != one));
        }
    }

    #[test]
    fn what_is_being_stored_has_a_percentage_a_pace_and_an_end() {
        for (done, total, rate, expected) in [
            (0, 0, None, "being opened"),
            (0, 0, Some(5), "being opened"),
            (25, 100, None, "25 %, 25 bytes of 100 bytes"),
            (
                2_000_000_000,
                8_000_000_000,
                Some(50_000_000),
                "25 %, 2.0 GB of 8.0 GB, 50 MB/s, about 2 minutes left",
            ),
            (1, 100, Some(0), "1 %, 1 byte of 100 bytes, 0 bytes/s"),
            (99, 100, Some(1), "99 %, 99 bytes of 100 bytes, 1 byte/s, less than a minute left"),
            (0, 7201, Some(1), "0 %, 0 bytes of 7.2 kB, 1 byte/s, about 3 hours left"),
        ] {
            let progress = Progress { bytes_done: done, bytes_total: total, ..Progress::default() };
            assert_eq!(storing(&progress, rate), expected);
        }
    }

    #[test]
    fn an_upload_whose_size_maaiiconnect_tells_has_an_end() {
        for (so_far, rate, whole, percentage, words) in [
            (1_500_000, None, 6_000_000, 25, "25 %, 1.5 MB of 6.0 MB"),
            (
                1_500_000,
                Some(50_000),
                6_000_000,
                25,
                "25 %, 1.5 MB of 6.0 MB, 50 kB/s, about 2 minutes left",
            ),
            (7_000_000, None, 6_000_000, 100, "100 %, 7.0 MB of 6.0 MB"),
            (0, None, 0, 0, "0 %, 0 bytes of 0 bytes"),
        ] {
            let mut upload = coming(so_far, false);
            upload.upload.bytes_per_second = rate;
            upload.whole_bytes = Some(whole);
            upload.usual_bytes = Some(1);
            assert_eq!(percent(&upload), Some(percentage));
            assert_eq!(uploading(&upload), words);
        }
    }

    #[test]
    fn nobody_knows_how_large_an_upload_will_be_and_those_before_it_only_suggest_it() {
        for (so_far, rate, usual, percentage, words) in [
            (1_500_000, None, None, None, "1.5 MB so far"),
            (1_500_000, Some(3_000_000), None, None, "1.5 MB so far, 3.0 MB/s"),
            (
                1_500_000,
                None,
                Some(6_000_000),
                Some(25),
                "1.5 MB so far; those before had about 6.0 MB",
            ),
            (6_000_000, Some(0), Some(6_000_000), None, "6.0 MB so far, 0 bytes/s"),
        ] {
            let mut upload = coming(so_far, false);
            upload.upload.bytes_per_second = rate;
            upload.usual_bytes = usual;
            assert_eq!(percent(&upload), percentage);
            assert_eq!(uploading(&upload), words);
        }
    }
}
