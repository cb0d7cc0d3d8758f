SELECT min(at) FROM (
    SELECT (SELECT due FROM tidemill_task INDEXED BY tidemill_task_due
        WHERE state = 1 ORDER BY due LIMIT 1) AS at
    UNION ALL
    SELECT (SELECT expires_at FROM tidemill_task INDEXED BY tidemill_task_expires
        WHERE expires_at IS NOT NULL AND state < 4 ORDER BY expires_at LIMIT 1)
)
