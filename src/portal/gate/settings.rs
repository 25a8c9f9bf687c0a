//! The Settings tab: what administrators see of the settings, and how they change them.
//!
//! A change is in the audit log twice, under the names of what changes and never with a secret: that
//! it is attempted, before it is made, and what came of it, after. So nothing changes unwritten,
//! wherever the work is cut off, and nothing is written as changed that was not. A change is made over
//! the settings that were read for it; if somebody else was quicker, it is not made at all.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::{Gate, permit::Administrator};
use crate::{
    accounts::ADMIN,
    audit::{Action, Event},
    config::{Modes, Mongodb, Secret},
    connector::{
        client::{self, Client, SftpKey as TheirKey},
        telling,
    },
    portal::{self, Move, NewDatabase, StepsToCome, errors::Error, request::Request},
    settings::{
        ARCHIVE_KEY, ArchiveKey as SetKey, Change, Defaults, Settings, SftpKey,
        seal::{self, Seal},
        sheet::Sheet,
    },
    sftp::keys::AuthorizedKey,
    steps::{Outcome as StepOutcome, Step},
    store::backups::Held,
};

/// The page's address, which stands in the audit log.
const PATH: &str = "/retention/settings";

/// How often a change is made anew when the node itself changed something at the same time.
const ATTEMPTS: usize = 3;

/// All that the tab shows.
pub(in crate::portal) struct Known {
    pub(in crate::portal) settings: Settings,
    pub(in crate::portal) defaults: Defaults,
    pub(in crate::portal) archive_keys: Vec<ArchiveKey>,
    pub(in crate::portal) sheet: Sheet,
    /// Whether settings that are secret can be set here.
    pub(in crate::portal) can_seal: bool,
    /// Whether maaiiconnect is told through the connector.
    pub(in crate::portal) has_connector: bool,
    /// Why it cannot be told, if so.
    pub(in crate::portal) trouble: Option<String>,
    /// What has to be set before maaiiconnect can make backups.
    pub(in crate::portal) missing: Vec<&'static str>,
    /// What the database holds, and another one would not.
    pub(in crate::portal) held: Held,
}

/// What came of adding a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::portal) enum Authorised {
    /// It may upload now.
    New,
    /// It was to end, and does not any more.
    Stays,
    /// It may upload already.
    Already,
}

/// An Archive Key as the tab shows it.
pub(in crate::portal) struct ArchiveKey {
    /// Tells it from others; none where there is nothing to make marks with.
    pub(in crate::portal) mark: Option<String>,
    /// Who set it, and when; nothing of one that stands in the configuration.
    pub(in crate::portal) set: Option<Change>,
    /// How many backups it has opened.
    pub(in crate::portal) opened: u64,
    /// When the newest of them was made.
    pub(in crate::portal) newest: Option<jiff::Timestamp>,
    /// Whether it is sealed with another `settings-key` than ours, so that it opens nothing now.
    pub(in crate::portal) is_closed: bool,
}

impl Administrator {
    /// All that the tab shows.
    pub(in crate::portal) async fn settings(&self, request: &Request) -> Result<Known, Error> {
        self.who.write_down(request, Action::View, PATH, None).await?;
        let gate = &self.who.gate;
        let setting = &gate.watched.setting;
        let settings = gate.store.settings().await?;
        Ok(Known {
            archive_keys: self.archive_keys(&settings).await?,
            held: gate.store.stored_backups().await?,
            missing: telling::missing(&settings, &setting.defaults),
            settings,
            defaults: setting.defaults.clone(),
            sheet: (setting.sheet)(),
            can_seal: setting.seal.is_some(),
            has_connector: self.who.has_connector(),
            trouble: self.who.connector_trouble(),
        })
    }

    /// What holds where nothing was set.
    pub(in crate::portal) fn defaults(&self) -> &Defaults {
        &self.who.gate.watched.setting.defaults
    }

    /// What is set now.
    pub(in crate::portal) async fn current(&self) -> Result<Settings, Error> {
        Ok(self.who.gate.store.settings().await?)
    }

    /// The modes that are set now.
    pub(in crate::portal) async fn modes(&self) -> Result<Modes, Error> {
        Ok(self.who.gate.store.settings().await?.modes(self.defaults()))
    }

    /// The database that is set now.
    pub(in crate::portal) async fn database(&self) -> Result<Mongodb, Error> {
        Ok(self.who.gate.store.settings().await?.database(self.defaults()))
    }

