//! Whether a flag is on is a pure function of the flag and the key, fixed for ever.

use crate::{
    common::account,
    world::{flag, loose},
};
use octostore_actors::domain::{
    flag::{FlagName, InvalidPercentage, Percentage, bucket},
    values::WallTime,
};
use proptest::{prelude::*, test_runner::RngSeed};

/// Computed elsewhere: the first eight bytes of SHA-256(name, 0, key), big-endian, times 10,000,
/// over 2^64. A change of any of these changes who sees what in every rollout there is.
const GOLDEN: &[(&str, &str, u32)] = &[
    ("checkout", "", 1_465),
    ("checkout", "user-1", 399),
    ("checkout", "user-2", 3_322),
    ("Checkout", "user-1", 6_338),
    ("new_ui", "user-1", 7_196),
    ("a", "a", 1_167),
    ("a", "b", 3_503),
    ("ab", "c", 4_219),
    ("a", "bc", 2_528),
    ("dark-mode", "ключ", 7_378),
    ("dark-mode", "鍵🔑", 3_888),
    ("dark-mode", "é", 6_739),
    ("dark-mode", "e\u{301}", 2_778),
    ("x", "a key with spaces / and \" quotes", 9_552),
    ("x", "a\0b", 4_094),
    ("beta", "550e8400-e29b-41d4-a716-446655440000", 6_012),
    ("-", " ", 1_745),
    ("_", "\n", 9_582),
];

#[test]
fn the_buckets_are_the_golden_ones() {
    for &(name, key, expected) in GOLDEN {
        assert_eq!(bucket(&flag(name), key), expected, "{name} {key:?}");
    }
}

#[test]
fn long_names_and_keys_have_golden_buckets_too() {
    assert_eq!(bucket(&flag(&"a".repeat(100)), "x"), 8_414);
    assert_eq!(bucket(&flag("x"), "k".repeat(1_000)), 7_460);
}

#[test]
fn the_first_bucket_is_on_at_one_percent_and_the_last_only_at_a_hundred() {
    let on = |key: &str, percent| loose("edge", true, Some(percent)).is_on_for(key);
    let (first, last) = ("user-1762", "user-11657");
    assert_eq!(bucket(&flag("edge"), first), 0);
    assert_eq!(bucket(&flag("edge"), last), 9_999);
    assert!(!on(first, 0) && on(first, 1));
    assert!(!on(last, 99) && on(last, 100));
}

#[test]
fn half_of_the_buckets_are_on_at_fifty_percent() {
    let half = loose("edge", true, Some(50));
    let (below, above) = ("user-10907", "user-463");
    assert_eq!(bucket(&half.name, below), 4_999);
    assert_eq!(bucket(&half.name, above), 5_000);
    assert!(half.is_on_for(below) && !half.is_on_for(above));
}

#[test]
fn a_percentage_is_0_to_100() {
    for good in 0..=100 {
        assert_eq!(u64::from(Percentage::new(good).unwrap().get()), good);
    }
    for bad in [101, 255, 256, 300, u64::MAX] {
        assert_eq!(Percentage::new(bad), Err(InvalidPercentage), "{bad}");
    }
}

#[test]
fn a_name_has_1_to_100_word_characters() {
    let long = "x".repeat(100);
    for good in ["a", "A-b_9", "-", &long] {
        assert_eq!(FlagName::new(good).unwrap().as_str(), good);
    }
    let too_long = "x".repeat(101);
    for bad in ["", "a.b", "a b", "a/b", "ä", "a\0", &too_long] {
        FlagName::new(bad).unwrap_err();
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2_000,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(0xf1a6),
        ..ProptestConfig::default()
    })]

    #[test]
    fn raising_the_percentage_only_ever_adds_keys(name in "[A-Za-z0-9_-]{1,100}", key in ".*") {
        let on = |percent| loose(&name, true, percent).is_on_for(&key);
        let mut before = false;
        for percent in 0..=100 {
            let now = on(Some(percent));
            prop_assert!(now || !before, "on below {} and off there", percent);
            before = now;
        }
        prop_assert!(!on(Some(0)), "0 % is nobody");
        prop_assert!(on(Some(100)), "100 % is everybody");
        prop_assert!(on(None), "no percentage is everybody");
        for percent in [None, Some(0), Some(50), Some(100)] {
            prop_assert!(!loose(&name, false, percent).is_on_for(&key), "disabled is nobody");
        }
    }

    #[test]
    fn only_the_name_and_the_key_decide(name in "[a-z]{1,20}", key in ".*", percent in 0..=100u64) {
        let flag = loose(&name, true, Some(percent));
        let mut other = flag.clone();
        other.account = account(77);
        other.created_at = WallTime::from_millis(9);
        other.updated_at = WallTime::from_millis(10);
        prop_assert_eq!(flag.is_on_for(&key), other.is_on_for(&key));
        prop_assert_eq!(flag.is_on_for(&key), flag.is_on_for(&key));
        let bucket = bucket(&flag.name, &key);
        prop_assert!(bucket < 10_000);
        prop_assert_eq!(flag.is_on_for(&key), u64::from(bucket) < percent * 100);
    }
}
