//! Permits: values that prove who is asking and what they may do.
//!
//! A permit cannot be made but by its check, and cannot be kept: it is for one
//! request. A handler takes the permit that it needs as its first argument, so
//! a route whose check was forgotten does not compile.

use std::{future::Future, marker::PhantomData, sync::Arc};

use sha2::{Digest, Sha256};

use super::{Gate, SessionId, SignIn, Token, lock};
use crate::{
    accounts::{Account, DataType, Role},
    audit::Action,
    config::{Audience, Secret},
    portal::{
        errors::Error,
        request::{Form, Request},
        routes::Who,
    },
};

/// What a handler needs before it is called.
pub(in crate::portal) trait Permit: Sized + Send + 'static {
    /// Who gets it.
    const WHO: Who;

    /// Makes the permit for a request, or says why not.
    fn check(
        gate: &Arc<Gate>,
        request: &Request,
    ) -> impl Future<Output = Result<Self, Error>> + Send;

    /// Whose session it is.
    fn signed_in(&self) -> &SignedIn;
}

/// Anybody: can sign in, and do nothing else.
pub(in crate::portal) struct Visitor {
    gate: Arc<Gate>,
}

/// A program that watches the appliance, without a session: may read how it is, which names no
/// person, and do nothing else.
pub(in crate::portal) struct Probe {
    pub(super) gate: Arc<Gate>,
}

/// Somebody who is signed in.
#[derive(Clone)]
pub(in crate::portal) struct SignedIn {
    pub(super) gate: Arc<Gate>,
    pub(super) session: SessionId,
    account: Account,
    csrf: String,
}

/// To see records of a data type, and to play their media.
pub(in crate::portal) struct See;
/// To take them away as files.
pub(in crate::portal) struct Download;

/// Somebody who may do `What` with one data type.
pub(in crate::portal) struct May<What> {
    pub(super) who: SignedIn,
    data_type: DataType,
    what: PhantomData<What>,
}

/// Somebody who may do everything.
pub(in crate::portal) struct Administrator {
    pub(super) who: SignedIn,
}

impl Visitor {
    /// Lets somebody in who has no session, for routes that are open to anybody.
    pub(in crate::portal) fn anybody(gate: &Arc<Gate>) -> Self {
        Self { gate: gate.clone() }
    }

    /// Whether the visitor has a session already.
    pub(in crate::portal) async fn is_signed_in(&self, request: &Request) -> Result<bool, Error> {
        Ok(self.gate.whose(request).await?.is_some())
    }

    /// The form that the request brings, if a page of ours sent it. There is no
    /// session yet whose token it could carry.
    pub(in crate::portal) fn form(&self, request: &Request) -> Result<Form, Error> {
        if request.is_from_here() { Ok(request.unchecked_form()) } else { Err(Error::StaleForm) }
    }

    /// Tries to sign in.
    pub(in crate::portal) async fn sign_in(
        &self,
        request: &Request,
        name: &str,
        password: Secret,
    ) -> Result<SignIn, Error> {
        self.gate.sign_in(request, name, password).await
    }
}

impl Probe {
    /// Lets a program in that asks from this machine, or from anywhere if the configuration says so.
    pub(in crate::portal) fn check(gate: &Arc<Gate>, request: &Request) -> Result<Self, Error> {
        if gate.metrics == Audience::Anybody || request.peer().is_loopback() {
            Ok(Self { gate: gate.clone() })
        } else {
            Err(Error::Forbidden)
        }
    }
}

impl SignedIn {
    /// The account.
    pub(in crate::portal) fn account(&self) -> &Account {
        &self.account
    }

    /// The token that every form of the session carries.
    pub(in crate::portal) fn csrf(&self) -> &str {
        &self.csrf
    }

    /// Whether this is an administrator.
    pub(in crate::portal) fn is_administrator(&self) -> bool {
        self.account.role == Role::Admin
    }

    /// The permit of an administrator, if the account is one.
    pub(in crate::portal) fn administrator(&self) -> Option<Administrator> {
        self.is_administrator().then(|| Administrator { who: self.clone() })
    }

