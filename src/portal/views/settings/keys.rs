//! SFTP Public Keys: which keys may upload, how a new one takes an old one's place, and the pair that
//! is made here for senders that want it so.

use jiff::{SignedDuration, Timestamp};
use ssh_key::{Algorithm, LineEnding, PrivateKey, rand_core::OsRng};
use warp::{http::header, reply::Response};

use super::{back, show};
use crate::{
    portal::{
        answer, disposition,
        errors::Error,
        gate::{Administrator, Authorised, Permit},
        request::{Form, Request},
        zone::{When, Zone},
    },
    settings::{Settings, SftpKey},
    sftp::keys::AuthorizedKey,
};

/// For how many more days a key may upload that is removed.
pub(super) const OVERLAPS: [(u8, &str); 4] =
    [(0, "at once"), (1, "in a day"), (7, "in 7 days"), (30, "in 30 days")];

/// A key as the page shows it.
pub(super) struct Shown {
    pub(super) fingerprint: String,
    pub(super) comment: String,
    pub(super) kind: String,
    pub(super) by: String,
    pub(super) added: When,
    pub(super) until: Option<When>,
}

impl Shown {
    pub(super) fn new(key: &SftpKey, zone: &Zone) -> Self {
        let parsed = AuthorizedKey::parse(&key.line).ok();
        let (kind, comment) = parsed.map_or_else(Default::default, |key| {
            (format!("{} {}", key.kind, key.size_bits), key.comment)
        });
        Self {
            fingerprint: key.fingerprint.clone(),
            comment,
            kind,
            by: key.added.by.clone(),
            added: zone.show(key.added.at),
            until: key.until.map(|until| zone.show(until)),
        }
    }
}

/// Lets a key upload that somebody pasted.
pub(in crate::portal) async fn add(
    administrator: Administrator,
    request: Request,
    form: Form,
) -> Result<Response, Error> {
    match AuthorizedKey::parse(form.get("key")) {
        Ok(key) => Ok(added(administrator.authorise(&request, &key).await?)),
        Err(refusal) => {
            let said = format!("That key cannot upload: {refusal}.");
            show(&administrator, &request, said).await
        }
    }
}

/// Lets the key upload that maaiiconnect says is its own.
pub(in crate::portal) async fn fetch(
    administrator: Administrator,
    request: Request,
    _form: Form,
) -> Result<Response, Error> {
    Ok(added(administrator.authorise_theirs(&request).await?))
}

/// *Generate New Key*. With a connector maaiiconnect makes the pair; without it the pair is made here,
/// and the private half is handed over this once and kept nowhere.
pub(in crate::portal) async fn generate(
    administrator: Administrator,
    request: Request,
    _form: Form,
) -> Result<Response, Error> {
    if administrator.signed_in().has_connector() {
        return Ok(added(administrator.renew_theirs(&request).await?));
    }
    let made = || {
        let mut key = PrivateKey::random(&mut OsRng, Algorithm::Ed25519)?;
        key.set_comment("maaiiconnect");
        Ok::<_, ssh_key::Error>((key.to_openssh(LineEnding::LF)?, key.public_key().to_openssh()?))
    };
    let (private, public) = made().map_err(|error| Error::Input(format!("No key: {error}.")))?;
    let key = AuthorizedKey::parse(&public)
        .map_err(|refusal| Error::Input(format!("No key: {refusal}.")))?;
    administrator.authorise(&request, &key).await?;
    let mut response = answer::typed("application/x-pem-file", private.as_bytes().to_vec());
    let named = disposition::header(true, "maaiiconnect-sftp-key");
    answer::set(&mut response, header::CONTENT_DISPOSITION, &named);
    Ok(response)
}

/// Withdraws a key, at once or after a while in which the old one and a new one both may upload.
pub(in crate::portal) async fn remove(
    administrator: Administrator,
    request: Request,
    form: Form,
) -> Result<Response, Error> {
    let fingerprint = form.get("fingerprint");
    let days = form.get("overlap_days");
    let days = OVERLAPS.into_iter().find(|(known, _)| known.to_string() == days);
    let (days, _) = days.ok_or_else(|| Error::Input("Say when it is to be removed.".into()))?;
    let until = request.now() + SignedDuration::from_hours(i64::from(days) * 24);
    let edit = |settings: &mut Settings, _: &_| withdrawn(settings, fingerprint, days, until);
    administrator.change_settings(&request, edit).await?;
    Ok(back("key-removed"))
}

fn withdrawn(
    settings: &mut Settings,
    fingerprint: &str,
    days: u8,
    until: Timestamp,
) -> Result<Option<String>, Error> {
    let at = settings.sftp_keys.iter().position(|key| key.fingerprint == fingerprint);
    let at = at.ok_or_else(|| Error::Input("There is no such key any more.".into()))?;
    if days == 0 {
        settings.sftp_keys.remove(at);
        return Ok(Some(format!("SFTP Public Key removed: {fingerprint}")));
    }
    settings.sftp_keys[at].until = Some(until);
    Ok(Some(format!("SFTP Public Key ends at {until}: {fingerprint}")))
}

/// Back to the page, with a word on what came of adding a key.
fn added(came_to: Authorised) -> Response {
    back(match came_to {
        Authorised::New => "key-added",
        Authorised::Stays => "key-stays",
        Authorised::Already => "key-known",
    })
}
