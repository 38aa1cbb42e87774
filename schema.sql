-- The whole schema, one section a domain. `PRAGMA user_version` says which version a file has;
-- src/store/migrate.rs brings an older one up to this. Times on the lease clock are nanoseconds of
-- CLOCK_BOOTTIME; ids are the 16 bytes of a UUID; `sum` is the CRC-32 of what stands before it in the
-- row (src/store/row.rs), or NULL where version 1 wrote it.

-- Time: the boot that the lease clock of this file belongs to.
CREATE TABLE boot (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    id  TEXT NOT NULL,
    sum INTEGER
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
    metadata    TEXT,
    sum         INTEGER
) STRICT, WITHOUT ROWID;

-- Locks: no fencing token above `mark` was ever granted.
CREATE TABLE token_mark (
    one  INTEGER PRIMARY KEY CHECK (one = 1),
    mark INTEGER NOT NULL,
    sum  INTEGER
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
    sum             INTEGER,
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
    sum        INTEGER,
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
    sum         INTEGER,
    PRIMARY KEY (account, key, version)
) STRICT;

-- Accounts: `origin` says where the account comes from and, with `subject`, makes it one and the
-- same for ever; `name` is how people call it. A quota that is NULL is what everybody has.
CREATE TABLE accounts (
    id                  BLOB PRIMARY KEY NOT NULL,
    origin              TEXT NOT NULL,
    subject             TEXT NOT NULL,
    name                TEXT NOT NULL,
    admin               INTEGER NOT NULL,
    disabled            INTEGER NOT NULL,
    locks               INTEGER,
    limits              INTEGER,
    flags               INTEGER,
    configs             INTEGER,
    requests_per_second INTEGER,
    created_at          INTEGER NOT NULL,
    sum                 INTEGER,
    UNIQUE (origin, subject)
) STRICT, WITHOUT ROWID;

-- Accounts: bearer tokens, by their SHA-256. A configured one that is dead stays, so that no
-- configuration brings it back. A scope that is NULL is everything its account may.
CREATE TABLE tokens (
    hash         BLOB PRIMARY KEY NOT NULL,
    id           BLOB NOT NULL,
    account      BLOB NOT NULL,
    name         TEXT NOT NULL,
    source       TEXT NOT NULL,
    scope        TEXT,
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER,
    last_used_at INTEGER,
    live         INTEGER NOT NULL,
    sum          INTEGER
) STRICT, WITHOUT ROWID;

-- Audit log: who did what, on which name, from where, and how it ended. AUTOINCREMENT, so that no
-- number comes twice, not even of an entry that retention has removed.
CREATE TABLE audit (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    at      INTEGER NOT NULL,
    who     TEXT NOT NULL,
    account BLOB,
    token   BLOB,
    source  TEXT NOT NULL,
    request TEXT NOT NULL,
    action  TEXT NOT NULL,
    target  TEXT NOT NULL,
    outcome TEXT NOT NULL,
    detail  TEXT,
    sum     INTEGER
) STRICT;

-- Audit log: entries are added and, when their time is over, removed; never changed.
CREATE TRIGGER audit_is_append_only BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;
