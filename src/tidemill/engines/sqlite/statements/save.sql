WITH given(seq, state, due, lease_end, attempt, cancelling, awaited, blocked_on, reason)
    AS (VALUES {rows})
UPDATE tidemill_task AS t
SET state = given.state, due = given.due, lease_end = given.lease_end, attempt = given.attempt,
    cancelling = given.cancelling, awaited = given.awaited, blocked_on = given.blocked_on,
    reason = given.reason
FROM given
WHERE t.seq = given.seq
