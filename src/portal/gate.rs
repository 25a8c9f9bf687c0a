//! The one way to data: who is asking, and may they?
//!
//! [`Gate`] keeps the store to itself. Handlers get a permit ([`permit`]) that
//! only a check in here can make, and the permit is what reads and changes. What
//! is read or changed is in the audit log before a permit returns. Nothing in
//! here may be reachable without a permit but signing in.

mod archive;
mod condition;
mod elsewhere;
mod judging;
mod library;
mod log;
mod office;
pub(super) mod permit;
mod retention;
mod session;
mod settings;
mod shelf;
mod throttle;
mod underway;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::{Mutex as TurnMutex, Semaphore};

use super::{Arriving, Settings, Watched, errors::Error, password::Passwords, request::Request};
use crate::{
    accounts::Account,
    audit::{Action, Event},
    backup::{UploadId, pace::Paces},
    config::{Audience, Secret},
    health::Report,
    store::Store,
};
use session::{SessionId, Sessions};
use throttle::Throttle;

pub(super) use judging::{Judged, Looked};
pub(super) use library::Opened;
pub(super) use log::LogPage;
pub(super) use office::{NewAccount, PasswordChange};
pub(super) use permit::{Administrator, Download, May, Permit, Probe, See, SignedIn, Visitor};
pub(super) use retention::{Outcome, Pressed};
pub(super) use session::{LONGEST_SECONDS, Token};
pub(super) use settings::{Authorised, Known, said, sealing};
pub(super) use shelf::TakenReceipt;
pub(super) use underway::{AskedAgain, Next, NotHere, OnItsWay, UnderWay};

/// The cookie that holds a session's token. The prefix makes browsers insist on
/// TLS, this host and the path `/`.
pub(super) const COOKIE: &str = "__Host-retention";

/// How many may take an entry out of an archive at once. Each may be gigabytes.
const TAKING_OUT: usize = 2;

/// The store, and who may come to it.
pub(super) struct Gate {
    store: Store,
    watched: Watched,
    metrics: Audience,
    look_seconds: u64,
    passwords: Passwords,
    sessions: Mutex<Sessions>,
    throttle: Mutex<Throttle>,
    /// How fast backups are being stored.
    paces: Mutex<Paces<UploadId>>,
    /// Changes of accounts go one after the other, so that none undoes another.
    office_hours: TurnMutex<()>,
    /// Who takes entries out of archives.
    taking_out: Semaphore,
    clock: fn() -> Timestamp,
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate").finish_non_exhaustive()
    }
}

/// What came of an attempt to sign in.
pub(super) enum SignIn {
    /// It was right; the token is for the cookie.
    Welcome(Token),
    /// Name and password do not go together, or the account is not active.
    Refused,
    /// Too many attempts: come back after so many seconds.
    Wait(u64),
}

impl Gate {
    /// A gate before `store`.
    pub(super) fn new(
        settings: &Settings,
        store: Store,
        watched: Watched,
        clock: fn() -> Timestamp,
    ) -> Self {
        Self {
            store,
            watched,
            metrics: settings.metrics,
            look_seconds: settings.look_seconds,
            passwords: Passwords::default(),
            sessions: Mutex::default(),
            throttle: Mutex::default(),
            paces: Mutex::default(),
            office_hours: TurnMutex::default(),
            taking_out: Semaphore::new(TAKING_OUT),
            clock,
        }
    }

    /// The time.
    pub(super) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    async fn sign_in(
        &self,
        request: &Request,
        name: &str,
        password: Secret,
    ) -> Result<SignIn, Error> {
        let name = name.trim();
        if let Err(seconds) = lock(&self.throttle).begin(name, request.peer(), request.now()) {
            return Ok(SignIn::Wait(seconds));
        }
        let found = self.store.account(name).await?;
        let (account, hash) = found.map_or((None, None), |(a, hash)| (Some(a), Some(hash)));
        let fits = self.passwords.verify(password, hash).await?;
        match account.filter(|account| fits && account.active) {
            Some(account) => {
                lock(&self.throttle).succeed(name, request.peer());
                self.write_down(request, &account.name, Action::SignIn, "/sign-in", None).await?;
                Ok(SignIn::Welcome(self.begin_session(&account)?))
            }
            None => {
                let typed: String = name.chars().take(100).collect();
                self.write_down(request, &typed, Action::SignInRefused, "/sign-in", None).await?;
                Ok(SignIn::Refused)
            }
        }
    }

    fn begin_session(&self, account: &Account) -> Result<Token, Error> {
        lock(&self.sessions).begin(account, self.now()).map_err(Error::Session)
    }

    /// The account that a request is signed in to, as it is in the store now.
    async fn whose(
        &self,
        request: &Request,
    ) -> Result<Option<(SessionId, String, Account)>, Error> {
        let Some(token) = request.cookie(COOKIE) else {
            return Ok(None);
        };
        let id = SessionId::of(token);
        let Some(session) = lock(&self.sessions).get(id, self.now(), !request.is_by_script())
        else {
            return Ok(None);
        };
        let account = self.store.account(&session.account).await?;
        match account.filter(|(account, _)| session.still_fits(account)) {
            Some((account, _)) => Ok(Some((id, session.csrf, account))),
            None => {
                lock(&self.sessions).end(id);
                Ok(None)
            }
        }
    }

    async fn write_down(
        &self,
        request: &Request,
        account: &str,
        action: Action,
        subject: &str,
        detail: Option<String>,
    ) -> Result<(), Error> {
        let event = self.event(request, account, action, subject, detail);
        Ok(self.store.audit(&event).await?)
    }

    /// A line of the audit log, as of now.
    fn event(
        &self,
        request: &Request,
        account: &str,
        action: Action,
        subject: &str,
        detail: Option<String>,
    ) -> Event {
        Event {
            at: self.now(),
            account: account.to_owned(),
            peer: request.peer().to_string(),
            action,
            subject: subject.to_owned(),
            detail,
        }
    }

    /// Uploads that are on their way now.
    fn arriving(&self) -> Arc<Vec<Arriving>> {
        self.watched.arriving.borrow().clone()
    }

    /// The newest report on health.
    fn report(&self) -> Option<Arc<Report>> {
        self.watched.reports.borrow().clone()
    }
}

/// The lock guards values that are whole between any two statements, so a panic
/// elsewhere leaves nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
