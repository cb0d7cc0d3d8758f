SELECT {row}
FROM tidemill_task AS t INDEXED BY tidemill_task_limit
WHERE t.queue = ? AND t.limit_key = ? AND t.state = 2 AND t.blocked_on = 'limit'
ORDER BY t.priority DESC, t.due, t.id
LIMIT 1
