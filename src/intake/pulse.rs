//! Whether the work goes on: what the watchdog goes by.
//!
//! Every beat comes from a step that was really taken: bytes read, records made, a
//! file moved. There is no timer here. Only work of our own has to beat. Whoever waits
//! for MongoDB, or for a backup to come, is not at work and may be silent for ever.

use std::{
    io::{self, Read},
    sync::atomic::{AtomicBool, AtomicIsize, AtomicU64, Ordering},
    time::Duration,
};

/// For how long a slow step may be silent. The headers of a large archive are read one
/// after another from a disk that may have to seek for each of them.
const SLOW: Duration = Duration::from_secs(60 * 60);

/// The pulse of carrying backups.
#[derive(Debug, Default)]
pub struct Pulse {
    beaten: AtomicBool,
    /// Who is at work, less those of them who wait for MongoDB meanwhile. The helping
    /// threads of one who works are not counted, so this may be less than zero.
    at_work: AtomicIsize,
    slow: AtomicBool,
    silent_millis: AtomicU64,
}

impl Pulse {
    /// A step was taken.
    pub fn beat(&self) {
        self.beaten.store(true, Ordering::Relaxed);
    }

    /// Somebody is at work until this is dropped, and has to beat.
    pub fn work(&self) -> impl Drop + '_ {
        self.change(1)
    }

    /// Somebody at work waits for MongoDB until this is dropped.
    pub fn wait(&self) -> impl Drop + '_ {
        self.change(-1)
    }

    /// A step that cannot beat is taken until this is dropped. It has an hour.
    pub fn slow_step(&self) -> impl Drop + '_ {
        self.slow.store(true, Ordering::Relaxed);
        SlowStep(self)
    }

    /// Whether all is well, `pause` after this was last asked.
    pub fn goes_on(&self, pause: Duration) -> bool {
        let beaten = self.beaten.swap(false, Ordering::Relaxed);
        if beaten || self.at_work.load(Ordering::Relaxed) <= 0 {
            self.silent_millis.store(0, Ordering::Relaxed);
            return true;
        }
        let pause = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        let silent = self.silent_millis.fetch_add(pause, Ordering::Relaxed).saturating_add(pause);
        self.slow.load(Ordering::Relaxed) && Duration::from_millis(silent) < SLOW
    }

    fn change(&self, by: isize) -> Shift<'_> {
        self.at_work.fetch_add(by, Ordering::Relaxed);
        self.beat();
        Shift { pulse: self, by }
    }
}

/// Undoes a change of who is at work.
struct Shift<'a> {
    pulse: &'a Pulse,
    by: isize,
}

impl Drop for Shift<'_> {
    fn drop(&mut self) {
        self.pulse.beat();
        self.pulse.at_work.fetch_sub(self.by, Ordering::Relaxed);
    }
}

struct SlowStep<'a>(&'a Pulse);

impl Drop for SlowStep<'_> {
    fn drop(&mut self) {
        self.0.beat();
        self.0.slow.store(false, Ordering::Relaxed);
    }
}

/// Beats with everything that is read.
pub struct Beating<'a, R> {
    pulse: &'a Pulse,
    reader: R,
}

impl<'a, R> Beating<'a, R> {
    /// Reads from `reader`.
    pub fn new(pulse: &'a Pulse, reader: R) -> Self {
        Self { pulse, reader }
    }
}

impl<R: Read> Read for Beating<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer);
        self.pulse.beat();
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_secs(40);

    #[test]
    fn only_silent_work_is_no_good() {
        let pulse = Pulse::default();
        let goes_on = |asked: usize| (0..asked).map(|_| pulse.goes_on(PAUSE)).collect::<Vec<_>>();
        assert_eq!(goes_on(3), [true; 3], "nothing to do");
        let work = pulse.work();
        assert_eq!(goes_on(3), [true, false, false], "beginning is a step, and then none came");
        pulse.beat();
        assert_eq!(goes_on(2), [true, false]);
        let waits = pulse.wait();
        assert_eq!(goes_on(3), [true; 3], "MongoDB is away");
        drop(waits);
        assert_eq!(goes_on(2), [true, false]);
        let mut reader = Beating::new(&pulse, &[1_u8; 3][..]);
        io::copy(&mut reader, &mut io::sink()).expect("read");
        assert_eq!(goes_on(2), [true, false]);
        drop(work);
        assert_eq!(goes_on(3), [true; 3]);
    }

    #[test]
    fn a_slow_step_has_an_hour() {
        let pulse = Pulse::default();
        let _work = pulse.work();
        let step = pulse.slow_step();
        assert!((0..90).all(|_| pulse.goes_on(PAUSE)));
        assert!(!pulse.goes_on(PAUSE));
        drop(step);
        assert!(pulse.goes_on(PAUSE));
        assert!(!pulse.goes_on(PAUSE));
    }
}
