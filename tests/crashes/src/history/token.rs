//! Fencing tokens over all grants ever.

use super::Moment;
use std::collections::HashMap;

/// All tokens that anybody was told of.
#[derive(Debug, Default)]
pub struct Tokens {
    /// Whose each is.
    leases: HashMap<u64, u128>,
    /// The highest of all whose answers came before a server that is gone now was killed.
    settled: u64,
    /// Of the present server: when they were told, and which.
    told: Vec<(Moment, u64)>,
    grants: Vec<Grant>,
}

#[derive(Debug)]
struct Grant {
    from: Moment,
    token: u64,
}

impl Tokens {
    /// Somebody was told of a lease.
    ///
    /// # Errors
    /// Another lease has this token.
    pub fn told(&mut self, at: Moment, token: u64, lease: u128) -> Result<(), String> {
        self.told.push((at, token));
        match self.leases.insert(token, lease) {
            Some(other) if other != lease => {
                Err(format!("the token {token} was granted twice: {lease:x} and {other:x}"))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Whether anybody was told of this token.
    pub fn knows(&self, token: u64) -> bool {
        self.leases.contains_key(&token)
    }

    /// A lease was granted for sure by a request that was sent then.
    pub fn granted(&mut self, from: Moment, token: u64) {
        self.grants.push(Grant { from, token });
    }

    /// The highest token that anybody was told of.
    pub fn highest(&self) -> u64 {
        self.told.iter().map(|&(_, token)| token).max().unwrap_or(0).max(self.settled)
    }

    /// The server is gone. Every grant of it has a token above all that anybody was told of before it
    /// was asked for.
    ///
    /// # Errors
    /// One has not.
    pub fn settle(&mut self) -> Result<(), String> {
        let highest = self.highest();
        let (mut told, mut grants) =
            (std::mem::take(&mut self.told), std::mem::take(&mut self.grants));
        told.sort_unstable();
        grants.sort_unstable_by_key(|grant| grant.from);
        let mut before = std::mem::replace(&mut self.settled, highest);
        let mut told = told.into_iter().peekable();
        for Grant { from, token } in grants {
            while let Some((_, known)) = told.next_if(|&(at, _)| at < from) {
                before = before.max(known);
            }
            if token <= before {
                return Err(format!("the token {token} was granted after {before}"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(place: i64) -> Moment {
        Moment { place, millis: 0 }
    }

    #[test]
    fn a_token_is_granted_once() {
        let mut tokens = Tokens::default();
        assert!(tokens.told(at(1), 5, 1).is_ok());
        assert!(tokens.told(at(2), 5, 1).is_ok(), "it is told again");
        assert!(tokens.told(at(3), 5, 2).is_err());
    }

    #[test]
    fn tokens_rise_over_servers_and_within_one() {
        let mut tokens = Tokens::default();
        let grant = |tokens: &mut Tokens, from: i64, token: u64| {
            tokens.granted(at(from), token);
            assert!(tokens.told(at(from + 10), token, token.into()).is_ok());
        };
        // Those that were asked for at once may come in any order.
        grant(&mut tokens, 1, 6);
        grant(&mut tokens, 2, 5);
        assert!(tokens.settle().is_ok());
        grant(&mut tokens, 20, 4);
        assert!(tokens.settle().is_err(), "lower than before the restart");
        grant(&mut tokens, 40, 9);
        grant(&mut tokens, 60, 8);
        assert!(tokens.settle().is_err(), "lower than one that was told before");
    }
}
