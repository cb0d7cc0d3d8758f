WITH given(queue, key) AS (VALUES {rows})
SELECT json_group_array(json_array(given.queue, given.key, json((
    SELECT json_group_array({row})
    FROM (
        SELECT seq FROM tidemill_task INDEXED BY tidemill_task_limit
        WHERE queue = given.queue AND limit_key = given.key AND state = 2 AND blocked_on = 'limit'
        ORDER BY priority DESC, due, id
        LIMIT ?
    ) AS chosen CROSS JOIN tidemill_task AS t ON t.seq = chosen.seq))))
FROM given WHERE given.queue IS NOT NULL
