SELECT json_group_array({row} ORDER BY t.id)
FROM tidemill_await AS a CROSS JOIN tidemill_task AS t ON t.id = a.parent
WHERE a.child = ?1
    AND NOT EXISTS (SELECT 1 FROM tidemill_await AS o WHERE o.parent = a.parent AND o.child <> ?1)
