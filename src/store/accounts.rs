//! Accounts of the portal, and the members of staff who could be given one.

use std::fmt;

use bson::{Bson, DateTime, Document, doc};
use futures_util::TryStreamExt;
use jiff::Timestamp;
use serde::Deserialize;

use super::{
    Error, Store,
    backups::{date, from_document, is_duplicate, to_bson},
    schema,
};
use crate::accounts::{Account, Permissions, Role};

/// The hash of a password, as a PHC string. It cannot be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(pub String);

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

/// A member of staff who could be given an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The member's id.
    pub eid: String,
    /// How the person is called.
    pub name: String,
    /// The e-mail address, by which the account will be named.
    pub email: String,
    /// The role at maaiiconnect.
    pub role: String,
    /// The status at maaiiconnect.
    pub status: String,
    /// The department.
    pub department: String,
}

impl Candidate {
    /// Whether this is an administrator at maaiiconnect.
    pub fn is_administrator(&self) -> bool {
        self.role.to_lowercase().contains("admin")
    }
}

impl Store {
    /// The account of that name, with the hash of its password.
    pub async fn account(&self, name: &str) -> Result<Option<(Account, PasswordHash)>, Error> {
        let found = self
            .collection(schema::ACCOUNTS)
            .find_one(doc! { "_id": key(name) })
            .await
            .map_err(Error::database("look for an account"))?;
        found.map(read).transpose()
    }

    /// All accounts, by name.
    pub async fn accounts(&self) -> Result<Vec<Account>, Error> {
        let failed = "read the accounts";
        let found = self.collection(schema::ACCOUNTS).find(doc! {}).sort(doc! { "_id": 1 }).await;
        let documents: Vec<Document> = found
            .map_err(Error::database(failed))?
            .try_collect()
            .await
            .map_err(Error::database(failed))?;
        documents.into_iter().map(|document| read(document).map(|(account, _)| account)).collect()
    }

    /// Makes an account. Returns whether it is new; an account that exists stays as it is.
    pub async fn create_account(
        &self,
        account: &Account,
        password: &PasswordHash,
    ) -> Result<bool, Error> {
        let document = doc! {
            "_id": key(&account.name),
            "name": &account.name,
            "display_name": &account.display_name,
            "staff_eid": account.staff_eid.clone(),
            "role": to_bson(&account.role)?,
            "permissions": to_bson(&account.permissions)?,
            "active": account.active,
            "created": date(account.created),
            "password": &password.0,
            "password_set": date(account.password_set),
        };
        match self.collection(schema::ACCOUNTS).insert_one(document).await {
            Err(error) if is_duplicate(&error) => Ok(false),
            other => other.map(|_| true).map_err(Error::database("make an account")),
        }
    }

    /// Sets an account's password.
    pub async fn set_password(
        &self,
        name: &str,
        password: &PasswordHash,
        now: Timestamp,
    ) -> Result<(), Error> {
        self.set_account(name, doc! { "password": &password.0, "password_set": date(now) }).await
    }

    /// Sets what an account may do.
    pub async fn set_permissions(
        &self,
        name: &str,
        permissions: &Permissions,
    ) -> Result<(), Error> {
        self.set_account(name, doc! { "permissions": to_bson(permissions)? }).await
    }

    /// Activates or deactivates an account.
    pub async fn set_active(&self, name: &str, active: bool) -> Result<(), Error> {
        self.set_account(name, doc! { "active": active }).await
    }

    /// Removes an account for good. Meant for those that never were a person's.
    pub async fn remove_account(&self, name: &str) -> Result<(), Error> {
        self.collection(schema::ACCOUNTS)
            .delete_one(doc! { "_id": key(name) })
            .await
            .map(drop)
            .map_err(Error::database("remove an account"))
    }

    async fn set_account(&self, name: &str, set: Document) -> Result<(), Error> {
        self.collection(schema::ACCOUNTS)
            .update_one(doc! { "_id": key(name) }, doc! { "$set": set })
            .await
            .map_err(Error::database("change an account"))?;
        Ok(())
    }

    /// The newest staff list: administrators first, then by name.
    pub async fn staff_candidates(&self) -> Result<Vec<Candidate>, Error> {
        let failed = "read the staff list";
        let hidden = self.hidden_jobs().await?;
        let newest = [
            doc! { "$match": { "backup": { "$nin": hidden } } },
            doc! { "$sort": { "id": 1, "taken": -1, "version": -1 } },
            doc! { "$group": { "_id": "$id", "eid": { "$first": "$eid" }, "name": { "$first": "$name" },
            "full_name": { "$first": "$full_name" }, "email": { "$first": "$email" }, "role": { "$first": "$role" },
            "status": { "$first": "$status" }, "department": { "$first": "$department" } } },
        ];
        let found = self.collection("staff").aggregate(newest).allow_disk_use(true).await;
        let documents: Vec<Document> = found
            .map_err(Error::database(failed))?
            .try_collect()
            .await
            .map_err(Error::database(failed))?;
        let mut candidates: Vec<Candidate> = documents.iter().filter_map(candidate).collect();
        candidates.sort_by_key(|c| (!c.is_administrator(), c.name.to_lowercase(), c.email.clone()));
        Ok(candidates)
    }
}

fn candidate(document: &Document) -> Option<Candidate> {
    let text = |name: &str| document.get_str(name).unwrap_or_default().to_owned();
    let name = [text("name"), text("full_name")].into_iter().find(|name| !name.is_empty());
    let candidate = Candidate {
        eid: text("eid"),
        email: text("email"),
        name: name.unwrap_or_else(|| text("email")),
        role: text("role"),
        status: text("status"),
        department: text("department"),
    };
    (!candidate.email.is_empty()).then_some(candidate)
}

/// Names of accounts are told apart without regard to case.
fn key(name: &str) -> String {
    name.trim().to_lowercase()
}

#[derive(Deserialize)]
struct Line {
    name: String,
    display_name: String,
    staff_eid: Option<String>,
    role: Role,
    #[serde(default)]
    permissions: Permissions,
    active: bool,
    created: DateTime,
    password: String,
    password_set: DateTime,
}

fn read(document: Document) -> Result<(Account, PasswordHash), Error> {
    let id = document.get("_id").and_then(Bson::as_str).unwrap_or_default().to_owned();
    let unreadable = |why: String| Error::Unreadable { what: "account", id: id.clone(), why };
    let line: Line = from_document(document).map_err(&unreadable)?;
    let time = |date: DateTime| {
        Timestamp::from_millisecond(date.timestamp_millis())
            .map_err(|error| unreadable(error.to_string()))
    };
    let account = Account {
        created: time(line.created)?,
        password_set: time(line.password_set)?,
        name: line.name,
        display_name: line.display_name,
        staff_eid: line.staff_eid,
        role: line.role,
        permissions: line.permissions,
        active: line.active,
    };
    Ok((account, PasswordHash(line.password)))
}
