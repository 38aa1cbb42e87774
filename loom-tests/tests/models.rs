//! Every model, and every model's twin with the bug put in, which must be caught.
//!
//! A twin whose bug needs two threads to meet, or that ends with everybody waiting, runs under
//! loom alone: on real threads the one may be missed, and the other would never end.

use octostore_actors::{mailbox::mailbox, reply::reply};
#[cfg(loom)]
use octostore_loom_tests::service::{actor, at_once};
use octostore_loom_tests::{
    bell as door, close, commit, desk, explore, explore_twin, flawed, gather, grant,
    mailbox as post, reply as slot,
    service::{Keep, Parts},
    station,
};
use std::num::NonZeroUsize;

fn places(room: usize) -> NonZeroUsize {
    NonZeroUsize::new(room).expect("a mailbox has a place")
}

mod mailbox_contract {
    use super::*;
    #[cfg(loom)]
    use flawed::mailbox::Flaw;

    #[test]
    fn every_message_arrives_in_order() {
        explore("mailbox: every message arrives, in order", || {
            post::every_message_arrives_in_order(mailbox(places(1)));
        });
    }

    #[cfg(loom)]
    #[test]
    #[should_panic(expected = "deadlock")]
    fn twin_that_looks_then_waits() {
        explore_twin(|| {
            post::every_message_arrives_in_order(flawed::mailbox::mailbox(1, Flaw::LooksThenWaits));
        });
    }

    #[test]
    fn one_place_is_given_once() {
        explore("mailbox: one place is given once", || {
            post::one_place_is_given_once(mailbox(places(1)));
        });
    }

    #[cfg(loom)]
    #[test]
    #[should_panic(expected = "more messages than places")]
    fn twin_that_looks_then_sends() {
        explore_twin(|| {
            post::one_place_is_given_once(flawed::mailbox::mailbox(1, Flaw::LooksThenSends));
        });
    }

    #[test]
    fn the_last_sender_is_missed() {
        explore("mailbox: the last sender is missed", || {
            post::the_last_sender_is_missed(mailbox(places(1)));
        });
    }

    #[cfg(loom)]
    #[test]
    #[should_panic(expected = "deadlock")]
    fn twin_whose_senders_leave_silently() {
        explore_twin(|| {
            post::the_last_sender_is_missed(flawed::mailbox::mailbox(
                1,
                Flaw::SendersLeaveSilently,
            ));
        });
    }

    #[test]
    fn closing_wakes_and_drops() {
        explore("mailbox: closing wakes and drops", || {
            post::closing_wakes_and_drops(mailbox(places(1)));
        });
    }

    #[cfg(loom)]
    #[test]
    #[should_panic(expected = "deadlock")]
    fn twin_that_closes_silently() {
        explore_twin(|| {
            post::closing_wakes_and_drops(flawed::mailbox::mailbox(1, Flaw::ClosesSilently));
        });
    }
}

mod bell_of_a_mailbox {
    use super::*;
    #[cfg(loom)]
    use flawed::bell::{LooksThenSleeps, RingsUnheard};
    use octostore_actors::bell::Bell;

    #[test]
    fn the_sleeper_gets_everything() {
        explore("bell: the sleeper is woken and gets everything", || {
            door::the_sleeper_gets_everything::<Bell>();
        });
    }

    #[cfg(loom)]
    #[test]
    #[should_panic(expected = "deadlock")]
    fn twin_that_looks_then_sleeps() {
        explore_twin(|| door::the_sleeper_gets_everything::<LooksThenSleeps>());
    }

    #[cfg(loom)]
    #[test]
    #[should_panic(expected = "deadlock")]
    fn twin_that_rings_unheard() {
        explore_twin(|| door::the_sleeper_gets_everything::<RingsUnheard>());
    }
}

mod reply_slot {
    use super::*;
    #[cfg(loom)]
    use flawed::reply::Flaw;

    #[test]
    fn a_sent_answer_reaches_somebody() {
        explore("reply: sent, against dropped", || {
            slot::an_answer_reaches_somebody(reply::<u32>);
        });
    }

