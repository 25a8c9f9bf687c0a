//! Holds a receipt against the data as it is now.
//!
//! Everything is read anew: the statements back to the first, the archive if it is here, each
//! medium in the store. What differs is a sentence; what cannot be looked at because the database
//! is away is an error, and never passes for data that is intact.

mod data;

use std::io::{self, BufReader, Read, Write};

use futures_util::TryStreamExt;
use serde::{
    Serialize,
    de::{DeserializeOwned, IgnoredAny},
};
use tokio_util::io::{StreamReader, SyncIoBridge};

use super::{
    Digesting, Digests, Signature, Signer, Statement,
    statement::{Entry, FORMAT, VERSION},
};
use crate::{
    backup::ReceiptId,
    cause::chain,
    store::{self, Store, receipts::Receipt},
};

pub use data::Kept;

/// A statement with all its entries.
type Whole = Statement<Vec<Entry<'static>>>;

/// What is not as the receipt says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What differs.
    pub kind: Kind,
    /// How, for people.
    pub sentence: String,
}

/// What may differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The statement itself.
    Statement,
    /// Its signature, or who signed.
    Signature,
    /// The receipts before it.
    Chain,
    /// The archive.
    Archive,
    /// A medium.
    Medium,
    /// The records.
    Records,
}

impl Kind {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Statement => "statement",
            Self::Signature => "signature",
            Self::Chain => "chain",
            Self::Archive => "archive",
            Self::Medium => "medium",
            Self::Records => "records",
        }
    }
}

impl Difference {
    fn new(kind: Kind, sentence: impl Into<String>) -> Self {
        Self { kind, sentence: sentence.into() }
    }
}

/// By whom a receipt is signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SignedBy {
    /// The fingerprint of the key.
    pub key: String,
    /// Whose it is, for people.
    pub whose: String,
}

/// What was looked at, and what differs.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Examined {
    /// By whom this receipt is signed, where that is accepted.
    pub signed_by: Option<SignedBy>,
    /// Receipts of the chain, this one included.
    pub receipts: u64,
    /// Media that are in the store as they were received.
    pub media: u64,
    /// Whether the archive is here, and is what was received.
    pub archive: bool,
    /// Records and versions of them that the backup was the first to bring.
    pub records: u64,
    /// Everything that is not as it should be.
    pub differences: Vec<Difference>,
}

/// Who examines, and what is known beforehand.
pub struct Examiner<'a> {
    /// The database.
    pub store: &'a Store,
    /// Whose receipts are accepted.
    pub signers: &'a [Signer],
    /// Whether the receipts before it are checked as well, back to the first. Else it only has to
    /// name the one that is right before it.
    pub whole_chain: bool,
    /// Where an archive is kept.
    pub kept: &'a dyn Kept,
    /// Told how many bytes are done, of how many.
    pub progress: &'a dyn Fn(u64, u64),
}

