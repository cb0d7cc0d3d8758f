SELECT coalesce(max(max(seq), 0), 0) FROM tidemill_task
