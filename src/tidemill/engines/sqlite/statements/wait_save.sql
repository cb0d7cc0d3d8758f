WITH given(task, awaiting, broken_by, broken_as, on_failure, joins) AS (VALUES {rows})
INSERT INTO tidemill_wait (task, awaiting, broken_by, broken_as, on_failure, joins)
SELECT * FROM given WHERE task IS NOT NULL
ON CONFLICT DO UPDATE SET awaiting = excluded.awaiting, broken_by = excluded.broken_by,
    broken_as = excluded.broken_as
