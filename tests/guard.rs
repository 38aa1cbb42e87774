//! The README's fencing check, as it stands there, against a holder that was paused for too long.

use crate::common::{Client, Setup};
use rusqlite::{Connection, named_params};

/// The SQL blocks of the README's section on fencing tokens, in order.
fn readme_sql() -> Vec<String> {
    let readme = include_str!("../README.md");
    let section = readme.split("### Use the fencing token").nth(1).expect("the section is there");
    let section = section.split("\n## ").next().unwrap();
    let blocks = section.split("```sql\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap().to_owned()).collect()
}

/// What the lock guards.
struct Ledger {
    database: Connection,
    update: String,
}

impl Ledger {
    fn new() -> Self {
        let [create, update] = readme_sql().try_into().expect("a table, and the guarded write");
        let database = Connection::open_in_memory().unwrap();
        database.execute_batch(&create).unwrap();
        database.execute("INSERT INTO ledger (id, balance) VALUES ('acme', 100)", []).unwrap();
        Self { database, update }
    }

    /// Whether the write went through.
    fn write(&self, balance: i64, fencing_token: u64) -> bool {
        let values = named_params! {
            ":id": "acme", ":balance": balance,
            ":fencing_token": i64::try_from(fencing_token).unwrap(),
        };
        self.database.execute(&self.update, values).unwrap() == 1
    }

    fn balance(&self) -> i64 {
        self.database.query_row("SELECT balance FROM ledger", [], |row| row.get(0)).unwrap()
    }
}

fn token_of_a_grant(client: &mut Client) -> (u64, String) {
    let grant = client.acquire("ledger-acme", 60);
    let token = grant.ok()["fencing_token"].as_u64().unwrap();
    (token, grant.lease())
}

#[test]
fn the_readmes_guard_refuses_a_holder_that_lost_its_lock() {
    let (server, ledger) = (Setup::new().start(), Ledger::new());
    let (mut paused, mut next) = (server.alice(), server.bob());

    let (old, lease) = token_of_a_grant(&mut paused);
    assert!(ledger.write(90, old), "who holds the lock may write");
    assert!(ledger.write(80, old), "and may write again");
    paused.release("ledger-acme", &lease).ok();

    let (new, _) = token_of_a_grant(&mut next);
    assert!(ledger.write(70, new));
    assert!(!ledger.write(10, old), "it came too late");
    assert_eq!(ledger.balance(), 70);
    assert!(ledger.write(60, new), "and is not in the way of who holds it now");
}
