WITH given(tag, id) AS (VALUES {rows})
DELETE FROM tidemill_tag WHERE (tag, id) IN (SELECT tag, id FROM given)
