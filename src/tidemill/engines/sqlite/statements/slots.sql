SELECT count(*) FROM tidemill_task INDEXED BY tidemill_task_limit
WHERE queue = ?1 AND limit_key = ?2 AND state IN (3, 4)
