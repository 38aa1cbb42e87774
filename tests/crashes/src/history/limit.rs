//! One rate limit with a window that is longer than the run: what it admitted altogether.

use super::Event;

/// What came of one check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Nothing, or that the outcome is unknown.
    Nothing,
    /// It is admitted, and so many are counted.
    Admitted(u64),
    /// It is refused.
    Refused,
}

/// A limiter's quota.
#[derive(Clone, Copy, Debug)]
pub struct Quota {
    /// How many a window admits.
    pub most: u64,
    /// How many a crash may cost.
    pub crash: u64,
}

impl Quota {
    /// Of `most` in a window. What is reserved ahead is documented: an eighth, at least 8, and all of it
    /// below 8.
    pub fn new(most: u64) -> Self {
        Self { most, crash: (most / 8).clamp(8, 1_000).min(most) }
    }
}

/// What is wrong with what `checks` were told, over so many crashes.
pub fn broken(checks: &[Event<Told>], quota: Quota, crashes: u64) -> Option<String> {
    let admitted = |check: &&Event<Told>| matches!(check.what, Told::Admitted(_));
    let sure = checks.iter().filter(admitted).count() as u64;
    if sure > quota.most {
        return Some(format!("{sure} were admitted of {}", quota.most));
    }
    for check in checks {
        match check.what {
            Told::Admitted(count) => {
                let before = checks.iter().filter(admitted).filter(|one| one.to < check.from);
                let least = before.count() as u64 + 1;
                if count < least {
                    return Some(format!("{count} are counted although {least} were admitted"));
                }
            }
            Told::Refused => {
                let refused = |one: &&Event<Told>| one.what != Told::Refused;
                let asked = checks.iter().filter(refused).filter(|one| one.from < check.to);
                let possible = asked.count() as u64 + crashes * quota.crash;
                if possible < quota.most {
                    return Some(format!("it refuses although at most {possible} were admitted"));
                }
            }
            Told::Nothing => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{super::Moment, *};

    fn checks(told: &[Told]) -> Vec<Event<Told>> {
        let at = |place| Moment { place, millis: 0 };
        let event = |(place, what): (i64, &Told)| Event {
            client: 0,
            from: at(place),
            to: at(place + 1),
            what: *what,
        };
        (0..).step_by(2).zip(told).map(event).collect()
    }

    #[test]
    fn no_window_admits_more_than_its_quota() {
        let quota = Quota::new(2);
        let told = [Told::Admitted(1), Told::Admitted(2), Told::Admitted(3)];
        assert!(broken(&checks(&told), quota, 1).is_some());
        assert!(broken(&checks(&told[..2]), quota, 0).is_none());
    }

    #[test]
    fn what_was_admitted_is_counted_and_nobody_else_is_refused() {
        let quota = Quota::new(16);
        let forgot = [Told::Admitted(1), Told::Admitted(1)];
        assert!(broken(&checks(&forgot), quota, 0).is_some());
        let early = [Told::Admitted(1), Told::Refused];
        assert!(broken(&checks(&early), quota, 0).is_some());
        assert!(broken(&checks(&early), quota, 2).is_none(), "crashes may cost that many");
    }
}
