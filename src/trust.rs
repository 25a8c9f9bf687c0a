//! Whom a client of ours trusts: the authorities that the program brings along, or the customer's
//! own out of a file; and the certificate by which a server knows us.

use std::{fs, io, path::Path};

use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, parse_pem};

/// The authorities in a file, or without one those that the program brings along.
pub fn authorities(file: Option<&Path>) -> io::Result<RootCerts> {
    let Some(path) = file else {
        return Ok(RootCerts::WebPki);
    };
    Ok(RootCerts::new_with_certs(&certificates(&fs::read(path)?)?))
}

/// A certificate chain and its key, by which we are known.
pub fn own(certificate: &Path, key: &Path) -> io::Result<ClientCert> {
    let chain = certificates(&fs::read(certificate)?)?;
    let pem = zeroize::Zeroizing::new(fs::read(key)?);
    let key = PrivateKey::from_pem(&pem).map_err(io::Error::other)?;
    Ok(ClientCert::new_with_certs(&chain, key))
}

fn certificates(pem: &[u8]) -> io::Result<Vec<Certificate<'static>>> {
    let certificate = |item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    };
    let found: Vec<Certificate<'static>> = parse_pem(pem).filter_map(certificate).collect();
    if found.is_empty() {
        return Err(io::Error::other("there is no certificate in it"));
    }
    Ok(found)
}
