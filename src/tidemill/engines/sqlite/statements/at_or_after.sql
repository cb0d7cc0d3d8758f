SELECT json_array(seq, enqueued_at) FROM tidemill_task WHERE seq >= ? ORDER BY seq LIMIT 1
