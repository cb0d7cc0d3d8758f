WITH given(queue, key, id) AS (VALUES {rows})
DELETE FROM tidemill_unique WHERE (queue, key, id) IN (SELECT queue, key, id FROM given)
