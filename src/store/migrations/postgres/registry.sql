-- Clients, logins and spent client assertions (authn::registry), one for all nodes. Applied at every
-- start, in one transaction; later changes are further statements that may be repeated.

CREATE TABLE IF NOT EXISTS client (
    id       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    metadata TEXT COLLATE "C" NOT NULL,     -- RFC 7591 JSON; never a secret
    secret   TEXT COLLATE "C",              -- argon2id, PHC string
    disabled BIGINT NOT NULL DEFAULT 0
);

CREATE TABLE IF NOT EXISTS login (
    name      TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    role      TEXT COLLATE "C" NOT NULL,
    fhir_user TEXT COLLATE "C",             -- Type/id
    password  TEXT COLLATE "C" NOT NULL,    -- argon2id, PHC string
    disabled  BIGINT NOT NULL DEFAULT 0
);

CREATE TABLE IF NOT EXISTS spent_jti (
    issuer  TEXT COLLATE "C" NOT NULL,
    jti     TEXT COLLATE "C" NOT NULL,
    expires BIGINT NOT NULL,                -- seconds since 1970
    PRIMARY KEY (issuer, jti)
);

CREATE INDEX IF NOT EXISTS spent_jti_expires ON spent_jti (expires);

-- Moves whenever something is taken away, so that every node forgets what it remembers.
CREATE TABLE IF NOT EXISTS registry_generation (
    one        BIGINT NOT NULL PRIMARY KEY CHECK (one = 1),
    generation BIGINT NOT NULL
);

INSERT INTO registry_generation (one, generation) VALUES (1, 1) ON CONFLICT DO NOTHING;
