INSERT INTO tidemill_queue (code, name, weight, lease, paused, passed, served)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (code) DO UPDATE SET weight = excluded.weight, lease = excluded.lease,
    paused = excluded.paused, passed = excluded.passed, served = excluded.served
