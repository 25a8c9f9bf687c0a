//! One key that may upload: what is accepted, and the sentence for what is not.
//!
//! This module must never print or keep what it was given when that is a private
//! key, and never let a line with options pass: an option could undo what the
//! server's configuration forbids.

use serde::Serialize;
use ssh_key::{EcdsaCurve, HashAlg, Mpint, PublicKey, public::KeyData};

/// RSA keys below this size are refused, as NIST SP 800-131A does since 2014.
pub const MIN_RSA_BITS: usize = 2048;

/// OpenSSH reads no RSA modulus above this size.
const MAX_RSA_BITS: usize = 16_384;

/// OpenSSH reads no longer line (`SSH_MAX_PUBKEY_BYTES`).
const MAX_LINE_BYTES: usize = 16_384;

/// The kinds of key that sshd and this program both know, with the name for people.
const KINDS: [(&str, &str); 7] = [
    ("ssh-ed25519", "ED25519"),
    ("ssh-rsa", "RSA"),
    ("ecdsa-sha2-nistp256", "ECDSA"),
    ("ecdsa-sha2-nistp384", "ECDSA"),
    ("ecdsa-sha2-nistp521", "ECDSA"),
    ("sk-ssh-ed25519@openssh.com", "ED25519-SK"),
    ("sk-ecdsa-sha2-nistp256@openssh.com", "ECDSA-SK"),
];

/// Why a text cannot become an authorised key, for the administrator who offered it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's sentence is its documentation")]
pub enum KeyRefusal {
    #[error("it is empty; a public key is one line such as \"ssh-ed25519 AAAA… name\"")]
    Empty,
    #[error(
        "this has {count} lines; a public key is one line: join it if it was wrapped, and add several keys one by one"
    )]
    SeveralLines { count: usize },
    #[error(
        "this is a private key, which must stay with the sender; give the public one, usually the file that ends in .pub, and replace the pair if this text has left the sender's machine"
    )]
    PrivateKey,
    #[error("this public key is in another format; convert it with: {command}")]
    OtherFormat { command: &'static str },
    #[error("this is a certificate, which the endpoint does not accept; give the plain public key")]
    Certificate,
    #[error(
        "DSA keys are too weak and OpenSSH has dropped them; make an Ed25519 key, or RSA with 3072 bits"
    )]
    Dsa,
    #[error(
        "this RSA key has {size_bits} bits, and fewer than {MIN_RSA_BITS} are too weak; make one with 3072 bits, or an Ed25519 key"
    )]
    ShortRsa { size_bits: usize },
    #[error(
        "this RSA key cannot work: its exponent is even or below 3, or it has more than {MAX_RSA_BITS} bits"
    )]
    BrokenRsa,
    #[error(
        "there is something before the key's type; options such as command=\"…\" are not accepted: give the type, the key and a comment only"
    )]
    Options,
    #[error(
        "the key's type is missing; write the whole line, beginning with ssh-ed25519, ssh-rsa or ecdsa-sha2-…"
    )]
    NoType,
    #[error(
        "{kind} is not a type of key that the endpoint knows; use ssh-ed25519, ssh-rsa or ecdsa-sha2-nistp256"
    )]
    UnknownType { kind: String },
    #[error("the key after {kind} is damaged or cut off; copy the whole line again")]
    Damaged { kind: &'static str },
    #[error("there is a control character in it; copy the line again as plain text")]
    ControlCharacter,
    #[error("this has {size_bytes} bytes, and no public key is longer than {MAX_LINE_BYTES}")]
    TooLong { size_bytes: usize },
    #[error("there is no public key in it; that is one line such as \"ssh-ed25519 AAAA… name\"")]
    NotAKey,
    #[error("this key is authorised already: {fingerprint} {comment}")]
    Duplicate { fingerprint: String, comment: String },
}

/// A key that may upload.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct AuthorizedKey {
    /// `SHA256:…`, as `ssh-keygen -l` prints it.
    pub fingerprint: String,
    /// The kind of key, as `ssh-keygen -l` prints it: `ED25519`, `RSA`, `ECDSA`, …
    pub kind: &'static str,
    /// The size of the key.
    pub size_bits: usize,
    /// What follows the key on its line; may be empty.
    pub comment: String,
    /// The line that sshd reads.
    #[serde(skip)]
    pub line: String,
}

