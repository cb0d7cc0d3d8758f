WITH given(id) AS (VALUES {rows})
SELECT json_group_array(json_array(lower(hex(t.id)), t.state))
FROM given CROSS JOIN tidemill_task AS t ON t.id = given.id
