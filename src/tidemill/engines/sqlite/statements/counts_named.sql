SELECT json_group_array(json_array(q.name, c.type, y.name, c.state, c.n))
FROM tidemill_count AS c
JOIN tidemill_queue AS q ON q.code = c.queue
JOIN tidemill_type AS y ON y.code = c.type
WHERE c.n > 0
