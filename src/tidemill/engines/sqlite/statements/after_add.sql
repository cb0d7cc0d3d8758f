WITH given(task, body) AS (VALUES {rows})
INSERT INTO tidemill_after (task, body) SELECT task, body FROM given WHERE task IS NOT NULL
