//! A disk that is full: what was refused is not executed, whenever the power goes.

mod machine;

use machine::{Machine, account, lease};
use octostore::store::JournalSize;
use octostore_actors::{
    commit::{Store, Verdict},
    domain::lock::{Lease, LockRecord},
};
use octostore_simulator::{
    dice::Dice,
    disk::{Kind, Trap, Trouble},
};
use std::collections::BTreeSet;

/// A journal that is begun anew often, so that in it the pages of now stand where the same ones stood.
const SIZE: JournalSize = JournalSize { idle: 4, busy: 8, slack: 40 };

/// So many locks are taken and released: their rows fit into one page.
const LOCKS: u64 = 6;

/// What became of the commits up to the power cut.
#[derive(Default)]
struct Tally {
    refused: u32,
    unknown: u32,
}

/// Takes and releases locks on a disk that is full now and then, until an outcome is unknown or the
/// power goes. Says which sets of locks may be held then, and which one is.
fn run(seed: u64, tally: &mut Tally) -> (Vec<BTreeSet<u64>>, BTreeSet<u64>) {
    let machine = Machine::new(seed, SIZE);
    let mut dice = Dice::new(seed, 1);
    let disk = &machine.disk;
    let mut store = machine.open().expect("an empty disk").0;
    assert!(matches!(store.commit(&[account()]), Verdict::Committed));
    let mut held = BTreeSet::new();
    let mut possible = Vec::new();
    for _ in 0..40 {
        let number = dice.below(LOCKS as usize) as u64;
        let mut after = held.clone();
        let Lease { name, .. } = lease(number, 100);
        let record = if after.remove(&number) {
            LockRecord::Free(name)
        } else {
            after.insert(number);
            LockRecord::Held(lease(number, 100))
        };
        if dice.one_in(2) {
            // Mostly at a page, as nothing of a frame's header is written in part.
            let writes = if dice.one_in(4) { dice.below(6) } else { 1 };
            let trouble = if dice.one_in(2) { Trouble::Full } else { Trouble::StaysFull };
            disk.get().set_trap(Trap { after: writes as u32, kind: Some(Kind::Write), trouble });
        }
        let verdict = store.commit(&[record.into()]);
        disk.get().clear_trap();
        match verdict {
            Verdict::Committed => held = after,
            Verdict::NoRoom => tally.refused += 1,
            Verdict::Unknown(_) => {
                tally.unknown += 1;
                possible.push(after);
                break;
            }
        }
        if dice.one_in(8) {
            break;
        }
    }
    possible.push(held);
    disk.get().kill();
    disk.get().cut_power();
    disk.get().revive();
    drop(store);
    let (_store, recovered) = machine.open().expect("a power cut damages nothing");
    let numbers = recovered.leases.iter().map(|lease| lease.token.get() - 1);
    (possible, numbers.collect())
}

#[test]
fn durability_a_stop_on_a_full_disk_is_a_good_one_and_leaves_the_journal() {
    let machine = Machine::new(1, JournalSize { idle: 1000, busy: 1000, slack: 40 });
    let mut store = machine.open().expect("an empty disk").0;
    let leases: Vec<Lease> = (0..60).map(|number| lease(number, 1000)).collect();
    let held = leases.iter().cloned().map(|lease| LockRecord::Held(lease).into());
    let records: Vec<_> = std::iter::once(account()).chain(held).collect();
    assert!(matches!(store.commit(&records), Verdict::Committed));
    let trap = Trap { after: 0, kind: Some(Kind::Write), trouble: Trouble::StaysFull };
    machine.disk.get().set_trap(trap);
    store.close().expect("nothing is lost by it");
    machine.disk.get().clear_trap();
    let (_store, recovered) = machine.open().expect("a whole database");
    assert_eq!(recovered.leases.len(), 60);
}

#[test]
fn outcome_what_was_refused_for_want_of_room_is_not_there_after_a_power_cut() {
    let mut tally = Tally::default();
    for seed in 0..5000 {
        let (possible, found) = run(seed, &mut tally);
        assert!(possible.contains(&found), "seed {seed}: {found:?} and not {possible:?}");
    }
    assert!(tally.refused > 1000, "{} were refused", tally.refused);
    assert!(tally.unknown > 0, "no commit without room was whole all the same");
}
