SELECT json_group_array(json_array(m.schedule, f.at, f.recorded_at, f.outcome, lower(hex(f.task)),
    f.missed, f.by_hand) ORDER BY f.n DESC)
FROM json_each(?1) AS asked
CROSS JOIN tidemill_mark AS m ON m.schedule = asked.value
CROSS JOIN tidemill_fire AS f ON f.mark = m.code
WHERE f.n >= m.noted - ?2
