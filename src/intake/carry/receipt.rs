//! The receipt of a backup that is stored: made before its archive is kept or removed.
//!
//! Only what was read in this run is signed. Where the work was cut off after the backup was
//! stored, its archive is read once more.

use std::{
    io::{self, Write},
    sync::Arc,
};

use tokio::runtime::Handle;

use super::{
    Carried, Carrier, Error,
    read::{Known, Purpose},
};
use crate::{
    backup::ReceiptId,
    cause::chain,
    config::Modes,
    intake::{counters::Counters, places::ClaimedFile, pulse::Pulse, reading::Stop},
    receipt::{
        self, Digests, Statement,
        statement::{Appliance, Entries, Material},
    },
    store::{self, Election, Store, backups::Backup, media::CHUNK_BYTES, receipts::Receipt},
};

/// How often a number is asked for that another appliance may take at the same time.
const ATTEMPTS: usize = 20;

impl Carrier {
    /// What follows once the backup is stored: its receipt, and then its archive.
    pub(super) async fn complete(
        &self,
        claimed: &ClaimedFile,
        backup: &Backup,
        election: &Election,
    ) -> Result<Carried, Error> {
        // What was set when it was stored holds for what is left to do.
        let modes = match backup.modes {
            Some(modes) => modes,
            None => self.set().await?.modes,
        };
        if self.store.receipt(&claimed.upload).await?.is_none() {
            match self.learn(claimed, backup).await? {
                Ok(known) => self.give_receipt(claimed, known, election, modes).await?,
                Err(why) => {
                    tracing::error!(job = %backup.job, upload = %backup.upload, "{} is stored and cannot get its receipt yet; trying again: {why}", backup.file);
                    return Ok(Carried::Waits);
                }
            }
        }
        self.clear_away(claimed, election, modes).await?;
        Ok(Carried::Done)
    }

    /// Reads once more what is stored already, or says why that cannot be done.
    async fn learn(
        &self,
        claimed: &ClaimedFile,
        backup: &Backup,
    ) -> Result<Result<Known, String>, Error> {
        let keys = match self.set().await?.keys {
            Ok(keys) => keys,
            Err(why) => return Ok(Err(why)),
        };
        let counters = Arc::new(Counters::new(Arc::clone(&self.pulse)));
        match self.read(claimed, &keys.open, &counters, Purpose::Check).await? {
            Ok(known) => {
                let sha256 = hex::encode(known.digested.archive);
                let same = backup.sha256.as_deref() == Some(&sha256);
                Ok(if same { Ok(known) } else { Err("the archive was changed".to_owned()) })
            }
            Err(Stop::Cancelled) => Err(Error::Interrupted),
            Err(Stop::Store(error)) => Err(error.into()),
            Err(Stop::Archive(error)) => Ok(Err(chain(&error))),
        }
    }

    /// Gives the receipt of a backup that is stored and was read just now.
    pub(super) async fn give_receipt(
        &self,
        claimed: &ClaimedFile,
        known: Known,
        election: &Election,
        modes: Modes,
    ) -> Result<(), Error> {
        let backup = self.store.backup(&claimed.upload).await?.ok_or(Error::Interrupted)?;
        let copies = self.store.copies(&claimed.upload).await?;
        let brought = match (modes.online, &known.brought) {
            (false, _) => None,
            (true, Some(brought)) => Some(brought.clone()),
            (true, None) => Some(self.store.brought(&backup.job).await?),
        };
        let (known, issuer) = (Arc::new(known), &self.settings.issuer);
        for _ in 0..ATTEMPTS {
            let before = self.store.newest_receipt().await?;
            let material = Material {
                appliance: Appliance {
                    host: issuer.host.clone(),
                    key: issuer.key.public().fingerprint(),
                },
                backup: &backup,
                marks: known.marks.clone(),
                brought: brought.clone(),
                modes,
                copies: copies.clone(),
            };
            let statement =
                Statement::new(material, before.map(|before| (before.number, before.id)));
            let number = statement.number;
            let digests = self.store_statement(statement, Arc::clone(&known)).await?;
            let receipt = Receipt {
                id: digests.id,
                number,
                job: backup.job.clone(),
                upload: backup.upload.clone(),
                length_bytes: digests.length_bytes,
                signature: issuer.key.sign(&digests)?,
                made: self.now(),
            };
            // The receipt before it and the bytes of this one have to be there for good.
            self.confirm(claimed, election).await?;
            if self.store.add_receipt(&receipt).await? {
                tracing::info!(job = %backup.job, upload = %backup.upload, "gave receipt {number} for {}", backup.file);
                return Ok(());
            }
            // Another appliance of the same database took the number, or this was done before.
            if self.store.receipt(&claimed.upload).await?.is_some() {
                return Ok(());
            }
            self.store.drop_statement(&receipt.id).await?;
        }
        Err(Error::NumbersTaken)
    }

    /// Writes a statement twice, on a thread of its own: to learn its name, and to store it.
    async fn store_statement(
        &self,
        statement: Statement<()>,
        known: Arc<Known>,
    ) -> Result<Digests, Error> {
        let (this, runtime) = (self.clone(), Handle::current());
        let writing = tokio::task::spawn_blocking(move || {
            let _work = this.pulse.work();
            let statement = statement.with(Entries {
                archive: &known.archive,
                digests: &known.digested.entries,
                rules: &this.settings.rules,
            });
            let digests = receipt::digest(|to| statement.write(&mut Beats { to, this: &this }))
                .map_err(Error::Statement)?;
            let mut parts = Parts {
                store: &this.store,
                runtime: &runtime,
                pulse: &this.pulse,
                id: digests.id,
                number: 0,
                part: Vec::with_capacity(CHUNK_BYTES),
                failed: None,
            };
            let written = statement
                .write(&mut Beats { to: &mut parts, this: &this })
                .and_then(|()| parts.finish());
            match (written, parts.failed) {
                (_, Some(error)) => Err(error.into()),
                (Err(error), None) => Err(Error::Statement(error)),
                (Ok(()), None) => Ok(digests),
            }
        });
        let written = writing.await.map_err(|_| Error::Interrupted)?;
        if self.stop.is_cancelled() { Err(Error::Interrupted) } else { written }
    }
}

/// Beats with everything that is written, and breaks off when asked to stop.
struct Beats<'a, W> {
    to: &'a mut W,
    this: &'a Carrier,
}

impl<W: Write> Write for Beats<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.this.stop.is_cancelled() {
            return Err(io::Error::other("the work was interrupted"));
        }
        self.this.pulse.beat();
        self.to.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Stores what is written to it, part by part.
struct Parts<'a> {
    store: &'a Store,
    runtime: &'a Handle,
    pulse: &'a Pulse,
    id: ReceiptId,
    number: u32,
    part: Vec<u8>,
    failed: Option<store::Error>,
}

impl Parts<'_> {
    fn send(&mut self) -> io::Result<()> {
        let _wait = self.pulse.wait();
        let sending = self.store.insert_statement_part(&self.id, self.number, &self.part);
        if let Err(error) = self.runtime.block_on(sending) {
            self.failed = Some(error);
            return Err(io::Error::other("MongoDB did not take it"));
        }
        self.part.clear();
        self.number += 1;
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        if self.part.is_empty() { Ok(()) } else { self.send() }
    }
}

impl Write for Parts<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(CHUNK_BYTES - self.part.len());
        self.part.extend_from_slice(&bytes[..taken]);
        if self.part.len() == CHUNK_BYTES {
            self.send()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
