//! What a policy, a cost and a name can be.

use crate::world::policy;
use octostore_actors::domain::limiter::{InvalidPolicy, LimitName, MaxRequests, Window};
use std::time::Duration;

#[test]
fn a_quota_is_1_to_10_000() {
    for good in [1, 2, 9_999, 10_000] {
        assert_eq!(u64::from(MaxRequests::new(good).unwrap().get()), good);
    }
    for bad in [0, 10_001, 65_536, 65_537, 1 << 32, u64::MAX] {
        assert_eq!(MaxRequests::new(bad), Err(InvalidPolicy::MaxRequests), "{bad}");
    }
}

#[test]
fn a_window_is_1_to_86_400_seconds() {
    for good in [1, 2, 60, 86_399, 86_400] {
        let window = Window::from_seconds(good).unwrap();
        assert_eq!(u64::from(window.as_seconds()), good);
        assert_eq!(window.as_duration(), Duration::from_secs(good));
    }
    for bad in [0, 86_401, 1 << 32, (1 << 32) + 1, u64::MAX] {
        assert_eq!(Window::from_seconds(bad), Err(InvalidPolicy::Window), "{bad}");
    }
}

#[test]
fn a_cost_is_1_to_the_quota() {
    for requests in [1, 2, 100, 10_000] {
        let policy = policy(requests, 60);
        assert_eq!(u64::from(policy.cost(1).unwrap().get()), 1);
        assert_eq!(u64::from(policy.cost(requests).unwrap().get()), requests);
        for bad in [0, requests + 1, 65_537, u64::MAX] {
            assert_eq!(policy.cost(bad), Err(InvalidPolicy::Cost), "{bad} of {requests}");
        }
    }
}

#[test]
fn a_name_has_1_to_100_characters_of_any_kind() {
    let long = "\u{1f511}".repeat(100);
    for good in ["a", " ", "/", "a/b c?", "\n", "ключ", &long] {
        assert_eq!(LimitName::new(good).unwrap().as_str(), good);
    }
    let too_long = "\u{1f511}".repeat(101);
    for bad in ["", &too_long] {
        LimitName::new(bad).unwrap_err();
    }
}

#[test]
fn what_is_reserved_ahead_is_a_small_part_of_a_large_quota() {
    for requests in 1..=10_000 {
        let policy = policy(requests, 60);
        let ahead = u64::from(policy.ahead());
        assert!((1..=requests).contains(&ahead));
        assert!(ahead <= (requests / 8).max(8) && ahead <= 1_000);
    }
}
