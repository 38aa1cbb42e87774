//! What can happen, and what the reference makes of it.

use crate::{
    ACCOUNTS, NAMES, OWNERS, QUOTA,
    common::{account, force_release, lease_id, metadata, name, ttl},
    reference::{Action, Reference, Restart, Step},
};
use octostore_actors::domain::{
    Room,
    lock::{Holder, LockCommand},
    page::{PageLimit, Selection},
    values::Owner,
};
use proptest::{
    option,
    prelude::*,
    sample::{Index, select},
};
use proptest_state_machine::ReferenceStateMachine;
use std::time::Duration;

#[derive(Clone, Debug)]
pub enum Transition {
    Acquire {
        name: &'static str,
        account: u8,
        owner: Option<&'static str>,
        seconds: u64,
        metadata: Option<&'static str>,
        room: Room,
    },
    Release {
        name: &'static str,
        account: u8,
        whose: Whose,
    },
    Renew {
        name: &'static str,
        account: u8,
        whose: Whose,
        seconds: u64,
    },
    ForceRelease {
        name: &'static str,
    },
    Get {
        name: &'static str,
    },
    Use,
    List {
        account: u8,
        selection: Selection,
    },
    /// Time passes.
    Pass(Duration),
    /// Time passes up to the very instant of the next expiry.
    PassToDeadline,
    Deadline,
    /// An answer that was let go comes back.
    Undelivered(Index),
    /// The disk takes some of what is on its way; the machine does not know yet.
    Commit(Index),
    /// The machine learns how far the disk is.
    Settle,
    /// The disk refuses all that is on its way. Of the answers that waited for it, so many come
    /// home before the machine learns that it must rewind; the others after.
    Refuse(Index),
    /// What is not on disk is lost; the lease clock goes on.
    Crash,
    /// What is not on disk is lost; the lease clock starts again.
    Reboot,
    /// A clean end, and a new start.
    Stop,
}

/// Which lease id somebody comes with.
#[derive(Clone, Copy, Debug)]
pub enum Whose {
    /// The lock's latest.
    Latest,
    /// The one before.
    Earlier,
    /// One that nobody was granted.
    Nobody,
}

fn seconds() -> impl Strategy<Value = u64> {
    prop_oneof![1..=5u64, Just(60)]
}

fn whose() -> impl Strategy<Value = Whose> {
    prop_oneof![
        8 => Just(Whose::Latest),
        1 => Just(Whose::Earlier),
        1 => Just(Whose::Nobody),
    ]
}

fn selection() -> impl Strategy<Value = Selection> {
    let prefix = select(vec!["", "a", "a/", "b", "c"]);
    let after = option::of(select(NAMES.to_vec()));
    let limit = prop_oneof![1..=3u16, Just(1_000)];
    (prefix, after, limit).prop_map(|(prefix, after, limit)| Selection {
        prefix: prefix.into(),
        after: after.map(Into::into),
        limit: PageLimit::new(limit).unwrap(),
    })
}

impl ReferenceStateMachine for Reference {
    type State = Self;
    type Transition = Transition;

    fn init_state() -> BoxedStrategy<Self> {
        Just(Self::new()).boxed()
    }

