SELECT json_group_array(json_array(key, version, at, hex(body)) ORDER BY key)
FROM tidemill_document WHERE kind = ?1 AND key >= ?2 AND substr(key, 1, length(?2)) = ?2
