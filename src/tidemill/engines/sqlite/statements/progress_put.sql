WITH given(task, body) AS (VALUES {rows})
INSERT INTO tidemill_progress (task, body) SELECT task, body FROM given WHERE task IS NOT NULL
ON CONFLICT DO UPDATE SET body = excluded.body
