use super::*;
use crate::auth::sign_in::PersonKey;
use octostore_actors::domain::values::AccountName;

const LIFE: u64 = 600;

fn at(seconds: f64) -> Instant {
    Instant::from_nanos(1_000_000_000_000) + Duration::from_secs_f64(seconds)
}

fn devices() -> Devices {
    Devices::new(Duration::from_secs(LIFE))
}

fn from(address: &str) -> Asked {
    let from = Address::Ip(address.parse().unwrap());
    Asked { label: None, scope: "locks:read".parse().ok(), from }
}

fn person() -> Person {
    Person {
        key: PersonKey::GitHub { host: None, id: 1 },
        name: AccountName::new("octocat").unwrap(),
        avatar_url: None,
    }
}

/// Bits that repeat for nobody.
fn random() -> impl FnMut() -> [u8; 32] {
    let mut next = 0_u64;
    move || {
        next += 1;
        std::array::from_fn(|place| next.to_le_bytes()[place % 8])
    }
}

/// One terminal that waits from `at(0.0)` on.
fn one() -> (Devices, DeviceCode, UserCode) {
    let devices = devices();
    let (device_code, user_code) = devices.begin(from("192.0.2.1"), at(0.0), random()).unwrap();
    (devices, device_code, user_code)
}

fn why(devices: &Devices, code: &DeviceCode, seconds: f64) -> NotIn {
    devices.poll(code.reveal(), at(seconds)).unwrap_err()
}

#[test]
fn a_terminal_that_is_let_in_is_let_in_once() {
    let (devices, code, user_code) = one();
    assert_eq!(why(&devices, &code, 1.0), NotIn::Pending);
    let waiting = devices.find(&user_code, at(2.0)).unwrap();
    assert_eq!((waiting.id, &waiting.asked), (code.id(), &from("192.0.2.1")));
    assert_eq!(devices.get(&waiting.id, at(2.0)), Some(waiting.clone()));
    let decided = devices.decide(&waiting.id, Decision::Allow(person()), at(3.0));
    assert_eq!(decided, Ok(waiting.clone()));
    assert_eq!(devices.find(&user_code, at(3.0)), None, "nothing is left to be decided");
    assert_eq!(devices.get(&waiting.id, at(3.0)), None);

    let claim = devices.poll(code.reveal(), at(4.0)).unwrap();
    assert_eq!((&claim.person, &claim.asked), (&person(), &waiting.asked));
    assert_eq!(why(&devices, &code, 4.0), NotIn::Pending, "one token is on its way");
    claim.spend();
    assert_eq!(why(&devices, &code, 5.0), NotIn::Unknown);
}

#[test]
fn a_token_that_could_not_be_made_is_made_at_the_next_poll() {
    let (devices, code, _) = one();
    devices.decide(&code.id(), Decision::Allow(person()), at(1.0)).unwrap();
    drop(devices.poll(code.reveal(), at(2.0)).unwrap());
    devices.poll(code.reveal(), at(3.0)).unwrap().spend();
    assert_eq!(why(&devices, &code, 4.0), NotIn::Unknown);
}

#[test]
fn a_terminal_that_is_refused_hears_so() {
    let (devices, code, user_code) = one();
    devices.decide(&code.id(), Decision::Deny, at(1.0)).unwrap();
    assert_eq!(devices.find(&user_code, at(1.0)), None);
    assert_eq!(why(&devices, &code, 2.0), NotIn::Denied);
    assert_eq!(why(&devices, &code, 3.0), NotIn::Unknown);
}

#[test]
fn nobody_decides_twice() {
    for (first, second) in
        [(Decision::Deny, Decision::Allow(person())), (Decision::Allow(person()), Decision::Deny)]
    {
        let (devices, code, _) = one();
        devices.decide(&code.id(), first.clone(), at(1.0)).unwrap();
        for again in [first.clone(), second.clone()] {
            assert_eq!(devices.decide(&code.id(), again, at(2.0)), Err(Over));
        }
        let allowed = devices.poll(code.reveal(), at(3.0)).is_ok();
        assert_eq!(allowed, first != Decision::Deny, "the first word counts");
    }
}

#[test]
fn a_code_runs_out() {
    let (devices, code, user_code) = one();
    let last = LIFE as f64 - 0.001;
    assert!(devices.find(&user_code, at(last)).is_some());
    assert_eq!(why(&devices, &code, last), NotIn::Pending);
    let end = LIFE as f64;
    assert_eq!(devices.find(&user_code, at(end)), None);
    assert_eq!(devices.decide(&code.id(), Decision::Allow(person()), at(end)), Err(Over));
    assert_eq!(why(&devices, &code, end), NotIn::Expired);
    assert_eq!(why(&devices, &code, end + 59.9), NotIn::Expired, "it is told for a minute");
    assert_eq!(why(&devices, &code, end + 60.0), NotIn::Unknown);
    assert!(devices.table.lock().unwrap().by_user_code.is_empty(), "and then forgotten");
}

#[test]
fn a_terminal_that_was_let_in_and_never_asks_gets_nothing() {
    let (devices, code, _) = one();
    devices.decide(&code.id(), Decision::Allow(person()), at(1.0)).unwrap();
    assert_eq!(why(&devices, &code, LIFE as f64), NotIn::Expired);
}

