-- Words of contained resources: `place` is as in the other tables (which of them, times 65536).
ALTER TABLE index_text ADD COLUMN place INTEGER NOT NULL DEFAULT 0;

-- By which tables and program the search index was made; no row: by an earlier one. While it is made
-- again: by which, and up to which record.
CREATE TABLE index_made (
    one  INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    made TEXT NOT NULL,
    next TEXT NOT NULL,
    upto INTEGER NOT NULL
);
