INSERT INTO tidemill_document (kind, key, version, body) VALUES (?, ?, ?, ?)
ON CONFLICT DO UPDATE SET version = excluded.version, body = excluded.body
