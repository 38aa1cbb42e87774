//! No window ever admits more than its quota to those who were told, whatever is lost.

use crate::{
    oracle::{Oracle, late, nanos},
    windows::{Gap, Share, config, cost_of, gap, share},
    world::{World, policy, subject},
};
use octostore_actors::{
    domain::{
        Room,
        limiter::{LimitCommand, LimitOutcome, Policy},
    },
    time::Instant,
};
use proptest::{prelude::*, sample::select};
use std::{collections::HashMap, time::Duration};

const NAMES: [&str; 2] = ["a", "b"];

#[derive(Clone, Debug)]
enum Step {
    Check(usize, Share, Room),
    /// As many of one cost as the loop finds in its mailbox.
    Burst(usize, Share, usize),
    Pass(Gap),
    Delete(usize),
    Deadline,
    /// The disk takes so many rows.
    Commit(usize),
    CatchUp,
    DiskIsFull,
    Crash(Gap),
    Reboot(Gap, u64),
    Stop(Gap),
}

fn step() -> impl Strategy<Value = Step> {
    let room = prop_oneof![9 => Just(Room::Available), 1 => Just(Room::Exhausted)];
    let name = || 0..NAMES.len();
    prop_oneof![
        20 => (name(), share(), room).prop_map(|(name, share, room)| Step::Check(name, share, room)),
        5 => (name(), share(), 2..20usize)
            .prop_map(|(name, share, times)| Step::Burst(name, share, times)),
        8 => gap().prop_map(Step::Pass),
        1 => name().prop_map(Step::Delete),
        3 => Just(Step::Deadline),
        8 => (1..3usize).prop_map(Step::Commit),
        8 => Just(Step::CatchUp),
        1 => Just(Step::DiskIsFull),
        2 => gap().prop_map(Step::Crash),
        1 => (gap(), 0..100_000_000_000u64).prop_map(|(off, now)| Step::Reboot(off, now)),
        1 => gap().prop_map(Step::Stop),
    ]
}

/// What somebody outside knows of one limiter.
#[derive(Default)]
struct Known {
    /// What was admitted, and told.
    told: Oracle,
    /// Everything that was admitted, also what nobody was told yet.
    decided: Oracle,
    /// When what was reserved was lost: it counts as spent.
    lost: Vec<i128>,
}

struct Walk {
    world: World,
    policy: Policy,
    known: HashMap<&'static str, Known>,
}

impl Walk {
    fn new(policy: Policy) -> Self {
        let known = NAMES.into_iter().map(|name| (name, Known::default())).collect();
        Self { world: World::new(), policy, known }
    }

    fn take(&mut self, step: &Step) {
        let policy = self.policy;
        match *step {
            Step::Check(name, share, room) => {
                self.world.room = room;
                self.check(NAMES[name], share);
                self.world.room = Room::Available;
            }
            Step::Burst(name, share, times) => {
                for _ in 0..times {
                    self.check(NAMES[name], share);
                }
            }
            Step::Pass(gap) => self.world.pass(gap.of(policy)),
            Step::Delete(name) => drop(self.world.delete_of(1, NAMES[name])),
            Step::Deadline => self.world.deadline(),
            Step::Commit(rows) => self.world.commit(rows),
            Step::CatchUp => {
                if self.world.refused {
                    // What nobody was told was not admitted.
                    for known in self.known.values_mut() {
                        known.decided.keep_what_is_in(&known.told);
                    }
                }
                self.world.catch_up();
            }
            Step::DiskIsFull => self.world.disk_is_full(),
            Step::Crash(down) => {
                self.world.crash(down.of(policy));
                self.lost();
            }
            Step::Reboot(off, now) => {
                self.world.reboot(off.of(policy), Instant::from_nanos(now));
                self.lost();
                // Nobody knows how long ago anything was, so it may count as made just now.
                for known in self.known.values_mut() {
                    known.decided.not_before(self.world.real());
                    known.lost.fill(self.world.real());
                }
            }
            Step::Stop(down) => self.stop(down),
        }
        self.listen();
    }

    fn check(&mut self, name: &'static str, share: Share) {
        let asked = self.world.check_of(1, name, self.policy, share.of(self.policy));
        let known = self.known.get_mut(name).unwrap();
        match asked.outcome {
            LimitOutcome::Admitted(_) => {
                known.decided.admit(asked.order, asked.real, cost_of(&asked));
            }
            LimitOutcome::Refused(..) => {
                let Policy { max_requests, window } = self.policy;
                let counts = known.decided.count(asked.real, window, late(window));
                let end = |lost: i128| lost + nanos(window) + late(window);
                let lost = known.lost.iter().filter(|&&lost| end(lost) > asked.real).count();
                let spent = counts + lost as u64 * u64::from(self.policy.ahead());
                assert!(
                    spent + u64::from(cost_of(&asked)) > u64::from(max_requests.get()),
                    "refused without need, {spent} count: {asked:?}"
                );
            }
            LimitOutcome::NoRoom => assert_eq!(self.world.room, Room::Exhausted),
            ref other => panic!("{other:?}"),
        }
    }

    fn lost(&mut self) {
        for (&name, known) in &mut self.known {
            if self.world.row(1, name).is_some() {
                known.lost.push(self.world.real());
            }
        }
    }

    /// A clean end and a new start: everything is as it was.
    fn stop(&mut self, down: Gap) {
        self.world.settle();
        self.world.pass(down.of(self.policy));
        let before = NAMES.map(|name| self.counts(name));
        self.world.stop();
        self.world.crash(Duration::ZERO);
        for (name, before) in NAMES.into_iter().zip(before) {
            let after = self.counts(name);
            // A row whose removal was refused may be back; `idle.rs` has a word on that.
            assert!(after == before || before.is_none(), "{name}: {after:?}, but {before:?}");
        }
    }

    fn counts(&mut self, name: &str) -> Option<(Policy, u32, u32)> {
        let standing = self.world.status_of(1, name)?;
        Some((standing.policy, standing.count, standing.remaining))
    }

    /// Takes note of what was told, and holds it against the promise.
    fn listen(&mut self) {
        for asked in self.world.take_told() {
            let Some((_, name)) = subject(&asked.command) else { continue };
            let known = self.known.get_mut(name.as_str()).unwrap();
            match (&asked.command, &asked.outcome) {
                (LimitCommand::Check { cost, .. }, LimitOutcome::Admitted(_)) => {
                    known.told.admit(asked.order, asked.real, cost.get());
                    let busiest = known.told.busiest(self.policy.window);
                    assert!(
                        busiest <= u64::from(self.policy.max_requests.get()),
                        "a window holds {busiest}: {asked:?}"
                    );
                }
                (_, LimitOutcome::Deleted) => {
                    known.told.forget_before(asked.order);
                    known.decided.forget_before(asked.order);
                }
                _ => {}
            }
        }
        for (name, known) in &self.known {
            let told = known.told.count(self.world.real(), self.policy.window, 0);
            let counts = self.world.counts_after_a_crash(1, name);
            assert!(counts >= told, "{told} were told, {counts} would count after a crash");
        }
    }
}

proptest! {
    #![proptest_config(config(3_000, 0x00c7_a511))]

    #[test]
    fn limits_no_crash_no_refused_commit_and_no_reboot_admits_more_than_the_quota(
        requests in select(vec![1, 2, 8, 10, 16, 17, 64, 100, 1_000, 10_000]),
        seconds in select(vec![1, 10, 60, 3_600, 86_400]),
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut walk = Walk::new(policy(requests, seconds));
        for step in &steps {
            walk.take(step);
        }
    }
}