#[test]
fn polling_too_fast_makes_every_later_wait_five_seconds_longer() {
    let (devices, code, _) = one();
    for (seconds, told) in [
        (0.0, NotIn::Pending),
        (5.0, NotIn::Pending),
        (9.5, NotIn::Pending),
        (12.0, NotIn::SlowDown),
        // Ten seconds from here on.
        (20.0, NotIn::SlowDown),
        // Fifteen.
        (35.0, NotIn::Pending),
        (48.9, NotIn::SlowDown),
        // Twenty.
        (68.9, NotIn::Pending),
    ] {
        assert_eq!(why(&devices, &code, seconds), told, "at {seconds}");
    }
    devices.decide(&code.id(), Decision::Allow(person()), at(69.0)).unwrap();
    assert!(devices.poll(code.reveal(), at(69.0)).is_ok(), "what is decided is told at once");
}

#[test]
fn a_wrong_code_is_unknown() {
    let (devices, code, user_code) = one();
    for wrong in ["", "x", &code.reveal()[1..], &code.reveal().to_lowercase()] {
        assert_eq!(devices.poll(wrong, at(1.0)).unwrap_err(), NotIn::Unknown, "{wrong}");
    }
    let other: UserCode = "BBBB-BBBB".parse().unwrap();
    assert_ne!(other, user_code);
    assert_eq!(devices.find(&other, at(1.0)), None);
    assert_eq!(devices.decide(&DeviceId::of("x"), Decision::Deny, at(1.0)), Err(Over));
}

#[test]
fn two_terminals_never_show_the_same_code() {
    let devices = devices();
    let mut bits = random();
    let (first, second, third) = (bits(), bits(), bits());
    let codes = [first, second, third, second, bits()];
    let mut drawn = codes.into_iter();
    let mut draw = || drawn.next().unwrap();
    let (_, one) = devices.begin(from("192.0.2.1"), at(0.0), &mut draw).unwrap();
    let (_, two) = devices.begin(from("192.0.2.1"), at(0.0), &mut draw).unwrap();
    assert_eq!(one, UserCode::of(second));
    assert_eq!(two, UserCode::of(codes[4]), "drawn again");
}

#[test]
fn the_terminals_of_one_address_are_bounded() {
    let devices = devices();
    let mut bits = random();
    let mut begin = |address: &str, seconds| devices.begin(from(address), at(seconds), &mut bits);
    let codes: Vec<_> = (0..50).map(|n| begin(&format!("2001:db8::{n:x}"), 0.0).unwrap()).collect();
    assert_eq!(begin("2001:db8::ffff:1", 1.0), Err(NoRoom::ThisAddress), "a /64 is one address");
    begin("2001:db8:0:1::1", 1.0).unwrap();
    devices.decide(&codes[0].0.id(), Decision::Deny, at(2.0)).unwrap();
    assert_eq!(why(&devices, &codes[0].0, 2.0), NotIn::Denied);
    begin("2001:db8::1", 2.0).unwrap();
    assert_eq!(begin("2001:db8::1", 3.0), Err(NoRoom::ThisAddress));
    let forgotten = (LIFE + 60) as f64;
    begin("2001:db8::1", forgotten).unwrap();
    assert_eq!(devices.table.lock().unwrap().of_one.counts().iter().sum::<usize>(), 3);
}

#[test]
fn the_terminals_of_one_site_are_bounded() {
    let devices = devices();
    let mut bits = random();
    let mut begin = |address: &str| devices.begin(from(address), at(0.0), &mut bits).map(drop);
    for n in 0..MOST_OF_SITE {
        begin(&format!("2001:db8:7:{n:x}::1")).unwrap();
    }
    assert_eq!(begin("2001:db8:7:ffff::1"), Err(NoRoom::ThisAddress));
    begin("2001:db8:8::1").unwrap();
    begin("192.0.2.1").unwrap();
    begin("192.0.2.2").unwrap();
    devices.begin(from("2001:db8:7::1"), at((LIFE + 60) as f64), &mut bits).unwrap();
    let table = devices.table.lock().unwrap();
    assert_eq!(
        (table.of_one.counts(), table.of_site.counts()),
        (vec![1], vec![1]),
        "what is over is forgotten"
    );
}

#[test]
fn the_terminals_of_everybody_are_bounded() {
    let devices = devices();
    let mut bits = random();
    for n in 0..MOST as u32 {
        let address = Address::Ip(std::net::Ipv4Addr::from(n).into());
        let asked = Asked { from: address, ..from("192.0.2.1") };
        devices.begin(asked, at(0.0), &mut bits).unwrap();
    }
    let late = devices.begin(from("192.0.2.1"), at(1.0), &mut bits);
    assert_eq!(late.unwrap_err(), NoRoom::Everywhere);
    devices.begin(from("192.0.2.1"), at((LIFE + 60) as f64), &mut bits).unwrap();
    let table = devices.table.lock().unwrap();
    let counts = (table.devices.len(), table.by_user_code.len(), table.of_one.counts().len());
    assert_eq!((counts, table.ends.len()), ((1, 1, 1), 1), "what is over is forgotten");
}
