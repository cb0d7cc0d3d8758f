WITH given(resolution, at) AS (VALUES {rows})
SELECT json_group_array(hex(h.body))
FROM given CROSS JOIN tidemill_tally AS h ON h.resolution = given.resolution AND h.at = given.at
