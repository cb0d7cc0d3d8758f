SELECT json_group_object(code, name) FROM tidemill_worker
WHERE code IN (SELECT value FROM json_each(?))
