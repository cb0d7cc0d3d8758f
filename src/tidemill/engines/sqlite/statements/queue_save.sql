INSERT INTO tidemill_queue (code, name, weight, lease, concurrency, worker_concurrency, capacity,
    rate_count, rate_per, rate_burst, paused, passed, served, owed, owed_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (code) DO UPDATE SET weight = excluded.weight, lease = excluded.lease,
    concurrency = excluded.concurrency, worker_concurrency = excluded.worker_concurrency,
    capacity = excluded.capacity, rate_count = excluded.rate_count, rate_per = excluded.rate_per,
    rate_burst = excluded.rate_burst, paused = excluded.paused, passed = excluded.passed,
    served = excluded.served, owed = excluded.owed, owed_at = excluded.owed_at
