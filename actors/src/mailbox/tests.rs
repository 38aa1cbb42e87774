//! What both mailboxes promise to one thread.

use crate::bell::Woken;
use std::{
    hint::spin_loop,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// The contract both mailboxes keep. What needs two threads stands in `loom-tests`.
macro_rules! contract {
    ($name:ident, $mailbox:path) => {
        mod $name {
            use crate::{bell::Woken, mailbox::Refused};
            use std::{num::NonZeroUsize, sync::Arc, time::Duration};
            use $mailbox as open;

            /// Only what is broken takes longer than this.
            const FOR_EVER: Duration = Duration::from_secs(60);

            fn capacity(n: usize) -> NonZeroUsize {
                NonZeroUsize::new(n).unwrap()
            }

            #[test]
            fn messages_come_out_in_the_order_they_went_in() {
                let (address, mailbox) = open(capacity(3));
                for n in 1..=3 {
                    address.try_send(n).unwrap();
                }
                assert_eq!((mailbox.len(), address.queued()), (3, 3));
                assert_eq!(mailbox.try_receive(), Some(1));
                assert_eq!(mailbox.try_receive(), Some(2));
                assert_eq!(mailbox.try_receive(), Some(3));
                assert!(mailbox.is_empty());
            }

            #[test]
            fn a_full_mailbox_gives_the_message_back() {
                let (address, mailbox) = open(capacity(1));
                address.try_send('a').unwrap();
                assert_eq!(address.try_send('b'), Err(Refused::Full('b')));
                assert_eq!(mailbox.try_receive(), Some('a'));
                assert_eq!(address.try_send('b'), Ok(()));
            }

            #[test]
            fn an_empty_mailbox_times_out_while_a_sender_lives() {
                let (address, mailbox) = open::<u8>(capacity(1));
                assert_eq!(mailbox.try_receive(), None);
                assert_eq!(mailbox.arrivals().wait(Some(Duration::ZERO)), Woken::TimedOut);
                address.wake();
                assert_eq!(mailbox.arrivals().wait(Some(Duration::ZERO)), Woken::TimedOut);
                assert!(!mailbox.is_over());
                drop(address);
                assert_eq!(mailbox.arrivals().wait(Some(Duration::ZERO)), Woken::Rung);
                assert!(mailbox.is_over());
            }

            #[test]
            fn what_was_sent_is_received_after_the_last_sender_went() {
                let (address, mailbox) = open(capacity(2));
                let second = address.clone();
                address.try_send(1).unwrap();
                drop(address);
                second.send(2).unwrap();
                drop(second);
                assert!(!mailbox.is_over());
                assert_eq!(mailbox.arrivals().wait(None), Woken::Rung);
                assert_eq!(mailbox.try_receive(), Some(1));
                assert_eq!(mailbox.try_receive(), Some(2));
                assert!(mailbox.is_over());
            }

            #[test]
            fn a_dropped_receiver_closes_and_drops_what_is_queued() {
                let (address, mailbox) = open(capacity(1));
                let message = Arc::new(());
                address.try_send(Arc::clone(&message)).unwrap();
                drop(mailbox);
                assert_eq!(Arc::strong_count(&message), 1, "the queued message was dropped");
                assert_eq!(
                    address.try_send(Arc::clone(&message)),
                    Err(Refused::Closed(Arc::clone(&message)))
                );
                assert_eq!(address.send(Arc::clone(&message)), Err(message));
            }

            #[test]
            fn what_is_left_there_is_received_like_what_is_sent() {
                let (address, mailbox) = open(capacity(2));
                address.try_leave(1).unwrap();
                address.try_send(2).unwrap();
                assert_eq!(address.try_leave(3), Err(Refused::Full(3)));
                assert_eq!(mailbox.try_receive(), Some(1));
                assert_eq!(mailbox.try_receive(), Some(2));
                address.wake();
                drop(mailbox);
                assert_eq!(address.try_leave(3), Err(Refused::Closed(3)));
            }

            #[test]
            fn a_call_is_heard_once_by_whoever_waits_next_and_takes_no_room() {
                let (address, mailbox) = open::<u8>(capacity(1));
                let arrivals = mailbox.arrivals();
                let calls: [&dyn Fn(); 2] = [&|| address.call(), &|| arrivals.call()];
                for call in calls {
                    call();
                    call();
                    assert_eq!((mailbox.len(), mailbox.try_receive()), (0, None));
                    assert_eq!(arrivals.wait(Some(FOR_EVER)), Woken::Rung);
                    assert_eq!(arrivals.wait(Some(Duration::ZERO)), Woken::TimedOut);
                }
                address.call();
                address.try_send(1).unwrap();
                assert_eq!(arrivals.wait(Some(FOR_EVER)), Woken::Rung);
                assert_eq!(mailbox.try_receive(), Some(1));
                assert_eq!(arrivals.wait(Some(Duration::ZERO)), Woken::TimedOut, "of both at once");
            }

            #[test]
            fn who_waits_for_arrivals_does_not_sleep_while_there_is_news() {
                let (address, mailbox) = open(capacity(1));
                let arrivals = mailbox.arrivals();
                arrivals.wait(Some(Duration::ZERO));
                address.try_leave(1).unwrap();
                arrivals.wait(None);
                assert_eq!(mailbox.try_receive(), Some(1), "it was not taken");
                drop(address);
                arrivals.wait(None);
                let (_address, mailbox) = open::<u8>(capacity(1));
                let arrivals = mailbox.arrivals();
                drop(mailbox);
                arrivals.wait(None);
            }
        }
    };
}

contract!(channel, crate::mailbox::channel::mailbox);
contract!(standin, crate::mailbox::standin::mailbox);

/// Waits until the other thread is here too.
fn meet(here: &AtomicUsize, round: usize) {
    here.fetch_add(1, Ordering::SeqCst);
    let mut spins = 0_u32;
    while here.load(Ordering::SeqCst) < 2 * round {
        spins += 1;
        if spins.is_multiple_of(1_000) { std::thread::yield_now() } else { spin_loop() }
    }
}

/// loom does not see into the channel: here two real threads meet, at another moment each time.
#[test]
fn one_outcome_what_is_sent_while_the_mailbox_closes_is_dropped_or_comes_back() {
    const ROUNDS: usize = 100_000;
    let (begun, ended) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let ends: Vec<_> = (0..ROUNDS).map(|_| super::mailbox(NonZeroUsize::MIN)).collect();
    let (addresses, mailboxes): (Vec<_>, Vec<_>) = ends.into_iter().unzip();
    let mut left = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for (round, mailbox) in mailboxes.into_iter().enumerate() {
                meet(&begun, round + 1);
                (0..round / 16 % 16).for_each(|_| spin_loop());
                drop(mailbox);
                meet(&ended, round + 1);
            }
        });
        for (round, address) in addresses.into_iter().enumerate() {
            let message = Arc::new(());
            meet(&begun, round + 1);
            (0..round % 16).for_each(|_| spin_loop());
            // What comes back is dropped here.
            drop(address.try_send(Arc::clone(&message)));
            meet(&ended, round + 1);
            left.extend((Arc::strong_count(&message) > 1).then_some(round));
        }
    });
    assert!(left.is_empty(), "nobody will look at what was sent in the rounds {left:?}");
}

/// Nor into its calls: at whichever moment one comes, it is heard.
#[test]
fn whoever_calls_while_the_receiver_is_about_to_sleep_is_heard() {
    const ROUNDS: usize = 100_000;
    let (address, mailbox) = super::mailbox::<()>(NonZeroUsize::MIN);
    let (begun, told) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 1..=ROUNDS {
                meet(&begun, round);
                (0..round % 16).for_each(|_| spin_loop());
                told.store(round, Ordering::Relaxed);
                address.call();
            }
        });
        let arrivals = mailbox.arrivals();
        for round in 1..=ROUNDS {
            meet(&begun, round);
            (0..round / 16 % 16).for_each(|_| spin_loop());
            while told.load(Ordering::Relaxed) < round {
                let woken = arrivals.wait(Some(Duration::from_secs(60)));
                assert_eq!(woken, Woken::Rung, "nobody heard the call of round {round}");
            }
        }
    });
}
