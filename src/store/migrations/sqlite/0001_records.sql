-- Every record that exists or is pointed at has one number.
CREATE TABLE locator (
    rid  INTEGER PRIMARY KEY,
    kind INTEGER NOT NULL,
    id   TEXT    NOT NULL,
    UNIQUE (kind, id)
);

-- The current version of each record: what decisions ask, and the two faces ready to send.
CREATE TABLE record (
    rid           INTEGER PRIMARY KEY REFERENCES locator (rid),
    kind          INTEGER NOT NULL,
    id            TEXT    NOT NULL,
    seq           INTEGER NOT NULL,
    deleted       INTEGER NOT NULL,
    version       TEXT    NOT NULL,
    updated       INTEGER NOT NULL,
    h_version     TEXT    NOT NULL,
    h_updated     INTEGER NOT NULL,
    h_hash        INTEGER NOT NULL,
    labels        INTEGER NOT NULL,
    conditional   INTEGER NOT NULL,
    protected     INTEGER NOT NULL,
    c_protected   INTEGER NOT NULL,
    review        INTEGER NOT NULL,
    p_labels      INTEGER NOT NULL,
    p_conditional INTEGER NOT NULL,
    p_protected   INTEGER NOT NULL,
    p_c_protected INTEGER NOT NULL,
    hits          INTEGER NOT NULL,
    regime        INTEGER NOT NULL,
    care          INTEGER NOT NULL,
    day           TEXT,
    served_from   INTEGER,
    served_to     INTEGER,
    author        INTEGER,
    organization  INTEGER,
    subjects      INTEGER NOT NULL,
    sole          INTEGER,
    derived       INTEGER NOT NULL,
    parts         TEXT    NOT NULL,
    body          BLOB    NOT NULL,
    h_body        BLOB
);
CREATE INDEX record_by_kind ON record (kind, id);
CREATE INDEX record_by_time ON record (updated);

-- What a record was: every version but the current one, with what held of it then and the version
-- that its household face had. `patients` are the numbers of whose record it was, with commas.
CREATE TABLE version (
    rid          INTEGER NOT NULL,
    seq          INTEGER NOT NULL,
    deleted      INTEGER NOT NULL,
    version      TEXT    NOT NULL,
    updated      INTEGER NOT NULL,
    h_version    TEXT    NOT NULL,
    h_updated    INTEGER NOT NULL,
    labels       INTEGER NOT NULL,
    conditional  INTEGER NOT NULL,
    protected    INTEGER NOT NULL,
    c_protected  INTEGER NOT NULL,
    review       INTEGER NOT NULL,
    served_from  INTEGER,
    served_to    INTEGER,
    author       INTEGER,
    organization INTEGER,
    patients     TEXT    NOT NULL,
    parts        TEXT    NOT NULL,
    body         BLOB    NOT NULL,
    UNIQUE (rid, seq)
);
CREATE INDEX version_by_time ON version (updated, rid);

