//! Has the machine take each step of the reference, and compares.

use crate::{
    ACCOUNTS,
    common::{account, seq},
    reference::{Action, Depends, Reference},
    rows::page,
    subject::Subject,
    walk::Transition,
};
use octostore_actors::domain::{
    Machine, Room,
    lock::{LockCommand, LockOutcome},
    page::Selection,
};
use proptest_state_machine::StateMachineTest;

impl StateMachineTest for Subject {
    type SystemUnderTest = Self;
    type Reference = Reference;

    fn init_test(_: &Reference) -> Self {
        Self::new()
    }

    fn apply(mut state: Self, reference: &Reference, _: Transition) -> Self {
        let step = reference.step.clone();
        if let Action::Restart(how) = step.action {
            state.restart(how, reference.now);
            state.check_promises();
            return state;
        }
        state.now = reference.now;
        match step.action {
            Action::Nothing => {}
            Action::Ask { command, room, outcome: expected, depends_on: expected_depends_on } => {
                let (outcome, depends_on) = state.ask(command.clone(), room);
                assert_eq!(outcome, expected);
                if let Depends::On(place) = expected_depends_on {
                    assert_eq!(depends_on, seq(place), "{command:?}");
                }
                assert!(depends_on <= state.effects.last());
                state.check_answer(&command, &outcome, depends_on);
                state.check_decision(&outcome, depends_on);
                assert_eq!(state.records(), step.records);
                if let LockCommand::Release { lease, .. } = command
                    && outcome == LockOutcome::Released
                {
                    state.ended.insert(lease, state.last);
                }
                if let LockOutcome::ForceReleased(lease) = &outcome {
                    state.ended.insert(lease.id, state.last);
                }
                if depends_on <= seq(state.durable) {
                    state.tell(&outcome);
                } else {
                    state.held.push((outcome, depends_on));
                }
            }
            Action::Deadline => {
                state.machine.on_deadline(state.now, &mut state.effects);
                assert_eq!(state.records(), step.records);
                let next = state.machine.next_deadline();
                assert!(next.is_none_or(|next| next > state.now));
            }
            Action::Undelivered(outcome) => {
                state.forget(&outcome);
                state.machine.undelivered(outcome, &mut state.effects);
                assert_eq!(state.records(), step.records);
            }
            Action::Commit => state.write(reference.durable),
            Action::Settle => state.machine.settle(seq(state.durable)),
            Action::Refuse { before, in_vain } => {
                assert_eq!(state.refuse(before), in_vain);
                assert_eq!(state.records(), step.records);
            }
            Action::Restart(_) => unreachable!("above"),
        }
        assert_eq!(state.durable, reference.durable);
        state.check_promises();
        state
    }

    fn check_invariants(state: &Self, reference: &Reference) {
        let next = state.machine.next_deadline();
        let is_due = next.is_some_and(|next| next <= state.now);
        if reference.ghosts().next().is_some() {
            assert!(is_due, "no ghosts: nobody would end it before it expires");
        } else if !(reference.refused && is_due) {
            let expires = reference.rows().locks.values().map(|lease| lease.expires);
            assert_eq!(next, expires.min());
        }
        let on_disk = reference.on_disk();
        assert_eq!(state.locks, on_disk.locks);
        assert_eq!(state.mark.get(), on_disk.mark);
        assert_eq!(state.log, on_disk.log);
    }

    /// At the end, everything in the machine is looked at.
    fn teardown(mut state: Self, reference: Reference) {
        for number in 0..ACCOUNTS {
            let all =
                LockCommand::List { account: account(number), selection: Selection::default() };
            let expected = page(reference.rows(), account(number), &Selection::default());
            assert_eq!(state.ask(all, Room::Available).0, LockOutcome::Leases(expected));
        }
    }
}
