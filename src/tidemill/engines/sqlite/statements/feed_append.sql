INSERT INTO tidemill_feed (first, n, at, entries) VALUES (?, ?, ?, ?)
