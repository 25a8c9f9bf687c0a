//! Is every medium readable? Not just there: decoded to its end.
//!
//! ```text
//! Examination (a loop) ─▶ child ══pipe══▶ decode      a process of its own, confined
//!        │                  │                │
//!        ▼                  ▼                ▼
//!      store             the medium's      pictures, sound, video, documents
//!   what came of it      blocks
//! ```
//!
//! One loop, at work while intake is [idle](crate::idle), looks for media of stored backups that nobody
//! has examined by these rules, has one after another decoded, and writes down beside each what came of
//! it. What was not unpacked is taken out of its archive for that, see [`shelved`]. Killed at any point, it
//! goes on where it was.
//!
//! Decoders read what strangers have made. So none of them runs in this process, and what
//! becomes of the one that does is only ever an outcome. This module must never change a medium,
//! and never say more of one than was done.

pub mod child;
pub mod confine;
pub mod decode;
mod pipe;
pub mod shelved;

use bytes::Bytes;
use futures_util::TryStreamExt;
use jiff::Timestamp;

use child::{Decoder, Error, Source};

use crate::{
    backup::{
        Examined, JobId, MediumId, UploadId,
        examined::{self, Finding, MediumKind, Outcome, RULES},
    },
    idle::{Idle, Work},
    shelf::Shelf,
    store::{self, Store, media::Medium},
};

/// How many media are asked for at once.
const TOGETHER: i64 = 100;

/// The loop.
pub struct Examination {
    store: Store,
    decoder: Decoder,
    shelf: Shelf,
    idle: Idle,
    clock: fn() -> Timestamp,
}

impl Examination {
    /// Prepares the loop.
    pub fn new(
        store: Store,
        decoder: Decoder,
        shelf: Shelf,
        idle: Idle,
        clock: fn() -> Timestamp,
    ) -> Self {
        Self { store, decoder, shelf, idle, clock }
    }

    /// Runs until it is stopped.
    pub async fn run(self) {
        self.idle.clone().run(&self).await;
    }

    /// Examines the media that a backup was the first to bring.
    async fn backup(&self, upload: &UploadId, job: &JobId) -> Result<(), Error> {
        let election = self.store.election().await?;
        loop {
            let media = self.store.media_to_examine(job, RULES, TOGETHER).await?;
            if media.is_empty() {
                break;
            }
            for medium in &media {
                let finding = self.medium(medium).await?;
                if let Outcome::Damaged { why } = &finding.outcome {
                    tracing::warn!(%job, medium = %medium.id, kind = %finding.kind, "the medium {} is damaged: {why}", medium.id);
                }
                let examined = Examined { rules: RULES, at: (self.clock)(), finding };
                self.store.note_examined(&medium.id, &examined).await?;
            }
        }
        // What was written down beside each has to be there for good before the backup says that
        // all of them were looked at. After another election that is not known: it is looked again.
        if self.store.confirm_since(upload, &election).await? {
            self.store.note_media_examined(upload, RULES).await?;
            tracing::info!(%job, %upload, "its media were examined");
        }
        Ok(())
    }

    async fn medium(&self, medium: &Medium) -> Result<Finding, Error> {
        match self.decoder.examine(&Stored { medium, examination: self }, self.idle.stop()).await {
            // The store itself has lost a part of it.
            Err(Error::Store(store::Error::Unreadable { why, .. })) => {
                let why = format!("what is stored of it is not whole: {why}");
                Ok(Finding { kind: MediumKind::Unknown, outcome: Outcome::Damaged { why } })
            }
            Ok(Finding { kind, outcome: outcome @ Outcome::NotExamined { .. } })
                if examined::says_so(&medium.entry) || self.store.says_so(&medium.id).await? =>
            {
                Ok(Finding { kind, outcome: outcome.of_what_says_so() })
            }
            other => other,
        }
    }
}

impl Work for Examination {
    type Error = Error;
    const WHAT: &'static str = "examine media";

    /// Examines whatever is not examined yet, the newest backup first.
    async fn look(&self) -> Result<(), Error> {
        loop {
            self.idle.rest().await?;
            let Some((upload, job)) = self.store.backup_to_examine(RULES).await? else {
                return self.shelved().await;
            };
            self.backup(&upload, &job).await?;
        }
    }
}

/// A medium in the store.
struct Stored<'a> {
    medium: &'a Medium,
    examination: &'a Examination,
}

impl Source for Stored<'_> {
    fn length_bytes(&self) -> u64 {
        self.medium.length_bytes
    }

    async fn bytes(&self, start: u64, end: u64) -> Result<Bytes, Error> {
        self.examination.idle.rest().await?;
        let id: MediumId = self.medium.id;
        let parts = self.examination.store.medium_bytes(id, start, end);
        let parts: Vec<Bytes> = parts.try_collect().await?;
        Ok(match <[Bytes; 1]>::try_from(parts) {
            Ok([part]) => part,
            Err(parts) => parts.concat().into(),
        })
    }
}
