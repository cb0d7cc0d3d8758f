SELECT json_group_array({row})
FROM (
    SELECT seq FROM tidemill_task INDEXED BY tidemill_task_prune
    WHERE prune_at IS NOT NULL AND prune_at <= ? ORDER BY prune_at, id LIMIT ?
) AS chosen CROSS JOIN tidemill_task AS t ON t.seq = chosen.seq
