//! Whose receipts are accepted: those of this appliance's own key, and of keys that it had before or
//! that another node of the same database has.
//!
//! ```text
//! receipts/signing_key.pub     its own
//! receipts/ANYTHING.pub        what an administrator put beside it, on this node
//! receipts.keys (database)     what every node noted of its own, with a voucher
//! ```
//!
//! A receipt says itself by whom it is signed, and who can change it in the database can write a key
//! there as well. So a key that the database knows counts only with a voucher, and nobody can make one
//! without the secret `settings-key`, which all nodes of a site have and the database never sees. This
//! module must never accept a key for being in the database.

use std::{fs, io, path::Path};

use jiff::Timestamp;

use super::key::{self, PublicKey};
use crate::{
    cause::chain,
    settings::seal::Seal,
    store::{self, Store, signers::NotedKey},
};

/// A key whose receipts are accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    /// The key.
    pub key: PublicKey,
    /// Whose it is, for people.
    pub whose: String,
}

/// The keys in the directory of the signing key on this host: its own first, if there is one.
pub fn beside(directory: &Path, host: &str) -> io::Result<Vec<Signer>> {
    let own = key::public_path(directory);
    let mut files = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        files => files?.map(|file| Ok(file?.path())).collect::<io::Result<Vec<_>>>()?,
    };
    files.retain(|file| file.extension().is_some_and(|ending| ending == "pub"));
    files.sort_by_key(|file| (*file != own, file.clone()));
    let mut found = Vec::new();
    for file in files {
        let whose = match file.file_name() {
            Some(name) if file != own => format!("{} on {host}", name.to_string_lossy()),
            _ => format!("the key of {host}"),
        };
        let text = match fs::read(&file) {
            // What an administrator put there must not keep the appliance from its work.
            Err(error) if file != own => {
                tracing::warn!("no keys can be read from {}: {}", file.display(), chain(&error));
                continue;
            }
            text => text?,
        };
        let keys = PublicKey::all_in(&String::from_utf8_lossy(&text));
        found.extend(keys.into_iter().map(|key| Signer { key, whose: whose.clone() }));
    }
    Ok(found)
}

/// The keys in the database that somebody with the same `settings-key` noted.
pub async fn noted(store: &Store, seal: &Seal) -> Result<Vec<Signer>, store::Error> {
    let noted = store.noted_keys().await?;
    Ok(noted.iter().filter_map(|noted| accepted(noted, seal)).collect())
}

/// Notes a node's own key in the database if it is not noted there, for other nodes, and for the time
/// when it is replaced.
pub async fn note(
    store: &Store,
    seal: &Seal,
    own: &Signer,
    now: Timestamp,
) -> Result<(), store::Error> {
    let known = noted(store, seal).await?;
    if known.iter().any(|known| known.key == own.key) {
        return Ok(());
    }
    store.note_key(&vouched(own, seal, now)).await
}

fn vouched(signer: &Signer, seal: &Seal, at: Timestamp) -> NotedKey {
    let mut noted = NotedKey {
        fingerprint: signer.key.fingerprint(),
        line: signer.key.line(),
        whose: signer.whose.clone(),
        at,
        voucher: String::new(),
    };
    noted.voucher = seal.vouch(&said(&noted));
    noted
}

fn accepted(noted: &NotedKey, seal: &Seal) -> Option<Signer> {
    if !seal.vouches(&said(noted), &noted.voucher) {
        return None;
    }
    let [key] = <[PublicKey; 1]>::try_from(PublicKey::all_in(&noted.line)).ok()?;
    let whose = format!("{}, noted on {}", noted.whose, noted.at.strftime("%Y-%m-%d"));
    Some(Signer { key, whose })
}

/// What is vouched for. What may have any form stands last.
fn said(noted: &NotedKey) -> String {
    format!("{}\n{}\n{}", noted.line, noted.at.as_millisecond(), noted.whose)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::Secret, receipt::SigningKey};

    #[test]
    fn the_own_key_comes_first_and_then_what_lies_beside_it() {
        let scratch = tempfile::tempdir().expect("scratch");
        let (here, there) = (scratch.path().join("receipts"), scratch.path().join("there"));
        assert_eq!(beside(&here, "vault").expect("nothing is there yet"), []);
        let own = SigningKey::read_or_make(&here).expect("made").public();
        let earlier = SigningKey::read_or_make(&there).expect("made").public();
        fs::write(here.join("earlier.pub"), earlier.allowed_signer()).expect("written");
        fs::write(here.join("notes.txt"), earlier.line()).expect("written");
        let signer = |key, whose: &str| Signer { key, whose: whose.to_owned() };
        let expected = [signer(own, "the key of vault"), signer(earlier, "earlier.pub on vault")];
        assert_eq!(beside(&here, "vault").expect("read"), expected);
    }

    #[test]
    fn what_the_database_knows_counts_only_as_it_was_vouched_for() {
        let scratch = tempfile::tempdir().expect("scratch");
        let key = |name: &str| {
            SigningKey::read_or_make(&scratch.path().join(name)).expect("made").public()
        };
        let [seal, other] = ["one", "two"].map(|key| Seal::new(&Secret::new(key.into())));
        let signer = Signer { key: key("a"), whose: "the key of a".into() };
        let noted = vouched(&signer, &seal, Timestamp::UNIX_EPOCH);
        let found = accepted(&noted, &seal).expect("vouched for");
        assert_eq!(found.key, signer.key);
        assert_eq!(found.whose, "the key of a, noted on 1970-01-01");
        assert_eq!(accepted(&noted, &other), None);
        let later = Timestamp::from_second(1).expect("a time");
        for changed in [
            NotedKey { line: key("b").line(), ..noted.clone() },
            NotedKey { whose: "the key of b".into(), ..noted.clone() },
            NotedKey { at: later, ..noted.clone() },
            NotedKey { voucher: String::new(), ..noted },
        ] {
            assert_eq!(accepted(&changed, &seal), None, "{changed:?}");
        }
    }
}
