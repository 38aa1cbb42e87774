//! No window holds more than its quota, and nothing is refused without need.

use crate::{
    common::account,
    oracle::{Oracle, SECOND, late, nanos},
    world::{Asked, World, limit, policy},
};
use octostore_actors::{
    domain::limiter::{LimitCommand, LimitOutcome, Policy, Standing},
    time::Instant,
};
use proptest::{prelude::*, sample::select, test_runner::RngSeed};
use std::time::Duration;

pub fn config(cases: u32, seed: u64) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(seed),
        max_shrink_iters: 20_000,
        ..ProptestConfig::default()
    }
}

/// How long after the last one somebody comes.
#[derive(Clone, Copy, Debug)]
pub enum Gap {
    None,
    Nanos(u64),
    /// So many millionths of a window.
    Millionths(u64),
    /// A window, and so many nanoseconds more or less.
    Window(i64),
}

/// How much somebody wants.
#[derive(Clone, Copy, Debug)]
pub enum Share {
    One,
    /// So many thousandths of the quota.
    Thousandths(u64),
    All,
}

impl Gap {
    pub fn of(self, policy: Policy) -> Duration {
        let window = u64::from(policy.window.as_seconds()) * 1_000_000_000;
        Duration::from_nanos(match self {
            Self::None => 0,
            Self::Nanos(nanos) => nanos,
            Self::Millionths(parts) => window / 1_000_000 * parts,
            Self::Window(offset) => window.checked_add_signed(offset).unwrap(),
        })
    }
}

impl Share {
    pub fn of(self, policy: Policy) -> u64 {
        let most = u64::from(policy.max_requests.get());
        match self {
            Self::One => 1,
            Self::Thousandths(parts) => (most * parts / 1_000).max(1),
            Self::All => most,
        }
    }
}

pub fn gap() -> impl Strategy<Value = Gap> {
    prop_oneof![
        6 => Just(Gap::None),
        3 => (1..2_000_000u64).prop_map(Gap::Nanos),
        4 => (1..3_000u64).prop_map(Gap::Millionths),
        4 => (1..400_000u64).prop_map(Gap::Millionths),
        2 => (-2..=2i64).prop_map(Gap::Window),
        1 => (-2_000_000..=2_000_000i64).prop_map(Gap::Window),
        1 => (1_000_000..5_000_000u64).prop_map(Gap::Millionths),
    ]
}

pub fn share() -> impl Strategy<Value = Share> {
    prop_oneof![
        5 => Just(Share::One),
        5 => (1..300u64).prop_map(Share::Thousandths),
        1 => (1..=1_000u64).prop_map(Share::Thousandths),
        1 => Just(Share::All),
    ]
}

pub fn any_policy() -> impl Strategy<Value = Policy> {
    let requests = prop_oneof![select(vec![1, 2, 3, 8, 9, 64, 100, 1_000, 10_000]), 1..=10_000u64];
    let seconds = prop_oneof![select(vec![1, 2, 10, 60, 3_600, 86_400]), 1..=86_400u64];
    (requests, seconds).prop_map(|(requests, seconds)| policy(requests, seconds))
}

/// The cost of a check.
pub fn cost_of(asked: &Asked) -> u32 {
    match asked.command {
        LimitCommand::Check { cost, .. } => cost.get(),
        _ => panic!("not a check: {asked:?}"),
    }
}

/// What a check or a status says is what the oracle says, within the rounding.
fn agrees(standing: &Standing, oracle: &Oracle, now: i128, last: Instant) {
    let Policy { max_requests, window } = standing.policy;
    let count = u64::from(standing.count);
    assert!(oracle.count(now, window, 0) <= count, "too few count: {standing:?}");
    assert!(count <= oracle.count(now, window, late(window)), "too many count: {standing:?}");
    assert_eq!(standing.remaining, max_requests.get().saturating_sub(standing.count));
    assert_eq!(standing.retry_after.is_some(), standing.remaining == 0, "{standing:?}");
    let reset = i128::from(standing.reset_at.as_nanos());
    let passed = i128::from(last.as_nanos());
    let free = oracle.last().map_or(passed, |last| last + nanos(window));
    assert!(reset >= free.max(passed), "{standing:?}, but free at {free}");
    assert!(reset <= (free + late(window)).max(passed), "{standing:?}, but free at {free}");
}

proptest! {
    #![proptest_config(config(1_000, 0x115e))]

    #[test]
    fn limits_no_window_holds_more_than_its_quota_and_no_refusal_is_without_need(
        policy in any_policy(),
        start in select(vec![0, 1, 262_143, 77 * 86_400 * 1_000_000_000, 1 << 62]),
        steps in prop::collection::vec((gap(), share(), prop::bool::weighted(0.1)), 1..250),
    ) {
        let mut world = World::new();
        world.now = Instant::from_nanos(start);
        let mut oracle = Oracle::default();
        let window = policy.window;
        let quota = u64::from(policy.max_requests.get());
        for (gap, share, patient) in steps {
            world.pass(gap.of(policy));
            world.expire();
            let cost = share.of(policy);
            let asked = world.check_of(1, "a", policy, cost);
            let now = world.real();
            match &asked.outcome {
                LimitOutcome::Admitted(standing) => {
                    prop_assert!(oracle.count(now, window, 0) + cost <= quota, "over at {}", now);
                    oracle.admit(asked.order, now, cost_of(&asked));
                    agrees(standing, &oracle, now, world.now);
                }
                LimitOutcome::Refused(standing, retry_after) => {
                    let counts = oracle.count(now, window, late(window));
                    prop_assert!(counts + cost > quota, "{} of {} count", counts, quota);
                    agrees(standing, &oracle, now, world.now);
                    let wait = u64::from(retry_after.as_seconds());
                    prop_assert!(wait >= 1);
                    let almost = now + i128::from(wait - 1) * SECOND;
                    let counts = oracle.count(almost, window, late(window));
                    prop_assert!(wait == 1 || counts + cost > quota, "{} is too long", wait);
                    if patient {
                        world.pass_seconds(wait);
                        world.expire();
                        let again = world.check_of(1, "a", policy, cost);
                        let admitted = matches!(again.outcome, LimitOutcome::Admitted(_));
                        prop_assert!(admitted, "waited {} in vain: {:?}", wait, again.outcome);
                        oracle.admit(again.order, world.real(), cost_of(&again));
                    }
                }
                other => prop_assert!(false, "{:?}", other),
            }
            if let Some(standing) = world.status() {
                agrees(&standing, &oracle, world.real(), world.now);
            }
            world.settle();
        }
        prop_assert!(oracle.busiest(window) <= quota);
    }
}

