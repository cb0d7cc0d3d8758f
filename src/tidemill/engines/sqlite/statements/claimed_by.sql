WITH given(n, id, token, claim) AS (VALUES {rows})
SELECT json_group_array(json_array(given.n, {row}))
FROM given CROSS JOIN tidemill_task AS t
    ON t.id = given.id AND t.token = given.token AND t.claim = given.claim
