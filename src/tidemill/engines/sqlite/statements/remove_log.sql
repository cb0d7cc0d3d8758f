DELETE FROM tidemill_log WHERE task IN (SELECT value FROM json_each(?))
