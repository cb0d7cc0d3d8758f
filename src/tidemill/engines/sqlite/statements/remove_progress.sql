DELETE FROM tidemill_progress WHERE task IN (SELECT value FROM json_each(?))