    /// What the database holds that is in use.
    pub(in crate::portal) async fn held(&self) -> Result<Held, Error> {
        Ok(self.who.gate.store.stored_backups().await?)
    }

    async fn archive_keys(&self, settings: &Settings) -> Result<Vec<ArchiveKey>, Error> {
        let gate = &self.who.gate;
        let setting = &gate.watched.setting;
        // Those of the configuration that cannot be read are told of by intake and health.
        let configured = setting.secrets.archive_keys().unwrap_or_default();
        let set = settings.archive_keys.iter().map(|key| (Some(key.mark.clone()), Some(key)));
        let seal = setting.seal.as_ref();
        let configured = configured.iter().map(|key| (seal.map(|seal| seal.mark(key)), None));
        let mut known: Vec<ArchiveKey> = Vec::new();
        for (mark, set) in set.chain(configured) {
            let name = mark.as_ref().map(|mark| mark.as_str().to_owned());
            if name.is_some() && known.iter().any(|other| other.mark == name) {
                continue;
            }
            let (opened, newest) = match &mark {
                Some(mark) => gate.store.opened_with(mark).await?,
                None => (0, None),
            };
            let opens = |key: &SetKey| seal::open(seal, &key.key, ARCHIVE_KEY).is_ok();
            let is_closed = !set.is_none_or(opens);
            let set = set.map(|key| key.set.clone());
            known.push(ArchiveKey { mark: name, set, opened, newest, is_closed });
        }
        Ok(known)
    }

    /// Changes the settings. `edit` returns what changes, in words for the audit log; nothing if
    /// all is so already. Returns whether something changed.
    pub(in crate::portal) async fn change_settings(
        &self,
        request: &Request,
        mut edit: impl FnMut(&mut Settings, &Change) -> Result<Option<String>, Error>,
    ) -> Result<bool, Error> {
        let gate = &self.who.gate;
        let _turn = gate.office_hours.lock().await;
        let mut is_attempted = false;
        for _ in 0..ATTEMPTS {
            let change = Change { at: gate.now(), by: self.who.account().name.clone() };
            let mut settings = gate.store.settings().await?;
            let detail = match edit(&mut settings, &change) {
                Ok(Some(detail)) => detail,
                other => {
                    if is_attempted {
                        let why = "it does not fit what somebody else has set meanwhile";
                        self.note(request, Action::SettingsNotChanged, why.into()).await?;
                    }
                    return other.map(|_| false);
                }
            };
            settings.revision += 1;
            settings.changed = Some(change);
            if !is_attempted {
                self.note(request, Action::SettingsAttempted, detail.clone()).await?;
                is_attempted = true;
            }
            if gate.store.change_settings(&settings).await? {
                self.wake();
                self.note(request, Action::SettingsChanged, detail).await?;
                return Ok(true);
            }
        }
        let why = "somebody else was quicker";
        self.note(request, Action::SettingsNotChanged, why.into()).await?;
        Err(Error::Input("Somebody else changes the settings. Look at them, and try again.".into()))
    }

    /// Writes to the audit log what is done with the settings.
    async fn note(&self, request: &Request, action: Action, detail: String) -> Result<(), Error> {
        self.who.write_down(request, action, PATH, Some(detail)).await
    }

    /// What seals settings that are secret.
    pub(in crate::portal) fn seal(&self) -> Result<&Seal, Error> {
        let seal = self.who.gate.watched.setting.seal.as_ref();
        seal.ok_or_else(|| sealing(&seal::Error::NoKey))
    }

    /// Sets the password of `Admin`, as maaiiconnect's Retention Portal Permissions do.
    pub(in crate::portal) async fn set_portal_password(
        &self,
        request: &Request,
        password: Secret,
    ) -> Result<(), Error> {
        self.set_password(request, ADMIN, password).await
    }

