//! What kind of file a medium is, and whether a browser may show it.
//!
//! Only kinds that cannot carry a script of their own are shown; everything
//! else is only ever offered for keeping. SVG and HTML are among the rest.

/// A kind of medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind {
    /// Its media type as it is sent.
    pub(super) mime: &'static str,
    /// How it is shown.
    pub(super) show: Show,
}

/// How a browser shows a medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Show {
    /// As a picture.
    Picture,
    /// With a player for sound.
    Sound,
    /// With a player for moving pictures.
    Film,
    /// On a page of its own.
    Document,
    /// Not at all.
    Never,
}

const UNKNOWN: Kind = Kind { mime: "application/octet-stream", show: Show::Never };

const KINDS: &[(&[&str], &str, Show)] = &[
    (&["jpg", "jpeg"], "image/jpeg", Show::Picture),
    (&["png"], "image/png", Show::Picture),
    (&["gif"], "image/gif", Show::Picture),
    (&["webp"], "image/webp", Show::Picture),
    (&["bmp"], "image/bmp", Show::Picture),
    (&["avif"], "image/avif", Show::Picture),
    (&["wav"], "audio/wav", Show::Sound),
    (&["mp3"], "audio/mpeg", Show::Sound),
    (&["m4a"], "audio/mp4", Show::Sound),
    (&["aac"], "audio/aac", Show::Sound),
    (&["ogg", "oga", "opus"], "audio/ogg", Show::Sound),
    (&["flac"], "audio/flac", Show::Sound),
    (&["amr"], "audio/amr", Show::Sound),
    (&["weba"], "audio/webm", Show::Sound),
    (&["mp4", "m4v"], "video/mp4", Show::Film),
    (&["webm"], "video/webm", Show::Film),
    (&["mov"], "video/quicktime", Show::Film),
    (&["pdf"], "application/pdf", Show::Document),
    (&["txt", "log", "csv", "md"], "text/plain; charset=utf-8", Show::Document),
    (&["json"], "application/json", Show::Never),
    (&["zip"], "application/zip", Show::Never),
    (&["doc"], "application/msword", Show::Never),
    (&["xls"], "application/vnd.ms-excel", Show::Never),
    (&["ppt"], "application/vnd.ms-powerpoint", Show::Never),
    (
        &["docx"],
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        Show::Never,
    ),
    (&["xlsx"], "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", Show::Never),
    (
        &["pptx"],
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        Show::Never,
    ),
];

/// The kind of a file with this name, or, where the name tells nothing, with the
/// media type that its record gives.
pub(super) fn kind(name: &str, claimed: Option<&str>) -> Kind {
    let extension = name.rsplit(['/', '\\']).next().and_then(|name| name.rsplit_once('.'));
    let by_name = extension.and_then(|(_, extension)| {
        let extension = extension.to_ascii_lowercase();
        KINDS.iter().find(|(extensions, ..)| extensions.contains(&extension.as_str()))
    });
    let by_claim = || {
        let claimed = claimed?.split(';').next()?.trim().to_ascii_lowercase();
        let claimed = match claimed.as_str() {
            "image/jpg" => "image/jpeg",
            "audio/x-wav" | "audio/wave" | "audio/vnd.wave" => "audio/wav",
            "audio/mp3" => "audio/mpeg",
            "audio/x-m4a" | "audio/m4a" => "audio/mp4",
            other => other,
        };
        KINDS.iter().find(|(_, mime, _)| mime.split(';').next() == Some(claimed))
    };
    by_name.or_else(by_claim).map_or(UNKNOWN, |(_, mime, show)| Kind { mime, show: *show })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_run_a_script_is_never_shown() {
        for (name, claimed, mime, show) in [
            ("a/b/photo.JPG", None, "image/jpeg", Show::Picture),
            ("call.wav", Some("text/html"), "audio/wav", Show::Sound),
            ("noextension", Some("audio/x-wav"), "audio/wav", Show::Sound),
            (
                "noextension",
                Some("text/plain; charset=x"),
                "text/plain; charset=utf-8",
                Show::Document,
            ),
            ("page.html", None, "application/octet-stream", Show::Never),
            ("page.svg", Some("image/svg+xml"), "application/octet-stream", Show::Never),
            ("page", Some("text/html"), "application/octet-stream", Show::Never),
            ("a.tar.gz", None, "application/octet-stream", Show::Never),
            (".jpg", None, "image/jpeg", Show::Picture),
            ("", None, "application/octet-stream", Show::Never),
        ] {
            assert_eq!(kind(name, claimed), Kind { mime, show }, "{name} {claimed:?}");
        }
    }
}