    #[test]
    fn a_held_answer_reaches_somebody() {
        explore("reply: held and released, against dropped", || {
            slot::an_answer_reaches_somebody(|home| {
                let (reply, waiting) = reply::<u32>(home);
                (slot::Parked(reply), waiting)
            });
        });
    }

    #[cfg(loom)]
    #[test]
    #[should_panic(expected = "an answer was lost")]
    fn twin_that_looks_then_leaves() {
        explore_twin(|| {
            slot::an_answer_reaches_somebody(|home| {
                flawed::reply::reply(home, Flaw::LooksThenLeaves)
            });
        });
    }

    #[test]
    fn the_last_waker_is_woken() {
        explore("reply: completed, against a changed waker", || {
            slot::the_last_waker_is_woken(reply::<u32>);
        });
    }

    #[test]
    fn the_last_waker_is_woken_by_a_release() {
        explore("reply: held and released, against a changed waker", || {
            slot::the_last_waker_is_woken(|home| {
                let (reply, waiting) = reply::<u32>(home);
                (slot::Parked(reply), waiting)
            });
        });
    }

    #[cfg(loom)]
    #[test]
    #[should_panic(expected = "deadlock")]
    fn twin_that_keeps_the_first_waker() {
        explore_twin(|| {
            slot::the_last_waker_is_woken(|home| {
                flawed::reply::reply(home, Flaw::KeepsTheFirstWaker)
            });
        });
    }

    #[test]
    fn a_dropped_reply_is_noticed() {
        explore("reply: dropped, while somebody waits", || {
            slot::a_dropped_reply_is_noticed(reply::<u32>);
        });
    }

    #[cfg(loom)]
    #[test]
    #[should_panic(expected = "deadlock")]
    fn twin_that_drops_silently() {
        explore_twin(|| {
            slot::a_dropped_reply_is_noticed(|home| {
                flawed::reply::reply(home, Flaw::DropsSilently)
            });
        });
    }
}

mod gathering {
    use super::*;
    #[cfg(loom)]
    use flawed::gather::{LooksThenWaits, WakesThenAdds};
    use octostore_actors::gather::Gather;

    #[test]
    fn nothing_is_left_behind() {
        explore("gather: nothing is left behind", || {
            gather::nothing_is_left_behind::<Gather<_>>();
        });
    }

    #[cfg(loom)]
    #[test]
    #[should_panic(expected = "deadlock")]
    fn twin_that_looks_then_waits() {
        explore_twin(|| gather::nothing_is_left_behind::<LooksThenWaits<_>>());
    }

    #[test]
    fn a_sleeper_is_woken_by_another() {
        explore("gather: a sleeper is woken by another thread", || {
            gather::a_sleeper_is_woken_by_another::<Gather<_>>();
        });
    }

    #[cfg(loom)]
    #[test]
    #[should_panic(expected = "deadlock")]
    fn twin_that_wakes_then_adds() {
        explore_twin(|| gather::a_sleeper_is_woken_by_another::<WakesThenAdds<_>>());
    }
}

mod loop_of_a_station {
    use super::*;

    #[test]
    fn both_are_answered() {
        explore("station: whoever is at the loop, both are answered", || {
            station::whoever_is_at_the_loop_both_are_answered(Parts::ATTENDED);
        });
    }

    #[cfg(loom)]
    #[test]
    #[should_panic(expected = "deadlock")]
    fn twin_that_leaves_silently() {
        explore_twin(|| {
            let parts = Parts { actor: flawed::station::leaves_silently, ..Parts::SHIPPED };
            station::whoever_is_at_the_loop_both_are_answered(parts);
        });
    }

    #[test]
    fn what_found_no_place_is_sent_on() {
        explore("station: what found no place in the journal is sent on", || {
            station::what_found_no_place_is_sent_on(Parts::ATTENDED);
        });
    }

    #[cfg(loom)]
    #[test]
    #[should_panic(expected = "deadlock")]
    fn twin_that_rings_unheard() {
        explore_twin(|| {
            let parts = Parts { actor: flawed::station::rings_unheard, ..Parts::SHIPPED };
            station::what_found_no_place_is_sent_on(parts);
        });
    }

    #[test]
    fn no_ghosts() {
        explore("station: a grant against a disconnect", || {
            grant::a_grant_meets_a_disconnect(Parts::ATTENDED, grant::Second::AsksAfter);
        });
    }

