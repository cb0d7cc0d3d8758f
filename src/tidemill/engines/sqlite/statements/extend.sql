WITH given(seq, lease_end) AS (VALUES {rows})
UPDATE tidemill_task AS t SET lease_end = given.lease_end FROM given WHERE t.seq = given.seq
