//! There and back: whatever a database can say.

use super::*;
use crate::{
    clock::BootId,
    command::{export, import},
    store::{self, Contents},
};
use octostore_actors::{
    domain::{
        account::{
            Account, Allowance, Origin, Role, Standing, Subject, Token, TokenName, TokenSource,
            TokenState, scope::Scope,
        },
        audit::{Action, AuditEntry, AuditId, AuditOutcome, AuditText, Provenance, Who},
        config::{ConfigKey, Description, Entry, Incarnation, Value, Version},
        flag::{Flag, FlagName, Percentage},
        limiter::{Admitted, LimitName, MaxRequests, Policy, Reservation, Window},
        lock::{Holder, Lease},
        values::{
            AccountName, LeaseId, LockName, Metadata, Owner, Quota, TokenHash, TokenId, Ttl,
            WallTime,
        },
    },
    time::Instant,
};
use proptest::prelude::*;

const NOW: WallTime = WallTime::from_millis(1_795_000_000_000);

/// Text that can be written into a name, and has what JSON must escape.
const TEXT: &str = "[a-z\"\\\\\u{e4}\u{2028}\u{1f419}/{}:,]{1,20}";

fn id(number: usize) -> AccountId {
    AccountId::from_bytes((number as u128 + 1).to_be_bytes())
}

fn wall() -> impl Strategy<Value = WallTime> {
    (0..4_000_000_000_000_i64).prop_map(WallTime::from_millis)
}

fn accounts() -> impl Strategy<Value = Vec<Account>> {
    let origins =
        prop::sample::select(vec![Origin::Static, Origin::Local, Origin::GitHub, Origin::OpenId]);
    let quota = || proptest::option::of((0..1_000_000_u32).prop_map(Quota::new));
    let one = (
        origins,
        TEXT,
        TEXT,
        any::<(bool, bool)>(),
        [quota(), quota(), quota(), quota(), quota()],
        wall(),
    );
    prop::collection::vec(one, 1..5).prop_map(|all| {
        all.into_iter()
            .enumerate()
            .map(|(number, (origin, subject, name, (admin, disabled), quotas, created_at))| {
                let [locks, limits, flags, configs, requests_per_second] = quotas;
                Account {
                    id: id(number),
                    origin,
                    subject: Subject::new(&format!("{number} {subject}")).unwrap(),
                    name: AccountName::new(&name).unwrap(),
                    role: if admin { Role::Admin } else { Role::Member },
                    standing: if disabled { Standing::Disabled } else { Standing::Enabled },
                    allowance: Allowance { locks, limits, flags, configs, requests_per_second },
                    created_at,
                }
            })
            .collect()
    })
}

fn token() -> impl Strategy<Value = Token> {
    let sources = prop::sample::select(vec![
        TokenSource::Static,
        TokenSource::Issued,
        TokenSource::SignIn,
        TokenSource::Workload,
    ]);
    let scopes = prop::sample::select(vec![
        "",
        "locks:read",
        "locks:write:a/ flags:read",
        "admin.backup:read",
    ]);
    let times = (wall(), proptest::option::of(wall()), proptest::option::of(wall()));
    (any::<([u8; 32], [u8; 16], bool)>(), TEXT, sources, scopes, times).prop_map(
        |((hash, id_, live), name, source, scope, (created_at, expires_at, last_used_at))| Token {
            hash: TokenHash::from_bytes(hash),
            id: TokenId::from_bytes(id_),
            account: id(0),
            name: TokenName::new(&name).unwrap(),
            source,
            scope: scope.parse().unwrap_or(Scope::Everything),
            created_at,
            expires_at,
            last_used_at,
            state: if live { TokenState::Live } else { TokenState::Dead },
        },
    )
}

