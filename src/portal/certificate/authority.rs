//! A private authority, and the portal's certificate that it signs.
//!
//! Browsers are told once to trust the authority, for ten years; the certificates that
//! it signs come and go. Its key never leaves the machine, is readable by its owner
//! alone, and is never replaced while it is valid.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use super::{Error, inspect::Certificate, parameters, set_validity, write};

/// For how many days an authority is valid.
pub const VALID_DAYS: i64 = 3653;

/// A certificate that is valid for fewer days than this is made anew.
pub const RENEW_DAYS: i64 = 60;

/// Where authority and certificate are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    directory: PathBuf,
}

/// What [`Authority::ensure`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Everything was there and will do.
    Kept,
    /// The authority signed a new certificate for the portal.
    Signed,
    /// The authority was made, and the certificate with it.
    Made,
}

impl Authority {
    /// An authority in `directory`, which has to exist.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    /// The authority's certificate, for browsers to trust.
    pub fn certificate(&self) -> PathBuf {
        self.directory.join("authority.pem")
    }

    /// The portal's certificate that it signed.
    pub fn signed(&self) -> PathBuf {
        self.directory.join("certificate.pem")
    }

    /// The key of that.
    pub fn signed_key(&self) -> PathBuf {
        self.directory.join("key.pem")
    }

    /// Makes what is missing, so that the portal has a certificate for `names` which is
    /// valid for a while. `host` names the authority for people.
    pub fn ensure(&self, host: &str, names: &[String], now: Timestamp) -> Result<Change, Error> {
        let is_new = !self.is_usable(now);
        if is_new {
            self.make(host, now)?;
        }
        if !is_new && self.serves(names, now) {
            return Ok(Change::Kept);
        }
        self.sign(names, now)?;
        Ok(if is_new { Change::Made } else { Change::Signed })
    }

    /// Whether the certificate is this authority's, is for all `names` and is valid for a while.
    pub fn serves(&self, names: &[String], now: Timestamp) -> bool {
        let Ok(authority) = Certificate::read(&self.certificate()) else { return false };
        let Ok(signed) = Certificate::read(&self.signed()) else { return false };
        let is_name = |name: &&String| {
            name.parse::<std::net::IpAddr>().is_ok_and(|address| !address.is_unspecified())
                || name.parse::<std::net::IpAddr>().is_err()
        };
        signed.names_issuer(&authority)
            && signed.days_left(now) >= RENEW_DAYS
            && signed.not_before <= now
            && names.iter().filter(is_name).all(|name| signed.is_for(name))
            && super::inspect::unusable(&self.signed(), &self.signed_key()).is_none()
    }

    fn is_usable(&self, now: Timestamp) -> bool {
        // It has to outlive what it signs.
        let lives = |authority: Certificate| authority.days_left(now) > super::VALID_DAYS;
        self.key().exists() && Certificate::read(&self.certificate()).is_ok_and(lives)
    }

    fn key(&self) -> PathBuf {
        self.directory.join("authority-key.pem")
    }

    fn make(&self, host: &str, now: Timestamp) -> Result<(), Error> {
        let pair = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = DistinguishedName::new();
        // The date tells an authority from the one that it replaces.
        let day = now.to_zoned(jiff::tz::TimeZone::UTC).date();
        let name = format!("Retention authority of {host}, {day}");
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        set_validity(&mut parameters, now, VALID_DAYS);
        let pem = parameters.self_signed(&pair)?.pem();
        write(&self.key(), &pair.serialize_pem(), 0o600)?;
        write(&self.certificate(), &pem, 0o644)
    }