impl Examiner<'_> {
    /// Examines a receipt, and what it speaks of.
    pub async fn examine(&self, receipt: &Receipt) -> Result<Examined, store::Error> {
        let mut examined = Examined::default();
        let before = self.before(receipt).await?;
        let chain_bytes: u64 = match self.whole_chain {
            true => before.iter().map(|other| other.length_bytes).sum(),
            false => 0,
        };

        let Looked { statement, signed_by, differences } = self.look::<Whole>(receipt).await?;
        examined.receipts = 1;
        examined.signed_by = signed_by;
        examined.differences = differences;
        let previous = statement.as_ref().map(|statement| statement.previous);
        let mut look = data::Look::new(self, statement.as_ref(), chain_bytes);
        self.chain(receipt, previous, before, &mut look, &mut examined).await?;
        if let Some(statement) = &statement {
            look.archive(statement, &mut examined).await?;
            look.media(statement, &mut examined).await?;
            look.records(statement, &mut examined).await?;
        }
        Ok(examined)
    }

    /// The receipts before one, in their order: all of them, or the one right before it.
    async fn before(&self, receipt: &Receipt) -> Result<Vec<Receipt>, store::Error> {
        if !self.whole_chain {
            return Ok(self.store.receipt_before(receipt.number).await?.into_iter().collect());
        }
        let mut before = self.store.receipts().await?;
        before.retain(|other| (1..receipt.number).contains(&other.number));
        Ok(before)
    }

    /// Follows the chain from a receipt, which names `named`, back to the first.
    async fn chain(
        &self,
        receipt: &Receipt,
        mut named: Option<Option<ReceiptId>>,
        before: Vec<Receipt>,
        look: &mut data::Look<'_>,
        examined: &mut Examined,
    ) -> Result<(), store::Error> {
        let mut newer = receipt.number;
        if !self.whole_chain {
            let right_before = before.last().map(|older| (older.number, older.id));
            examined.differences.extend(broken(newer, named, right_before));
            return Ok(());
        }
        for older in before.into_iter().rev() {
            let break_in_it = broken(newer, named, Some((older.number, older.id)));
            examined.differences.extend(break_in_it);
            // Its entries are of another backup.
            let looked = self.look::<Statement<IgnoredAny>>(&older).await?;
            let Looked { statement, differences, .. } = looked;
            examined.receipts += 1;
            examined.differences.extend(differences);
            look.done(older.length_bytes);
            named = statement.map(|statement| statement.previous);
            newer = older.number;
        }
        examined.differences.extend(broken(newer, named, None));
        Ok(())
    }

    /// Reads a statement and checks that it is what was signed, and by whom.
    async fn look<S: Stated + 'static>(
        &self,
        receipt: &Receipt,
    ) -> Result<Looked<S>, store::Error> {
        let number = receipt.number;
        let (digests, read) = match read::<S>(self.store, receipt).await {
            Ok(read) => read,
            Err(error) if error.is_away() => return Err(error),
            Err(error) => {
                let sentence =
                    format!("The statement of receipt {number} is gone: {}.", chain(&error));
                let differences = vec![Difference::new(Kind::Statement, sentence)];
                return Ok(Looked { statement: None, signed_by: None, differences });
            }
        };
        let (mut differences, mut signed_by) = (Vec::new(), None);
        let mut differ = |kind, sentence| differences.push(Difference::new(kind, sentence));
        if digests.id != receipt.id {
            let sentence = format!(
                "The statement of receipt {number} was changed: its SHA-256 is {} and not {}.",
                digests.id, receipt.id
            );
            differ(Kind::Statement, sentence);
        }
        match Signature::parse(&receipt.signature).and_then(|signature| {
            signature.verify(&digests)?;
            Ok(signature.signer())
        }) {
            Err(error) => {
                differ(
                    Kind::Signature,
                    format!("The signature of receipt {number} is bad: {error}."),
                );
            }
            Ok(key) => match self.signers.iter().find(|signer| signer.key == key) {
                Some(signer) => {
                    let whose = signer.whose.clone();
                    signed_by = Some(SignedBy { key: key.fingerprint(), whose });
                }
                None => {
                    let sentence = format!(
                        "Receipt {number} is signed by {}, which is none of the keys that are \
                         accepted here.",
                        key.fingerprint()
                    );
                    differ(Kind::Signature, sentence);
                }
            },
        }
        match &read {
            Err(why) => {
                differ(Kind::Statement, format!("Receipt {number} cannot be read: {why}."));
            }
            Ok(statement) => {
                if let Some(why) = statement.objection(receipt) {
                    differ(Kind::Statement, format!("Receipt {number} {why}."));
                }
            }
        }
        Ok(Looked { statement: read.ok(), signed_by, differences })
    }
}

/// What was found of a receipt itself.
struct Looked<S> {
    statement: Option<S>,
    signed_by: Option<SignedBy>,
    differences: Vec<Difference>,
}

