//! Slows down whoever guesses passwords.
//!
//! An attempt counts as failed from its beginning until it proves right, so
//! that guesses sent all at once are slowed like those sent in a row. An account
//! is slowed per address and not as such: otherwise anybody could lock its owner
//! out. Only the clock passed in is used, and memory is bounded.

use std::{collections::HashMap, net::IpAddr};

use jiff::{SignedDuration, Timestamp};

/// Failures of one account from one address before it has to wait.
const FREE_FOR_ACCOUNT: u32 = 4;
/// Failures of one address, whatever the account, before it has to wait.
const FREE_FOR_ADDRESS: u32 = 12;
/// The longest wait, in seconds.
const LONGEST_SECONDS: i64 = 15 * 60;
/// When failures are forgotten, in seconds.
const FORGET_SECONDS: i64 = 60 * 60;
/// How many accounts and addresses are remembered.
const LIMIT: usize = 8192;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Who {
    Account(String, IpAddr),
    Address(IpAddr),
}

impl Who {
    fn free(&self) -> u32 {
        match self {
            Self::Account(..) => FREE_FOR_ACCOUNT,
            Self::Address(_) => FREE_FOR_ADDRESS,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: Timestamp,
}

impl Failures {
    /// Until when the next attempt has to wait.
    fn until(&self, free: u32) -> Timestamp {
        let Some(over) = self.count.checked_sub(free) else {
            return self.last;
        };
        let seconds = (1_i64 << over.min(20)).min(LONGEST_SECONDS);
        self.last.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(self.last)
    }
}

/// Who failed how often.
#[derive(Debug, Default)]
pub(super) struct Throttle(HashMap<Who, Failures>);

impl Throttle {
    /// Begins an attempt, or says for how many seconds to wait.
    pub(super) fn begin(
        &mut self,
        account: &str,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<(), u64> {
        let both = names(account, address);
        let until = both
            .iter()
            .filter_map(|who| Some(self.0.get(who)?.until(who.free())))
            .max()
            .filter(|until| *until > now);
        if let Some(until) = until {
            return Err(until.duration_since(now).as_secs().max(0).unsigned_abs() + 1);
        }
        if self.0.len() + both.len() > LIMIT {
            self.make_room(now);
        }
        for who in both {
            let failures = self.0.entry(who).or_insert(Failures { count: 0, last: now });
            if is_old(failures, now) {
                failures.count = 0;
            }
            failures.count = failures.count.saturating_add(1);
            failures.last = now;
        }
        Ok(())
    }

    /// The attempt that began was right.
    pub(super) fn succeed(&mut self, account: &str, address: IpAddr) {
        let [account, address] = names(account, address);
        self.0.remove(&account);
        if let Some(failures) = self.0.get_mut(&address) {
            failures.count = failures.count.saturating_sub(1);
        }
    }

    fn make_room(&mut self, now: Timestamp) {
        self.0.retain(|_, failures| !is_old(failures, now));
        if self.0.len() + 2 > LIMIT {
            // So many guessers at once: forget the half that failed longest ago.
            let mut times: Vec<Timestamp> = self.0.values().map(|failures| failures.last).collect();
            times.sort_unstable();
            let middle = times.get(times.len() / 2).copied().unwrap_or(now);
            self.0.retain(|_, failures| failures.last > middle);
        }
    }
}

fn names(account: &str, address: IpAddr) -> [Who; 2] {
    let account: String = account.trim().to_lowercase().chars().take(200).collect();
    [Who::Account(account, address), Who::Address(address)]
}

fn is_old(failures: &Failures, now: Timestamp) -> bool {
    now.duration_since(failures.last).as_secs() > FORGET_SECONDS
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    fn address(last: u8) -> IpAddr {
        Ipv4Addr::new(192, 0, 2, last).into()
    }

    #[test]
    fn the_wait_grows_and_ends() {
        let mut throttle = Throttle::default();
        for _ in 0..=FREE_FOR_ACCOUNT {
            let waits = throttle.begin("Admin", address(1), at(0));
            assert!(waits.is_ok(), "the first attempts are free");
            if throttle.0.values().any(|f| f.until(FREE_FOR_ACCOUNT) > at(0)) {
                break;
            }
        }
        assert!(throttle.begin(" admin", address(1), at(0)).is_err(), "case and space are nothing");
        assert!(throttle.begin("admin", address(2), at(0)).is_ok(), "its owner is elsewhere");
        assert!(throttle.begin("other", address(1), at(0)).is_ok());
        let mut now = 2;
        let mut longest = 0;
        for _ in 0..30 {
            if let Err(seconds) = throttle.begin("admin", address(1), at(now)) {
                assert!(seconds >= longest.min(LONGEST_SECONDS.unsigned_abs()), "{seconds}");
                longest = longest.max(seconds);
                now += i64::try_from(seconds).expect("seconds");
                assert!(throttle.begin("admin", address(1), at(now)).is_ok());
            }
        }
        assert!(longest.abs_diff(LONGEST_SECONDS.unsigned_abs()) <= 1, "{longest}");
    }

    #[test]
    fn the_right_password_forgives() {
        let mut throttle = Throttle::default();
        for second in 0..100 {
            assert!(throttle.begin("admin", address(1), at(second)).is_ok(), "{second}");
            throttle.succeed("Admin", address(1));
        }
    }

    #[test]
    fn memory_is_bounded() {
        let mut throttle = Throttle::default();
        for n in 0..u32::try_from(LIMIT * 2).expect("small") {
            let _ = throttle.begin("admin", Ipv4Addr::from(n).into(), at(n.into()));
            assert!(throttle.0.len() <= LIMIT);
        }
    }
}
