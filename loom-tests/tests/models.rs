//! Every model, and every model's twin with the bug put in, which must be caught.
//!
//! A twin whose bug needs two threads to meet, or that ends with everybody waiting, runs under
//! loom alone: on real threads the one may be missed, and the other would never end.

use octostore_actors::{mailbox::mailbox, reply::reply};
use octostore_loom_tests::{close, commit, explore, grant, mailbox as post, reply as slot};
use octostore_loom_tests::{
    flawed,
    service::{Parts, Persist, actor},
};
use std::num::NonZeroUsize;

fn places(room: usize) -> NonZeroUsize {
    NonZeroUsize::new(room).unwrap()
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
        explore("twin", || {
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
        explore("twin", || {
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
        explore("twin", || {
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
        explore("twin", || {
            post::closing_wakes_and_drops(flawed::mailbox::mailbox(1, Flaw::ClosesSilently));
        });
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
        explore("twin", || {
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

    #[cfg(loom)]
    #[test]
    #[should_panic(expected = "deadlock")]
    fn twin_that_keeps_the_first_waker() {
        explore("twin", || {
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
        explore("twin", || {
            slot::a_dropped_reply_is_noticed(|home| {
                flawed::reply::reply(home, Flaw::DropsSilently)
            });
        });
    }
}

mod grant_against_disconnect {
    use super::*;

    #[test]
    fn with_room() {
        explore("grant: against a disconnect", || {
            grant::a_grant_meets_a_disconnect(Parts::SHIPPED, 2);
        });
    }

    #[test]
    fn with_one_place() {
        explore("grant: against a disconnect, one place", || {
            grant::a_grant_meets_a_disconnect(Parts::SHIPPED, 1);
        });
    }

    #[cfg(loom)]
    #[test]
    #[should_panic(expected = "deadlock")]
    fn twin_that_forgets_what_comes_back() {
        explore("twin", || {
            let parts = Parts {
                actor: actor::<flawed::actor::Forgetful>,
                ..Parts::SHIPPED
            };
            grant::a_grant_meets_a_disconnect(parts, 2);
        });
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
        explore("twin", || {
            let parts = Parts {
                actor: flawed::actor::gives_back_by_waiting,
                ..Parts::SHIPPED
            };
            grant::a_give_back_waits_for_nobody(parts);
        });
    }
}

mod acknowledgement_against_commit {
    use super::*;

    fn with_persistence(persistence: Persist) -> Parts {
        Parts {
            persistence,
            ..Parts::SHIPPED
        }
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
        explore("twin", || {
            commit::a_refusal_waits_for_the_grant_it_saw(with_persistence(
                flawed::persistence::releases_before_it_commits,
            ));
        });
    }

    #[cfg(loom)]
    #[test]
    #[should_panic(expected = "told before it was on disk")]
    fn twin_that_refuses_in_haste() {
        explore("twin", || {
            let parts = Parts {
                actor: actor::<flawed::actor::Hasty>,
                ..Parts::SHIPPED
            };
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
        explore("twin", || {
            let parts = Parts {
                actor: actor::<flawed::actor::Hasty>,
                ..Parts::SHIPPED
            };
            commit::a_read_waits_for_the_grant_it_saw(parts);
        });
    }

    #[test]
    fn a_release_is_on_disk_when_it_is_told() {
        explore("commit: a release is on disk when it is told", || {
            commit::a_release_is_on_disk_when_it_is_told(Parts::SHIPPED);
        });
    }

    #[cfg(loom)]
    #[test]
    #[should_panic(expected = "told before it was on disk")]
    fn twin_that_tells_of_a_release_before_it_commits() {
        explore("twin", || {
            commit::a_release_is_on_disk_when_it_is_told(with_persistence(
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
        explore("twin", || {
            commit::after_a_failed_commit_nothing_succeeds(with_persistence(
                flawed::persistence::acknowledges_a_failed_commit,
            ));
        });
    }

    #[test]
    #[should_panic(expected = "acknowledged after a failed commit")]
    fn twin_that_goes_on_after_a_failed_commit() {
        explore("twin", || {
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
    #[should_panic(expected = "acknowledged what was not kept")]
    fn twin_that_refuses_without_rewinding() {
        explore("twin", || {
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
        explore("twin", || {
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
        explore("twin", || {
            let parts = Parts {
                actor: flawed::actor::leaves_its_mailbox_behind,
                ..Parts::SHIPPED
            };
            close::what_a_stopping_service_took_is_answered(parts);
        });
    }
}
