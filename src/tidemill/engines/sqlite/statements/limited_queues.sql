WITH own AS MATERIALIZED (
    SELECT queue, count(*) AS n FROM tidemill_task INDEXED BY tidemill_task_running
    WHERE state = 4 AND worker = (SELECT code FROM tidemill_worker WHERE name = ?3)
    GROUP BY queue
)
SELECT json_group_array(json_array({queue},
    EXISTS (
        SELECT 1 FROM tidemill_count AS c JOIN tidemill_type AS y ON y.code = c.type
        WHERE c.queue = q.code AND c.state = 3 AND c.n > 0
            AND (?2 IS NULL OR y.name IN (SELECT value FROM json_each(?2)))),
    (SELECT coalesce(sum(n), 0) FROM tidemill_count WHERE queue = q.code AND state = 4),
    if(q.worker_concurrency IS NULL, 0, coalesce((SELECT n FROM own WHERE queue = q.code), 0))))
FROM tidemill_queue AS q
WHERE coalesce(q.concurrency, q.worker_concurrency, q.rate_count) IS NOT NULL AND NOT q.paused
    AND (?1 IS NULL OR q.name IN (SELECT value FROM json_each(?1)))
