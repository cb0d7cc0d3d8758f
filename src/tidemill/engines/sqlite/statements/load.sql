WITH given(id) AS (VALUES {rows})
SELECT json_group_array({row})
FROM given CROSS JOIN tidemill_task AS t ON t.id = given.id
