json_array(t.seq, lower(hex(t.id)), t.queue, t.type, t.state, t.priority, t.due, t.enqueued_at,
    t.attempt_limit, t.max_attempts, t.attempt, t.token, t.alone, t.crashes, t.cancelling,
    t.awaited, t.worker, t.lease_end, t.started_at, t.finished_at, t.expires_at, t.blocked_on,
    t.unique_key, t.limit_key, t.at_most, t.reason, hex(t.extra))
