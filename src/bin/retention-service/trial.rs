//! *Test this configuration now*, from the service's side: does what is configured let us in?
//!
//! Nothing of it is left behind, and it never counts as a backup: the file that is sent has a
//! temporary name. A test that fails is an answer.

use std::{fs, path::PathBuf, time::Duration};

use retention::{
    steps::{Failure, Step, Steps},
    store::{self, Store},
};
use tokio::time::timeout;

use crate::{
    client::{Client, Error, Manner},
    settings::Online,
};

/// How long MongoDB may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is sent.
const CONTENTS: &[u8] = b"A test of the retention settings. It can be removed.\n";

/// Tries to upload a small file.
pub(crate) async fn offline(client: Client, user: String, directory: PathBuf) -> Vec<Step> {
    let mut report = |_: &Step| {};
    let mut steps = Steps::new(&mut report);
    steps
        .step("connect to the SFTP server", async {
            let keys = client.shown_host_keys().await.map_err(|error| {
                Failure::of(&error, "Look at address and port, and at the way between.")
            })?;
            Ok(((), format!("it shows {} host keys", keys.len())))
        })
        .await;
    steps
        .step("compare its host key", async {
            let todo = "Compare the fingerprints with those on the appliance's setup sheet.";
            client.pin().await.map_err(|error| Failure::of(&error, todo))?;
            Ok(((), "it is one that was configured".to_owned()))
        })
        .await;
    steps
        .step("sign in", async {
            client.session("pwd\n").await.map_err(|error| match error {
                Error::Refused => Failure::new(
                    format!("the server refuses our public key for {user}"),
                    "Authorise the SFTP public key on the server.",
                ),
                error => Failure::of(&error, ""),
            })?;
            Ok(((), format!("as {user}")))
        })
        .await;
    let name = format!("retention-test-{}.part", uuid::Uuid::now_v7().simple());
    let file = directory.join(&name);
    let uploaded = steps
        .step("upload a small file", async {
            let todo = "Give the user a directory to write to, and room.";
            fs::write(&file, CONTENTS).map_err(|error| Failure::of(&error, ""))?;
            let sent = tokio::sync::watch::Sender::new(0);
            let put = client.put(&file, &name, Manner::default(), &sent).await;
            put.map_err(|error| Failure::of(&error, todo))?;
            Ok(((), format!("{} bytes", CONTENTS.len())))
        })
        .await;
    let _ = fs::remove_file(&file);
    if uploaded.is_some() {
        steps
            .step("remove it", async {
                let removed = client.session(&format!("rm {name}\n")).await;
                removed.map_err(|error| Failure::of(&error, format!("Remove {name} by hand.")))?;
                Ok(((), "nothing of it is left".to_owned()))
            })
            .await;
    } else {
        steps.not_done("remove it", "", None);
    }
    steps.into_list()
}

/// Tries to sign in to MongoDB.
pub(crate) async fn online(settings: Online) -> Vec<Step> {
    let mut report = |_: &Step| {};
    let mut steps = Steps::new(&mut report);
    let user = (!settings.user.is_empty()).then(|| {
        let password = settings.password.as_ref().map(|password| password.value.clone());
        let nothing = || retention::config::Secret::new(String::new());
        (settings.user.clone(), password.unwrap_or_else(nothing))
    });
    let settings = store::Settings {
        host: settings.host.clone(),
        user,
        auth_db: settings.auth_db.clone(),
        target_db: settings.target_db.clone(),
        replica_set: None,
        tls: None,
    };
    let todo = "Look at Host, User, Password, AuthDB and TargetDB.";
    let store = steps
        .step("connect to MongoDB", async {
            let store = Store::connect(&settings).map_err(|error| Failure::of(&error, todo))?;
            let asked = store.clone();
            let server = asked_in_time(async move { asked.ping().await }, todo).await?;
            Ok((store, format!("MongoDB {} at {}", server.version, settings.host)))
        })
        .await;
    let asked = store.clone();
    steps
        .step("sign in", async {
            let Some(store) = asked else { return Ok(((), String::new())) };
            let who = asked_in_time(async move { store.who_am_i().await }, todo).await?;
            Ok(((), who.unwrap_or_else(|| "nobody has to".to_owned())))
        })
        .await;
    steps
        .step("read the target database", async {
            let Some(store) = store else { return Ok(((), String::new())) };
            asked_in_time(async move { store.trial_read("retention-service").await }, todo).await?;
            Ok(((), settings.target_db.clone()))
        })
        .await;
    steps.into_list()
}

/// Asks MongoDB, for so long as one waits for it.
///
/// A question to the driver that is dropped half-way may leave it in a bad state.
async fn asked_in_time<T: Send + 'static>(
    question: impl Future<Output = Result<T, store::Error>> + Send + 'static,
    todo: &str,
) -> Result<T, Failure> {
    let slow = || Failure::new("it does not answer in time", todo);
    let answer = timeout(PATIENCE, tokio::spawn(question)).await.map_err(|_| slow())?;
    let answer = answer.map_err(|error| Failure::of(&error, todo))?;
    answer.map_err(|error| Failure::of(&error, todo))
}
