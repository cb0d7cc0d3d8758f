WITH given(id) AS (VALUES {rows})
UPDATE tidemill_task SET awaited = 1 WHERE id IN (SELECT id FROM given)
