SELECT EXISTS (SELECT 1 FROM tidemill_task INDEXED BY tidemill_task_expires
    WHERE expires_at IS NOT NULL AND expires_at <= ? AND state < 4 AND state = 3)
