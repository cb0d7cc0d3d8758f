SELECT json_group_array(json_array(queue, type, state, n)) FROM (
    SELECT q.name AS queue, y.name AS type, c.state AS state, sum(c.n) AS n
    FROM tidemill_count AS c
    JOIN tidemill_queue AS q ON q.code = c.queue
    JOIN tidemill_type AS y ON y.code = c.type
    WHERE c.n > 0
    GROUP BY c.queue, c.type, c.state
)