-- Whose record it is (own: that patient's permission is needed) and whom it merely names. `kind` and `id`
-- are the record's: a patient's records stand in the order of pages.
CREATE TABLE record_patient (
    rid     INTEGER NOT NULL,
    patient INTEGER NOT NULL,
    own     INTEGER NOT NULL,
    kind    INTEGER NOT NULL,
    id      TEXT    NOT NULL
);
CREATE INDEX record_patient_by_record ON record_patient (rid, own, patient);
CREATE INDEX record_patient_by_patient ON record_patient (patient, own, kind, id, rid);

-- Which record points at which: labels travel along it. `needed`: without it there is no record.
CREATE TABLE reference (
    rid    INTEGER NOT NULL,
    target INTEGER NOT NULL,
    needed INTEGER NOT NULL,
    UNIQUE (rid, target)
);
CREATE INDEX reference_by_target ON reference (target);

-- What holds for a patient as a whole.
CREATE TABLE patient_state (
    patient    INTEGER PRIMARY KEY,
    born       TEXT,
    hits       INTEGER NOT NULL DEFAULT 0,
    tightening INTEGER NOT NULL DEFAULT 0
);

-- Search: one row an indexed value, with the labels of the element that it comes from.
-- `place`: which entry of a list at the top of the record it comes from; parts of a composite go together
-- where it is the same.
CREATE TABLE index_token (
    rid INTEGER NOT NULL, kind INTEGER NOT NULL, param INTEGER NOT NULL, place INTEGER NOT NULL,
    system TEXT, code TEXT NOT NULL, text TEXT,
    labels INTEGER NOT NULL, conditional INTEGER NOT NULL, protected INTEGER NOT NULL, c_protected INTEGER NOT NULL
);
CREATE INDEX index_token_by_value ON index_token (kind, param, code, rid);
CREATE INDEX index_token_by_record ON index_token (rid, param);
CREATE TABLE index_date (
    rid INTEGER NOT NULL, kind INTEGER NOT NULL, param INTEGER NOT NULL, place INTEGER NOT NULL,
    low INTEGER NOT NULL, high INTEGER NOT NULL,
    labels INTEGER NOT NULL, conditional INTEGER NOT NULL, protected INTEGER NOT NULL, c_protected INTEGER NOT NULL
);
CREATE INDEX index_date_by_value ON index_date (kind, param, low, rid);
CREATE INDEX index_date_by_record ON index_date (rid, param);
CREATE TABLE index_string (
    rid INTEGER NOT NULL, kind INTEGER NOT NULL, param INTEGER NOT NULL, place INTEGER NOT NULL,
    folded TEXT NOT NULL, exact TEXT NOT NULL,
    labels INTEGER NOT NULL, conditional INTEGER NOT NULL, protected INTEGER NOT NULL, c_protected INTEGER NOT NULL
);
CREATE INDEX index_string_by_value ON index_string (kind, param, folded, rid);
CREATE INDEX index_string_by_record ON index_string (rid, param);
-- `id`: the record's, where it points at a Patient: what points at one then stands in the order of pages.
CREATE TABLE index_reference (
    rid INTEGER NOT NULL, kind INTEGER NOT NULL, param INTEGER NOT NULL, place INTEGER NOT NULL,
    target INTEGER NOT NULL, target_kind INTEGER NOT NULL, id TEXT NOT NULL,
    labels INTEGER NOT NULL, conditional INTEGER NOT NULL, protected INTEGER NOT NULL, c_protected INTEGER NOT NULL
);
CREATE INDEX index_reference_by_value ON index_reference (target, param, kind, id, rid);
CREATE INDEX index_reference_by_record ON index_reference (rid, param);
CREATE TABLE index_uri (
    rid INTEGER NOT NULL, kind INTEGER NOT NULL, param INTEGER NOT NULL, place INTEGER NOT NULL,
    uri TEXT NOT NULL,
    labels INTEGER NOT NULL, conditional INTEGER NOT NULL, protected INTEGER NOT NULL, c_protected INTEGER NOT NULL
);
CREATE INDEX index_uri_by_value ON index_uri (kind, param, uri, rid);
CREATE INDEX index_uri_by_record ON index_uri (rid, param);
-- Numbers and quantities: as written, and where the unit is one of UCUM on the scale of its dimension.
CREATE TABLE index_number (
    rid INTEGER NOT NULL, kind INTEGER NOT NULL, param INTEGER NOT NULL, place INTEGER NOT NULL,
    low REAL NOT NULL, high REAL NOT NULL,
    system TEXT, code TEXT, unit TEXT,
    dimension TEXT, s_low REAL, s_high REAL,
    labels INTEGER NOT NULL, conditional INTEGER NOT NULL, protected INTEGER NOT NULL, c_protected INTEGER NOT NULL
);
CREATE INDEX index_number_by_value ON index_number (kind, param, low, rid);
CREATE INDEX index_number_by_scale ON index_number (kind, param, dimension, s_low, rid);
CREATE INDEX index_number_by_record ON index_number (rid, param);
-- Words of longer texts (`_text`, `_content`), looked through record by record.
CREATE TABLE index_text (
    rid INTEGER NOT NULL, kind INTEGER NOT NULL, param INTEGER NOT NULL,
    words TEXT NOT NULL,
    labels INTEGER NOT NULL, conditional INTEGER NOT NULL, protected INTEGER NOT NULL, c_protected INTEGER NOT NULL,
    place INTEGER NOT NULL
);
CREATE INDEX index_text_by_record ON index_text (rid, param);

-- What the parts of a record reveal, each kind of part once.
CREATE TABLE part (
    rid INTEGER NOT NULL,
    labels INTEGER NOT NULL, conditional INTEGER NOT NULL, protected INTEGER NOT NULL, c_protected INTEGER NOT NULL
);
CREATE INDEX part_by_record ON part (rid);

-- What relations are derived from, kept beside the records that say it.
CREATE TABLE coverage (
    rid INTEGER NOT NULL, beneficiary INTEGER NOT NULL, subscriber INTEGER, payor INTEGER,
    active INTEGER NOT NULL, since INTEGER NOT NULL, until INTEGER NOT NULL
);
CREATE INDEX coverage_by_record ON coverage (rid);
CREATE INDEX coverage_by_beneficiary ON coverage (beneficiary);
CREATE INDEX coverage_by_subscriber ON coverage (subscriber);
CREATE TABLE authority (
    rid INTEGER NOT NULL, patient INTEGER NOT NULL, kind TEXT NOT NULL,
    since INTEGER NOT NULL, until INTEGER NOT NULL
);
CREATE INDEX authority_by_record ON authority (rid);
CREATE TABLE link (rid INTEGER NOT NULL, one INTEGER NOT NULL, other INTEGER NOT NULL);
CREATE INDEX link_by_record ON link (rid);
CREATE INDEX link_by_one ON link (one);
CREATE TABLE flag (
    rid INTEGER NOT NULL, patient INTEGER NOT NULL, code TEXT NOT NULL, suspect INTEGER,
    since INTEGER NOT NULL, until INTEGER NOT NULL
);
CREATE INDEX flag_by_record ON flag (rid);
CREATE INDEX flag_by_patient ON flag (patient);
CREATE TABLE access_grant (
    rid INTEGER NOT NULL, requester INTEGER NOT NULL, reach INTEGER NOT NULL, purposes INTEGER NOT NULL,
    kinds TEXT NOT NULL, since INTEGER NOT NULL, until INTEGER NOT NULL
);
CREATE INDEX access_grant_by_record ON access_grant (rid);
CREATE INDEX access_grant_by_requester ON access_grant (requester);
CREATE TABLE membership (
    rid INTEGER NOT NULL, patient INTEGER NOT NULL, since INTEGER NOT NULL, until INTEGER NOT NULL
);
CREATE INDEX membership_by_record ON membership (rid, patient);
CREATE INDEX membership_by_patient ON membership (patient);
CREATE TABLE psychotherapy_request (rid INTEGER NOT NULL, patient INTEGER NOT NULL, requester INTEGER NOT NULL);
CREATE INDEX psychotherapy_request_by_record ON psychotherapy_request (rid);
CREATE INDEX psychotherapy_request_by_patient ON psychotherapy_request (patient);
CREATE TABLE part_of (rid INTEGER NOT NULL, parent INTEGER NOT NULL);
CREATE INDEX part_of_by_record ON part_of (rid);
CREATE INDEX part_of_by_parent ON part_of (parent);
CREATE TABLE managed (rid INTEGER NOT NULL, organization INTEGER NOT NULL);
CREATE INDEX managed_by_record ON managed (rid);

-- Compiled Consents.
CREATE TABLE directive (
    rid INTEGER NOT NULL, patient INTEGER NOT NULL, category TEXT NOT NULL, body TEXT NOT NULL, review TEXT
);
CREATE INDEX directive_by_record ON directive (rid);
CREATE INDEX directive_by_patient ON directive (patient);
CREATE TABLE directive_actor (rid INTEGER NOT NULL, patient INTEGER NOT NULL, actor INTEGER NOT NULL);
CREATE INDEX directive_actor_by_record ON directive_actor (rid);
CREATE INDEX directive_actor_by_actor ON directive_actor (actor);
CREATE TABLE directive_names (rid INTEGER NOT NULL, named INTEGER NOT NULL);
CREATE INDEX directive_names_by_record ON directive_names (rid);
CREATE INDEX directive_names_by_named ON directive_names (named);

-- Records still to be relabelled after a change that reached too many at once; their patients'
-- `tightening` stands until they are done.
CREATE TABLE pending (rid INTEGER PRIMARY KEY);

-- Moves with every change of what relations, names or patients' states are read from: what a connection
-- remembers of them holds while this stands.
CREATE TABLE standing_generation (one INTEGER PRIMARY KEY CHECK (one = 1), number INTEGER NOT NULL);
INSERT INTO standing_generation (one, number) VALUES (1, 1);

-- By which tables and program the search index was made; no row: by an earlier one. While it is made
-- again: by which, and up to which record.
CREATE TABLE index_made (
    one  INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    made TEXT NOT NULL,
    next TEXT NOT NULL,
    upto INTEGER NOT NULL
);