    fn sign(&self, names: &[String], now: Timestamp) -> Result<(), Error> {
        let read = |path: &Path| {
            std::fs::read_to_string(path).map_err(|source| Error::Understand {
                path: path.to_owned(),
                source: source.into(),
            })
        };
        let authority_key = KeyPair::from_pem(&read(&self.key())?)?;
        let issuer = Issuer::from_ca_cert_pem(&read(&self.certificate())?, authority_key)?;
        let pair = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let mut parameters = parameters(names, now)?;
        parameters.use_authority_key_identifier_extension = true;
        let pem = parameters.signed_by(&pair, &issuer)?.pem();
        write(&self.signed_key(), &pair.serialize_pem(), 0o600)?;
        write(&self.signed(), &pem, 0o644)
    }
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::PermissionsExt, sync::Arc, time::Duration};

    use jiff::ToSpan;
    use rustls_pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject};
    use tokio_rustls::rustls::{
        RootCertStore,
        client::{WebPkiServerVerifier, danger::ServerCertVerifier},
        crypto::ring,
    };

    use super::*;

    fn now() -> Timestamp {
        "2026-01-02T03:04:05Z".parse().expect("time")
    }

    /// Whether a client that trusts the authority alone accepts the certificate.
    fn is_accepted(authority: &Authority, name: &str, now: Timestamp) -> bool {
        let mut trusted = RootCertStore::empty();
        let root = CertificateDer::from_pem_file(authority.certificate()).expect("authority");
        trusted.add(root).expect("a root");
        let provider = Arc::new(ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(trusted), provider)
            .build()
            .expect("verifier");
        let signed = CertificateDer::from_pem_file(authority.signed()).expect("certificate");
        let seconds = now.as_second().unsigned_abs();
        let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let name = ServerName::try_from(name.to_owned()).expect("name");
        verifier.verify_server_cert(&signed, &[], &name, &[], time).is_ok()
    }

    #[test]
    fn a_client_that_trusts_the_authority_accepts_what_it_signs() {
        let directory = tempfile::tempdir().expect("scratch");
        let authority = Authority::new(directory.path());
        let names = ["vault.example".to_owned(), "0.0.0.0".into(), "192.0.2.7".into()];
        assert_eq!(authority.ensure("vault", &names, now()).expect("made"), Change::Made);
        for (name, expected) in [
            ("vault.example", true),
            ("192.0.2.7", true),
            ("localhost", true),
            ("a.example", false),
        ] {
            assert_eq!(is_accepted(&authority, name, now()), expected, "{name}");
        }
        let later = |days: i64| now() + (days * 24).hours();
        assert!(!is_accepted(&authority, "vault.example", later(super::super::VALID_DAYS + 1)));
        for key in ["authority-key.pem", "key.pem"] {
            let found = std::fs::metadata(directory.path().join(key)).expect("a key");
            assert_eq!(found.permissions().mode() & 0o777, 0o600, "{key}");
        }
    }

    #[test]
    fn the_authority_stays_and_its_certificate_is_renewed_in_time() {
        let directory = tempfile::tempdir().expect("scratch");
        let authority = Authority::new(directory.path());
        let later = |days: i64| now() + (days * 24).hours();
        let one = ["one.example".to_owned()];
        let two = ["one.example".to_owned(), "two.example".into()];
        let nearly = super::super::VALID_DAYS - RENEW_DAYS;
        let mut trusted = Vec::new();
        for (names, day, expected) in [
            (&one[..], 0, Change::Made),
            (&one, 1, Change::Kept),
            (&two, 1, Change::Signed),
            (&one, 1, Change::Kept),
            (&one, nearly - 1, Change::Kept),
            (&one, nearly + 2, Change::Signed),
            (&one, VALID_DAYS - 10, Change::Made),
        ] {
            let change = authority.ensure("vault", names, later(day)).expect("ensured");
            assert_eq!(change, expected, "{names:?} on day {day}");
            assert!(is_accepted(&authority, "one.example", later(day)), "day {day}");
            trusted.push(std::fs::read(authority.certificate()).expect("authority"));
        }
        assert!(trusted[..6].iter().all(|pem| *pem == trusted[0]));
        assert_ne!(trusted[6], trusted[0]);
    }
}
