//! A sign-in over HTTPS, with an account that lives only that long.
//!
//! The account is made in the database, as whoever has the database's password can make
//! one at any time; its password is random and known to nobody, and it may see nothing.
//! The portal itself has no door for this: it is asked as it is by everybody.

use super::{Failure, Outcome, Step, Steps, database::patiently, sftp::reachable, token};
use crate::{
    accounts::{Account, Permissions, Role},
    appliance,
    config::{Config, Secret},
    portal::{
        certificate::inspect::{self, Certificate},
        password,
        visit::Visit,
    },
    store::Store,
};

/// Begins the names of accounts that a trial makes.
const NAME: &str = "retention-trial-";

const SIGN_IN: &str = "sign in with an account for this test alone";
const REMOVE: &str = "remove the account";

pub(super) async fn run(config: &Config, steps: &mut Steps<'_>) {
    let address = reachable(config.portal().listen);
    let (certificate, key) = appliance::portal_certificate(config);
    let check_portal = "`journalctl -u retention` says why the portal does not run.";
    let handshake = async {
        let unusable = |error| Failure::of(&error, check_portal);
        let visit = Visit::new(address, &certificate).map_err(unusable)?;
        let version = visit.handshake().await.map_err(unusable)?;
        Ok((visit, format!("{version} at {address}")))
    };
    let visit = steps.step("shake hands over TLS", handshake).await;
    let names = async { check_certificate(config, &certificate, &key) };
    steps.step("check the certificate's names and dates", names).await;

    let Some(visit) = visit.filter(|_| !steps.has_failed()) else {
        for name in [SIGN_IN, "open a page", "sign out", REMOVE] {
            steps.not_done(name, "", None);
        }
        return;
    };
    let made = make_account(config).await;
    let Some((store, name, password)) = keep(steps, SIGN_IN, made) else {
        for name in ["open a page", "sign out", REMOVE] {
            steps.not_done(name, "", None);
        }
        return;
    };
    let signed_in = async {
        let session = visit.sign_in(&name, &password).await.map_err(|error| {
            Failure::of(&error, "See whether the portal uses this MongoDB: restart retention.")
        })?;
        Ok((session, "as an account that may see nothing".to_owned()))
    };
    let session = steps.step(SIGN_IN, signed_in).await;
    let (mut csrf, mut open) = (String::new(), None);
    if let Some(session) = session {
        let opened = async {
            let token = session.open().await.map_err(|error| Failure::of(&error, check_portal))?;
            Ok((token, "one that nobody can open without a session".to_owned()))
        };
        csrf = steps.step("open a page", opened).await.unwrap_or_default();
        open = Some(session);
    } else {
        steps.not_done("open a page", "", None);
    }
    let signed_out = async {
        if let Some(session) = open {
            session.sign_out(&csrf).await.map_err(|error| Failure::of(&error, check_portal))?;
        }
        Ok(((), "the session has ended".to_owned()))
    };
    steps.step("sign out", signed_out).await;
    // It goes, whatever happened.
    let gone = name.clone();
    let removed = patiently(async move { store.remove_account(&gone).await }).await;
    let todo = || format!("Deactivate {name} under Account management.");
    match removed.and_then(|removed| removed.map_err(|error| Failure::of(&error, todo()))) {
        Ok(()) => steps.push(Step {
            name: REMOVE.to_owned(),
            outcome: Outcome::Done,
            said: "nothing of it is left but its lines in the audit log".to_owned(),
            todo: None,
        }),
        Err(failure) => steps.failed(REMOVE, failure),
    }
}

/// Tells of a failure; a success is told by the step that it is part of.
fn keep<T>(steps: &mut Steps<'_>, name: &str, made: Result<T, Failure>) -> Option<T> {
    made.map_err(|failure| steps.failed(name, failure)).ok()
}

fn check_certificate(
    config: &Config,
    certificate: &std::path::Path,
    key: &std::path::Path,
) -> Result<((), String), Failure> {
    let todo = "Run `retention setup` again, or give a certificate that has these names.";
    if let Some(error) = inspect::unusable(certificate, key) {
        return Err(Failure::of(&error, todo));
    }
    let found = Certificate::read(certificate).map_err(|error| Failure::of(&error, todo))?;
    let missing: Vec<_> =
        config.portal().names.iter().filter(|name| !found.is_for(name)).cloned().collect();
    if !missing.is_empty() {
        let why = format!("the certificate is not for {}", missing.join(", "));
        return Err(Failure::new(why, todo));
    }
    let now = appliance::now();
    if found.not_before > now || found.not_after < now {
        let why = format!("it is valid from {} to {}", found.not_before, found.not_after);
        return Err(Failure::new(why, todo));
    }
    let until = found.not_after.strftime("%Y-%m-%d");
    Ok(((), format!("for {}, until {until}", found.names.join(", "))))
}

async fn make_account(config: &Config) -> Result<(Store, String, Secret), Failure> {
    let todo = "Run `retention test mongodb`.";
    let store =
        appliance::store(config).map_err(|error| Failure::new(format!("{error:#}"), todo))?;
    let password = appliance::new_password(PASSWORD_CHARS)
        .map_err(|error| Failure::new(format!("{error:#}"), ""))?;
    let hash = password::Passwords::default().hash(password.clone()).await;
    let hash = hash.map_err(|error| Failure::of(&error, ""))?;
    let name = format!("{NAME}{}", token());
    let now = appliance::now();
    let account = Account {
        name: name.clone(),
        display_name: "Test of the configuration".to_owned(),
        staff_eid: None,
        role: Role::Staff,
        permissions: Permissions::default(),
        active: true,
        created: now,
        password_set: now,
    };
    let (asked, failed) = (store.clone(), |error| Failure::of(&error, todo));
    let making = async move {
        // What a trial left behind that was killed.
        for old in asked.accounts().await? {
            let is_old = now.duration_since(old.created).as_mins() >= 5;
            if old.name.starts_with(NAME) && is_old {
                asked.remove_account(&old.name).await?;
            }
        }
        asked.create_account(&account, &hash).await
    };
    patiently(making).await?.map_err(failed)?;
    Ok((store, name, password))
}

/// The length of a password that nobody types.
const PASSWORD_CHARS: usize = 43;
