//! Whom a client of ours trusts: the authorities that the program brings along, or the customer's
//! own out of a file; and the certificate by which a server knows us.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, parse_pem};

/// A certificate or a key cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {}", path.display())]
pub struct Error {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

/// The authorities in a file, or without one those that the program brings along.
pub fn authorities(file: Option<&Path>) -> Result<RootCerts, Error> {
    let Some(path) = file else {
        return Ok(RootCerts::WebPki);
    };
    Ok(RootCerts::new_with_certs(&certificates(path)?))
}

/// A certificate chain and its key, by which we are known.
pub fn own(certificate: &Path, key: &Path) -> Result<ClientCert, Error> {
    let chain = certificates(certificate)?;
    let pem = zeroize::Zeroizing::new(fs::read(key).map_err(unusable(key))?);
    let found = PrivateKey::from_pem(&pem).map_err(io::Error::other).map_err(unusable(key))?;
    Ok(ClientCert::new_with_certs(&chain, found))
}

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, Error> {
    let pem = fs::read(path).map_err(unusable(path))?;
    let certificate = |item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    };
    let found: Vec<Certificate<'static>> = parse_pem(&pem).filter_map(certificate).collect();
    if found.is_empty() {
        return Err(unusable(path)(io::Error::other("there is no certificate in it")));
    }
    Ok(found)
}

fn unusable(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error { path, source }
}
