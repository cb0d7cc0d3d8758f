SELECT EXISTS (
    SELECT 1 FROM tidemill_count AS c
    JOIN tidemill_queue AS q ON q.code = c.queue
    JOIN tidemill_type AS y ON y.code = c.type
    WHERE c.state = 3 AND c.n > 0 AND NOT q.paused
        AND coalesce(q.concurrency, q.worker_concurrency, q.rate_count) IS NULL
        AND (?1 IS NULL OR q.name IN (SELECT value FROM json_each(?1)))
        AND (?2 IS NULL OR y.name IN (SELECT value FROM json_each(?2))))
