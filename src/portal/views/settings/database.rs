//! MongoDB Permissions as somebody typed them.

use crate::{
    config::{Mongodb, Secret},
    portal::{NewDatabase, request::Form},
};

/// What a form has of them.
pub(super) fn typed(form: &Form) -> NewDatabase {
    let typed = |name: &str| form.get(name).trim().to_owned();
    NewDatabase {
        host: typed("mongodb_host"),
        user: typed("mongodb_user"),
        password: Some(form.get("mongodb_password").to_owned())
            .filter(|password| !password.is_empty())
            .map(Secret::new),
        auth_db: typed("mongodb_auth_db"),
        target_db: typed("mongodb_target_db"),
    }
}

/// What cannot be meant, for whoever typed it.
pub(super) fn objection(new: &NewDatabase) -> Option<String> {
    if new.host.is_empty() || new.host.len() > 1024 || new.host.contains(['/', '@', '?']) {
        return Some("The Host is HOST:PORT, or several with commas between them.".to_owned());
    }
    if !Mongodb::accepts_name(&new.target_db) {
        return Some("The TargetDB is not a name that MongoDB accepts.".to_owned());
    }
    if !new.user.is_empty() && new.auth_db.is_empty() {
        return Some(
            "The AuthDB is the database that knows the user, most often admin.".to_owned(),
        );
    }
    None
}
