//! Keys spread evenly, and two flags choose theirs independently of each other.
//!
//! The keys are fixed, so the figures are: no test here can fail by chance.

use crate::world::{flag, loose};
use octostore_actors::domain::flag::bucket;

const KEYS: u32 = 100_000;

/// The sum of the squared distances from what is expected, each over what is expected.
fn chi_square(observed: &[f64], expected: f64) -> f64 {
    observed.iter().map(|count| (count - expected).powi(2) / expected).sum()
}

fn keys(shape: &str) -> impl Iterator<Item = String> + '_ {
    (0..KEYS).map(move |number| shape.replace('#', &number.to_string()))
}

#[test]
fn a_hundred_thousand_keys_fill_a_hundred_buckets_evenly() {
    for (name, shape) in [("checkout", "user-#"), ("a", "#"), ("new_ui", "#@example.org")] {
        let mut observed = [0.0; 100];
        for key in keys(shape) {
            observed[bucket(&flag(name), &key) as usize / 100] += 1.0;
        }
        let chi_square = chi_square(&observed, f64::from(KEYS) / 100.0);
        // 99 degrees of freedom: 161 is exceeded once in ten thousand times, and less than 45
        // is as unlikely.
        assert!((45.0..161.0).contains(&chi_square), "{name}: {chi_square}");
    }
}

#[test]
fn a_percentage_is_that_share_of_the_keys() {
    for percent in [1, 5, 25, 50, 99] {
        let flag = loose("rollout", true, Some(percent));
        let on = keys("account/#").filter(|key| flag.is_on_for(key)).count();
        #[expect(clippy::cast_precision_loss, reason = "counts of keys are small")]
        let share = on as f64 / f64::from(KEYS) * 100.0;
        #[expect(clippy::cast_precision_loss, reason = "a percentage is small")]
        let distance = (share - percent as f64).abs();
        assert!(distance < 0.7, "{percent} % is {share} %");
    }
}

#[test]
fn two_flags_at_fifty_percent_do_not_choose_the_same_half() {
    let pairs = [("a", "b"), ("a", "aa"), ("checkout", "Checkout"), ("x-1", "x-2"), ("ab", "ba")];
    for (one, other) in pairs {
        let (one, other) = (loose(one, true, Some(50)), loose(other, true, Some(50)));
        let mut observed = [0.0; 4];
        for key in keys("user-#") {
            let place = usize::from(one.is_on_for(&key)) * 2 + usize::from(other.is_on_for(&key));
            observed[place] += 1.0;
        }
        let chi_square = chi_square(&observed, f64::from(KEYS) / 4.0);
        // 3 degrees of freedom: 21 is exceeded once in ten thousand times.
        assert!(chi_square < 21.0, "{} and {}: {observed:?}", one.name, other.name);
    }
}

#[test]
fn the_name_and_the_key_are_told_apart() {
    assert_ne!(bucket(&flag("ab"), "c"), bucket(&flag("a"), "bc"));
    let same =
        keys("#").filter(|key| bucket(&flag("x1"), key) == bucket(&flag("x"), format!("1{key}")));
    assert!(same.count() < 40, "ten in a hundred thousand are expected");
}
