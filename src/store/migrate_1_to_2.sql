-- From version 1 to version 2: checksums of rows, and what schema.sql says now of accounts, tokens and
-- the audit log. Two tables are made anew because what makes an account unique has changed.

ALTER TABLE boot ADD COLUMN sum INTEGER;
ALTER TABLE locks ADD COLUMN sum INTEGER;
ALTER TABLE token_mark ADD COLUMN sum INTEGER;
ALTER TABLE limits ADD COLUMN sum INTEGER;
ALTER TABLE flags ADD COLUMN sum INTEGER;
ALTER TABLE config ADD COLUMN sum INTEGER;

ALTER TABLE accounts RENAME TO accounts_1;
ALTER TABLE tokens RENAME TO tokens_1;

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

-- Version 1 had accounts by their names alone. The one that the server made was the administrator.
INSERT INTO accounts (id, origin, subject, name, admin, disabled, created_at)
    SELECT id, origin, name, name, origin = 'local', 0, unixepoch() * 1000 FROM accounts_1;
INSERT INTO tokens (hash, id, account, name, source, created_at, live)
    SELECT hash, randomblob(16), account,
           CASE source WHEN 'static' THEN 'configured' ELSE 'issued' END,
           source, unixepoch() * 1000, live
    FROM tokens_1;
DROP TABLE accounts_1;
DROP TABLE tokens_1;
