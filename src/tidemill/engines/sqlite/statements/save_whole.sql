WITH given(seq, state, due, lease_end, attempt, cancelling, awaited, blocked_on, reason, alone,
    crashes, attempt_limit, claim_kept, worker, started_at, finished_at, prune_at, error,
    fingerprint, result) AS (VALUES {rows})
UPDATE tidemill_task AS t
SET state = given.state, due = given.due, lease_end = given.lease_end, attempt = given.attempt,
    cancelling = given.cancelling, awaited = given.awaited, blocked_on = given.blocked_on,
    reason = given.reason, alone = given.alone, crashes = given.crashes,
    attempt_limit = given.attempt_limit, claim = if(given.claim_kept, claim, NULL),
    worker = given.worker, started_at = given.started_at, finished_at = given.finished_at,
    prune_at = given.prune_at, error = given.error, fingerprint = given.fingerprint,
    result = given.result
FROM given
WHERE t.seq = given.seq