    #[test]
    fn a_read_waits() {
        explore("station: a read waits for the grant it saw", || {
            commit::a_read_waits_for_the_grant_it_saw(Parts::ATTENDED);
        });
    }

    #[test]
    fn both_are_answered_at_once() {
        explore("station: whoever is at the loop, both are answered at once or later", || {
            station::whoever_is_at_the_loop_both_are_answered(Parts::AT_ONCE);
        });
    }

    #[test]
    fn a_look_at_once_waits() {
        explore("station: a look at once waits for the grant it saw", || {
            commit::a_read_waits_for_the_grant_it_saw(Parts::AT_ONCE);
        });
    }

    #[cfg(loom)]
    #[test]
    #[should_panic(expected = "told before it was on disk")]
    fn twin_that_looks_in_haste() {
        explore_twin(|| {
            let parts = Parts { actor: at_once::<flawed::actor::Hasty>, ..Parts::SHIPPED };
            commit::a_read_waits_for_the_grant_it_saw(parts);
        });
    }

    #[test]
    fn a_success_is_on_disk() {
        explore("station: a success is on disk when it is told", || {
            commit::a_success_is_on_disk_when_it_is_told(Parts::ATTENDED);
        });
    }

    #[test]
    fn after_a_failed_commit() {
        explore("station: after a failed commit nothing succeeds", || {
            commit::after_a_failed_commit_nothing_succeeds(Parts::ATTENDED);
        });
    }

    #[test]
    fn a_grant_without_room() {
        explore("station: a grant without room never was", || {
            commit::a_grant_without_room_never_was(Parts::ATTENDED);
        });
    }

    #[test]
    fn a_grant_without_room_at_once() {
        explore("station: a grant without room never was, asked at once", || {
            commit::a_grant_without_room_never_was(Parts::AT_ONCE);
        });
    }

    #[test]
    fn after_a_failed_commit_at_once() {
        explore("station: after a failed commit nothing succeeds, asked at once", || {
            commit::after_a_failed_commit_nothing_succeeds(Parts::AT_ONCE);
        });
    }

    #[test]
    fn a_stop_at_once() {
        explore("station: what a stopping service took is answered, asked at once", || {
            close::what_a_stopping_service_took_is_answered(Parts::AT_ONCE);
        });
    }

    #[test]
    fn a_stop() {
        explore("station: what a stopping service took is answered", || {
            close::what_a_stopping_service_took_is_answered(Parts::ATTENDED);
        });
    }
}

mod desk_of_the_journal {
    use super::*;

    #[test]
    fn both_are_answered() {
        explore("desk: of two who want it both are answered", || {
            station::of_two_who_want_it_both_are_answered(Parts::ALONE);
        });
    }

    #[test]
    fn what_is_left_is_done() {
        explore("desk: what is left on it is done", desk::what_is_left_on_the_desk_is_done);
    }

    #[test]
    fn a_success_is_on_disk() {
        explore("desk: a success is on disk when it is told", || {
            commit::a_success_is_on_disk_when_it_is_told(Parts::ALONE);
        });
    }

    #[test]
    fn a_release_makes_room_for_the_next() {
        explore("desk: a release makes room for the next grant", || {
            commit::a_release_makes_room_for_the_next(Parts::ALONE);
        });
    }

    #[cfg(loom)]
    #[test]
    #[should_panic(expected = "deadlock")]
    fn twin_that_leaves_it_on_a_taken_desk() {
        explore_twin(|| {
            let parts =
                Parts { persistence: flawed::persistence::leaves_it_on_the_desk, ..Parts::ALONE };
            station::of_two_who_want_it_both_are_answered(parts);
        });
    }

    #[test]
    fn a_read_waits() {
        explore("desk: a read waits for the grant it saw", || {
            commit::a_read_waits_for_the_grant_it_saw(Parts::ALONE);
        });
    }

    #[test]
    fn after_a_failed_commit() {
        explore("desk: after a failed commit nothing succeeds", || {
            commit::after_a_failed_commit_nothing_succeeds(Parts::ALONE);
        });
    }

