WITH given(resolution, at, queue, type, body) AS (VALUES {rows})
INSERT INTO tidemill_tally (resolution, at, queue, type, body)
SELECT * FROM given WHERE resolution IS NOT NULL
ON CONFLICT DO UPDATE SET body = excluded.body
