WITH given(resolution, at, body) AS (VALUES {rows})
INSERT INTO tidemill_total (resolution, at, body)
SELECT * FROM given WHERE resolution IS NOT NULL
ON CONFLICT DO UPDATE SET body = excluded.body
