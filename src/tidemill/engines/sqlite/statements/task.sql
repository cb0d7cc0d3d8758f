json_array(lower(hex(t.id)),
    (SELECT name FROM tidemill_type WHERE code = t.type),
    (SELECT name FROM tidemill_queue WHERE code = t.queue),
    t.state, t.priority, t.attempt, t.attempt_limit, t.max_attempts, t.enqueued_at, t.due,
    t.started_at, t.finished_at, t.expires_at, t.prune_at,
    (SELECT name FROM tidemill_worker WHERE code = t.worker),
    t.cancelling, t.alone, t.crashes, t.blocked_on,
    if(t.state = 2, coalesce((SELECT awaiting FROM tidemill_wait WHERE task = t.id), 0), 0),
    (SELECT hex(body) FROM tidemill_after WHERE task = t.seq), t.unique_key, t.limit_key, t.at_most,
    t.user_id, t.project_id, t.parent_id, hex(t.extra),
    (SELECT hex(body) FROM tidemill_progress WHERE task = t.seq),
    if(t.result IS NULL, NULL, hex(t.result)), hex(t.error), t.reason,
    if(?1, hex(coalesce(t.payload, (SELECT payload FROM tidemill_body WHERE task = t.seq))), NULL),
    if(?1, json((SELECT json_group_array(hex(body) ORDER BY line)
        FROM tidemill_attempt WHERE task = t.seq)), NULL),
    if(?1, json((SELECT json_group_array(hex(body) ORDER BY line)
        FROM tidemill_log WHERE task = t.seq)), NULL))
