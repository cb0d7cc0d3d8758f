UPDATE tidemill_task
SET state = 4, token = token + 1, attempt = attempt + 1, claim = ?2, worker = ?3,
    started_at = ?4, lease_end = ?5
WHERE seq IN (SELECT value FROM json_each(?1))
