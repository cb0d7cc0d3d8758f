WITH given(tag, id) AS (VALUES {rows})
INSERT OR IGNORE INTO tidemill_tag (tag, id) SELECT tag, id FROM given WHERE tag IS NOT NULL