    #[test]
    fn a_grant_without_room() {
        explore("desk: a grant without room never was", || {
            commit::a_grant_without_room_never_was(Parts::ALONE);
        });
    }

    #[test]
    fn what_found_no_place_is_sent_on() {
        explore("desk: what found no place in the journal is sent on", || {
            station::what_found_no_place_is_sent_on(Parts::ALONE);
        });
    }

    #[test]
    fn a_stop() {
        explore("desk: what a stopping service took is answered", || {
            close::what_a_stopping_service_took_is_answered(Parts::ALONE);
        });
    }
}

mod grant_against_disconnect {
    use super::*;
    use grant::Second::{AsksAfter, AsksBefore, AsksBeforeInOnePlace};

    #[test]
    fn asked_before() {
        explore("grant: hung up on, a second client asked before", || {
            grant::a_grant_meets_a_disconnect(Parts::SHIPPED, AsksBefore);
        });
    }

    #[test]
    fn asked_after() {
        explore("grant: hung up on, a second client asks after", || {
            grant::a_grant_meets_a_disconnect(Parts::SHIPPED, AsksAfter);
        });
    }

    #[test]
    fn asked_before_in_one_place() {
        explore("grant: the former, in mailboxes of one place", || {
            grant::a_grant_meets_a_disconnect(Parts::SHIPPED, AsksBeforeInOnePlace);
        });
    }

    #[cfg(loom)]
    const FORGETFUL: Parts = Parts { actor: actor::<flawed::actor::Forgetful>, ..Parts::SHIPPED };

    #[cfg(loom)]
    #[test]
    #[should_panic(expected = "deadlock")]
    fn twin_that_forgets_asked_before() {
        explore_twin(|| grant::a_grant_meets_a_disconnect(FORGETFUL, AsksBefore));
    }

    #[cfg(loom)]
    #[test]
    #[should_panic(expected = "deadlock")]
    fn twin_that_forgets_asked_after() {
        explore_twin(|| grant::a_grant_meets_a_disconnect(FORGETFUL, AsksAfter));
    }

    #[cfg(loom)]
    #[test]
    #[should_panic(expected = "deadlock")]
    fn twin_that_forgets_asked_before_in_one_place() {
        explore_twin(|| grant::a_grant_meets_a_disconnect(FORGETFUL, AsksBeforeInOnePlace));
    }

    #[test]
    fn a_give_back_waits_for_nobody() {
        explore("grant: given back where all is full", || {
            grant::a_give_back_waits_for_nobody(Parts::SHIPPED);
        });
    }

    #[cfg(loom)]
    #[test]
    #[should_panic(expected = "deadlock")]
    fn twin_that_gives_back_by_waiting() {
        explore_twin(|| {
            let parts = Parts { actor: flawed::actor::gives_back_by_waiting, ..Parts::SHIPPED };
            grant::a_give_back_waits_for_nobody(parts);
        });
    }
}

mod acknowledgement_against_commit {
    use super::*;

    fn with_persistence(persistence: Keep) -> Parts {
        Parts { persistence, ..Parts::SHIPPED }
    }

    #[test]
    fn a_refusal_waits_for_the_grant_it_saw() {
        explore("commit: a refusal waits for the grant it saw", || {
            commit::a_refusal_waits_for_the_grant_it_saw(Parts::SHIPPED);
        });
    }

    #[cfg(loom)]
    #[test]
    #[should_panic(expected = "told before it was on disk")]
    fn twin_that_releases_before_it_commits() {
        explore_twin(|| {
            commit::a_refusal_waits_for_the_grant_it_saw(with_persistence(
                flawed::persistence::releases_before_it_commits,
            ));
        });
    }

    #[cfg(loom)]
    #[test]
    #[should_panic(expected = "told before it was on disk")]
    fn twin_that_refuses_in_haste() {
        explore_twin(|| {
            let parts = Parts { actor: actor::<flawed::actor::Hasty>, ..Parts::SHIPPED };
            commit::a_refusal_waits_for_the_grant_it_saw(parts);
        });
    }

    #[test]
    fn a_read_waits_for_the_grant_it_saw() {
        explore("commit: a read waits for the grant it saw", || {
            commit::a_read_waits_for_the_grant_it_saw(Parts::SHIPPED);
        });
    }

