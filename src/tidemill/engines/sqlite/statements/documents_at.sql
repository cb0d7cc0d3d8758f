SELECT json_group_array(json_array(key, version, at, hex(body)))
FROM tidemill_document WHERE kind = ?1 AND key IN (SELECT value FROM json_each(?2))
