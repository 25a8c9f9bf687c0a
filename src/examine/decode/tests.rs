//! Small media of every kind, made by real programs: whole, cut, changed, and made up.

use super::*;

const MEDIA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/media/");

/// Each medium, what kind it is, whether all of it is decoded, and words that tell how far.
const WHOLE: &[(&str, MediumKind, bool, &str)] = &[
    ("baseline.jpg", MediumKind::Jpeg, true, "decoded, 96 by 64"),
    ("progressive.jpg", MediumKind::Jpeg, true, "decoded, 96 by 64"),
    ("cmyk.jpg", MediumKind::Jpeg, true, "decoded, 96 by 64"),
    ("grey.jpg", MediumKind::Jpeg, true, "decoded, 96 by 64"),
    ("picture.png", MediumKind::Png, true, "decoded, 48 by 32"),
    ("picture.gif", MediumKind::Gif, true, "decoded, 48 by 32"),
    ("moving.gif", MediumKind::Gif, true, "3 pictures decoded"),
    ("lossy.webp", MediumKind::Webp, true, "decoded, 48 by 32"),
    ("lossless.webp", MediumKind::Webp, true, "decoded, 48 by 32"),
    ("picture.bmp", MediumKind::Bmp, true, "decoded, 48 by 32"),
    ("deflate.tiff", MediumKind::Tiff, true, "decoded, 48 by 32"),
    ("fax.tiff", MediumKind::Tiff, true, "2 pictures decoded"),
    ("pcm.wav", MediumKind::Wav, true, "sound decoded"),
    ("a-law.wav", MediumKind::Wav, true, "sound decoded"),
    ("constant.mp3", MediumKind::Mp3, true, "sound decoded, 9 packets"),
    ("variable.mp3", MediumKind::Mp3, true, "sound decoded, 13 packets"),
    ("sound.aac", MediumKind::Aac, true, "sound decoded, 19 packets"),
    ("sound.m4a", MediumKind::Mp4, true, "sound decoded, 19 packets"),
    ("sound.flac", MediumKind::Flac, true, "sound decoded"),
    ("vorbis.ogg", MediumKind::Ogg, true, "sound decoded, 27 packets"),
    ("opus.ogg", MediumKind::Ogg, true, "26 packets of Opus"),
    ("speex.ogg", MediumKind::Ogg, true, "not decoded, but"),
    ("live.webm", MediumKind::Matroska, false, "VP8 video read but not decoded"),
    ("sound.amr", MediumKind::Amr, false, "3 frames read but not decoded"),
    (
        "h264.mp4",
        MediumKind::Mp4,
        false,
        "parsed but not decoded, 5 pictures, 5 slices; sound decoded",
    ),
    ("fragmented.mp4", MediumKind::Mp4, false, "parsed but not decoded, 5 pictures"),
    ("h264.mov", MediumKind::Mp4, false, "parsed but not decoded, 5 pictures"),
    ("h264-vorbis.mkv", MediumKind::Matroska, false, "sound decoded, 27 packets"),
    ("vp8-opus.webm", MediumKind::Matroska, false, "VP8 video read but not decoded"),
    ("two-pages.pdf", MediumKind::Pdf, true, "2 pages, 10 objects, 3 streams decoded"),
    (
        "no-index.pdf",
        MediumKind::Pdf,
        false,
        "1 page, 4 objects, 1 streams decoded; without an index",
    ),
    ("letter.docx", MediumKind::Word, true, "2 members have their checksums"),
];

/// At how many of twenty places a change of 64 bytes is noticed. Where it is all of them, the
/// format has checksums, or codes that fit nowhere else; what is not listed has nothing that
/// could be wrong, or little.
const NOTICED: &[(&str, usize)] = &[
    ("picture.png", 20),
    ("vorbis.ogg", 20),
    ("opus.ogg", 20),
    ("sound.flac", 20),
    ("letter.docx", 20),
    ("progressive.jpg", 20),
    ("grey.jpg", 20),
    ("cmyk.jpg", 20),
    ("sound.m4a", 20),
    ("baseline.jpg", 19),
    ("picture.gif", 19),
    ("sound.aac", 19),
    ("deflate.tiff", 18),
    ("fax.tiff", 18),
    ("moving.gif", 17),
    ("two-pages.pdf", 17),
    ("h264-vorbis.mkv", 16),
    ("h264.mp4", 14),
    ("constant.mp3", 10),
    ("fragmented.mp4", 10),
];

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(format!("{MEDIA}{name}")).expect("the fixtures are in the repository")
}

fn examine(bytes: Vec<u8>) -> (MediumKind, Outcome) {
    let mut medium = Medium::from(bytes);
    let kind = kind::of(&mut medium).expect("memory can be read");
    (kind, outcome(medium, kind))
}

