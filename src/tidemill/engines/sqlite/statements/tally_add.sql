WITH given(resolution, at, queue, type, body) AS (VALUES {rows})
INSERT OR IGNORE INTO tidemill_tally (resolution, at, queue, type, body)
SELECT * FROM given WHERE resolution IS NOT NULL