/// Begins the comment of a key that is there only while an upload is tried out.
pub const TRIAL: &str = "retention-trial-";

impl AuthorizedKey {
    /// Whether it is there only while an upload is tried out.
    pub fn is_trial(&self) -> bool {
        self.comment.starts_with(TRIAL)
    }

    /// Reads the one public key that `text` holds, or says why it cannot be accepted.
    pub fn parse(text: &str) -> Result<Self, KeyRefusal> {
        let line = single_line(text)?;
        let (first, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
        if first == "ssh-dss" {
            return Err(KeyRefusal::Dsa);
        }
        if first.contains("-cert-v0") {
            return Err(KeyRefusal::Certificate);
        }
        let Some((name, kind)) = KINDS.into_iter().find(|(name, _)| *name == first) else {
            return Err(without_type(line, first));
        };
        let rest = rest.trim_start();
        let (body, comment) = rest.split_once([' ', '\t']).unwrap_or((rest, ""));
        let comment = comment.trim();
        let key = PublicKey::from_openssh(&format!("{name} {body}"))
            .map_err(|_| KeyRefusal::Damaged { kind: name })?;
        let size_bits = size_bits(key.key_data()).ok_or(KeyRefusal::Damaged { kind: name })?;
        if let KeyData::Rsa(rsa) = key.key_data() {
            let exponent = rsa.e.as_positive_bytes().unwrap_or_default();
            let odd = exponent.last().is_some_and(|byte| byte & 1 == 1);
            if size_bits < MIN_RSA_BITS {
                return Err(KeyRefusal::ShortRsa { size_bits });
            }
            if size_bits > MAX_RSA_BITS || !odd || exponent == [1] {
                return Err(KeyRefusal::BrokenRsa);
            }
        }
        Ok(Self {
            fingerprint: key.fingerprint(HashAlg::Sha256).to_string(),
            kind,
            size_bits,
            comment: comment.to_owned(),
            line: format!("{name} {body} {comment}").trim_end().to_owned(),
        })
    }

    /// Whether `wanted` is the fingerprint, with or without `SHA256:` before it.
    pub(super) fn has_fingerprint(&self, wanted: &str) -> bool {
        self.fingerprint == wanted || self.fingerprint.strip_prefix("SHA256:") == Some(wanted)
    }
}

/// Whether sshd passes over `line`.
pub(super) fn is_remark(line: &str) -> bool {
    let line = line.trim_start();
    line.is_empty() || line.starts_with('#')
}

/// The one line of `text` that is not blank, unless the text is plainly something else.
fn single_line(text: &str) -> Result<&str, KeyRefusal> {
    // The last is how the body of an OpenSSH private key begins.
    let private = ["PRIVATE KEY-----", "PuTTY-User-Key-File", "b3BlbnNzaC1rZXktdjE"];
    if private.into_iter().any(|mark| text.contains(mark)) {
        return Err(KeyRefusal::PrivateKey);
    }
    if text.contains("BEGIN SSH2 PUBLIC KEY") {
        return Err(KeyRefusal::OtherFormat { command: "ssh-keygen -i -f FILE" });
    }
    if text.contains("BEGIN RSA PUBLIC KEY") {
        return Err(KeyRefusal::OtherFormat { command: "ssh-keygen -i -m PEM -f FILE" });
    }
    if text.contains("BEGIN PUBLIC KEY") {
        return Err(KeyRefusal::OtherFormat { command: "ssh-keygen -i -m PKCS8 -f FILE" });
    }
    if text.len() > MAX_LINE_BYTES {
        return Err(KeyRefusal::TooLong { size_bytes: text.len() });
    }
    let mut lines = text.lines().map(str::trim).filter(|line| !is_remark(line));
    let line = lines.next().ok_or(KeyRefusal::Empty)?;
    match lines.count() {
        0 if line.chars().any(|c| c.is_control() && c != '\t') => Err(KeyRefusal::ControlCharacter),
        0 => Ok(line),
        more => Err(KeyRefusal::SeveralLines { count: more + 1 }),
    }
}

/// Why a line that does not begin with a known type is refused.
fn without_type(line: &str, first: &str) -> KeyRefusal {
    let words: Vec<_> = line.split_whitespace().collect();
    // Every encoded key begins with the length of its type's name, which is far below 2^24.
    let encoded = |word: &&str| word.starts_with("AAAA");
    if words.first().is_some_and(encoded) {
        return KeyRefusal::NoType;
    }
    match words.iter().position(encoded) {
        Some(1) => KeyRefusal::UnknownType { kind: first.to_owned() },
        Some(_) => KeyRefusal::Options,
        None => KeyRefusal::NotAKey,
    }
}

/// The size of a key, or nothing for one of a kind that is not accepted.
fn size_bits(key: &KeyData) -> Option<usize> {
    match key {
        KeyData::Rsa(rsa) => mpint_bits(&rsa.n),
        KeyData::Ecdsa(key) => Some(match key.curve() {
            EcdsaCurve::NistP256 => 256,
            EcdsaCurve::NistP384 => 384,
            EcdsaCurve::NistP521 => 521,
        }),
        KeyData::Ed25519(_) | KeyData::SkEd25519(_) | KeyData::SkEcdsaSha2NistP256(_) => Some(256),
        _ => None,
    }
}

/// The length of a positive number, or nothing for a negative one.
fn mpint_bits(number: &Mpint) -> Option<usize> {
    let bytes = number.as_positive_bytes()?;
    let zeros = usize::try_from(bytes.first()?.leading_zeros()).ok()?;
    Some(bytes.len() * 8 - zeros)
}

#[cfg(test)]
mod tests {
    use ssh_key::public::RsaPublicKey;

