WITH given(id) AS (VALUES {rows})
SELECT json_group_array(json_array(lower(hex(w.task)), w.awaiting,
    if(w.broken_by IS NULL, NULL, lower(hex(w.broken_by))), w.broken_as, w.on_failure, w.joins))
FROM given CROSS JOIN tidemill_wait AS w ON w.task = given.id
