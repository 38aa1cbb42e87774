//! The lock machine against a reference that is too simple to be wrong: maps, scans, and a
//! copy of everything at every change.
//!
//! The reference says what each step answers and writes. Beside it, what was promised to
//! somebody is kept as those who were promised it see it, and must hold over refused commits,
//! crashes and reboots, whatever the reference says.

#![expect(clippy::unwrap_used, reason = "what is not there fails the test that looks for it")]

#[path = "../common/mod.rs"]
mod common;
mod reference;
mod rows;
mod steps;
mod subject;
mod walk;

use octostore_actors::domain::{lock::LockOutcome, values::Quota};
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{RngAlgorithm, RngSeed, TestRng, TestRunner},
};
use proptest_state_machine::{ReferenceStateMachine, prop_state_machine};
use reference::{Action, Reference, Restart};
use std::collections::BTreeMap;
use subject::Subject;

/// Few of everything, so that they collide.
const NAMES: [&str; 5] = ["a", "a-b", "a/b", "b", "b.c"];
const OWNERS: [Option<&str>; 3] = [None, Some("x"), Some("y")];
const ACCOUNTS: u8 = 2;
const QUOTA: Quota = Quota::new(3);
const BLOCK: u64 = 4;

prop_state_machine! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(0x00c7_0570_4e00),
        ..ProptestConfig::default()
    })]

    #[test]
    fn exclusion_fencing_durability_and_time_hold_whatever_happens(
        sequential 1..200 => Subject
    );
}

/// The walks of the reference must come by the places it is there for.
#[test]
fn the_reference_comes_by_every_kind_of_step() {
    let mut runner = TestRunner::new_with_rng(
        ProptestConfig::default(),
        TestRng::deterministic_rng(RngAlgorithm::ChaCha),
    );
    let mut seen = BTreeMap::<&str, u32>::new();
    for _ in 0..200 {
        let walk = Reference::sequential_strategy(100..200).new_tree(&mut runner);
        let (mut state, transitions, _) = walk.unwrap().current();
        for transition in transitions {
            let undone = state.last() - state.durable;
            let ghosts = state.ghosts().count();
            state = Reference::apply(state, &transition);
            let left = state.ghosts().count();
            let step = match &state.step.action {
                Action::Nothing | Action::Settle | Action::Commit => continue,
                Action::Deadline if step_is_empty(&state) => continue,
                Action::Deadline if ghosts > 0 => "deadline, a ghost ended",
                Action::Deadline => "expired",
                Action::Undelivered(_) if step_is_empty(&state) => "undelivered, kept",
                Action::Undelivered(_) => "undelivered, ended",
                Action::Refuse { .. } if undone == 0 => continue,
                Action::Refuse { .. } if left > ghosts => "refused, left a ghost",
                Action::Refuse { .. } if !step_is_empty(&state) => "refused, ended",
                Action::Refuse { in_vain, .. } if !in_vain.is_empty() => "refused, ended in vain",
                Action::Refuse { .. } => "refused",
                Action::Restart(Restart::Stop) if ghosts > 0 => "stop, a ghost ended",
                Action::Restart(_) if state.rows().locks.is_empty() => continue,
                Action::Restart(Restart::Crash) => "crash",
                Action::Restart(Restart::Reboot) => "reboot",
                Action::Restart(Restart::Stop) => "stop",
                Action::Ask { outcome, .. } => match outcome {
                    LockOutcome::Granted(_) => "granted",
                    LockOutcome::Confirmed(_) if left < ghosts => "a ghost confirmed",
                    LockOutcome::Confirmed(_) if step_is_empty(&state) => "confirmed",
                    LockOutcome::Confirmed(_) => "extended",
                    LockOutcome::Held(_) => "held",
                    LockOutcome::OverQuota(_) => "over quota",
                    LockOutcome::NoRoom => "no room",
                    LockOutcome::NoToken => "no token",
                    LockOutcome::Released => "released",
                    LockOutcome::NotOwned => "not owned",
                    LockOutcome::ForceReleased(_) => "force-released",
                    LockOutcome::NotHeld => "not held",
                    LockOutcome::Status(_) => "status",
                    LockOutcome::Leases(_) => "leases",
                    LockOutcome::Use(_) => "use",
                },
            };
            *seen.entry(step).or_default() += 1;
        }
    }
    let times = seen.values();
    let often = times.clone().filter(|times| **times >= 20).count();
    let now_and_then = times.filter(|times| (3..20).contains(*times)).count();
    assert!(often >= 24 && often + now_and_then == 27, "{seen:?}");
}

fn step_is_empty(state: &Reference) -> bool {
    state.step.records.is_empty()
}
