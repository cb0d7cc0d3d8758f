-- Each collection has a table tidemill_vectors_{id} of its own: an index takes one dimension.
CREATE TABLE IF NOT EXISTS tidemill_vectors (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    dim integer NOT NULL,
    model_id text NOT NULL,
    m integer,
    ef_construction integer
);

CREATE TABLE IF NOT EXISTS tidemill_vectors_alias (
    alias text PRIMARY KEY,
    collection bigint NOT NULL REFERENCES tidemill_vectors ON DELETE CASCADE
);