/// What is wrong between a receipt, which names `named` if that could be read, and the nearest
/// one before it that is there.
fn broken(
    number: u64,
    named: Option<Option<ReceiptId>>,
    older: Option<(u64, ReceiptId)>,
) -> Option<Difference> {
    let nearest = older.map_or(0, |(nearest, _)| nearest);
    let sentence = match (number.saturating_sub(1), named) {
        (last, _) if last == nearest + 1 => format!("Receipt {last} is missing."),
        (last, _) if last > nearest => {
            format!("Receipts {} to {last} are missing.", nearest + 1)
        }
        (_, Some(named)) if named != older.map(|(_, id)| id) => {
            let is = |id: Option<ReceiptId>| id.map_or("none".to_owned(), |id| id.to_string());
            let found = is(older.map(|(_, id)| id));
            format!(
                "Receipt {number} names {} as the one before it, and that is {found}.",
                is(named)
            )
        }
        _ => return None,
    };
    Some(Difference::new(Kind::Chain, sentence))
}

/// A statement, whatever its entries were read into.
trait Stated: DeserializeOwned + Send {
    /// Why it is not the statement of this receipt, if so.
    fn objection(&self, receipt: &Receipt) -> Option<String>;
}

impl<E> Stated for Statement<E>
where
    Self: DeserializeOwned + Send,
{
    fn objection(&self, receipt: &Receipt) -> Option<String> {
        if self.format != FORMAT || self.version != VERSION {
            return Some(format!("is of another format: {} {}", self.format, self.version));
        }
        let same = self.number == receipt.number
            && self.backup.job == receipt.job
            && self.backup.upload == receipt.upload;
        (!same).then(|| {
            format!(
                "is kept as that of {}, and is number {} of {}",
                receipt.job, self.number, self.backup.job
            )
        })
    }
}

/// Reads a statement once: its digests, and what it says.
async fn read<S: DeserializeOwned + Send + 'static>(
    store: &Store,
    receipt: &Receipt,
) -> Result<(Digests, Result<S, String>), store::Error> {
    let bytes = Box::pin(store.statement(receipt).map_err(io::Error::other));
    let bridge = SyncIoBridge::new(StreamReader::new(bytes));
    let reading = tokio::task::spawn_blocking(move || {
        let mut reader = BufReader::new(Digested { from: bridge, digesting: Digesting::default() });
        let read = match serde_json::from_reader(&mut reader) {
            // That is no mistake of the statement's.
            Err(error) if error.is_io() => return Err(error.into()),
            read => read.map_err(|error| error.to_string()),
        };
        // What comes after a mistake counts too.
        io::copy(&mut reader, &mut io::sink())?;
        Ok((reader.into_inner().digesting.finish(), read))
    });
    let read: io::Result<_> = reading.await.unwrap_or_else(|error| Err(io::Error::other(error)));
    read.map_err(|error| match error.downcast::<store::Error>() {
        Ok(error) => error,
        Err(error) => store::Error::Unreadable {
            what: "statement",
            id: receipt.id.to_string(),
            why: error.to_string(),
        },
    })
}

/// Digests what is read from it.
struct Digested<R> {
    from: R,
    digesting: Digesting,
}

impl<R: Read> Read for Digested<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer)?;
        self.digesting.write_all(&buffer[..read])?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_breaks_where_one_is_missing_or_another_is_named() {
        let id = |n| ReceiptId::new([n; 32]);
        for (number, named, older, expected) in [
            (1, Some(None), None, None),
            (2, Some(Some(id(1))), Some((1, id(1))), None),
            (2, None, Some((1, id(1))), None),
            (3, Some(Some(id(2))), Some((1, id(1))), Some("Receipt 2 is missing.")),
            (9, None, Some((2, id(1))), Some("Receipts 3 to 8 are missing.")),
            (4, None, None, Some("Receipts 1 to 3 are missing.")),
            (2, Some(Some(id(7))), Some((1, id(1))), Some("Receipt 2 names 0707")),
            (2, Some(None), Some((1, id(1))), Some("Receipt 2 names none as")),
            (1, Some(Some(id(7))), None, Some("and that is none.")),
            (0, None, None, None),
        ] {
            let found = broken(number, named, older).map(|difference| difference.sentence);
            let fits = match (&found, expected) {
                (Some(found), Some(expected)) => found.contains(expected),
                (found, expected) => found.is_none() && expected.is_none(),
            };
            assert!(fits, "{number} {named:?} {older:?}: {found:?}");
        }
    }
}
