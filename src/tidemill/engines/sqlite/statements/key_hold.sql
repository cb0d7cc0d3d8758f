INSERT INTO tidemill_unique (queue, key, id, until) VALUES (?, ?, ?, ?)
ON CONFLICT DO UPDATE SET id = excluded.id, until = excluded.until