    use super::*;

    const ED25519: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIINNGfW/pNUAlECXhpgtEeBc0PAX0z1wvtiTBB3VVJsl";
    const ECDSA: &str = "ecdsa-sha2-nistp384 AAAAE2VjZHNhLXNoYTItbmlzdHAzODQAAAAIbmlzdHAzODQAAABhBJiYE+aov+2WflPBdvpLBPPtLIQsC52MycFz27L2TX5hgRU3fRKG6IFzLuVYpuw0aiJpOH04PtVB7ABsyw0OePc5WG+9StdxbSAHbmmCMKDvefn06lcfz0sti64EUfS9Kg==";

    /// A line with an RSA key whose modulus begins with `first` and whose exponent is `e`.
    fn rsa(first: u8, modulus_bytes: usize, e: &[u8]) -> String {
        let mut modulus = vec![0xff; modulus_bytes];
        modulus[0] = first;
        let n = Mpint::from_positive_bytes(&modulus).expect("modulus");
        let e = Mpint::from_positive_bytes(e).expect("exponent");
        PublicKey::new(KeyData::Rsa(RsaPublicKey { e, n }), "r").to_openssh().expect("encode")
    }

    #[test]
    fn a_good_key_is_described_as_ssh_keygen_does() {
        for (text, kind, size_bits, comment) in [
            (format!("{ED25519} maaiiconnect"), "ED25519", 256, "maaiiconnect"),
            (format!("\n{ED25519}\r\n"), "ED25519", 256, ""),
            (format!("# of May\n\n{ED25519} \t the  new one \n"), "ED25519", 256, "the  new one"),
            (ECDSA.replace(' ', "\t "), "ECDSA", 384, ""),
            (rsa(0x80, 256, &[1, 0, 1]), "RSA", 2048, "r"),
            (rsa(0x80, 384, &[3]), "RSA", 3072, "r"),
        ] {
            let key = AuthorizedKey::parse(&text).expect(&text);
            let found = (key.kind, key.size_bits, key.comment.as_str());
            assert_eq!(found, (kind, size_bits, comment), "{text}");
            assert_eq!(AuthorizedKey::parse(&key.line), Ok(key), "its line means the same");
        }
        for (text, fingerprint) in [
            (ED25519, "SHA256:ZTpHix7RTj1potBcz4Bj0cudkXv9v1LeZ2o+0gXYMoE"),
            (ECDSA, "SHA256:d+lcq5bb384SxIjyF3GjnqUtkO7t1dj6esDek0JtaRk"),
        ] {
            let key = AuthorizedKey::parse(text).expect(text);
            assert_eq!(key.fingerprint, fingerprint);
            assert!(key.has_fingerprint(fingerprint) && key.has_fingerprint(&fingerprint[7..]));
        }
    }

