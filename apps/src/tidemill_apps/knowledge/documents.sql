-- sha: of the file's bytes; a writer that read other bytes changes nothing.
-- seconds: a JSON object, stage -> seconds spent in all attempts.
CREATE TABLE IF NOT EXISTS document (
    id TEXT PRIMARY KEY,
    dataset TEXT NOT NULL,
    name TEXT NOT NULL,
    path TEXT NOT NULL,
    sha TEXT NOT NULL,
    state TEXT NOT NULL,
    title TEXT NOT NULL DEFAULT '',
    error_code TEXT,
    error_reason TEXT,
    segments INTEGER NOT NULL DEFAULT 0,
    indexed INTEGER NOT NULL DEFAULT 0,
    seconds TEXT NOT NULL DEFAULT '{}',
    UNIQUE (dataset, name)
);

-- indexed: 1 from the transaction that keeps the segment's vector and words.
CREATE TABLE IF NOT EXISTS segment (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    document_id TEXT NOT NULL REFERENCES document (id) ON DELETE CASCADE,
    ordinal INTEGER NOT NULL,
    text TEXT NOT NULL,
    sha TEXT NOT NULL,
    indexed INTEGER NOT NULL DEFAULT 0,
    UNIQUE (document_id, ordinal)
);

CREATE INDEX IF NOT EXISTS segment_to_index
ON segment (document_id, ordinal) WHERE indexed = 0;
