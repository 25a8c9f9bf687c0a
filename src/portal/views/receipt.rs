//! The receipt of a backup: what its page shows of it, and what is taken away to check it.

use warp::{http::header, reply::Response};

use crate::{
    backup::Verified,
    portal::{
        answer, disposition,
        errors::Error,
        gate::{Administrator, Permit, SignedIn, TakenReceipt},
        request::Request,
        zone::{When, Zone},
    },
    receipt::{PublicKey, Signature},
    store::receipts::Receipt,
};

/// What the page of a backup shows of the last check against its receipt.
pub(super) struct Checked {
    pub(super) at: When,
    pub(super) sentence: String,
    /// What differs. It may name files, and names may tell of people: for administrators.
    pub(super) findings: Vec<String>,
    /// How many more there are.
    pub(super) more: u64,
}

impl Checked {
    pub(super) fn new(found: &Verified, who: &SignedIn, zone: &Zone) -> Self {
        let shown = if who.is_administrator() { &found.findings[..] } else { &[] };
        Self {
            at: zone.show(found.at),
            sentence: found.sentence(),
            more: match shown.len() {
                0 => 0,
                shown => found.differences.saturating_sub(shown as u64),
            },
            findings: shown.iter().map(|one| one.sentence.clone()).collect(),
        }
    }
}

/// What the page of a backup shows of its receipt.
pub(super) struct Shown {
    pub(super) number: u64,
    pub(super) made: When,
    pub(super) sha256: String,
    /// The fingerprint of the key that signed it.
    pub(super) key: String,
    /// Where it is taken away.
    pub(super) path: String,
    /// Whether the viewer may take the statement away.
    pub(super) may_take: bool,
}

impl Shown {
    pub(super) fn new(receipt: &Receipt, who: &SignedIn, zone: &Zone) -> Self {
        Self {
            number: receipt.number,
            made: zone.show(receipt.made),
            sha256: receipt.id.to_string(),
            key: signer(receipt).map_or("unknown".to_owned(), |key| key.fingerprint()),
            path: format!("/retention/backups/{}/receipt", receipt.upload),
            may_take: who.is_administrator(),
        }
    }
}

/// Sends the statement, byte for byte as it was signed. It names each file of the backup, and names of
/// files may tell of people.
pub(in crate::portal) async fn statement(
    administrator: Administrator,
    request: Request,
) -> Result<Response, Error> {
    let taken = take(administrator.signed_in(), &request).await?;
    let mut response = answer::stream(taken.statement());
    let mut set = |name, value: &str| answer::set(&mut response, name, value);
    set(header::CONTENT_LENGTH, &taken.receipt.length_bytes.to_string());
    set(header::CONTENT_TYPE, "application/json");
    Ok(named(response, &format!("{}.receipt.json", taken.receipt.job)))
}

/// Sends the signature.
pub(in crate::portal) async fn signature(
    who: SignedIn,
    request: Request,
) -> Result<Response, Error> {
    let Receipt { job, signature, .. } = take(&who, &request).await?.receipt;
    Ok(named(answer::typed(TEXT, signature), &format!("{job}.receipt.json.sig")))
}

/// Sends the public key as `ssh-keygen -Y verify` wants it.
pub(in crate::portal) async fn signers(who: SignedIn, request: Request) -> Result<Response, Error> {
    let key = signer(&take(&who, &request).await?.receipt).ok_or(Error::NotFound)?;
    Ok(named(answer::typed(TEXT, key.allowed_signer() + "\n"), "allowed_signers"))
}

const TEXT: &str = "text/plain; charset=utf-8";

async fn take(who: &SignedIn, request: &Request) -> Result<TakenReceipt, Error> {
    who.take_receipt(request, request.capture(0)).await
}

/// Who says to have signed a receipt.
fn signer(receipt: &Receipt) -> Option<PublicKey> {
    Some(Signature::parse(&receipt.signature).ok()?.signer())
}

fn named(mut response: Response, name: &str) -> Response {
    answer::set(&mut response, header::CONTENT_DISPOSITION, &disposition::header(true, name));
    response
}
