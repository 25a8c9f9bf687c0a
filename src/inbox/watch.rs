//! Waking up when something happens in the inbox. Only a hint: what is there is
//! found by looking, and a timer looks even if nothing woke us.

use std::{io, path::Path};

use futures_util::StreamExt;
use inotify::{EventStream, Inotify, WatchMask};

use super::Error;

/// Wakes whoever waits when a file in the inbox was made, closed, moved or removed.
pub struct Watch {
    events: EventStream<[u8; 4096]>,
}

impl Watch {
    /// Watches a directory.
    pub fn new(inbox: &Path) -> Result<Self, Error> {
        let failed = |source: io::Error| Error::Watch { path: inbox.to_owned(), source };
        let inotify = Inotify::init().map_err(failed)?;
        let happenings =
            WatchMask::CREATE | WatchMask::CLOSE_WRITE | WatchMask::MOVE | WatchMask::DELETE;
        inotify.watches().add(inbox, happenings).map_err(failed)?;
        let events = inotify.into_event_stream([0; 4096]).map_err(failed)?;
        Ok(Self { events })
    }

    /// Returns when something has happened since the last call.
    pub async fn changed(&mut self) {
        // What happened does not matter: the inbox is looked through anyway.
        if self.events.next().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}