    /// The permit to see another data type, if the account has it.
    pub(in crate::portal) fn may_see(&self, data_type: DataType) -> Option<May<See>> {
        let may = self.account.access(data_type).see;
        may.then(|| May { who: self.clone(), data_type, what: PhantomData })
    }

    /// The form that the request brings, if it carries the session's token.
    pub(in crate::portal) fn form(&self, request: &Request) -> Result<Form, Error> {
        let form = request.unchecked_form();
        // Digests are compared, so that the time it takes tells nothing of the token.
        let digest = |text: &str| Sha256::digest(text);
        if request.is_from_here() && digest(form.get("csrf")) == digest(&self.csrf) {
            Ok(form)
        } else {
            Err(Error::StaleForm)
        }
    }

    /// Ends the session.
    pub(in crate::portal) async fn sign_out(self, request: &Request) -> Result<(), Error> {
        lock(&self.gate.sessions).end(self.session);
        self.write_down(request, Action::SignOut, "/sign-out", None).await
    }

    /// Begins a new session after the account was changed by its owner.
    pub(super) async fn begin_anew(&self) -> Result<Token, Error> {
        lock(&self.gate.sessions).end(self.session);
        match self.gate.store.account(&self.account.name).await? {
            Some((account, _)) => self.gate.begin_session(&account),
            None => Err(Error::SignIn { then: None }),
        }
    }

    pub(super) async fn write_down(
        &self,
        request: &Request,
        action: Action,
        subject: &str,
        detail: Option<String>,
    ) -> Result<(), Error> {
        self.gate.write_down(request, &self.account.name, action, subject, detail).await
    }

    async fn refused(&self, request: &Request) -> Result<Error, Error> {
        self.write_down(request, Action::Refused, request.path(), None).await?;
        Ok(Error::Forbidden)
    }
}

impl<What> May<What> {
    /// Which data type.
    pub(in crate::portal) fn data_type(&self) -> DataType {
        self.data_type
    }
}

impl May<See> {
    /// The permit to take the same data away, if the account has it.
    pub(in crate::portal) fn may_download(&self) -> bool {
        self.who.account.access(self.data_type).download
    }
}

impl Permit for SignedIn {
    const WHO: Who = Who::SignedIn;

    async fn check(gate: &Arc<Gate>, request: &Request) -> Result<Self, Error> {
        match gate.whose(request).await? {
            Some((session, csrf, account)) => {
                Ok(Self { gate: gate.clone(), session, account, csrf })
            }
            None => {
                let then = request.goes_on().then(|| request.path_and_query());
                Err(Error::SignIn { then })
            }
        }
    }

    fn signed_in(&self) -> &SignedIn {
        self
    }
}

impl Permit for Administrator {
    const WHO: Who = Who::Administrator;

    async fn check(gate: &Arc<Gate>, request: &Request) -> Result<Self, Error> {
        let who = SignedIn::check(gate, request).await?;
        if who.is_administrator() { Ok(Self { who }) } else { Err(who.refused(request).await?) }
    }

    fn signed_in(&self) -> &SignedIn {
        &self.who
    }
}

impl Permit for May<See> {
    const WHO: Who = Who::See;

    async fn check(gate: &Arc<Gate>, request: &Request) -> Result<Self, Error> {
        may(gate, request, |access| access.see).await
    }

    fn signed_in(&self) -> &SignedIn {
        &self.who
    }
}

impl Permit for May<Download> {
    const WHO: Who = Who::Download;

    async fn check(gate: &Arc<Gate>, request: &Request) -> Result<Self, Error> {
        may(gate, request, |access| access.see && access.download).await
    }

    fn signed_in(&self) -> &SignedIn {
        &self.who
    }
}

/// The permit for the data type that the path names first.
async fn may<What>(
    gate: &Arc<Gate>,
    request: &Request,
    enough: fn(crate::accounts::Access) -> bool,
) -> Result<May<What>, Error> {
    let who = SignedIn::check(gate, request).await?;
    let named = request.capture(0);
    let data_type = DataType::ALL.into_iter().find(|data_type| data_type.as_str() == named);
    let data_type = data_type.ok_or(Error::NotFound)?;
    if enough(who.account.access(data_type)) {
        Ok(May { who, data_type, what: PhantomData })
    } else {
        Err(who.refused(request).await?)
    }
}
