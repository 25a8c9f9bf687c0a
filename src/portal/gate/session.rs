//! Who is signed in.
//!
//! A session is known by a random token that only the browser has: here is its
//! SHA-256. Sessions live in memory, so they end with the process; there are
//! only so many, each ends after idling and after a day's work. This module must
//! never hand out a token twice or keep one as it is.

use std::{collections::HashMap, fmt};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use rand::{TryRngCore, rngs::OsRng};
use sha2::{Digest, Sha256};

use crate::accounts::{Account, Permissions};

/// After how many seconds without a request a session ends.
pub(super) const IDLE_SECONDS: i64 = 30 * 60;
/// After how many seconds a session ends in any case.
pub(in crate::portal) const LONGEST_SECONDS: i64 = 12 * 60 * 60;
/// How many sessions there may be; then the one that idled longest ends.
const LIMIT: usize = 1000;
/// How many sessions one account may have.
const LIMIT_OF_ACCOUNT: usize = 20;
/// How many recently opened media a session remembers.
const OPENED_LIMIT: usize = 200;
/// For how many seconds opening the same medium again is the same act of looking.
const OPENED_SECONDS: i64 = 10 * 60;

/// What the browser sends back to be known. It cannot be printed.
pub(in crate::portal) struct Token(String);

impl Token {
    /// The token as it stands in the cookie.
    pub(in crate::portal) fn reveal(&self) -> &str {
        &self.0
    }
}

/// By which a session is known here: the SHA-256 of its token.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct SessionId([u8; 32]);

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(…)")
    }
}

impl SessionId {
    /// The id of the session with this token.
    pub(super) fn of(token: &str) -> Self {
        Self(Sha256::digest(token).into())
    }
}

/// A session that is alive.
#[derive(Clone)]
pub(super) struct Session {
    /// Whose it is.
    pub(super) account: String,
    /// What every form of the session has to carry.
    pub(super) csrf: String,
    password_set: Timestamp,
    permissions: Permissions,
    begun: Timestamp,
    used: Timestamp,
    opened: HashMap<String, Timestamp>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("account", &self.account).finish_non_exhaustive()
    }
}

impl Session {
    /// Whether the account is still what it was when the session began.
    pub(super) fn still_fits(&self, account: &Account) -> bool {
        account.active
            && account.password_set == self.password_set
            && account.permissions == self.permissions
    }

    fn is_over(&self, now: Timestamp) -> bool {
        let after = |time: Timestamp, seconds| {
            now.duration_since(time) >= SignedDuration::from_secs(seconds)
        };
        after(self.used, IDLE_SECONDS) || after(self.begun, LONGEST_SECONDS)
    }
}

/// All sessions.
#[derive(Debug, Default)]
pub(super) struct Sessions(HashMap<SessionId, Session>);

impl Sessions {
    /// Begins a session.
    pub(super) fn begin(
        &mut self,
        account: &Account,
        now: Timestamp,
    ) -> Result<Token, rand::rand_core::OsError> {
        let token = Token(random_text()?);
        let session = Session {
            account: account.name.clone(),
            csrf: random_text()?,
            password_set: account.password_set,
            permissions: account.permissions.clone(),
            begun: now,
            used: now,
            opened: HashMap::new(),
        };
        self.0.retain(|_, session| !session.is_over(now));
        self.drop_oldest(LIMIT_OF_ACCOUNT, |session| session.account == account.name);
        self.drop_oldest(LIMIT, |_| true);
        self.0.insert(SessionId::of(token.reveal()), session);
        Ok(token)
    }

    /// The session of that id, if it is not over. Being `used` keeps it alive.
    pub(super) fn get(&mut self, id: SessionId, now: Timestamp, used: bool) -> Option<Session> {
        if self.0.get(&id)?.is_over(now) {
            self.0.remove(&id);
            return None;
        }
        let session = self.0.get_mut(&id)?;
        if used {
            session.used = now;
        }
        Some(session.clone())
    }

    /// Ends a session.
    pub(super) fn end(&mut self, id: SessionId) {
        self.0.remove(&id);
    }

    /// Whether the session has opened `subject` just now already. A player asks
    /// for one recording in many parts; the audit log shall tell of it once.
    pub(super) fn has_opened(&mut self, id: SessionId, subject: &str, now: Timestamp) -> bool {
        let Some(session) = self.0.get_mut(&id) else {
            return false;
        };
        session.opened.retain(|_, at| now.duration_since(*at).as_secs() < OPENED_SECONDS);
        session.opened.contains_key(subject)
    }

