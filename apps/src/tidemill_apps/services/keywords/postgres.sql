-- fields: what filters read; words: how many the text has, repeated ones too.
CREATE TABLE IF NOT EXISTS keyword_passage (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    collection text NOT NULL,
    id text NOT NULL,
    document_id text NOT NULL,
    words integer NOT NULL,
    fields jsonb NOT NULL,
    text text NOT NULL,
    UNIQUE (collection, id)
);

CREATE INDEX IF NOT EXISTS keyword_passage_by_document ON keyword_passage (collection, document_id);
CREATE INDEX IF NOT EXISTS keyword_passage_by_words ON keyword_passage (collection, words);

-- The inverted index: how often a word stands in a passage of so many words. The key includes all
-- that a search adds up, which therefore reads the index and not the table.
CREATE TABLE IF NOT EXISTS keyword_posting (
    collection text NOT NULL,
    word text COLLATE "C" NOT NULL,
    passage bigint NOT NULL REFERENCES keyword_passage (number) ON DELETE CASCADE,
    occurrences integer NOT NULL,
    words integer NOT NULL,
    PRIMARY KEY (collection, word, passage) INCLUDE (occurrences, words)
);

CREATE INDEX IF NOT EXISTS keyword_posting_by_passage ON keyword_posting (passage);
