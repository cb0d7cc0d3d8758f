SELECT json_group_array(json_array(m.schedule, m.at, m.count, m.noted))
FROM json_each(?) AS asked CROSS JOIN tidemill_mark AS m ON m.schedule = asked.value
