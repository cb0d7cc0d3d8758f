SELECT json_group_array({row})
FROM (
    SELECT seq FROM tidemill_task INDEXED BY tidemill_task_expires
    WHERE expires_at IS NOT NULL AND expires_at <= ? AND state < 4
    ORDER BY expires_at, id LIMIT ?
) AS chosen CROSS JOIN tidemill_task AS t ON t.seq = chosen.seq
