-- fields: a JSON object that filters read; words: how many the text has, repeated ones too.
CREATE TABLE IF NOT EXISTS keyword_passage (
    number INTEGER PRIMARY KEY,
    collection TEXT NOT NULL,
    id TEXT NOT NULL,
    document_id TEXT NOT NULL,
    words INTEGER NOT NULL,
    fields TEXT NOT NULL,
    text TEXT NOT NULL,
    UNIQUE (collection, id)
);

CREATE INDEX IF NOT EXISTS keyword_passage_by_document ON keyword_passage (collection, document_id);
CREATE INDEX IF NOT EXISTS keyword_passage_by_words ON keyword_passage (collection, words);

-- The inverted index: how often a word stands in a passage of so many words.
CREATE TABLE IF NOT EXISTS keyword_posting (
    collection TEXT NOT NULL,
    word TEXT NOT NULL,
    passage INTEGER NOT NULL REFERENCES keyword_passage (number) ON DELETE CASCADE,
    occurrences INTEGER NOT NULL,
    words INTEGER NOT NULL,
    PRIMARY KEY (collection, word, passage)
) WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS keyword_posting_by_passage ON keyword_posting (passage);