    /// Remembers that the audit log tells that the session opened `subject`.
    pub(super) fn note_opened(&mut self, id: SessionId, subject: &str, now: Timestamp) {
        if let Some(session) = self.0.get_mut(&id)
            && session.opened.len() < OPENED_LIMIT
        {
            session.opened.insert(subject.to_owned(), now);
        }
    }

    fn drop_oldest(&mut self, limit: usize, of: impl Fn(&Session) -> bool) {
        while self.0.values().filter(|session| of(session)).count() >= limit {
            let oldest = self
                .0
                .iter()
                .filter(|(_, session)| of(session))
                .min_by_key(|(_, session)| session.used)
                .map(|(id, _)| *id);
            match oldest {
                Some(id) => self.0.remove(&id),
                None => return,
            };
        }
    }
}

/// 256 random bits as text.
fn random_text() -> Result<String, rand::rand_core::OsError> {
    let mut bytes = [0; 32];
    OsRng.try_fill_bytes(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::{Access, DataType, Role};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    fn account(name: &str) -> Account {
        Account {
            name: name.into(),
            display_name: name.into(),
            staff_eid: None,
            role: Role::Staff,
            permissions: Permissions::default(),
            active: true,
            created: at(0),
            password_set: at(0),
        }
    }

    #[test]
    fn a_session_ends_after_idling_and_after_a_day() {
        let mut sessions = Sessions::default();
        let token = sessions.begin(&account("a"), at(0)).expect("random");
        let id = SessionId::of(token.reveal());
        let mut now = 0;
        while now + 1700 < LONGEST_SECONDS {
            now += 1700;
            assert!(sessions.get(id, at(now), true).is_some(), "{now}");
        }
        assert!(sessions.get(id, at(LONGEST_SECONDS), true).is_none());
        let token = sessions.begin(&account("a"), at(0)).expect("random");
        let id = SessionId::of(token.reveal());
        assert!(sessions.get(id, at(IDLE_SECONDS - 1), false).is_some(), "only looked at");
        assert!(sessions.get(id, at(IDLE_SECONDS), true).is_none());
        assert!(sessions.get(id, at(0), true).is_none(), "it does not come back");
    }

    #[test]
    fn a_session_does_not_outlive_a_change_of_its_account() {
        let mut sessions = Sessions::default();
        let before = account("a");
        let token = sessions.begin(&before, at(0)).expect("random");
        let session = sessions.get(SessionId::of(token.reveal()), at(1), true).expect("alive");
        let see = Access { see: true, download: false };
        for (after, fits) in [
            (before.clone(), true),
            (Account { active: false, ..before.clone() }, false),
            (Account { password_set: at(5), ..before.clone() }, false),
            (Account { permissions: Permissions::new([(DataType::Calls, see)]), ..before }, false),
        ] {
            assert_eq!(session.still_fits(&after), fits, "{after:?}");
        }
    }

    #[test]
    fn there_are_only_so_many_and_the_idlest_goes() {
        let mut sessions = Sessions::default();
        let first = sessions.begin(&account("a"), at(0)).expect("random");
        for n in 1..=20 {
            sessions.begin(&account("a"), at(n)).expect("random");
        }
        assert_eq!(sessions.0.len(), LIMIT_OF_ACCOUNT);
        assert!(sessions.get(SessionId::of(first.reveal()), at(21), true).is_none());
        for n in 0..1100 {
            sessions.begin(&account(&n.to_string()), at(30)).expect("random");
        }
        assert_eq!(sessions.0.len(), LIMIT);
    }

    #[test]
    fn opening_twice_is_told_once() {
        let mut sessions = Sessions::default();
        let token = sessions.begin(&account("a"), at(0)).expect("random");
        let id = SessionId::of(token.reveal());
        assert!(!sessions.has_opened(id, "/x", at(0)));
        sessions.note_opened(id, "/x", at(0));
        assert!(sessions.has_opened(id, "/x", at(599)));
        assert!(!sessions.has_opened(id, "/x", at(600)));
        assert!(!sessions.has_opened(SessionId::of("other"), "/x", at(0)));
    }
}
