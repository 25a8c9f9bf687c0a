//! Trying the database out: each step by itself, so that the one that fails has a name.
//!
//! This module must never touch anything that a backup brought: it has a collection of
//! its own, which is gone when it is done.

use bson::{Document, doc};

use super::{Error, Store};

impl Store {
    /// Signs in, if there is a user to sign in as. Returns the user's name.
    pub async fn who_am_i(&self) -> Result<Option<String>, Error> {
        let admin = self.db.client().database("admin");
        let asked = admin.run_command(doc! { "connectionStatus": 1 }).await;
        let status = asked.map_err(Error::database("sign in to MongoDB"))?;
        let users =
            status.get_document("authInfo").and_then(|info| info.get_array("authenticatedUsers"));
        let first = users.ok().and_then(|users| users.first()?.as_document());
        Ok(first.and_then(|user| user.get_str("user").ok()).map(str::to_owned))
    }

    /// Writes a document that most members have to acknowledge.
    pub async fn trial_write(&self, token: &str) -> Result<(), Error> {
        let written = self.trial(token).insert_one(doc! { "_id": token }).await;
        written.map(drop).map_err(Error::database("write at majority"))
    }

    /// Reads what [`Self::trial_write`] wrote. Returns whether it is there.
    pub async fn trial_read(&self, token: &str) -> Result<bool, Error> {
        let found = self.trial(token).find_one(doc! { "_id": token }).await;
        found.map(|found| found.is_some()).map_err(Error::database("read back"))
    }

    /// Removes it, and the collection that it was written to.
    pub async fn trial_remove(&self, token: &str) -> Result<(), Error> {
        self.trial(token).drop().await.map_err(Error::database("remove what was written"))
    }

    /// A collection for each trial, so that two of them at once are not in each other's way.
    fn trial(&self, token: &str) -> mongodb::Collection<Document> {
        self.collection(&format!("trial_{token}"))
    }
}
