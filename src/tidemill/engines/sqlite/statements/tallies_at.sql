WITH given(resolution, at, queue, type) AS (VALUES {rows})
SELECT json_group_array(hex(h.body))
FROM given CROSS JOIN tidemill_tally AS h
    ON h.resolution = given.resolution AND h.at = given.at
    AND h.queue = given.queue AND h.type = given.type
