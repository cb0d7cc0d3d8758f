SELECT json_group_object(key, version)
FROM tidemill_document WHERE kind = ?1 AND key IN (SELECT value FROM json_each(?2))
