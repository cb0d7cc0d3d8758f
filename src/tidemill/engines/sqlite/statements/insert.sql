WITH given(seq, id, queue, type, state, priority, due, enqueued_at, attempt_limit, max_attempts,
    expires_at, blocked_on, awaited, unique_key, limit_key, at_most, user_id, project_id, parent_id, extra,
    payload) AS (VALUES {rows})
INSERT INTO tidemill_task (seq, id, queue, type, state, priority, due, enqueued_at, attempt_limit,
    max_attempts, expires_at, blocked_on, awaited, unique_key, limit_key, at_most, user_id, project_id,
    parent_id, extra, payload)
SELECT * FROM given WHERE seq IS NOT NULL
