WITH given(task) AS (VALUES {rows})
DELETE FROM tidemill_wait WHERE task IN (SELECT task FROM given)