    #[cfg(loom)]
    #[test]
    #[should_panic(expected = "told before it was on disk")]
    fn twin_that_reads_in_haste() {
        explore_twin(|| {
            let parts = Parts { actor: actor::<flawed::actor::Hasty>, ..Parts::SHIPPED };
            commit::a_read_waits_for_the_grant_it_saw(parts);
        });
    }

    #[test]
    fn a_success_is_on_disk_when_it_is_told() {
        explore("commit: a success is on disk when it is told", || {
            commit::a_success_is_on_disk_when_it_is_told(Parts::SHIPPED);
        });
    }

    #[cfg(loom)]
    #[test]
    #[should_panic(expected = "told before it was on disk")]
    fn twin_that_tells_before_it_commits() {
        explore_twin(|| {
            commit::a_success_is_on_disk_when_it_is_told(with_persistence(
                flawed::persistence::releases_before_it_commits,
            ));
        });
    }

    #[test]
    fn a_release_makes_room_for_the_next() {
        explore("commit: a release makes room for the next grant", || {
            commit::a_release_makes_room_for_the_next(Parts::SHIPPED);
        });
    }

    #[cfg(loom)]
    #[test]
    #[should_panic(expected = "told before it was on disk")]
    fn twin_that_releases_before_it_commits_both() {
        explore_twin(|| {
            commit::a_release_makes_room_for_the_next(with_persistence(
                flawed::persistence::releases_before_it_commits,
            ));
        });
    }

    #[test]
    fn after_a_failed_commit_nothing_succeeds() {
        explore("commit: after a failed one nothing succeeds", || {
            commit::after_a_failed_commit_nothing_succeeds(Parts::SHIPPED);
        });
    }

    #[test]
    #[should_panic(expected = "acknowledged after a failed commit")]
    fn twin_that_acknowledges_a_failed_commit() {
        explore_twin(|| {
            commit::after_a_failed_commit_nothing_succeeds(with_persistence(
                flawed::persistence::acknowledges_a_failed_commit,
            ));
        });
    }

    #[test]
    #[should_panic(expected = "acknowledged after a failed commit")]
    fn twin_that_goes_on_after_a_failed_commit() {
        explore_twin(|| {
            commit::after_a_failed_commit_nothing_succeeds(with_persistence(
                flawed::persistence::goes_on_after_a_failed_commit,
            ));
        });
    }

    #[test]
    fn a_grant_without_room_never_was() {
        explore("commit: a grant without room never was", || {
            commit::a_grant_without_room_never_was(Parts::SHIPPED);
        });
    }

    #[test]
    #[should_panic(expected = "a grant that never was is spoken of")]
    fn twin_that_refuses_without_rewinding() {
        explore_twin(|| {
            commit::a_grant_without_room_never_was(with_persistence(
                flawed::persistence::refuses_without_rewinding,
            ));
        });
    }
}

mod send_against_close {
    use super::*;

    #[test]
    fn what_a_closing_mailbox_took_is_answered() {
        explore("close: what a closing mailbox took is answered", || {
            close::what_a_closing_mailbox_took_is_answered(mailbox(places(1)));
        });
    }

    #[cfg(loom)]
    #[test]
    #[should_panic(expected = "deadlock")]
    fn twin_that_closes_without_emptying() {
        explore_twin(|| {
            close::what_a_closing_mailbox_took_is_answered(flawed::mailbox::mailbox(
                1,
                flawed::mailbox::Flaw::ClosesWithoutEmptying,
            ));
        });
    }

    #[test]
    fn what_a_stopping_service_took_is_answered() {
        explore("close: what a stopping service took is answered", || {
            close::what_a_stopping_service_took_is_answered(Parts::SHIPPED);
        });
    }

    #[cfg(loom)]
    #[test]
    #[should_panic(expected = "deadlock")]
    fn twin_that_leaves_its_mailbox_behind() {
        explore_twin(|| {
            let parts = Parts { actor: flawed::actor::leaves_its_mailbox_behind, ..Parts::SHIPPED };
            close::what_a_stopping_service_took_is_answered(parts);
        });
    }
}
