//! The portal's certificate: read, or made where none is given.
//!
//! A key that is made here is readable by its owner alone and is never replaced
//! while it is valid: administrators may have told their browsers to trust it.
//! [`authority`] makes certificates that outlive that: browsers are told once to trust
//! the authority, and accept whatever it signs. [`inspect`] tells what is wrong with one.

pub mod authority;
pub mod inspect;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::{Timestamp, ToSpan, tz::TimeZone};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, KeyUsagePurpose, SanType};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio_rustls::rustls::{self, ServerConfig, crypto::ring};

use crate::files;

/// For how many days a certificate that is made here is valid.
pub const VALID_DAYS: i64 = 730;

/// What went wrong with the certificate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A PEM file cannot be read, or is none.
    #[error("cannot read the certificate or key {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rustls_pki_types::pem::Error,
    },
    /// Certificate and key do not go together, or are of a kind that TLS cannot use.
    #[error("cannot use the certificate {} with its key", path.display())]
    Use {
        /// The certificate.
        path: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// A certificate that was read cannot be understood.
    #[error("cannot understand the certificate {}", path.display())]
    Understand {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A certificate cannot be made.
    #[error("cannot make a certificate")]
    Make(#[from] rcgen::Error),
    /// A certificate cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Makes a self-signed certificate for two years where `certificate` or `key` is missing.
///
/// It is valid for `names`, which may be host names and addresses, and for
/// `localhost` and the loopback addresses. Returns whether one was made.
pub fn make_if_missing(
    certificate: &Path,
    key: &Path,
    names: &[String],
    now: Timestamp,
) -> Result<bool, Error> {
    if certificate.exists() && key.exists() {
        return Ok(false);
    }
    let pair = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    let pem = parameters(names, now)?.self_signed(&pair)?.pem();
    write(key, &pair.serialize_pem(), 0o600)?;
    write(certificate, &pem, 0o644)?;
    Ok(true)
}

fn write(path: &Path, text: &str, mode: u32) -> Result<(), Error> {
    files::write_whole(path, text.as_bytes(), mode)
        .map_err(|source| Error::Write { path: path.to_owned(), source })
}

/// What TLS needs to know: this certificate, TLS 1.2 and 1.3, HTTP/2 before HTTP/1.1.
pub(super) fn server_config(certificate: &Path, key: &Path) -> Result<ServerConfig, Error> {
    let read = |path: PathBuf| move |source| Error::Read { path, source };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(read(certificate.to_owned()))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(read(key.to_owned()))?;
    let unusable = |source| Error::Use { path: certificate.to_owned(), source };
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(unusable)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// The names and addresses of a certificate for `names`: those, and this machine's own.
///
/// What is no name, such as "all addresses", is left out.
fn alternatives(names: &[String]) -> Result<Vec<SanType>, Error> {
    let mut alternatives = vec![
        SanType::DnsName("localhost".try_into()?),
        SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        SanType::IpAddress(IpAddr::V6(Ipv6Addr::LOCALHOST)),
    ];
    for name in names {
        let alternative = match name.parse::<IpAddr>() {
            // "All addresses" is nobody's name.
            Ok(address) if address.is_unspecified() => continue,
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName(name.as_str().try_into()?),
        };
        if !alternatives.contains(&alternative) {
            alternatives.push(alternative);
        }
    }
    Ok(alternatives)
}

fn parameters(names: &[String], now: Timestamp) -> Result<CertificateParams, Error> {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, "Retention Portal");
    parameters.subject_alt_names = alternatives(names)?;
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    set_validity(&mut parameters, now, VALID_DAYS);
    Ok(parameters)
}

/// Valid from yesterday, for clocks that are behind.
fn set_validity(parameters: &mut CertificateParams, now: Timestamp, days: i64) {
    let today = now.to_zoned(TimeZone::UTC).date();
    let (from, until) = (today.saturating_sub(1.days()), today.saturating_add(days.days()));
    let date = |date: jiff::civil::Date| {
        rcgen::date_time_ymd(
            date.year().into(),
            date.month().unsigned_abs(),
            date.day().unsigned_abs(),
        )
    };
    (parameters.not_before, parameters.not_after) = (date(from), date(until));
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_certificate_is_made_once_and_can_be_used() {
        let directory = tempfile::tempdir().expect("scratch");
        let (certificate, key) = (directory.path().join("c.pem"), directory.path().join("k.pem"));
        let names = ["vault.example".to_owned(), "0.0.0.0".into(), "192.0.2.7".into()];
        let now = Timestamp::UNIX_EPOCH;
        assert!(make_if_missing(&certificate, &key, &names, now).expect("made"));
        let first = std::fs::read(&certificate).expect("a certificate");
        assert!(!make_if_missing(&certificate, &key, &names, now).expect("kept"));
        assert_eq!(std::fs::read(&certificate).expect("a certificate"), first);
        let mode = std::fs::metadata(&key).expect("a key").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(server_config(&certificate, &key).is_ok());
        assert!(matches!(server_config(&key, &key), Err(Error::Read { .. } | Error::Use { .. })));
    }
}
