//! What a configuration says, as each part wants it.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context;
use jiff::SignedDuration;

use super::{database, now, sheet};
use crate::{
    alerts::{self, Way},
    archive::Limits,
    backup::{DirectoryId, verdict::Kept},
    cause,
    config::{Config, Mongodb, Secret, Secrets},
    health::{self, Examiner},
    intake::{
        self,
        places::{ClaimedFile, Places},
    },
    portal::{self, Archives, Portal, Watched, certificate},
    receipt::{Issuer, Signer, SigningKey, signers},
    records::Rules,
    settings::{Defaults, KnownKeys, seal::Seal},
    sftp::Endpoint,
    shelf::{self, Shelf},
    store::{self, Store},
    verification::Periods,
};

/// Room that has to stay free on the disk, in bytes.
const RESERVE_BYTES: u64 = 256 * 1024 * 1024;

/// Tells where the archive of a stored backup is. What was to be kept when it was stored counts, not
/// what would be kept today.
pub(super) fn archives(config: &Config, own: &DirectoryId) -> Archives {
    let places = Places::new(config.state_directory());
    let (offline, own) = (config.modes().offline, own.clone());
    Archives::new(move |backup| {
        if places.has(backup) {
            return Kept::Here;
        }
        if !backup.archive_kept.unwrap_or(offline) {
            return Kept::Removed;
        }
        match &backup.directory {
            Some(directory) if *directory != own => {
                Kept::Elsewhere { unpacked: backup.modes.is_some_and(|modes| modes.online) }
            }
            _ => Kept::Missing,
        }
    })
}

/// The portal, with a certificate of its own where none was given.
pub(super) async fn portal(
    config: &Config,
    store: Store,
    watched: Watched,
) -> anyhow::Result<Portal> {
    let section = config.portal();
    let (certificate, key) = portal_certificate(config);
    if section.certificate.is_none() {
        let state = portal_directory(config);
        std::fs::create_dir_all(&state).context("cannot make the directory of the certificate")?;
        let mut names = section.names.clone();
        names.extend(nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()));
        if !section.listen.ip().is_unspecified() {
            names.push(section.listen.ip().to_string());
        }
        certificate::make_if_missing(&certificate, &key, &names, now())?;
    }
    let health = config.health();
    let settings = portal::Settings {
        listen: section.listen,
        certificate,
        key,
        metrics: health.metrics,
        look_seconds: health.interval_seconds,
    };
    Ok(Portal::new(&settings, store, watched, now).await?)
}

/// Who is told when something is wrong, and how.
pub fn alerts(config: &Config) -> alerts::Settings {
    let section = config.alerts();
    let host = host();
    let mut ways = Vec::new();
    if let Some(mail) = &section.mail {
        let mail = alerts::mail::Mail::new(mail.clone(), secrets(config), host.clone());
        ways.push(Way::Mail(mail));
    }
    if let Some(webhook) = &section.webhook {
        let webhook = alerts::webhook::Webhook::new(webhook.clone(), secrets(config));
        ways.push(Way::Webhook(webhook));
    }
    if section.syslog {
        ways.push(Way::Syslog(alerts::syslog::Syslog::new(alerts::syslog::SOCKET)));
    }
    alerts::Settings {
        directory: alerts::directory(config.state_directory()),
        host,
        ways,
        rules: alerts::plan::Rules {
            settle: SignedDuration::from_secs(section.settle_seconds.into()),
            reminder: SignedDuration::from_hours(section.reminder_hours.into()),
            digest_hour: section.digest.then_some(section.digest_hour),
        },
    }
}

/// Who looks at the appliance that a configuration describes.
pub fn examiner(config: &Config, store: Store) -> Examiner {
    let mut certificates = vec![health::Watched {
        name: "portal",
        path: portal_certificate(config).0,
        advice: match config.portal().certificate {
            Some(_) => "Put a new certificate and its key in place and restart the service.",
            None => "Run `retention setup` again, which makes one and starts the service anew.",
        },
    }];
    let authority = config.mongodb().tls_ca_file.clone().filter(|_| config.mongodb().tls);
    certificates.extend(authority.map(|path| health::Watched {
        name: "mongodb-authority",
        path,
        advice: "Put the authority's new certificate in place and restart the service.",
    }));
    let settings = health::Settings {
        state_directory: config.state_directory().to_owned(),
        sftp: config.sftp().listen,
        endpoint: endpoint(config),
        claimed: |state| {
            let files = Places::new(state).claimed_files().map_err(|error| cause::chain(&error))?;
            let claimed =
                |file: ClaimedFile| health::Claimed { upload: file.upload, name: file.name };
            Ok(files.into_iter().map(claimed).collect())
        },
        directory: |state| Places::new(state).identity().ok().flatten(),
        certificates,
        periods: periods(config),
        connector: config.connector().is_there(),
        health: config.health().clone(),
    };
    Examiner::new(store, settings)
}

/// How often stored backups are held against their receipts.
pub(super) fn periods(config: &Config) -> Periods {
    let health = config.health();
    Periods {
        only_copies_days: health.verify_only_copies_days,
        others_days: health.verify_others_days,
    }
}

/// Where the portal's own certificate is kept, if none was given.
pub fn portal_directory(config: &Config) -> PathBuf {
    config.state_directory().join("portal")
}