/// Whether something was admitted before `made` under a window that reaches from there to `now`:
/// everything since then must still be known.
fn is_of_late(admitted: &[(i128, i128)], made: i128, now: i128) -> bool {
    admitted.iter().any(|&(at, window)| at <= made && at + window > now)
}

proptest! {
    #![proptest_config(config(1_500, 0x0002_115e))]

    #[test]
    fn limits_every_policy_judges_all_that_was_admitted_under_the_windows_of_late(
        steps in prop::collection::vec(
            (gap(), share(), 1..=30u64, select(vec![1, 2, 5, 10, 60, 100])), 1..60,
        ),
    ) {
        let mut world = World::new();
        let mut oracle = Oracle::default();
        let mut admitted = Vec::new();
        let mut roughest = 0;
        for (gap, share, requests, seconds) in steps {
            let policy = policy(requests, seconds);
            world.pass(gap.of(policy));
            world.expire();
            let cost = share.of(policy);
            let asked = world.check_of(1, "a", policy, cost);
            let now = world.real();
            roughest = roughest.max(late(policy.window));
            match &asked.outcome {
                LimitOutcome::Admitted(standing) => {
                    let known = |made| is_of_late(&admitted, made, now);
                    let counts = oracle.count_if(now, policy.window, 0, known);
                    prop_assert!(counts + cost <= requests, "{} of {:?} count", counts, policy);
                    prop_assert!(u64::from(standing.count) >= counts + cost);
                    admitted.push((now, nanos(policy.window)));
                    oracle.admit(asked.order, now, cost_of(&asked));
                }
                LimitOutcome::Refused(_, retry_after) => {
                    let counts = oracle.count(now, policy.window, roughest);
                    prop_assert!(counts + cost > requests, "{} of {:?} count", counts, policy);
                    prop_assert!(retry_after.as_seconds() >= 1);
                }
                other => prop_assert!(false, "{:?}", other),
            }
            world.settle();
        }
    }
}

#[test]
fn limits_a_short_window_counts_what_lies_in_it_whatever_long_ones_are_asked_about_too() {
    let (day, burst) = (policy(10_000, 86_400), policy(5, 1));
    let mut world = World::new();
    for number in 0..3_000 {
        world.admit(day, 1);
        world.settle();
        if number % 10 == 9 {
            // One call of the day lies in this second.
            world.pass(Duration::from_millis(500));
            let LimitOutcome::Admitted(standing) = world.check(burst, 1) else {
                panic!("refused after {number} calls")
            };
            assert_eq!(standing.count, 2, "after {number} calls");
            world.settle();
            world.pass(Duration::from_millis(500));
        } else {
            world.pass_seconds(1);
        }
        world.expire();
    }
}

#[test]
fn limits_the_first_short_window_counts_what_lies_in_it_of_some_hundreds_of_calls() {
    let mut world = World::new();
    for _ in 0..200 {
        world.admit(policy(10_000, 86_400), 1);
        world.settle();
        world.pass_seconds(1);
    }
    world.pass(Duration::from_millis(500));
    let LimitOutcome::Admitted(standing) = world.check(policy(5, 2), 1) else { panic!() };
    assert_eq!(standing.count, 2, "the latest call, and this one");
}

#[test]
fn a_window_is_half_open() {
    let mut world = World::new();
    let one = policy(1, 1);
    world.now = Instant::from_nanos(0);
    world.admit(one, 1);
    world.pass(Duration::from_nanos(999_999_999));
    world.refuse(one, 1);
    world.pass(Duration::from_nanos(1));
    world.admit(one, 1);
}

#[test]
fn it_is_no_window_that_begins_anew_at_full_seconds() {
    let mut world = World::new();
    let ten = policy(10, 10);
    world.now = Instant::from_nanos(9_900_000_000);
    world.admit(ten, 10);
    world.pass(Duration::from_millis(200));
    world.refuse(ten, 1);
    world.pass(Duration::from_millis(9_790));
    world.refuse(ten, 1);
    world.pass(Duration::from_millis(20));
    world.admit(ten, 10);
}

#[test]
fn limiters_with_other_names_and_of_other_accounts_do_not_count() {
    let mut world = World::new();
    let one = policy(1, 60);
    for (number, name) in [(1, "a"), (1, "A"), (1, "a "), (1, "ä/ \u{1f511}"), (2, "a"), (3, "a")]
    {
        let asked = world.check_of(number, name, one, 1);
        assert!(matches!(asked.outcome, LimitOutcome::Admitted(_)), "{number} {name}");
    }
    world.refuse(one, 1);
    let get = LimitCommand::Get { account: account(4), name: limit("a") };
    assert_eq!(world.ask(get).outcome, LimitOutcome::NotFound);
}