    fn transitions(_: &Self) -> BoxedStrategy<Transition> {
        let name = || select(NAMES.to_vec());
        let room = prop_oneof![9 => Just(Room::Available), 1 => Just(Room::Exhausted)];
        let text = option::of(Just("metadata"));
        let acquire = (name(), 0..ACCOUNTS, select(OWNERS.to_vec()), seconds(), text, room)
            .prop_map(|(name, account, owner, seconds, metadata, room)| Transition::Acquire {
                name,
                account,
                owner,
                seconds,
                metadata,
                room,
            });
        let release = (name(), 0..ACCOUNTS, whose())
            .prop_map(|(name, account, whose)| Transition::Release { name, account, whose });
        let renew = (name(), 0..ACCOUNTS, whose(), seconds()).prop_map(
            |(name, account, whose, seconds)| Transition::Renew { name, account, whose, seconds },
        );
        let list = (0..ACCOUNTS, selection())
            .prop_map(|(account, selection)| Transition::List { account, selection });
        let pass = (0..3_000u64).prop_map(|millis| Transition::Pass(Duration::from_millis(millis)));
        prop_oneof![
            40 => acquire,
            10 => release,
            10 => renew,
            3 => name().prop_map(|name| Transition::ForceRelease { name }),
            1 => Just(Transition::Use),
            5 => name().prop_map(|name| Transition::Get { name }),
            5 => list,
            6 => pass,
            4 => Just(Transition::PassToDeadline),
            8 => Just(Transition::Deadline),
            10 => any::<Index>().prop_map(Transition::Undelivered),
            20 => any::<Index>().prop_map(Transition::Commit),
            15 => Just(Transition::Settle),
            6 => any::<Index>().prop_map(Transition::Refuse),
            1 => Just(Transition::Crash),
            1 => Just(Transition::Reboot),
            1 => Just(Transition::Stop),
        ]
        .boxed()
    }

    fn apply(mut state: Self, transition: &Transition) -> Self {
        state.step = Step { action: Action::Nothing, records: Vec::new() };
        match transition.clone() {
            Transition::Acquire {
                name: text,
                account: number,
                owner,
                seconds,
                metadata: note,
                room,
            } => {
                state.leases += 1;
                let command = LockCommand::Acquire {
                    name: name(text),
                    holder: Holder {
                        account: account(number),
                        owner: owner.map(|owner| Owner::new(owner).unwrap()),
                    },
                    ttl: ttl(seconds),
                    lease: lease_id(state.leases),
                    metadata: note.map(metadata),
                    quota: QUOTA,
                };
                state.ask(command, room);
            }
            Transition::Release { name: text, account: number, whose } => {
                let command = LockCommand::Release {
                    name: name(text),
                    account: account(number),
                    lease: state.id(&name(text), whose),
                };
                state.ask(command, Room::Available);
            }
            Transition::Renew { name: text, account: number, whose, seconds } => {
                let command = LockCommand::Renew {
                    name: name(text),
                    account: account(number),
                    lease: state.id(&name(text), whose),
                    ttl: ttl(seconds),
                };
                state.ask(command, Room::Available);
            }
            Transition::ForceRelease { name: text } => {
                state.ask(force_release(text, "it hangs"), Room::Available);
            }
            Transition::Use => {
                // One account more than there are.
                let accounts = (0..=ACCOUNTS).map(account).collect();
                state.ask(LockCommand::Use { accounts }, Room::Available);
            }
            Transition::Get { name: text } => {
                state.ask(LockCommand::Get { name: name(text) }, Room::Available);
            }
            Transition::List { account: number, selection } => {
                let account = account(number);
                state.ask(LockCommand::List { account, selection }, Room::Available);
            }
            Transition::Pass(span) => state.now = state.now + span,
            Transition::PassToDeadline => {
                let next = state.rows().locks.values().map(|lease| lease.expires).min();
                state.now = next.map_or(state.now, |next| next.max(state.now));
            }
            Transition::Deadline => state.deadline(),
            Transition::Undelivered(which) => state.undelivered(which),
            Transition::Commit(upto) => {
                let on_their_way = usize::try_from(state.last() - state.durable).unwrap();
                state.durable += upto.index(on_their_way + 1) as u64;
                state.step.action = Action::Commit;
            }
            Transition::Settle => {
                state.settle();
                state.step.action = Action::Settle;
            }
            Transition::Refuse(before) => state.refuse(before),
            Transition::Crash => return state.restart(Restart::Crash),
            Transition::Reboot => return state.restart(Restart::Reboot),
            Transition::Stop => return state.restart(Restart::Stop),
        }
        state
    }
}
