WITH given(id) AS (VALUES {rows})
SELECT json_group_array(json_array(lower(hex(a.awaited)), lower(hex(a.waiting))))
FROM given CROSS JOIN tidemill_await AS a ON a.awaited = given.id
