DELETE FROM tidemill_body WHERE task IN (SELECT value FROM json_each(?))
