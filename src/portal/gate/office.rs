//! Accounts and the audit log, for administrators; one's own password, for everybody.

use super::{
    Token,
    permit::{Administrator, SignedIn},
};
use crate::{
    accounts::{ADMIN, Account, Permissions, Role},
    audit::Action,
    config::Secret,
    portal::{errors::Error, request::Request},
    store::{
        accounts::Candidate,
        audit::{AuditPage, AuditQuery},
    },
};

/// An account that is to be made.
pub(in crate::portal) struct NewAccount {
    /// The member of staff.
    pub(in crate::portal) candidate: Candidate,
    /// What the account may be.
    pub(in crate::portal) role: Role,
    /// What it may do, if it is not an administrator's.
    pub(in crate::portal) permissions: Permissions,
    /// Its first password.
    pub(in crate::portal) password: Secret,
}

/// What came of the wish for another password.
pub(in crate::portal) enum PasswordChange {
    /// It is changed; the session goes on under a new token.
    Changed(Token),
    /// The current password was not the right one.
    Refused,
    /// Too many wrong ones: come back after so many seconds.
    Wait(u64),
}

/// Whether somebody knows the own password.
pub(super) enum Known {
    /// It was right.
    Yes,
    /// It was wrong.
    No,
    /// Too many wrong ones: come back after so many seconds.
    Wait(u64),
}

impl SignedIn {
    /// Asks for the own password again, so that a browser that was left alone does nothing grave.
    pub(super) async fn knows(
        &self,
        request: &Request,
        password: Secret,
        subject: &str,
    ) -> Result<Known, Error> {
        let name = &self.account().name;
        let begun = super::lock(&self.gate.throttle).begin(name, request.peer(), request.now());
        if let Err(seconds) = begun {
            return Ok(Known::Wait(seconds));
        }
        let hash = self.gate.store.account(name).await?.map(|(_, hash)| hash);
        if !self.gate.passwords.verify(password, hash).await? {
            let detail = Some("the current password was wrong".to_owned());
            self.write_down(request, Action::Refused, subject, detail).await?;
            return Ok(Known::No);
        }
        super::lock(&self.gate.throttle).succeed(name, request.peer());
        Ok(Known::Yes)
    }

    /// Changes one's own password. All other sessions of the account end.
    pub(in crate::portal) async fn change_own_password(
        &self,
        request: &Request,
        current: Secret,
        new: Secret,
    ) -> Result<PasswordChange, Error> {
        match self.knows(request, current, "/password").await? {
            Known::Yes => {}
            Known::No => return Ok(PasswordChange::Refused),
            Known::Wait(seconds) => return Ok(PasswordChange::Wait(seconds)),
        }
        let name = &self.account().name;
        let hash = self.gate.passwords.hash(new).await?;
        let _turn = self.gate.office_hours.lock().await;
        self.write_down(request, Action::PasswordChanged, "/password", None).await?;
        self.gate.store.set_password(name, &hash, self.gate.now()).await?;
        Ok(PasswordChange::Changed(self.begin_anew().await?))
    }
}

impl Administrator {
    /// All accounts.
    pub(in crate::portal) async fn accounts(
        &self,
        request: &Request,
    ) -> Result<Vec<Account>, Error> {
        self.who.write_down(request, Action::List, "/accounts", None).await?;
        Ok(self.who.gate.store.accounts().await?)
    }

    /// One account.
    pub(in crate::portal) async fn account(
        &self,
        request: &Request,
        name: &str,
    ) -> Result<Account, Error> {
        self.who.write_down(request, Action::View, &subject(name), None).await?;
        self.find(name).await
    }

    /// The newest staff list, administrators first.
    pub(in crate::portal) async fn candidates(&self) -> Result<Vec<Candidate>, Error> {
        Ok(self.who.gate.store.staff_candidates().await?)
    }

