//! What is known of a medium after somebody has tried to read it.
//!
//! Pure words: who tries, and how, stands in `examine`. Nothing here may say more than was
//! done: [`Outcome::Readable`] always says how far.

use std::{collections::BTreeMap, fmt};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The version of the rules by which media are examined. Raise it when a kind is read further
/// than before: every medium is then examined anew.
pub const RULES: i32 = 2;

/// How many media a [`Readability`] names that are damaged or not decoded; all of them are counted.
pub const NAMED: usize = 20;

/// How names end that say of a medium that it is a picture, sound, video or PDF.
pub const ENDINGS: [&str; 52] = [
    "avif", "bmp", "dib", "gif", "heic", "heif", "ico", "jfif", "jp2", "jpe", "jpeg", "jpg", "jxl",
    "png", "svg", "tif", "tiff", "webp", "aac", "aif", "aiff", "amr", "au", "caf", "flac", "m4a",
    "m4b", "mid", "mka", "mp2", "mp3", "oga", "ogg", "opus", "spx", "wav", "wave", "weba", "wma",
    "3g2", "3gp", "avi", "flv", "m4v", "mkv", "mov", "mp4", "mpeg", "mpg", "webm", "wmv", "pdf",
];

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

impl MediumKind {
    /// Whether it is a picture, sound, video or PDF: something that has to be decoded, and not just
    /// to be there.
    pub fn is_to_be_decoded(self) -> bool {
        match self {
            Self::Jpeg
            | Self::Png
            | Self::Gif
            | Self::Webp
            | Self::Bmp
            | Self::Tiff
            | Self::Heif
            | Self::Wav
            | Self::Mp3
            | Self::Aac
            | Self::Flac
            | Self::Ogg
            | Self::Amr
            | Self::Mp4
            | Self::Matroska
            | Self::Pdf => true,
            Self::Word
            | Self::Excel
            | Self::PowerPoint
            | Self::OpenDocument
            | Self::Zip
            | Self::OldOffice
            | Self::Text
            | Self::Unknown => false,
        }
    }
}

/// Whether a name says of a medium that it is a picture, sound, video or PDF.
pub fn says_so(name: &str) -> bool {
    let file = name.rsplit('/').next().unwrap_or(name);
    let ending = file.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    ending.is_some_and(|ending| ENDINGS.contains(&&*ending))
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
    /// It is a picture, sound, video or PDF by its bytes, or is called one, and was not decoded to
    /// its end: a limit was reached, there is no decoder for it, or the decoder came to grief.
    NotDecoded {
        /// Why not.
        why: String,
    },
    /// Nobody can know: it is of a kind that cannot be decoded, such as text, or of none that is
    /// known.
    NotExamined {
        /// Why not.
        why: String,
    },
}

impl Outcome {
    /// The same of a medium that is called a picture, sound, video or PDF.
    pub fn of_what_says_so(self) -> Self {
        match self {
            Self::NotExamined { why } => {
                let why = format!("it is called a picture, sound, video or PDF, but {why}");
                Self::NotDecoded { why }
            }
            other => other,
        }
    }
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
    /// To be decoded, and not decoded to their end, by kind; some are only called what they are not.
    #[serde(default)]
    pub not_decoded: BTreeMap<MediumKind, u64>,
    /// Of a kind that cannot be decoded, such as text.
    pub not_examined: u64,
    /// Not yet looked at by these rules.
    pub waiting: u64,
    /// The first of those that are damaged or not decoded.
    pub examples: Vec<DamagedMedium>,
}

/// A medium that cannot be read, or that nobody could.
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
        let known = self.readable + self.readable_in_part + self.damaged + self.not_examined;
        known + self.not_decoded() + self.waiting
    }

    /// How many were to be decoded and were not, or not to their end.
    pub fn not_decoded(&self) -> u64 {
        self.not_decoded.values().sum()
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
            (Outcome::NotDecoded { why: "huge".into() }, r#""outcome":"not-decoded""#),
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

    #[test]
    fn a_name_says_what_a_medium_is_to_be() {
        for (name, says) in [
            ("data-retention/room1/photo.JPG", true),
            ("a/call.wav", true),
            ("letter.pdf", true),
            ("drawing.svg", true),
            ("a.pdf/letter", false),
            ("a/b.wav/letter.txt", false),
            ("noise.bin", false),
            ("wav", false),
            ("", false),
        ] {
            assert_eq!(says_so(name), says, "{name}");
        }
        let text = || Outcome::NotExamined { why: "it is text".into() };
        assert!(
            matches!(text().of_what_says_so(), Outcome::NotDecoded { why } if why.contains("but it is"))
        );
        let damaged = || Outcome::Damaged { why: "cut".into() };
        assert_eq!(damaged().of_what_says_so(), damaged());
    }
}
