//! A write that most members acknowledge, read back and removed.

use std::time::Duration;

use super::{Failure, Steps, token};
use crate::{
    appliance,
    config::Config,
    store::{self, Store},
};

/// How long one step may take.
const PATIENCE: Duration = Duration::from_secs(15);

pub(super) async fn run(config: &Config, steps: &mut Steps<'_>) {
    let host = config.mongodb().host.clone();
    let settings = appliance::store_settings(config);
    let reached = async {
        let settings = settings.as_ref().map_err(|error| {
            Failure::new(format!("{error:#}"), "Run `retention setup` to store the password.")
        })?;
        // Without the user, so that not reaching it and not being let in are told apart.
        let anonymous = store::Settings { user: None, ..settings.clone() };
        let store = Store::connect(&anonymous).map_err(|error| unreachable(&error, &host))?;
        let server = patiently(async move { store.ping().await }).await?;
        let server = server.map_err(|error| unreachable(&error, &host))?;
        if !server.writable {
            let todo = "Name all members in mongodb.host and the set in mongodb.replica_set, or \
                        see with `rs.status()` why there is no primary.";
            return Err(Failure::new(format!("MongoDB at {host} does not accept writes"), todo));
        }
        let set = server.replica_set.map_or(String::new(), |set| format!(", replica set {set}"));
        Ok((settings.clone(), format!("MongoDB {} at {host}{set}", server.version)))
    };
    let Some(settings) = steps.step("connect", reached).await else {
        for name in ["sign in", "write at majority", "read back", "remove"] {
            steps.not_done(name, "", None);
        }
        return;
    };
    let auth_db = settings.auth_db.clone();
    let signed_in = async {
        let store = Store::connect(&settings).map_err(|error| Failure::of(&error, ""))?;
        let asked = store.clone();
        let who = patiently(async move { asked.who_am_i().await }).await?.map_err(|error| {
            let todo = format!(
                "Check mongodb.user and mongodb.auth_db ({auth_db}) and the secret \
                 mongodb-password, or run `retention setup` with an administrator of MongoDB."
            );
            Failure::of(&error, todo)
        })?;
        let said = who.map_or("as nobody: the database asks for no user".to_owned(), |who| {
            format!("as {who} of {auth_db}")
        });
        Ok((store, said))
    };
    let store = steps.step("sign in", signed_in).await;
    let token = token();
    let target = config.mongodb().target_db.clone();
    let todo = format!(
        "The user needs the role readWrite on {target}, and most members of the replica set have \
         to be there."
    );
    let done = |said: &str| Ok(((), said.to_owned()));
    let failed = |error: store::Error| Failure::of(&error, todo.clone());

    let (asked, word) = (store.clone(), token.clone());
    let wrote = async {
        let Some(store) = asked else { return done("") };
        let writing = async move { store.trial_write(&word).await };
        patiently(writing).await?.map_err(failed)?;
        done(&format!("into {target}, journalled by most members"))
    };
    steps.step("write at majority", wrote).await;
    let wrote = !steps.has_failed();
    let (asked, word) = (store.clone(), token.clone());
    let read = async {
        let Some(store) = asked else { return done("") };
        let reading = async move { store.trial_read(&word).await };
        match patiently(reading).await?.map_err(failed)? {
            true => done("what was written is there"),
            false => Err(Failure::new("what was written is not there", todo.clone())),
        }
    };
    steps.step("read back", read).await;
    let remove = async {
        let Some(store) = store.clone() else { return done("") };
        let removing = async move { store.trial_remove(&token).await };
        patiently(removing).await?.map_err(failed)?;
        done("nothing of it is left")
    };
    if steps.has_failed() && wrote {
        // Reading failed: what was written goes all the same.
        let _ = remove.await;
        steps.not_done("remove", "", None);
    } else {
        steps.step("remove", remove).await;
    }
}

fn unreachable(error: &store::Error, host: &str) -> Failure {
    let todo = format!(
        "See whether MongoDB runs (`systemctl status mongod`) and listens at {host}; its own \
         log says why not."
    );
    Failure::of(error, todo)
}

/// Waits for the database, but not for ever. The work goes on by itself if it takes
/// longer: the driver does not like to be dropped half-way.
pub(crate) async fn patiently<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::time::timeout(PATIENCE, tokio::spawn(work)).await {
        Ok(Ok(answer)) => Ok(answer),
        _ => Err(Failure::new(
            format!("MongoDB did not answer within {} s", PATIENCE.as_secs()),
            "See whether its disk is full and whether most members of the replica set are there.",
        )),
    }
}
