//! The style sheet, the script and the icon: inside the binary, under names that
//! change with their contents, so that browsers may keep them for ever.

use std::sync::LazyLock;

use sha2::{Digest, Sha256};

/// One file.
#[derive(Debug)]
pub(super) struct Asset {
    /// Its path in the portal.
    pub(super) path: String,
    /// Its media type.
    pub(super) mime: &'static str,
    /// Its contents.
    pub(super) bytes: &'static [u8],
}

/// All files that pages refer to.
#[derive(Debug)]
pub(super) struct Assets {
    /// The style sheet.
    pub(super) style: Asset,
    /// The script.
    pub(super) script: Asset,
    /// The icon in the browser's tab.
    pub(super) icon: Asset,
}

static ASSETS: LazyLock<Assets> = LazyLock::new(|| Assets {
    style: asset("portal.css", "text/css; charset=utf-8", include_bytes!("assets/portal.css")),
    script: asset(
        "portal.js",
        "text/javascript; charset=utf-8",
        include_bytes!("assets/portal.js"),
    ),
    icon: asset("portal.svg", "image/svg+xml", include_bytes!("assets/portal.svg")),
});

impl Assets {
    /// The files.
    pub(super) fn get() -> &'static Self {
        &ASSETS
    }

    /// The file at a path.
    pub(super) fn find(&self, path: &str) -> Option<&Asset> {
        [&self.style, &self.script, &self.icon].into_iter().find(|asset| asset.path == path)
    }
}

fn asset(name: &str, mime: &'static str, bytes: &'static [u8]) -> Asset {
    let digest = hex::encode(&Sha256::digest(bytes)[..6]);
    let (stem, extension) = name.split_once('.').unwrap_or((name, ""));
    Asset { path: format!("/assets/{stem}-{digest}.{extension}"), mime, bytes }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_under_the_names_that_pages_use() {
        let assets = Assets::get();
        for asset in [&assets.style, &assets.script, &assets.icon] {
            assert_eq!(assets.find(&asset.path).map(|found| found.mime), Some(asset.mime));
            assert!(!asset.bytes.is_empty());
        }
        assert!(assets.find("/assets/portal.css").is_none());
    }
}