fn leases() -> impl Strategy<Value = Vec<Lease>> {
    let metadata = proptest::option::of("[a-z\"\\\\\n\u{0}\u{e4}]{0,30}");
    let owner = proptest::option::of("[a-z0-9:@._-]{1,9}");
    let one = (owner, metadata, any::<[u8; 16]>(), 1..=3600_u64, 0..1_u64 << 62);
    prop::collection::vec(one, 0..6).prop_map(|all| {
        all.into_iter()
            .enumerate()
            .map(|(number, (owner, metadata, lease, ttl, expires))| Lease {
                name: LockName::new(&format!("lock/{number}")).unwrap(),
                holder: Holder {
                    account: id(0),
                    owner: owner.map(|owner| Owner::new(&owner).unwrap()),
                },
                id: LeaseId::from_bytes(lease),
                token: FencingToken::new(number as u64 + 1).unwrap(),
                ttl: Ttl::from_seconds(ttl).unwrap(),
                expires: Instant::from_nanos(expires),
                metadata: metadata.and_then(|metadata| Metadata::new(&metadata).ok()),
            })
            .collect()
    })
}

fn limits() -> impl Strategy<Value = Vec<Reservation>> {
    let admitted = prop::collection::vec((0..1_u64 << 62, 1..9_u32), 0..5);
    let one = (TEXT, 1..10_000_u64, 1..86_400_u64, admitted, 0..1_000_u32);
    prop::collection::vec(one, 0..4).prop_map(|all| {
        all.into_iter()
            .enumerate()
            .map(|(number, (name, most, window, mut admitted, credit))| {
                admitted.sort_unstable();
                Reservation {
                    account: id(0),
                    name: LimitName::new(&format!("{number}{name}")).unwrap(),
                    policy: Policy {
                        max_requests: MaxRequests::new(most).unwrap(),
                        window: Window::from_seconds(window).unwrap(),
                    },
                    horizon: Window::from_seconds(window).unwrap(),
                    admitted: admitted
                        .into_iter()
                        .map(|(at, count)| Admitted { at: Instant::from_nanos(at), count })
                        .collect(),
                    credit,
                }
            })
            .collect()
    })
}

fn flags() -> impl Strategy<Value = Vec<Flag>> {
    let one = (TEXT, any::<bool>(), proptest::option::of(0..=100_u64), wall(), wall());
    prop::collection::vec(one, 0..4).prop_map(|all| {
        let mut made: Vec<Flag> = Vec::new();
        for (number, (name, enabled, percentage, created_at, updated_at)) in
            all.into_iter().enumerate()
        {
            let Ok(name) = FlagName::new(&format!("{number}{name}")) else { continue };
            let percentage = percentage.map(|percentage| Percentage::new(percentage).unwrap());
            made.push(Flag { account: id(0), name, enabled, percentage, created_at, updated_at });
        }
        made
    })
}

fn config() -> impl Strategy<Value = Vec<Entry>> {
    let values = prop::sample::select(vec![
        "null",
        "250.00",
        "1e400",
        "{\"b\": 1,\n \"a\": \"\\u0000\"}",
        "[]",
    ]);
    let description = proptest::option::of(TEXT);
    let one = (1..50_u64, 1..4_u64, values, description, any::<[u8; 16]>(), wall());
    prop::collection::vec(one, 0..4).prop_map(|keys| {
        let mut made = Vec::new();
        for (number, (first, count, value, description, incarnation, at)) in
            keys.into_iter().enumerate()
        {
            for version in first..first + count {
                made.push(Entry {
                    account: id(0),
                    key: ConfigKey::new(&format!("key-{number}")).unwrap(),
                    incarnation: Incarnation(incarnation),
                    version: Version::new(version).unwrap(),
                    value: Value::from_json(value).unwrap(),
                    description: description.as_deref().map(|text| Description::new(text).unwrap()),
                    created_at: at,
                    updated_at: at,
                });
            }
        }
        made
    })
}

