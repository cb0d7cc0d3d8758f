SELECT CAST(group_concat(body, '') AS BLOB), json_group_array(length(body))
FROM tidemill_tally
WHERE resolution = ?1 AND at >= ?2 AND at < ?3
    AND (?4 IS NULL OR queue IN (SELECT value FROM json_each(?4)))
    AND (?5 IS NULL OR type IN (SELECT value FROM json_each(?5)))
