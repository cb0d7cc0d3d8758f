INSERT INTO tidemill_body (task, payload) VALUES (?, ?)
ON CONFLICT DO UPDATE SET payload = excluded.payload
