WITH given(seq, id, queue, type, state, priority, due, enqueued_at, attempt_limit, max_attempts,
    expires_at, blocked_on, awaited, unique_key, limit_key, at_most, user_id, project_id, parent_id, extra,
    payload, attempt, alone, crashes, worker, started_at, finished_at, prune_at, reason, error,
    fingerprint, result) AS (VALUES {rows})
INSERT INTO tidemill_task (seq, id, queue, type, state, priority, due, enqueued_at, attempt_limit,
    max_attempts, expires_at, blocked_on, awaited, unique_key, limit_key, at_most, user_id, project_id,
    parent_id, extra, payload, attempt, alone, crashes, worker, started_at, finished_at, prune_at,
    reason, error, fingerprint, result)
SELECT * FROM given WHERE seq IS NOT NULL