fn log() -> impl Strategy<Value = AuditRows> {
    let whos = prop::sample::select(vec![
        Who::Token(id(0), TokenId::from_bytes([7; 16])),
        Who::Account(id(0)),
        Who::AdminKey,
        Who::Stranger,
        Who::Server,
    ]);
    let one = (
        whos,
        prop::sample::select(Action::ALL.to_vec()),
        TEXT,
        proptest::option::of(TEXT),
        any::<bool>(),
        wall(),
    );
    (prop::collection::vec(one, 0..6), 0..9_u64, 0..9_u64).prop_map(|(all, before, after)| {
        let last_place = before + all.len() as u64 + after;
        AuditRows {
            entries: all
                .into_iter()
                .enumerate()
                .map(|(number, (who, action, text, detail, done, at))| {
                    let text = AuditText::truncated(&text);
                    let by = Provenance { who, from: text.clone(), request: text.clone(), at };
                    let outcome = if done { AuditOutcome::Done } else { AuditOutcome::Refused };
                    let detail = detail.map(|detail| AuditText::truncated(&detail));
                    let entry = AuditEntry { by, action, target: text, outcome, detail };
                    (AuditId(before + number as u64 + 1), entry)
                })
                .collect(),
            last_place,
        }
    })
}

fn everything() -> impl Strategy<Value = (Contents, AuditRows)> {
    let token = prop::collection::vec(token(), 0..4);
    (accounts(), token, leases(), limits(), flags(), config(), log(), 6..1_u64 << 40).prop_map(
        |(accounts, tokens, leases, limits, flags, config, log, mark)| {
            let (boot, mark) = (BootId::named("this boot"), FencingToken::new(mark).unwrap());
            (Contents { boot, mark, leases, limits, flags, config, accounts, tokens }, log)
        },
    )
}

/// In an order that does not depend on where it was kept.
fn sorted(mut contents: Contents) -> Contents {
    contents.leases.sort_by(|a, b| a.name.cmp(&b.name));
    contents.limits.sort_by(|a, b| a.name.cmp(&b.name));
    contents.flags.sort_by(|a, b| a.name.cmp(&b.name));
    contents.accounts.sort_by_key(|account| account.id);
    contents.tokens.sort_by_key(|token| *token.hash.as_bytes());
    contents
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn whatever_a_database_says_comes_back_from_its_export((contents, log) in everything()) {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        store::fill(&path("one.db"), contents.clone(), &log, NOW).unwrap();
        let one = store::check(&path("one.db"), &BootId::named("any")).unwrap();
        let said = one.contents.clone().unwrap();
        prop_assert!(said.mark > contents.mark);
        let but_for_what_goes_on = |mut contents: Contents| {
            contents.mark = FencingToken::ZERO;
            contents.config.iter_mut().for_each(|entry| entry.incarnation = Incarnation([0; 16]));
            sorted(contents)
        };
        prop_assert_eq!(but_for_what_goes_on(said.clone()), but_for_what_goes_on(contents));

        let mut text = Vec::new();
        let written = export::write(&one, &said, &mut text);
        prop_assert!(written.is_ok());
        std::fs::write(path("lines"), &text).unwrap();
        let read = import::read(&path("lines")).unwrap();
        prop_assert_eq!(sorted(read.contents), sorted(said));
        prop_assert_eq!(read.audit, log);
    }

    #[test]
    fn lines_that_are_cut_off_anywhere_are_refused((contents, log) in everything(), at in 0.0..1.0_f64) {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        store::fill(&path("one.db"), contents, &log, NOW).unwrap();
        let one = store::check(&path("one.db"), &BootId::named("any")).unwrap();
        let mut text = Vec::new();
        let written = export::write(&one, &one.contents.clone().unwrap(), &mut text);
        prop_assert!(written.is_ok());
        // Without its last newline it is still whole.
        let length = ((text.len() - 1) as f64 * at) as usize;
        std::fs::write(path("lines"), &text[..length]).unwrap();
        prop_assert!(import::read(&path("lines")).is_err());
    }
}
