-- What version 1 was, for the tests of what became of its files.

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

-- Rate limits: what was admitted (pairs of a lease-clock time and a count, little endian, 12
-- bytes each, oldest first), and how much more may have been since the row was written.
CREATE TABLE limits (
    account         BLOB NOT NULL,
    name            TEXT NOT NULL,
    max_requests    INTEGER NOT NULL,
    window_seconds  INTEGER NOT NULL,
    horizon_seconds INTEGER NOT NULL,
    admitted        BLOB NOT NULL,
    credit          INTEGER NOT NULL,
    PRIMARY KEY (account, name)
) STRICT, WITHOUT ROWID;

-- Flags. Wall-clock times are milliseconds since 1970, here and below.
CREATE TABLE flags (
    account    BLOB NOT NULL,
    name       TEXT NOT NULL,
    enabled    INTEGER NOT NULL,
    percentage INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (account, name)
) STRICT, WITHOUT ROWID;

-- Config: a row is one version of one key. `incarnation` tells this making of the key from every
-- other. Values are JSON text, as sent.
CREATE TABLE config (
    account     BLOB NOT NULL,
    key         TEXT NOT NULL,
    version     INTEGER NOT NULL,
    incarnation BLOB NOT NULL,
    value       TEXT NOT NULL,
    description TEXT,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    PRIMARY KEY (account, key, version)
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
