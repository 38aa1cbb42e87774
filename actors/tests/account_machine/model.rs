//! The machine against a map, over refused commits and crashes.

use crate::world::{World, asked, issue, revoke, rotate, scope, sign_in};
use octostore_actors::domain::account::AccountOutcome;
use proptest::{prelude::*, test_runner::RngSeed};
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
enum Step {
    Issue(usize),
    Rotate(usize),
    Revoke(usize),
    SignIn(u8),
    Settle,
    Refuse,
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let which = || 0..8usize;
    prop_oneof![
        5 => which().prop_map(Step::Issue),
        5 => which().prop_map(Step::Rotate),
        4 => which().prop_map(Step::Revoke),
        3 => (0..2u8).prop_map(Step::SignIn),
        3 => Just(Step::Settle),
        1 => Just(Step::Refuse),
        1 => Just(Step::Crash),
    ]
}

/// The live tokens: whose, and whether they are counted as made on request.
type Live = BTreeMap<u8, (u8, bool)>;

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 500,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(0xacc0),
        ..ProptestConfig::default()
    })]

    #[test]
    fn exactly_the_tokens_live_that_should(steps in prop::collection::vec(step(), 1..60)) {
        let mut world = World::new();
        let mut live = Live::from([(1, (1, false))]);
        let mut durable = live.clone();
        let mut next = 1_u8;
        let mut fresh = || { next += 1; next };
        for (now, step) in (1..).zip(steps) {
            let pick = |live: &Live, index: usize| live.keys().nth(index % live.len().max(1)).copied();
            match step {
                Step::Issue(index) => {
                    let Some(asker) = pick(&live, index) else { continue };
                    let (of, number) = (live[&asker].0, fresh());
                    let having = live.values().filter(|(o, made)| *o == of && *made).count();
                    match world.outcome(issue(asker, asked(number, None, None), now)) {
                        AccountOutcome::Issued(..) => {
                            prop_assert!(having < 3);
                            live.insert(number, (of, true));
                        }
                        AccountOutcome::OverQuota(_) => prop_assert!(having >= 3),
                        other => panic!("{other:?}"),
                    }
                }
                Step::Rotate(index) => {
                    let Some(asker) = pick(&live, index) else { continue };
                    let number = fresh();
                    let rotated = world.outcome(rotate(asker, number, now));
                    let rotated = matches!(rotated, AccountOutcome::Rotated { .. });
                    prop_assert!(rotated);
                    let (of, made) = live.remove(&asker).unwrap();
                    // What takes the place of a configured token was made on request.
                    live.insert(number, (of, made || of == 1));
                }
                Step::Revoke(index) => {
                    let Some(number) = pick(&live, index) else { continue };
                    let (of, _) = live.remove(&number).unwrap();
                    let revoked = world.outcome(revoke(of, scope("*"), number));
                    prop_assert!(matches!(revoked, AccountOutcome::Revoked(_)));
                }
                Step::SignIn(who) => {
                    let (of, number) = (100 + who, fresh());
                    let name = format!("user-{who}");
                    world.issued(sign_in(&who.to_string(), &name, of, number, now));
                    let mut sign_ins: Vec<u8> = live
                        .iter()
                        .filter(|(_, (o, made))| *o == of && !made)
                        .map(|(number, _)| *number)
                        .collect();
                    while sign_ins.len() >= 2 {
                        live.remove(&sign_ins.remove(0));
                    }
                    live.insert(number, (of, false));
                }
                Step::Settle => {
                    world.settle();
                    durable.clone_from(&live);
                }
                Step::Refuse => {
                    world.refuse();
                    live.clone_from(&durable);
                }
                Step::Crash => {
                    world.crash();
                    live.clone_from(&durable);
                }
            }
            let listed: Vec<u8> = [1, 100, 101]
                .into_iter()
                .flat_map(|of| world.listed(of, now))
                .collect();
            let mut listed = listed;
            listed.sort_unstable();
            prop_assert_eq!(listed, live.keys().copied().collect::<Vec<_>>());
        }
    }
}
