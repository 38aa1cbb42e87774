-- The whole schema, one section a domain. `PRAGMA user_version` says which version a file has;
-- src/store/open.rs brings an older one up to this. Times on the lease clock are nanoseconds of
-- CLOCK_BOOTTIME; ids are the 16 bytes of a UUID.

-- Time: the boot that the lease clock of this file belongs to.
CREATE TABLE boot (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    id  TEXT NOT NULL
) STRICT;

-- Locks: a row is a held lock. No row: free.
CREATE TABLE locks (
    name        TEXT PRIMARY KEY NOT NULL,
    account     BLOB NOT NULL,
    owner       TEXT,
    lease       BLOB NOT NULL,
    token       INTEGER NOT NULL,
    ttl_seconds INTEGER NOT NULL,
    expires     INTEGER NOT NULL,
    metadata    TEXT
) STRICT, WITHOUT ROWID;

-- Locks: no fencing token above `mark` was ever granted.
CREATE TABLE token_mark (
    one  INTEGER PRIMARY KEY CHECK (one = 1),
    mark INTEGER NOT NULL
) STRICT;

-- Accounts: `origin` says where the account comes from and, with `name`, makes it one and the
-- same over restarts.
CREATE TABLE accounts (
    id     BLOB PRIMARY KEY NOT NULL,
    origin TEXT NOT NULL,
    name   TEXT NOT NULL,
    UNIQUE (origin, name)
) STRICT, WITHOUT ROWID;

-- Accounts: bearer tokens, by their SHA-256. A dead one stays, so that no configuration brings
-- it back.
CREATE TABLE tokens (
    hash    BLOB PRIMARY KEY NOT NULL,
    account BLOB NOT NULL,
    source  TEXT NOT NULL,
    live    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