    #[test]
    fn what_is_no_good_key_is_refused_for_its_own_reason() {
        let options = |text: &str| (format!("{text} {ED25519}"), KeyRefusal::Options);
        let damaged = |text: String, kind| (text, KeyRefusal::Damaged { kind });
        let unknown = |kind: &str| {
            (
                format!("{kind} {}", &ED25519[12..]),
                KeyRefusal::UnknownType { kind: kind.to_owned() },
            )
        };
        let private = |text: &str| (text.to_owned(), KeyRefusal::PrivateKey);
        let format = |text: &str, command| (text.to_owned(), KeyRefusal::OtherFormat { command });
        for (text, expected) in [
            (String::new(), KeyRefusal::Empty),
            ("\n# nothing\n".to_owned(), KeyRefusal::Empty),
            ("hello world".to_owned(), KeyRefusal::NotAKey),
            ("ssh-dss AAAAB3NzaC1kc3MAAACBAP".to_owned(), KeyRefusal::Dsa),
            (rsa(0x80, 128, &[1, 0, 1]), KeyRefusal::ShortRsa { size_bits: 1024 }),
            (rsa(0x7f, 256, &[1, 0, 1]), KeyRefusal::ShortRsa { size_bits: 2047 }),
            (rsa(0x80, 256, &[1]), KeyRefusal::BrokenRsa),
            (rsa(0x80, 256, &[4]), KeyRefusal::BrokenRsa),
            (rsa(0x80, 2049, &[3]), KeyRefusal::BrokenRsa),
            options("command=\"/bin/sh -c x\""),
            options("no-pty,cert-authority"),
            (ED25519[12..].to_owned(), KeyRefusal::NoType),
            unknown("ssh-frob"),
            unknown("Ssh-ed25519"),
            damaged(ED25519[..60].to_owned(), "ssh-ed25519"),
            damaged("ssh-rsa".to_owned(), "ssh-rsa"),
            damaged("ssh-ed25519 hello".to_owned(), "ssh-ed25519"),
            damaged(format!("ssh-rsa {}", &ED25519[12..]), "ssh-rsa"),
            damaged(format!("{ED25519}AAAA"), "ssh-ed25519"),
            (format!("{ED25519}\n{ECDSA}"), KeyRefusal::SeveralLines { count: 2 }),
            (
                ED25519.replace("ssh-ed25519 AAAA", "ssh-ed25519\nAAAA"),
                KeyRefusal::SeveralLines { count: 2 },
            ),
            (format!("{ED25519} a\u{1b}[2J"), KeyRefusal::ControlCharacter),
            (format!("{ED25519} a\0b"), KeyRefusal::ControlCharacter),
            (
                "x".repeat(MAX_LINE_BYTES + 1),
                KeyRefusal::TooLong { size_bytes: MAX_LINE_BYTES + 1 },
            ),
            ("ssh-ed25519-cert-v01@openssh.com AAAA".to_owned(), KeyRefusal::Certificate),
            private("-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n"),
            private("-----BEGIN RSA PRIVATE KEY-----"),
            private("PuTTY-User-Key-File-3: ssh-rsa"),
            private("b3BlbnNzaC1rZXktdjEAAAAABG5vbmU"),
            format("---- BEGIN SSH2 PUBLIC KEY ----\nAAAA", "ssh-keygen -i -f FILE"),
            format("-----BEGIN RSA PUBLIC KEY-----", "ssh-keygen -i -m PEM -f FILE"),
            format("-----BEGIN PUBLIC KEY-----", "ssh-keygen -i -m PKCS8 -f FILE"),
        ] {
            assert_eq!(AuthorizedKey::parse(&text), Err(expected), "{text:?}");
        }
    }
}
