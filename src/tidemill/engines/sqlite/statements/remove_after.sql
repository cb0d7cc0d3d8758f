DELETE FROM tidemill_after WHERE task IN (SELECT value FROM json_each(?))
