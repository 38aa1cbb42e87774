//! A machine with a database on a simulated disk, and what can be written to it.

use octostore::{
    clock::BootId,
    store::{JournalSize, Recovered, SqliteStore, open_on},
};
use octostore_actors::{
    domain::{
        Record,
        account::{Account, AccountRecord, Allowance, Origin, Role, Standing, Subject},
        lock::{Holder, Lease},
        values::{
            AccountId, AccountName, FencingToken, LeaseId, LockName, Metadata, Ttl, WallTime,
        },
    },
    time::Instant,
};
use octostore_simulator::{
    dice::Dice,
    disk::{Disk, Image, Mounted, SharedDisk, SimulatedFiles, Syncs},
};

const HOLDER: AccountId = AccountId::from_bytes([7; 16]);

/// The account of all holders.
pub fn account() -> Record {
    AccountRecord::Account(Account {
        id: HOLDER,
        origin: Origin::Static,
        subject: Subject::new("ci").expect("in its bounds"),
        name: AccountName::new("ci").expect("in its bounds"),
        role: Role::Member,
        standing: Standing::Enabled,
        allowance: Allowance::default(),
        created_at: WallTime::from_millis(0),
    })
    .into()
}

/// A lease of 60 seconds, with so much metadata.
pub fn lease(number: u64, metadata: usize) -> Lease {
    Lease {
        name: LockName::new(&format!("lock-{number}")).expect("in its bounds"),
        holder: Holder { account: HOLDER, owner: None },
        id: LeaseId::from_bytes(u128::from(number).to_be_bytes()),
        token: FencingToken::new(number + 1).expect("in its bounds"),
        ttl: Ttl::from_seconds(60).expect("in its bounds"),
        expires: Instant::from_nanos(1 << 40),
        metadata: Some(Metadata::new(&"m".repeat(metadata)).expect("in its bounds")),
    }
}

/// One machine with a database.
pub struct Machine {
    pub disk: SharedDisk,
    mounted: Mounted,
    files: SimulatedFiles,
    boot: BootId,
}

impl Machine {
    /// One whose disk rolls the dice of `seed`.
    pub fn new(seed: u64, size: JournalSize) -> Self {
        let disk = SharedDisk::new(Disk::new(&Image::new(), Dice::new(seed, 0), Syncs::Honest));
        Self {
            mounted: Mounted::new(disk.clone()),
            files: SimulatedFiles { disk: disk.clone(), size },
            disk,
            boot: BootId::read().expect("/proc"),
        }
    }

    /// Starts on it.
    pub fn open(&self) -> Result<(SqliteStore, Recovered), String> {
        let opened = open_on(&self.files, &self.mounted.path(), &self.boot, Instant::default());
        opened.map_err(|error| error.to_string())
    }
}
