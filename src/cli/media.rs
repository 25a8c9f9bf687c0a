//! `retention media examine FILE`: can this medium be read?

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use clap::{Args, Subcommand};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::output;
use crate::{
    backup::examined::{Finding, Outcome},
    examine::{
        child::{Decoder, OWN_PROGRAM, UNCONFINED},
        decode,
        shelved::OnDisk,
    },
};

const AFTER_HELP: &str = "\
What kind of medium a file is, is told by its bytes, never by its name. It is then decoded to its
end, by a process of its own that can open nothing, has 256 MiB of memory and limited time:
  pictures   JPEG, PNG, GIF, WebP, BMP, TIFF: every row
  sound      WAV, MP3, AAC, M4A, FLAC, Ogg Vorbis and Opus: every packet
  video      MP4, MOV, WebM, Matroska: every sample is read and the sound decoded; of H.264 the
             parameter sets and each slice's header are parsed. Pictures of video are not decoded.
  documents  PDF: every object and stream, the pictures in it, and all pages;
             Word, Excel, PowerPoint, OpenDocument and ZIP: every member's checksum
A picture, sound, video or PDF that is not decoded to its end, because it is too large, locked or of
a form without a decoder here (HEIF, AVIF), is `not decoded`. Everything else is `not examined`. The
answer says why. The daemon does the same with all media that it stores, and asks their names and
records as well; a backup's page in the portal says what came of it.

    retention media examine recording.mp4 photo.jpg
    retention media examine --json *.pdf | jq -r 'select(.outcome == \"damaged\").file'

Exit code: 0 if no file is damaged, 1 if one is, 2 if one could not be read from the disk.";

/// What to do with media.
#[derive(Debug, Subcommand)]
pub(super) enum Media {
    /// Decode files to their end, and say which of them are damaged. Changes nothing.
    #[command(after_help = AFTER_HELP)]
    Examine(Examine),
    /// Decode the medium that comes over standard input. The daemon starts this.
    #[command(hide = true)]
    Decode,
}

/// The arguments.
#[derive(Debug, Args)]
pub(super) struct Examine {
    /// The files.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Print one line of JSON for each file.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Line<'a> {
    file: &'a Path,
    #[serde(flatten)]
    finding: &'a Finding,
}

impl Media {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Examine(examine) => examine.run(),
            Self::Decode => Ok(match decode::run() {
                Ok(()) => ExitCode::SUCCESS,
                Err(decode::Error::Confine(_)) => ExitCode::from(UNCONFINED),
                Err(decode::Error::Pipe(_)) => ExitCode::FAILURE,
            }),
        }
    }
}

impl Examine {
    fn run(&self) -> anyhow::Result<ExitCode> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (decoder, stop) = (Decoder::new(OWN_PROGRAM), CancellationToken::new());
        let mut damaged = false;
        for path in &self.files {
            let name = || format!("cannot read {}", path.display());
            let file = File::open(path).with_context(name)?;
            let length = file.metadata().with_context(name)?.len();
            let source = OnDisk { file, length };
            let finding = runtime.block_on(decoder.examine(&source, &stop)).with_context(name)?;
            damaged |= matches!(finding.outcome, Outcome::Damaged { .. });
            if self.json {
                output::print_json(&Line { file: path, finding: &finding })?;
            } else {
                output::print(&describe(path, &finding))?;
            }
        }
        Ok(ExitCode::from(u8::from(damaged)))
    }
}

fn describe(path: &Path, finding: &Finding) -> String {
    let (word, detail) = match &finding.outcome {
        Outcome::Readable { whole: true, how_far } => ("readable", how_far),
        Outcome::Readable { whole: false, how_far } => {
            ("readable as far as can be decoded here", how_far)
        }
        Outcome::Damaged { why } => ("DAMAGED", why),
        Outcome::NotDecoded { why } => ("NOT DECODED", why),
        Outcome::NotExamined { why } => ("not examined", why),
    };
    format!("{}: {word}\n  {}: {detail}\n", path.display(), finding.kind)
}
