DELETE FROM tidemill_attempt WHERE task IN (SELECT value FROM json_each(?))
