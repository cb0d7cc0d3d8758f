INSERT INTO tidemill_document (kind, key, version, at, body) VALUES (?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE
SET version = excluded.version, at = excluded.at, body = excluded.body
