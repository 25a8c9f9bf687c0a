//! The setup sheet of a configuration: what is to be typed into maaiiconnect.

use std::net::SocketAddr;

use super::{address, endpoint, portal_directory};
use crate::{
    accounts::ADMIN,
    config::Config,
    portal::certificate::{authority::Authority, inspect::Certificate},
    settings::sheet::{self, Mongodb, Portal, Sftp},
    sftp::host_keys::HostKey,
};

/// The values of a configuration.
pub fn values(config: &Config) -> sheet::Sheet {
    let endpoint = endpoint(config);
    let keys = endpoint.authorized_keys().list().map(|listing| listing.keys);
    let section = config.mongodb();
    let fingerprint = |key: &HostKey| format!("{} {}", key.algorithm, key.fingerprint);
    sheet::Sheet {
        sftp: Sftp {
            user: config.sftp().user.clone(),
            address: sftp_address(config),
            host_key_fingerprints: endpoint
                .host_keys()
                .map(|keys| keys.iter().map(fingerprint).collect())
                .unwrap_or_default(),
            authorised_keys: keys.into_iter().flatten().map(|key| key.fingerprint).collect(),
        },
        mongodb: Mongodb {
            host: section.host.clone(),
            user: section.user.clone(),
            auth_db: section.auth_db.clone(),
            target_db: section.target_db.clone(),
            only_from_here: Mongodb::is_only_from_here(&section.host),
        },
        portal: portal(config),
    }
}

/// Host and port under which maaiiconnect reaches the endpoint, as far as one can guess.
pub fn sftp_address(config: &Config) -> String {
    let section = config.sftp();
    if !section.address.is_empty() {
        return section.address.clone();
    }
    let mut address = section.listen;
    if address.ip().is_unspecified() {
        address = SocketAddr::new(address::own(), address.port());
    }
    address.to_string()
}

fn portal(config: &Config) -> Portal {
    let section = config.portal();
    let name = match section.names.first() {
        Some(name) => name.clone(),
        None if section.listen.ip().is_unspecified() => address::own().to_string(),
        None => section.listen.ip().to_string(),
    };
    let name = if name.contains(':') { format!("[{name}]") } else { name };
    let url = match section.listen.port() {
        443 => format!("https://{name}/"),
        port => format!("https://{name}:{port}/"),
    };
    let authority = Authority::new(portal_directory(config)).certificate();
    let found = Certificate::read(&authority).ok().filter(|_| section.certificate.is_none());
    Portal {
        url,
        account: ADMIN,
        authority: found.as_ref().map(|_| authority.display().to_string()),
        authority_fingerprint: found.map(|found| found.fingerprint),
    }
}
