WITH given(queue, key) AS (VALUES {rows})
SELECT json_group_array(json_array(given.queue, given.key, (
    SELECT count(*) FROM tidemill_task INDEXED BY tidemill_task_limit
    WHERE queue = given.queue AND limit_key = given.key AND state IN (3, 4))))
FROM given WHERE given.queue IS NOT NULL
