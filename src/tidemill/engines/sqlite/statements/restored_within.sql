SELECT count(*) FROM (
    SELECT 1 FROM tidemill_task INDEXED BY tidemill_task_restored
    WHERE seq < 0 AND enqueued_at >= ? AND enqueued_at < ? LIMIT ?)
