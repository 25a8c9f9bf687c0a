//! What is known of a medium after somebody has tried to read it.
//!
//! Pure words: who tries, and how, stands in `examine`. Nothing here may say more than was
//! done: [`Outcome::Readable`] always says how far.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The version of the rules by which media are examined. Raise it when a kind is read further
/// than before: every medium is then examined anew.
pub const RULES: i32 = 1;

/// How many damaged media a [`Readability`] names; all of them are counted.
pub const NAMED: usize = 20;

/// What kind of medium something is, by its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "each is the name of a format")]
pub enum MediumKind {
    Jpeg,
    Png,
    Gif,
    Webp,
    Bmp,
    Tiff,
    Heif,
    Wav,
    Mp3,
    Aac,
    Flac,
    Ogg,
    Amr,
    Mp4,
    Matroska,
    Pdf,
    Word,
    Excel,
    PowerPoint,
    OpenDocument,
    Zip,
    OldOffice,
    Text,
    Unknown,
}

impl fmt::Display for MediumKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Jpeg => "JPEG picture",
            Self::Png => "PNG picture",
            Self::Gif => "GIF picture",
            Self::Webp => "WebP picture",
            Self::Bmp => "BMP picture",
            Self::Tiff => "TIFF picture",
            Self::Heif => "HEIF or AVIF picture",
            Self::Wav => "WAV sound",
            Self::Mp3 => "MP3 sound",
            Self::Aac => "AAC sound",
            Self::Flac => "FLAC sound",
            Self::Ogg => "Ogg sound",
            Self::Amr => "AMR sound",
            Self::Mp4 => "MP4 sound or video",
            Self::Matroska => "WebM or Matroska",
            Self::Pdf => "PDF document",
            Self::Word => "Word document",
            Self::Excel => "Excel workbook",
            Self::PowerPoint => "PowerPoint presentation",
            Self::OpenDocument => "OpenDocument file",
            Self::Zip => "ZIP archive",
            Self::OldOffice => "Office document of the old format",
            Self::Text => "text",
            Self::Unknown => "unknown kind of file",
        })
    }
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// It can be read, as far as `how_far` says.
    Readable {
        /// Whether everything in it was decoded, or held against a checksum.
        whole: bool,
        /// What was done: `sound decoded, 812 packets`.
        how_far: String,
    },
    /// It cannot be read, or not all of it.
    Damaged {
        /// What is wrong, and where.
        why: String,
    },
    /// Nobody knows: it is of a kind that is not decoded here, or a limit was reached.
    NotExamined {
        /// Why not.
        why: String,
    },
}

/// What one attempt found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What kind of medium it is.
    pub kind: MediumKind,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What is written down beside a medium.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Examined {
    /// By which [`RULES`].
    pub rules: i32,
    /// When.
    pub at: Timestamp,
    /// What was found.
    #[serde(flatten)]
    pub finding: Finding,
}

/// How readable the media of a backup are. A medium that it holds several times counts once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readability {
    /// Decoded to the end, or held against their checksums.
    pub readable: u64,
    /// Read to the end as far as can be done here; a part of each was not decoded.
    pub readable_in_part: u64,
    /// Damaged.
    pub damaged: u64,
    /// Of a kind that is not decoded here, or too large for it.
    pub not_examined: u64,
    /// Not yet looked at by these rules.
    pub waiting: u64,
    /// The first of those that are damaged.
    pub examples: Vec<DamagedMedium>,
}

/// A medium that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DamagedMedium {
    /// The entry that brought it.
    pub entry: String,
    /// What is wrong with it.
    pub why: String,
}

impl Readability {
    /// How many media there are.
    pub fn total(&self) -> u64 {
        self.readable + self.readable_in_part + self.damaged + self.not_examined + self.waiting
    }

    /// Whether each medium has been looked at.
    pub fn is_complete(&self) -> bool {
        self.waiting == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_down_can_be_read_again() {
        let outcomes = [
            (
                Outcome::Readable { whole: true, how_far: "decoded".into() },
                r#""outcome":"readable""#,
            ),
            (Outcome::Damaged { why: "cut".into() }, r#""outcome":"damaged""#),
            (Outcome::NotExamined { why: "text".into() }, r#""outcome":"not-examined""#),
        ];
        for (outcome, word) in outcomes {
            let finding = Finding { kind: MediumKind::OldOffice, outcome };
            let examined = Examined { rules: RULES, at: Timestamp::UNIX_EPOCH, finding };
            let text = serde_json::to_string(&examined).expect("serialise");
            assert!(text.contains(word) && text.contains(r#""kind":"old-office""#), "{text}");
            assert_eq!(serde_json::from_str::<Examined>(&text).expect("read"), examined);
        }
    }
}
