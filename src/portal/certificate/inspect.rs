//! What is wrong with a certificate: told before a browser does.

use std::path::Path;

use jiff::Timestamp;
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use sha2::{Digest, Sha256};
use tokio_rustls::rustls::{client::verify_server_name, server::ParsedCertificate};
use x509_parser::{extensions::GeneralName, prelude::FromDer, prelude::X509Certificate};

use super::{Error, server_config};

/// What a certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Whose it is.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// The names and addresses that it is valid for.
    pub names: Vec<String>,
    /// From when on it is valid.
    pub not_before: Timestamp,
    /// Until when it is valid.
    pub not_after: Timestamp,
    /// The SHA-256 of it, as browsers show it.
    pub fingerprint: String,
    der: CertificateDer<'static>,
}

impl Certificate {
    /// Reads the first certificate of a PEM file.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let der = CertificateDer::from_pem_file(path)
            .map_err(|source| Error::Read { path: path.to_owned(), source })?;
        Self::parse(path, der.into_owned())
    }

    fn parse(path: &Path, der: CertificateDer<'static>) -> Result<Self, Error> {
        let misread = |source: Box<dyn std::error::Error + Send + Sync>| Error::Understand {
            path: path.to_owned(),
            source,
        };
        let (_, parsed) =
            X509Certificate::from_der(&der).map_err(|error| misread(error.to_string().into()))?;
        let time = |seconds| Timestamp::from_second(seconds).map_err(|error| misread(error.into()));
        let validity = parsed.validity();
        let names = match parsed.subject_alternative_name() {
            Ok(Some(alternatives)) => {
                alternatives.value.general_names.iter().filter_map(name).collect()
            }
            _ => Vec::new(),
        };
        let fingerprint = Sha256::digest(&der);
        let fingerprint: Vec<String> =
            fingerprint.iter().map(|byte| format!("{byte:02X}")).collect();
        Ok(Self {
            subject: parsed.subject().to_string(),
            issuer: parsed.issuer().to_string(),
            names,
            not_before: time(validity.not_before.timestamp())?,
            not_after: time(validity.not_after.timestamp())?,
            fingerprint: fingerprint.join(":"),
            der,
        })
    }

    /// Whether a browser that asks for `name`, a host name or an address, accepts it.
    pub fn is_for(&self, name: &str) -> bool {
        let Ok(name) = ServerName::try_from(name) else { return false };
        ParsedCertificate::try_from(&self.der)
            .is_ok_and(|parsed| verify_server_name(&parsed, &name).is_ok())
    }

    /// Whether it says that `authority` signed it. Says nothing of the signature itself.
    pub fn names_issuer(&self, authority: &Self) -> bool {
        self.issuer == authority.subject && self.subject != self.issuer
    }

    /// How many whole days it is still valid; less than 0 when it is not any more.
    pub fn days_left(&self, now: Timestamp) -> i64 {
        self.not_after.duration_since(now).as_hours().div_euclid(24)
    }

    /// The certificate as TLS sends it.
    pub(in crate::portal) fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }
}

/// Why TLS could not use a certificate with its key, if it could not.
pub fn unusable(certificate: &Path, key: &Path) -> Option<Error> {
    server_config(certificate, key).err()
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(std::net::IpAddr::from);
            let v6 = || <[u8; 16]>::try_from(*bytes).map(std::net::IpAddr::from);
            v4.or_else(|_| v6()).ok().map(|address| address.to_string())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_dates_are_those_in_the_certificate() {
        let directory = tempfile::tempdir().expect("scratch");
        let (path, key) = (directory.path().join("c.pem"), directory.path().join("k.pem"));
        let now: Timestamp = "2026-01-02T03:04:05Z".parse().expect("time");
        let names = ["vault.example".to_owned(), "192.0.2.7".into()];
        super::super::make_if_missing(&path, &key, &names, now).expect("made");
        let certificate = Certificate::read(&path).expect("read");
        for (name, expected) in [
            ("vault.example", true),
            ("192.0.2.7", true),
            ("127.0.0.1", true),
            ("other.example", false),
            ("192.0.2.8", false),
            ("", false),
        ] {
            assert_eq!(certificate.is_for(name), expected, "{name}");
        }
        assert!(certificate.names.contains(&"192.0.2.7".to_owned()));
        assert_eq!(certificate.days_left(now), super::super::VALID_DAYS - 1);
        assert!(certificate.not_before < now);
        assert!(unusable(&path, &key).is_none());
        assert!(matches!(Certificate::read(&key), Err(Error::Read { .. })));
        std::fs::write(&key, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
            .expect("write");
        assert!(matches!(Certificate::read(&key), Err(Error::Understand { .. })));
    }
}
