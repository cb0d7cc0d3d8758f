SELECT json_group_array(json_array({queue}, (
    SELECT min((
        SELECT due FROM tidemill_task INDEXED BY tidemill_task_pending
        WHERE state = 3 AND queue = q.code AND alone = c.alone AND type = c.type
            AND priority = p.value
        ORDER BY due LIMIT 1))
    FROM tidemill_count AS c CROSS JOIN json_each('[0,1,2,3,4,5,6,7,8,9,10]') AS p
    WHERE c.queue = q.code AND c.state = 3 AND c.n > 0)) ORDER BY q.name)
FROM tidemill_queue AS q