/// The portal's certificate and its key: those that were given, or those that are made.
pub fn portal_certificate(config: &Config) -> (PathBuf, PathBuf) {
    let (section, own) = (config.portal(), portal_directory(config));
    match (&section.certificate, &section.key) {
        (Some(certificate), Some(key)) => (certificate.clone(), key.clone()),
        _ => (own.join("certificate.pem"), own.join("key.pem")),
    }
}

/// The database that a configuration names.
pub fn store(config: &Config) -> anyhow::Result<Store> {
    Ok(Store::connect(&store_settings(config)?)?)
}

/// Where the database of a configuration is, and who we are there.
pub fn store_settings(config: &Config) -> anyhow::Result<store::Settings> {
    let Mongodb { host, user, auth_db, target_db, replica_set, tls, tls_ca_file } =
        config.mongodb().clone();
    let user = match (user.as_str(), config.mongodb_password()) {
        ("", _) => None,
        (_, Some(password)) => Some((user, password.clone())),
        (_, None) => Some((user, secrets(config).mongodb_password()?)),
    };
    Ok(store::Settings {
        host,
        user,
        auth_db,
        target_db,
        replica_set: Some(replica_set).filter(|name| !name.is_empty()),
        tls: tls.then_some(tls_ca_file),
    })
}

/// The SFTP endpoint that a configuration describes.
///
/// As root, sshd shuts its user into the directory of the inbox; nobody else may do that.
pub fn endpoint(config: &Config) -> Endpoint {
    let state = config.state_directory();
    let root = state.join("sftp");
    Endpoint {
        listen: config.sftp().listen,
        user: config.sftp().user.clone(),
        group: None,
        directory: state.join("sftp-server"),
        inbox: root.join("inbox"),
        chroot: nix::unistd::geteuid().is_root().then_some(root),
        sha1_rsa: config.sftp().sha1_rsa,
        reserve_bytes: config.health().reserve_bytes,
        program: std::env::current_exe().ok(),
    }
}

/// What holds where nothing was set in the portal.
pub fn defaults(config: &Config) -> Defaults {
    Defaults {
        modes: config.modes(),
        schedule_hour: config.health().schedule_hour,
        mongodb: config.mongodb().clone(),
        sftp_address: sheet::sftp_address(config),
    }
}

/// The Archive Keys that were set in the portal, the newest first, and then the configured ones.
pub async fn archive_keys(config: &Config, configured: Vec<Secret>) -> anyhow::Result<KnownKeys> {
    let config = database::in_force(config.clone())?;
    let settings = store(&config)?.settings().await?;
    Ok(settings.known_keys(seal(&config)?.as_ref(), configured))
}

/// What seals and opens settings that are secret, if there is a key for it.
pub fn seal(config: &Config) -> anyhow::Result<Option<Seal>> {
    Ok(secrets(config).settings_key()?.as_ref().map(Seal::new))
}

/// The secrets that a configuration and systemd hand over.
pub fn secrets(config: &Config) -> Secrets {
    config.secrets(std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from))
}

pub(super) fn intake_settings(
    config: &Config,
    directory: DirectoryId,
) -> anyhow::Result<intake::Settings> {
    let key = SigningKey::read_or_make(&receipts_directory(config))?;
    Ok(intake::Settings {
        limits: Limits::from(config.archive()),
        rules: Rules::new(&config.records().rules),
        defaults: defaults(config),
        secrets: secrets(config),
        seal: seal(config)?,
        grace: config.grace(),
        rescan: Duration::from_secs(config.inbox().rescan_seconds),
        reserve_bytes: RESERVE_BYTES,
        directory,
        authorized_keys: endpoint(config).authorized_keys(),
        issuer: Issuer { host: host(), key: Arc::new(key) },
        clock: now,
    })
}

/// Where the key is that receipts are signed with.
pub fn receipts_directory(config: &Config) -> PathBuf {
    config.state_directory().join("receipts")
}

/// Whose receipts are accepted: those of the keys on this machine, and of those in the database that a
/// node with the same `settings-key` vouches for.
pub async fn signers(config: &Config, store: &Store) -> anyhow::Result<Vec<Signer>> {
    let mut known = signers_here(config)?;
    if let Some(seal) = seal(config)? {
        let noted = signers::noted(store, &seal).await?;
        for signer in noted {
            if known.iter().all(|other| other.key != signer.key) {
                known.push(signer);
            }
        }
    }
    Ok(known)
}

/// The keys on this machine whose receipts are accepted.
pub(super) fn signers_here(config: &Config) -> anyhow::Result<Vec<Signer>> {
    let directory = receipts_directory(config);
    signers::beside(&directory, &host())
        .with_context(|| format!("cannot read the keys in {}", directory.display()))
}

/// What this machine is called.
pub(super) fn host() -> String {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    name.unwrap_or_else(|| "localhost".to_owned())
}

/// Where archives are, for those who look at what is in them alone.
pub(super) fn shelf(config: &Config, directory: DirectoryId) -> anyhow::Result<Shelf> {
    let scratch = config.state_directory().join("examining");
    shelf::prepare(&scratch).context("cannot make the directory where entries are taken out")?;
    let places = Places::new(config.state_directory());
    Ok(Shelf {
        find: Arc::new(move |backup| places.kept(&backup.file, &backup.upload)),
        directory,
        limits: Limits::from(config.archive()),
        rules: Rules::new(&config.records().rules),
        secrets: secrets(config),
        seal: seal(config)?,
        scratch,
    })
}
