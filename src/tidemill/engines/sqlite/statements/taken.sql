SELECT json_group_array(json_array(t.seq, lower(hex(t.id)), t.queue, t.type, t.priority, t.due,
    if(t.payload IS NULL, NULL, hex(t.payload)), t.attempt, t.attempt_limit, t.max_attempts,
    t.token, t.alone, t.crashes, t.started_at, t.user_id, t.project_id, t.parent_id, t.unique_key,
    hex(t.extra)))
FROM tidemill_task AS t
WHERE t.seq IN (SELECT value FROM json_each(?1)) AND t.state = 4 AND t.claim = ?2