    /// Makes an account for a member of staff. Returns whether it is new.
    pub(in crate::portal) async fn activate(
        &self,
        request: &Request,
        new: NewAccount,
    ) -> Result<bool, Error> {
        let gate = &self.who.gate;
        let hash = gate.passwords.hash(new.password).await?;
        let now = gate.now();
        let account = Account {
            name: new.candidate.email,
            display_name: new.candidate.name,
            staff_eid: Some(new.candidate.eid),
            role: new.role,
            permissions: new.permissions,
            active: true,
            created: now,
            password_set: now,
        };
        let _turn = gate.office_hours.lock().await;
        if gate.store.account(&account.name).await?.is_some() {
            return Ok(false);
        }
        let detail = Some(said(&account));
        let subject = subject(&account.name);
        self.who.write_down(request, Action::AccountActivated, &subject, detail).await?;
        Ok(gate.store.create_account(&account, &hash).await?)
    }

    /// Sets another account's password. All its sessions end.
    pub(in crate::portal) async fn set_password(
        &self,
        request: &Request,
        name: &str,
        password: Secret,
    ) -> Result<(), Error> {
        let hash = self.who.gate.passwords.hash(password).await?;
        let _turn = self.who.gate.office_hours.lock().await;
        let account = self.find(name).await?;
        let subject = subject(&account.name);
        self.who.write_down(request, Action::PasswordChanged, &subject, None).await?;
        Ok(self.who.gate.store.set_password(name, &hash, self.who.gate.now()).await?)
    }

    /// Sets what an account may do. All its sessions end.
    pub(in crate::portal) async fn set_permissions(
        &self,
        request: &Request,
        name: &str,
        permissions: Permissions,
    ) -> Result<(), Error> {
        let _turn = self.who.gate.office_hours.lock().await;
        let account = self.find(name).await?;
        if account.role == Role::Admin {
            return Err(Error::Input("An administrator may do everything already.".into()));
        }
        let detail = Some(said(&Account { permissions: permissions.clone(), ..account }));
        self.who.write_down(request, Action::PermissionsChanged, &subject(name), detail).await?;
        Ok(self.who.gate.store.set_permissions(name, &permissions).await?)
    }

    /// Deactivates an account, or activates it again. One's own and `Admin` stay active.
    pub(in crate::portal) async fn set_active(
        &self,
        request: &Request,
        name: &str,
        active: bool,
    ) -> Result<(), Error> {
        let _turn = self.who.gate.office_hours.lock().await;
        let account = self.find(name).await?;
        let own = account.name == self.who.account().name;
        if !active && (own || account.name == ADMIN) {
            return Err(Error::Input("This account cannot be deactivated.".into()));
        }
        let action = if active { Action::AccountActivated } else { Action::AccountDeactivated };
        self.who.write_down(request, action, &subject(&account.name), None).await?;
        Ok(self.who.gate.store.set_active(name, active).await?)
    }

    /// A page of the audit log. Looking at it is in it, too; `detail` says what was
    /// looked for.
    pub(in crate::portal) async fn audit_page(
        &self,
        request: &Request,
        query: &AuditQuery,
        detail: Option<String>,
    ) -> Result<AuditPage, Error> {
        self.who.write_down(request, Action::List, "/audit", detail).await?;
        Ok(self.who.gate.store.audit_page(query).await?)
    }

    async fn find(&self, name: &str) -> Result<Account, Error> {
        let found = self.who.gate.store.account(name).await?;
        found.map(|(account, _)| account).ok_or(Error::NotFound)
    }
}

fn subject(name: &str) -> String {
    format!("/accounts/{name}")
}

/// What an account may do, for the audit log.
fn said(account: &Account) -> String {
    if account.role == Role::Admin {
        return "administrator".to_owned();
    }
    let each = crate::accounts::DataType::ALL.into_iter().filter_map(|data_type| {
        let access = account.access(data_type);
        match (access.see, access.download) {
            (true, true) => Some(format!("{}: see, download", data_type.as_str())),
            (true, false) => Some(format!("{}: see", data_type.as_str())),
            (false, _) => None,
        }
    });
    let each: Vec<String> = each.collect();
    if each.is_empty() { "nothing".to_owned() } else { each.join("; ") }
}
