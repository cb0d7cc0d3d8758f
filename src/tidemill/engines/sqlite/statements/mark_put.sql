INSERT INTO tidemill_mark (schedule, at) VALUES (?, ?)
ON CONFLICT DO UPDATE SET at = excluded.at
