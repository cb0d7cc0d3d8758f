SELECT count(*) FROM tidemill_task INDEXED BY tidemill_task_running
WHERE state = 4 AND queue = ? AND worker = ?
