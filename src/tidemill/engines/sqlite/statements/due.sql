SELECT json_group_array({row})
FROM (
    SELECT seq FROM tidemill_task INDEXED BY tidemill_task_due
    WHERE state = 1 AND due <= ? ORDER BY due, id LIMIT ?
) AS chosen CROSS JOIN tidemill_task AS t ON t.seq = chosen.seq
