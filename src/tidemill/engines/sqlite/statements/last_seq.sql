SELECT coalesce(max(seq), 0) FROM tidemill_task
