//! What people share and what can be heard: small, and each what its ending says that it is.

use jiff::{Timestamp, tz::TimeZone};

use super::{
    chance::Chance,
    data::{CATALOGUE, STAFF, cell, list},
    pictures,
    talk::Topic,
};

/// Samples a second, as on the telephone.
const RATE: u32 = 8000;

/// A file as a person would send it.
#[derive(Debug)]
pub(super) struct Attachment {
    pub(super) name: String,
    pub(super) mime: &'static str,
    pub(super) bytes: Vec<u8>,
}

/// The attachment that a script names.
pub(super) fn attachment(
    kind: &str,
    topic: &Topic,
    at: Timestamp,
    language: &str,
    chance: &mut Chance,
) -> Attachment {
    let named = |en: String, zh: String| if language == "zh" { zh } else { en };
    let (order, quote) = (&topic.order, &topic.quote);
    let stamp = at.to_zoned(TimeZone::UTC).strftime("%Y%m%d_%H%M%S").to_string();
    let photo = |name: String, chance: &mut Chance| {
        let colour = cell(chance.choice(list(&CATALOGUE, "colours")), 2).to_owned();
        Attachment { name, mime: "image/png", bytes: pictures::photo(&colour, chance.index(64)) }
    };
    let paper = |name: String, title: String| {
        let day = at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d").to_string();
        let company = STAFF["company"].as_str().unwrap_or_default().to_owned();
        let total = format!("Total after ten per cent discount: HK$ {}", topic.amount);
        let lines = [company, title, format!("Date: {day}"), format!("Order: {order}"), total];
        Attachment { name, mime: "application/pdf", bytes: pdf(&lines) }
    };
    match kind {
        "damage photo" => {
            photo(named(format!("scratch {order}.png"), format!("花痕 {order}.png")), chance)
        }
        "receipt" => {
            photo(named(format!("receipt-{order}.png"), format!("收據-{order}.png")), chance)
        }
        "floor plan" => photo(named("floor plan.png".into(), "平面圖.png".into()), chance),
        "quotation" => paper(
            named(format!("Quotation {quote}.pdf"), format!("報價單 {quote}.pdf")),
            format!("Quotation {quote}"),
        ),
        "contract" => paper(
            named(format!("Contract {order}.pdf"), format!("合約 {order}.pdf")),
            format!("Contract of sale {order}"),
        ),
        "delivery note" => {
            let text = named(
                format!("DELIVERY NOTE\n\nOrder: {order}\nGoods: {}\n", topic.product),
                format!("送貨單\n\n訂單：{order}\n貨品：{}\n", topic.product),
            );
            Attachment {
                name: named(format!("delivery-note-{order}.txt"), format!("送貨單-{order}.txt")),
                mime: "text/plain",
                bytes: text.into_bytes(),
            }
        }
        "voice note" => Attachment {
            name: format!("voice-{stamp}.wav"),
            mime: "audio/wav",
            bytes: speech(chance).0,
        },
        _ => photo(format!("IMG_{stamp}.png"), chance),
    }
}

/// Something that goes up and down as speech does, as WAV, and how many seconds it takes.
pub(super) fn speech(chance: &mut Chance) -> (Vec<u8>, i64) {
    let seconds = chance.range(3, 9);
    let voice = chance.range(110, 230) as f64;
    let wanted = usize::try_from(seconds).unwrap_or(3) * RATE as usize;
    let mut samples = Vec::with_capacity(wanted);
    while samples.len() < wanted {
        let pitch = voice * (0.85 + 0.05 * chance.range(0, 7) as f64);
        let length = usize::try_from(chance.range(700, 2400)).unwrap_or(700);
        for n in 0..length {
            let turn = n as f64 / f64::from(RATE) * pitch * std::f64::consts::TAU;
            let swell = (n as f64 / length as f64 * std::f64::consts::PI).sin();
            let level = (turn.sin() + 0.4 * (2.0 * turn).sin()) * swell;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "between 1 and 255"
            )]
            samples.push((128.0 + 60.0 * level) as u8);
        }
        samples
            .extend(std::iter::repeat_n(128, usize::try_from(chance.range(80, 900)).unwrap_or(80)));
    }
    samples.truncate(wanted);
    (wav(&samples), seconds)
}

/// A WAV of one channel and 8 bits a sample.
fn wav(samples: &[u8]) -> Vec<u8> {
    let size = u32::try_from(samples.len()).unwrap_or(u32::MAX - 36);
    let mut bytes = Vec::with_capacity(samples.len() + 44);
    bytes.extend(b"RIFF");
    bytes.extend((36 + size).to_le_bytes());
    bytes.extend(b"WAVEfmt ");
    bytes.extend(16_u32.to_le_bytes());
    for half in [1_u16, 1] {
        bytes.extend(half.to_le_bytes());
    }
    bytes.extend(RATE.to_le_bytes());
    bytes.extend(RATE.to_le_bytes());
    for half in [1_u16, 8] {
        bytes.extend(half.to_le_bytes());
    }
    bytes.extend(b"data");
    bytes.extend(size.to_le_bytes());
    bytes.extend(samples);
    bytes
}

/// A PDF of one page with these lines, which are Latin.
fn pdf(lines: &[String]) -> Vec<u8> {
    use std::fmt::Write as _;

    let mut text = String::from("BT /F1 14 Tf 64 760 Td 22 TL\n");
    for line in lines {
        let plain = line.replace('\\', "\\\\").replace('(', "\\(").replace(')', "\\)");
        let _ = writeln!(text, "({plain}) Tj T*");
    }
    text.push_str("ET");
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_owned(),
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R \
         /Resources << /Font << /F1 5 0 R >> >> >>"
            .to_owned(),
        format!("<< /Length {} >>\nstream\n{text}\nendstream", text.len()),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>".to_owned(),
    ];
    let mut page = String::from("%PDF-1.4\n");
    let mut places = Vec::new();
    for (n, object) in objects.iter().enumerate() {
        places.push(page.len());
        let _ = write!(page, "{} 0 obj\n{object}\nendobj\n", n + 1);
    }
    let table = page.len();
    let _ = write!(page, "xref\n0 {}\n0000000000 65535 f \n", places.len() + 1);
    for place in &places {
        let _ = writeln!(page, "{place:010} 00000 n ");
    }
    let size = places.len() + 1;
    let _ = write!(page, "trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{table}\n%%EOF\n");
    page.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speech_is_a_wav_that_lasts_as_long_as_it_says() {
        let (bytes, seconds) = speech(&mut Chance::new(1, "test", 0));
        assert_eq!(&bytes[..4], b"RIFF");
        assert_eq!(i64::try_from(bytes.len()).ok(), Some(44 + 8000 * seconds));
    }

    #[test]
    fn the_places_in_a_pdf_are_those_of_its_objects() {
        let bytes = pdf(&["A (quotation)".into(), "HK$ 1".into()]);
        let text = String::from_utf8(bytes).expect("Latin");
        let (_, table) = text.split_once("xref\n0 6\n").expect("a table");
        for (n, line) in table.lines().skip(1).take(5).enumerate() {
            let place: usize = line[..10].parse().expect("a place");
            assert!(text[place..].starts_with(&format!("{} 0 obj", n + 1)), "{line}");
        }
    }
}
