-- A collection fixes the model and the dimension of every vector in it.
CREATE TABLE IF NOT EXISTS collection (
    name TEXT PRIMARY KEY,
    dim INTEGER NOT NULL,
    model_id TEXT NOT NULL
) WITHOUT ROWID;

-- values_f32: dim little-endian float32 numbers; fields: a JSON object that filters read.
CREATE TABLE IF NOT EXISTS vector (
    collection TEXT NOT NULL REFERENCES collection (name) ON DELETE CASCADE,
    id TEXT NOT NULL,
    document_id TEXT NOT NULL,
    values_f32 BLOB NOT NULL,
    fields TEXT NOT NULL,
    PRIMARY KEY (collection, id)
);

CREATE INDEX IF NOT EXISTS vector_by_document ON vector (collection, document_id);

-- stamp: a random number that no other state of the collection's vectors ever had.
CREATE TABLE IF NOT EXISTS vector_stamp (
    collection TEXT PRIMARY KEY REFERENCES collection (name) ON DELETE CASCADE,
    stamp INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS collection_alias (
    alias TEXT PRIMARY KEY,
    collection TEXT NOT NULL REFERENCES collection (name) ON DELETE CASCADE
) WITHOUT ROWID;
