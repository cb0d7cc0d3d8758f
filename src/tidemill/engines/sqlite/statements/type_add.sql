INSERT INTO tidemill_type (code, name) VALUES (?, ?)