fn is_damaged(bytes: Vec<u8>) -> bool {
    matches!(examine(bytes).1, Outcome::Damaged { .. })
}

/// A place in the middle part of a medium.
fn place(bytes: &[u8], twentieth: usize) -> usize {
    bytes.len() / 10 + bytes.len() * 8 / 10 * twentieth / 20
}

#[test]
fn what_is_whole_is_readable_and_says_how_far() {
    for (name, kind, whole, words) in WHOLE {
        let (found, outcome) = examine(fixture(name));
        assert_eq!(found, *kind, "{name}");
        match outcome {
            Outcome::Readable { whole: found, how_far } => {
                assert_eq!(found, *whole, "{name}: {how_far}");
                assert!(how_far.contains(words), "{name}: {how_far}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn what_was_cut_is_damaged() {
    for (name, ..) in WHOLE {
        for quarters in [2, 3] {
            let mut bytes = fixture(name);
            bytes.truncate(bytes.len() * quarters / 4);
            assert!(is_damaged(bytes), "{quarters} quarters of {name}");
        }
    }
}

#[test]
fn what_was_changed_is_damaged_as_far_as_its_format_lets_it_be_told() {
    for (name, expected) in NOTICED {
        let whole = fixture(name);
        let changed = |twentieth| {
            let (mut bytes, from) = (whole.clone(), place(&whole, twentieth));
            bytes[from..from + 64].iter_mut().for_each(|byte| *byte ^= 0x55);
            bytes
        };
        let noticed = (0..20).filter(|twentieth| is_damaged(changed(*twentieth))).count();
        assert!(noticed >= *expected, "{name}: {noticed} of 20");
    }
}

#[test]
fn what_cannot_be_decoded_says_why_and_whether_it_has_to_be() {
    let mut noise = 7_u32;
    let noise = (0..5000).map(|_| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        noise.to_be_bytes()[0]
    });
    let heif = b"\0\0\0\x18ftypheic\0\0\0\0heicmif1".to_vec();
    for (bytes, kind, has_to_be, words) in [
        (fixture("locked.pdf"), MediumKind::Pdf, true, "password"),
        (heif, MediumKind::Heif, true, "no decoder"),
        ("Dear customer,\r\n訊息".as_bytes().to_vec(), MediumKind::Text, false, "cannot be told"),
        (noise.collect(), MediumKind::Unknown, false, "not known"),
        (Vec::new(), MediumKind::Unknown, false, "empty"),
    ] {
        let (found, outcome) = examine(bytes);
        assert_eq!(found, kind);
        let why = match &outcome {
            Outcome::NotDecoded { why } if has_to_be => why,
            Outcome::NotExamined { why } if !has_to_be => why,
            other => panic!("{kind}: {other:?}"),
        };
        assert!(why.contains(words), "{why}");
    }
    assert!(is_damaged(vec![0; 3_000_000]), "nothing but zeros");
}

#[test]
fn a_picture_that_claims_to_be_huge_takes_no_memory() {
    for (name, size) in [("baseline.jpg", b"\xff\xc0"), ("progressive.jpg", b"\xff\xc2")] {
        let mut bytes = fixture(name);
        let frame = bytes.windows(2).position(|mark| mark == size).expect("a frame");
        bytes[frame + 5..frame + 9].fill(0xfe);
        let (_, outcome) = examine(bytes);
        let bounded = matches!(&outcome, Outcome::NotDecoded { why } if why.contains("megapixels"));
        assert!(bounded, "{name}: {outcome:?}");
    }
    // Row by row: it ends where the rows do, not where they were promised.
    let mut png = fixture("picture.png");
    png[16..24].copy_from_slice(b"\0\x0f\0\0\0\x0f\0\0");
    let checksum = crc32fast::hash(&png[12..29]);
    png[29..33].copy_from_slice(&checksum.to_be_bytes());
    assert!(is_damaged(png));
    let mut gif = fixture("picture.gif");
    gif[6..10].fill(0xff);
    assert!(!matches!(examine(gif).1, Outcome::NotExamined { .. }), "its one picture is small");
}

#[test]
fn a_recording_that_was_never_finished_ends_where_its_file_does() {
    let mut bytes = fixture("pcm.wav");
    for length in [4..8, 40..44] {
        bytes[length].fill(0xff);
    }
    let (_, outcome) = examine(bytes);
    assert!(matches!(outcome, Outcome::Readable { whole: true, .. }), "{outcome:?}");
}

#[test]
fn an_mp3_that_lacks_whole_frames_is_damaged() {
    // A title of 128 bytes stands at the end, and the last two frames before it.
    let mut bytes = fixture("variable.mp3");
    bytes.drain(4280..bytes.len() - 128);
    let (_, outcome) = examine(bytes);
    assert_eq!(outcome, Outcome::Damaged { why: "it ends after 11 of 13 frames".into() });
}
