-- Clients, logins and spent client assertions (authn::registry). Applied at every start, in one
-- transaction; later changes are further statements that may be repeated.

CREATE TABLE IF NOT EXISTS client (
    id       TEXT    NOT NULL PRIMARY KEY,
    metadata TEXT    NOT NULL,              -- RFC 7591 JSON; never a secret
    secret   TEXT,                          -- argon2id, PHC string
    disabled INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE IF NOT EXISTS login (
    name      TEXT    NOT NULL PRIMARY KEY,
    role      TEXT    NOT NULL,
    fhir_user TEXT,                         -- Type/id
    password  TEXT    NOT NULL,             -- argon2id, PHC string
    disabled  INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE IF NOT EXISTS spent_jti (
    issuer  TEXT    NOT NULL,
    jti     TEXT    NOT NULL,
    expires INTEGER NOT NULL,               -- seconds since 1970
    PRIMARY KEY (issuer, jti)
);

CREATE INDEX IF NOT EXISTS spent_jti_expires ON spent_jti (expires);

-- Moves whenever something is taken away, so that every process forgets what it remembers.
CREATE TABLE IF NOT EXISTS registry_generation (
    one        INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    generation INTEGER NOT NULL
);

INSERT OR IGNORE INTO registry_generation (one, generation) VALUES (1, 1);