    /// Lets a key upload, without an end.
    pub(in crate::portal) async fn authorise(
        &self,
        request: &Request,
        key: &AuthorizedKey,
    ) -> Result<Authorised, Error> {
        let mut came_to = Authorised::Already;
        self.change_settings(request, |settings, change| {
            let mut keys = settings.sftp_keys.iter_mut();
            if let Some(known) = keys.find(|known| known.fingerprint == key.fingerprint) {
                let end = known.until.take();
                came_to = if end.is_some() { Authorised::Stays } else { Authorised::Already };
                return Ok(
                    end.map(|_| format!("SFTP Public Key does not end: {}", key.fingerprint))
                );
            }
            came_to = Authorised::New;
            settings.sftp_keys.push(SftpKey {
                fingerprint: key.fingerprint.clone(),
                line: key.line.clone(),
                added: change.clone(),
                until: None,
            });
            Ok(Some(format!("SFTP Public Key added: {}", key.fingerprint)))
        })
        .await?;
        Ok(came_to)
    }

    /// Lets the key upload that maaiiconnect says it signs in with.
    pub(in crate::portal) async fn authorise_theirs(
        &self,
        request: &Request,
    ) -> Result<Authorised, Error> {
        let theirs = self.maaiiconnect()?.sftp_key().await.map_err(|error| unreached(&error))?;
        self.authorise_their(request, &theirs).await
    }

    /// *Generate New Key*: has maaiiconnect make another pair, and lets its public half upload.
    ///
    /// The pair is maaiiconnect's from the moment it is made, whatever becomes of it here.
    pub(in crate::portal) async fn renew_theirs(
        &self,
        request: &Request,
    ) -> Result<Authorised, Error> {
        let client = self.maaiiconnect()?;
        let old = client.sftp_key().await.map_err(|error| unreached(&error))?.fingerprint;
        let detail = format!("maaiiconnect's SFTP key: a new one in the place of {old}");
        self.note(request, Action::SettingsAttempted, detail).await?;
        let new = match client.generate_sftp_key(&old).await {
            Ok(new) => new,
            Err(error) => {
                let why = crate::cause::chain(&error);
                let detail = format!("maaiiconnect's SFTP key: no new one: {why}");
                self.note(request, Action::SettingsNotChanged, detail).await?;
                return Err(Error::Input(format!(
                    "{}. Should maaiiconnect have made a key all the same, Add maaiiconnect's key \
                     lets it upload.",
                    capital(&why)
                )));
            }
        };
        let fingerprint = &new.fingerprint;
        let detail = format!("maaiiconnect's SFTP key: {fingerprint} in the place of {old}");
        self.note(request, Action::SettingsChanged, detail).await?;
        self.authorise_their(request, &new).await.map_err(|error| {
            let why = match error {
                Error::Input(sentence) => sentence,
                other => {
                    let why = crate::cause::chain(&other);
                    tracing::error!("maaiiconnect's new key {fingerprint} is not let in: {why}");
                    "The settings could not be changed.".to_owned()
                }
            };
            Error::Input(format!(
                "maaiiconnect has made the key {fingerprint}, but it may not upload here: {why} Once \
                 that is mended, press Add maaiiconnect's key. Until then uploads go on only as long \
                 as the key before, {old}, may upload: do not remove it."
            ))
        })
    }

    fn maaiiconnect(&self) -> Result<&Client, Error> {
        let connection = self.who.gate.watched.connector.as_ref();
        let client = connection.map(|connection| &connection.client);
        client.ok_or_else(|| Error::Input("There is no connection to maaiiconnect.".into()))
    }

    async fn authorise_their(
        &self,
        request: &Request,
        theirs: &TheirKey,
    ) -> Result<Authorised, Error> {
        let key = AuthorizedKey::parse(&theirs.public_key).map_err(|refusal| {
            Error::Input(format!("maaiiconnect's key cannot upload: {refusal}."))
        })?;
        self.authorise(request, &key).await
    }

    /// *Test this configuration now*: begins a trial of what is saved, or of a database that was
    /// typed.
    pub(in crate::portal) async fn begin_trial(
        &self,
        request: &Request,
        name: &str,
        typed: Option<NewDatabase>,
    ) -> Result<StepsToCome, Error> {
        let detail = typed.as_ref().map(|typed| format!("{name}, not saved: {}", typed.said()));
        let detail = detail.unwrap_or_else(|| name.to_owned());
        self.note(request, Action::ConfigurationTested, detail).await?;
        let begin = &self.who.gate.watched.setting.tools.trial;
        begin(name, typed).ok_or(Error::NotFound)
    }

    /// The same from maaiiconnect's side, where there is a connector and a mode to test.
    pub(in crate::portal) fn their_trial(
        &self,
        name: &str,
    ) -> Option<(crate::connector::client::Client, &'static str)> {
        let connection = self.who.gate.watched.connector.as_ref()?;
        let mode = match name {
            "sftp" => "offline",
            "mongodb" => "online",
            _ => return None,
        };
        Some((connection.client.clone(), mode))
    }

