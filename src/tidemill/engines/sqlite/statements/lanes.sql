WITH given(n, queue, alone, type) AS (VALUES {rows})
SELECT json_group_array(json_array(n, json((
    SELECT json_group_array(json_array(-priority, due, lower(hex(id)), seq, expires_at))
    FROM (
        SELECT priority, due, id, seq, expires_at
        FROM tidemill_task INDEXED BY tidemill_task_pending
        WHERE state = 3 AND queue = given.queue AND alone = given.alone AND type = given.type
        ORDER BY priority DESC, due, id
        LIMIT ?
    )))))
FROM given WHERE n IS NOT NULL
