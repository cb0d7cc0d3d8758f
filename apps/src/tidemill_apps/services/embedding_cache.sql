-- values_f32: little-endian float32 numbers; text_sha256, in hexadecimal, covers the kind of text too.
CREATE TABLE IF NOT EXISTS embedding (
    text_sha256 TEXT NOT NULL,
    model_id TEXT NOT NULL,
    values_f32 BLOB NOT NULL,
    PRIMARY KEY (text_sha256, model_id)
) WITHOUT ROWID;