    /// Tries another database, and takes it into use if every step is done, with the modes and the
    /// password that were typed beside it; else nothing is changed. The audit log has what
    /// came of it, whether anybody waits for the steps or not: that of the database that was left, and
    /// that of the other one if it was taken.
    pub(in crate::portal) async fn change_database(
        &self,
        request: &Request,
        new: NewDatabase,
        modes: Modes,
        password: Option<Secret>,
    ) -> Result<StepsToCome, Error> {
        let gate = &self.who.gate;
        let mut detail = format!("MongoDB Permissions: {}; {}", new.said(), said(modes));
        if new.is_elsewhere(&self.database().await?) {
            let Held { stored, only_copies } = self.held().await?;
            detail += &format!("; {stored} stored backups stay behind, {only_copies} only copies");
        }
        let admin_password = match password {
            Some(password) => Some(gate.passwords.hash(password).await?),
            None => None,
        };
        if admin_password.is_some() {
            detail.push_str("; a new password of Admin");
        }
        self.note(request, Action::SettingsAttempted, detail.clone()).await?;
        let change = Change { at: gate.now(), by: self.who.account().name.clone() };
        let event = |action, subject: &str, detail| {
            gate.event(request, &change.by, action, subject, detail)
        };
        let mut events = vec![event(Action::SettingsChanged, PATH, Some(detail))];
        if admin_password.is_some() {
            let subject = format!("/accounts/{ADMIN}");
            events.push(event(Action::PasswordChanged, &subject, None));
        }
        let failed = event(Action::SettingsNotChanged, PATH, None);
        let outcome = Outcome { gate: Arc::clone(gate), changed: events.clone(), failed };
        let wanted = Move { database: new, modes, admin_password, change, events };
        let steps = (gate.watched.setting.tools.database)(wanted);
        let (sender, passed_on) = mpsc::channel(steps.max_capacity());
        tokio::spawn(outcome.follow(steps, sender));
        Ok(passed_on)
    }

    fn wake(&self) {
        let watched = &self.who.gate.watched;
        watched.setting.wake.notify_one();
        if let Some(connection) = &watched.connector {
            connection.wake.notify_one();
        }
    }
}

/// What is to stand in the audit log of a change of the database.
struct Outcome {
    gate: Arc<Gate>,
    changed: Vec<Event>,
    failed: Event,
}

impl Outcome {
    /// Passes the steps on to whoever waits for them, and writes down what came of them.
    async fn follow(self, mut steps: StepsToCome, sender: mpsc::Sender<Step>) {
        let (mut is_taken, mut why) = (false, None);
        while let Some(step) = steps.recv().await {
            if step.outcome == StepOutcome::Failed && why.is_none() {
                why = Some(format!("{}: {}", step.name, step.said));
            }
            if step.name == portal::TAKEN && step.outcome == StepOutcome::Done {
                is_taken = true;
                for event in self.changed.clone() {
                    self.write(event).await;
                }
            }
            // Nobody may be waiting any more.
            let _ = sender.send(step).await;
        }
        if !is_taken {
            let detail = Some(why.unwrap_or_else(|| "it broke off".to_owned()));
            self.write(Event { detail, ..self.failed.clone() }).await;
        }
    }

    async fn write(&self, event: Event) {
        let event = Event { at: self.gate.now(), ..event };
        if let Err(error) = self.gate.store.audit(&event).await {
            let why = crate::cause::chain(&error);
            tracing::error!("the audit log does not have what came of another database: {why}");
        }
    }
}

/// Modes in words, for the audit log.
pub(in crate::portal) fn said(modes: Modes) -> String {
    let state = |on| if on { "on" } else { "off" };
    format!("Online mode {}, Offline mode {}", state(modes.online), state(modes.offline))
}

/// Why maaiiconnect cannot be asked, for the person who wanted it.
fn unreached(error: &client::Error) -> Error {
    Error::Input(format!("{}.", capital(&crate::cause::chain(error))))
}

/// Why a secret cannot be kept, for the person who typed it.
pub(in crate::portal) fn sealing(error: &seal::Error) -> Error {
    Error::Input(format!("{}.", capital(&error.to_string())))
}

/// A sentence begins with a capital letter.
fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
