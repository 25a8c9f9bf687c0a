//! Work that is done while intake is idle.
//!
//! ```text
//!        ┌──────────── found nothing: woken by intake, or after a while ───────────┐
//!        ▼                                                                          │
//!      rest ── intake is idle ──▶ look for work, and do it ── the database is away ─┤
//!        ▲                              │                                           │
//!        └──────── intake works ────────┘                  tried again, less and less often
//! ```
//!
//! It takes no orders: what there is to do, it finds. Intake goes first, so it rests between two steps
//! as long as intake works. This module must never know what the work is.

use std::{error::Error, time::Duration};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::cause::chain;

/// How often it is looked for work, if nothing wakes us.
const LOOK: Duration = Duration::from_secs(600);

/// Pauses while something is in the way: the first, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// All is to end.
#[derive(Debug, thiserror::Error)]
#[error("the work was interrupted")]
pub struct Stopped;

/// Why work was not done.
pub trait Trouble: Error {
    /// Whether it is only that all is to end.
    fn is_stopped(&self) -> bool;

    /// Whether the database is away, which others tell of.
    fn is_away(&self) -> bool;
}

/// Work that can wait.
pub trait Work: Sync {
    /// Why it was not done.
    type Error: Trouble;

    /// What it is, as it stands after "cannot".
    const WHAT: &'static str;

    /// Looks for all that is to be done now, and does it.
    fn look(&self) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// When intake is idle, and when all is to end.
#[derive(Clone, Debug)]
pub struct Idle {
    intake_works: watch::Receiver<bool>,
    stop: CancellationToken,
}

impl Idle {
    /// Intake is idle while `intake_works` is false; `stop` ends all work.
    pub fn new(intake_works: watch::Receiver<bool>, stop: CancellationToken) -> Self {
        Self { intake_works, stop }
    }

    /// Whether intake works, for those who have something running meanwhile.
    pub fn intake_works(&self) -> watch::Receiver<bool> {
        self.intake_works.clone()
    }

    /// What ends all work.
    pub fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// Waits while intake is at work: it goes first.
    pub async fn rest(&self) -> Result<(), Stopped> {
        let mut intake_works = self.intake_works.clone();
        tokio::select! {
            _ = intake_works.wait_for(|works| !works) => {}
            () = self.stop.cancelled() => {}
        }
        if self.stop.is_cancelled() { Err(Stopped) } else { Ok(()) }
    }

    /// Has work done again and again, until all is to end.
    pub async fn run<W: Work>(mut self, work: &W) {
        let mut pause = PAUSE.0;
        loop {
            let rest = match work.look().await {
                Ok(()) => {
                    pause = PAUSE.0;
                    LOOK
                }
                Err(error) if error.is_stopped() => return,
                Err(error) => {
                    let (what, why) = (W::WHAT, chain(&error));
                    if error.is_away() {
                        tracing::debug!("cannot {what}; trying again: {why}");
                    } else {
                        tracing::warn!("cannot {what}; trying again: {why}");
                    }
                    let rest = pause;
                    pause = longer(pause);
                    rest
                }
            };
            tokio::select! {
                () = tokio::time::sleep(rest) => {}
                woken = self.intake_works.changed() => if woken.is_err() { return },
                () = self.stop.cancelled() => return,
            }
        }
    }
}

fn longer(pause: Duration) -> Duration {
    (pause * 2).min(PAUSE.1)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Fault {
        #[error(transparent)]
        Stopped(#[from] Stopped),
        #[error("the database is away")]
        Away,
    }

    impl Trouble for Fault {
        fn is_stopped(&self) -> bool {
            matches!(self, Self::Stopped(_))
        }

        fn is_away(&self) -> bool {
            matches!(self, Self::Away)
        }
    }

    /// Does nothing, and tells that it looked; the first so many times it fails.
    struct Looking {
        idle: Idle,
        looked: watch::Sender<u32>,
        faults: Mutex<u32>,
    }

    impl Work for Looking {
        type Error = Fault;
        const WHAT: &'static str = "look";

        async fn look(&self) -> Result<(), Fault> {
            self.idle.rest().await?;
            self.looked.send_modify(|looked| *looked += 1);
            let mut faults = self.faults.lock().expect("nobody panics with it");
            match faults.checked_sub(1) {
                Some(left) => *faults = left,
                None => return Ok(()),
            }
            Err(Fault::Away)
        }
    }

    #[tokio::test]
    async fn it_looks_once_intake_is_idle_and_again_when_that_was_at_work() {
        let (works, intake_works) = watch::channel(true);
        let stop = CancellationToken::new();
        let idle = Idle::new(intake_works, stop.clone());
        let (looked, mut looks) = watch::channel(0);
        let looking = Looking { idle: idle.clone(), looked, faults: Mutex::new(1) };
        let running = tokio::spawn(async move { idle.run(&looking).await });
        tokio::task::yield_now().await;
        assert_eq!(*looks.borrow(), 0, "intake is at work");
        works.send_replace(false);
        looks.wait_for(|looks| *looks >= 1).await.expect("it goes on after a fault");
        // Nothing but the wake can be why: the next look would be minutes away.
        looks.wait_for(|looks| *looks >= 2).await.expect("it tries again");
        let before = *looks.borrow();
        works.send_replace(true);
        works.send_replace(false);
        looks.wait_for(|looks| *looks > before).await.expect("it was woken");
        stop.cancel();
        running.await.expect("it ends");
    }

    #[tokio::test]
    async fn it_ends_also_while_intake_is_at_work() {
        let (_works, intake_works) = watch::channel(true);
        let stop = CancellationToken::new();
        let idle = Idle::new(intake_works, stop.clone());
        let looking =
            Looking { idle: idle.clone(), looked: watch::Sender::new(0), faults: Mutex::new(0) };
        stop.cancel();
        idle.run(&looking).await;
        assert_eq!(*looking.looked.borrow(), 0);
    }

    #[test]
    fn pauses_grow_up_to_a_minute() {
        let grown = std::iter::successors(Some(PAUSE.0), |pause| Some(longer(*pause)));
        let seconds: Vec<u64> = grown.take(8).map(|pause| pause.as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60]);
    }
}
