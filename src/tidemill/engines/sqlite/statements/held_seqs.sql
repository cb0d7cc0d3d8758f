SELECT json_group_array(seq) FROM tidemill_task INDEXED BY tidemill_task_running
WHERE state = 4 AND claim = ?
