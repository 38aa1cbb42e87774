//! A disk that cannot be trusted.

use crate::{
    bench::{Bench, Trouble, UNKNOWN, told},
    common::{get, holder},
};
use octostore_actors::{
    actor::{Flow, NotTaken, Patience, Station},
    commit::Desk,
    sync::{Arc, lock, thread},
};

#[test]
fn one_outcome_after_a_failed_commit_everybody_is_told_that_it_is_unknown() {
    let mut bench = Bench::new();
    let lease = bench.hold("a", holder(1), 10);
    bench.disk.expect_trouble([Trouble::Unknown]);
    let mut in_batch =
        [bench.acquire("b", holder(1), 10), bench.ask(get("b")), bench.release(&lease)];
    bench.turn();
    assert!(bench.persistence.step().is_err());
    for waiting in &mut in_batch {
        assert_eq!(told(waiting), UNKNOWN);
    }
    // What was on its way to the store, and what had not been looked at.
    let mut on_its_way = bench.acquire("c", holder(1), 10);
    bench.turn();
    let mut queued = bench.acquire("d", holder(1), 10);
    let Bench { actor, handle, persistence, disk, .. } = bench;
    drop(persistence);
    assert_eq!(told(&mut on_its_way), UNKNOWN);
    assert_eq!(lock(&actor).turn(Patience::None), Flow::Stopped);
    assert_eq!(told(&mut queued), UNKNOWN);
    drop(actor);
    assert_eq!(handle.ask(get("a")).map(drop), Err(NotTaken::Stopped), "nothing is taken any more");
    assert_eq!(disk.commits(), 2, "the store is not used any more");
}

#[test]
fn one_outcome_a_store_that_fails_ends_both_actors() {
    let mut bench = Bench::new();
    bench.disk.expect_trouble([Trouble::Unknown]);
    let mut waiting: Vec<_> = (0..300)
        .map(|number| bench.acquire(&format!("lock-{}", number % 90), holder(1), 10))
        .collect();
    let Bench { actor, handle, persistence, .. } = bench;
    let actor = Arc::into_inner(actor).unwrap().into_inner().unwrap();
    let outcome = thread::scope(|scope| {
        let committing = scope.spawn(|| Desk::new(persistence).run().map(drop));
        // The actor may be anywhere when it learns of it; the stop is for the last case.
        handle.stop();
        Station::new(actor, handle.clone()).run();
        committing.join().unwrap()
    });
    assert!(outcome.is_err());
    for waiting in &mut waiting {
        assert_eq!(told(waiting), UNKNOWN, "never a success");
    }
}
