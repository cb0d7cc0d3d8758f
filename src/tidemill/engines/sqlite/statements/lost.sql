SELECT json_group_array({row})
FROM (
    SELECT seq FROM tidemill_task INDEXED BY tidemill_task_running
    WHERE state = 4 AND lease_end < ? ORDER BY lease_end, id LIMIT ?
) AS chosen CROSS JOIN tidemill_task AS t ON t.seq = chosen.seq
