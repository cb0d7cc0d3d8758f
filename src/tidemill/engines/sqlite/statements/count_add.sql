WITH given(queue, type, state, alone, n) AS (VALUES {rows})
INSERT INTO tidemill_count (queue, type, state, alone, n)
SELECT * FROM given WHERE queue IS NOT NULL
ON CONFLICT DO UPDATE SET n = n + excluded.n
