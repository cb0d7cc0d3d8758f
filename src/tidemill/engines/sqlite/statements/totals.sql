SELECT json_group_array(hex(body)) FROM tidemill_total
WHERE resolution = ?1 AND at >= ?2 AND at < ?3
