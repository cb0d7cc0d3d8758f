DELETE FROM tidemill_task WHERE seq IN (SELECT value FROM json_each(?))
