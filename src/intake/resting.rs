//! What takes a backup's contents may have to wait for MongoDB. The pulse is told so,
//! and nothing else happens here.

use std::io::{self, Read};

use super::{
    pulse::{Beating, Pulse},
    reading::{CheckedMedium, Stop, Taker},
};
use crate::{backup::MediumId, records::Dataset, store::document::NewRecord};

/// A taker that tells when it may be waiting.
pub(super) struct Resting<'a, T> {
    taker: T,
    pulse: &'a Pulse,
}

impl<'a, T> Resting<'a, T> {
    pub(super) fn new(taker: T, pulse: &'a Pulse) -> Self {
        Self { taker, pulse }
    }
}

impl<T: Taker> Taker for Resting<'_, T> {
    const KEEPS: bool = T::KEEPS;

    fn take_media(&self, media: Vec<CheckedMedium>) -> Result<(), Stop> {
        let _wait = self.pulse.wait();
        self.taker.take_media(media)
    }

    fn wants(&self, id: &MediumId, entry: &str) -> Result<bool, Stop> {
        let _wait = self.pulse.wait();
        self.taker.wants(id, entry)
    }

    fn take_large(&self, id: MediumId, entry: &str, contents: &mut dyn Read) -> Result<(), Stop> {
        let _wait = self.pulse.wait();
        self.taker.take_large(id, entry, &mut Working { pulse: self.pulse, contents })
    }

    fn take_records(&self, dataset: Dataset, records: Vec<NewRecord>) -> Result<(), Stop> {
        let _wait = self.pulse.wait();
        self.taker.take_records(dataset, records)
    }

    fn finish(&self) -> Result<(), Stop> {
        let _wait = self.pulse.wait();
        self.taker.finish()
    }
}

/// Reading is work, also for one who waits between.
struct Working<'a> {
    pulse: &'a Pulse,
    contents: &'a mut dyn Read,
}

impl Read for Working<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let _work = self.pulse.work();
        Beating::new(self.pulse, &mut self.contents).read(buffer)
    }
}
