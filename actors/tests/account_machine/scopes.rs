//! A token never allows what the one that made it did not.

use crate::world::{World, asked, issue, scope, token};
use octostore_actors::domain::account::{
    AccountOutcome, TokenSource,
    scope::{Access, Area, Grant, NamePrefix, Scope, Sight},
};
use proptest::{prelude::*, sample::select, test_runner::RngSeed};

const TEXTS: [&str; 8] = ["", "a", "a/", "a/b", "a/b/c", "b", "b.x", "é"];

fn grant() -> impl Strategy<Value = Grant> {
    let areas = vec![Area::Locks, Area::Flags, Area::Config, Area::AdminAudit];
    (select(areas), select(vec![Access::Read, Access::Write]), select(TEXTS.to_vec())).prop_map(
        |(area, access, prefix)| Grant { area, access, prefix: NamePrefix::new(prefix).unwrap() },
    )
}

fn any_scope() -> impl Strategy<Value = Scope> {
    prop_oneof![
        1 => Just(Scope::Everything),
        9 => prop::collection::vec(grant(), 1..5).prop_map(|all| Scope::only(all).unwrap()),
    ]
}

fn everything_there_is() -> impl Iterator<Item = (Area, Access, &'static str)> {
    Area::ALL.into_iter().flat_map(|area| {
        [Access::Read, Access::Write]
            .into_iter()
            .flat_map(move |access| TEXTS.into_iter().map(move |name| (area, access, name)))
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2_000,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(0x5c09_e5ab),
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_is_within_a_scope_allows_nothing_more(child in any_scope(), parent in any_scope()) {
        for (area, access, name) in everything_there_is() {
            if child.is_within(&parent) && child.allows(area, access, name) {
                prop_assert!(parent.allows(area, access, name), "{area:?} {access:?} {name}");
            }
        }
    }

    #[test]
    fn being_within_is_an_order(a in any_scope(), b in any_scope(), c in any_scope()) {
        prop_assert!(a.is_within(&a));
        if a.is_within(&b) && b.is_within(&c) {
            prop_assert!(a.is_within(&c));
        }
    }

    #[test]
    fn a_scope_reads_as_it_is_written(one in any_scope()) {
        if one != Scope::Everything {
            prop_assert_eq!(one.to_string().parse::<Scope>().unwrap(), one);
        }
    }

    #[test]
    fn what_writes_reads(one in any_scope()) {
        for (area, _, name) in everything_there_is() {
            if one.allows(area, Access::Write, name) {
                prop_assert!(one.allows(area, Access::Read, name));
            }
        }
    }

    #[test]
    fn a_list_shows_no_name_that_could_not_be_read(one in any_scope(), wanted in select(TEXTS.to_vec())) {
        for (area, _, name) in everything_there_is() {
            match one.sight(area, wanted) {
                Sight::Prefix(prefix) => {
                    prop_assert!(prefix.starts_with(wanted), "more than was asked for");
                    if name.starts_with(&*prefix) {
                        prop_assert!(one.allows(area, Access::Read, name), "{prefix} {name}");
                    } else {
                        prop_assert!(
                            !(name.starts_with(wanted) && one.allows(area, Access::Read, name)),
                            "{name} is hidden"
                        );
                    }
                }
                Sight::Nothing => {
                    prop_assert!(!(name.starts_with(wanted) && one.allows(area, Access::Read, name)));
                }
                Sight::Several => {}
            }
        }
    }

    #[test]
    fn no_token_makes_one_that_may_more(own in any_scope(), wanted in any_scope()) {
        let mut world = World::new().with(token(2, 1, TokenSource::Issued, own.clone()));
        let asked = octostore_actors::domain::account::NewToken {
            scope: Some(wanted.clone()),
            ..asked(3, None, None)
        };
        match world.outcome(issue(2, asked, 1)) {
            AccountOutcome::Issued(_, made) => {
                prop_assert!(wanted.is_within(&own));
                prop_assert_eq!(made.scope, wanted);
            }
            AccountOutcome::Exceeds => prop_assert!(!wanted.is_within(&own)),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_token_that_names_no_scope_gets_that_of_the_one_that_asks() {
    let mut world =
        World::new().with(token(2, 1, TokenSource::Issued, scope("locks:write:deploy/")));
    assert_eq!(world.issued(issue(2, asked(3, None, None), 1)).scope, scope("locks:write:deploy/"));
    assert_eq!(world.issued(issue(1, asked(4, None, None), 1)).scope, Scope::Everything);
}
