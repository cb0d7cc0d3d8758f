WITH RECURSIVE stretch(at) AS (
    SELECT min(at) FROM tidemill_tally WHERE resolution = ?1 AND at >= ?2 AND at < ?3
    UNION ALL
    SELECT (SELECT min(at) FROM tidemill_tally
        WHERE resolution = ?1 AND at > stretch.at AND at < ?3)
    FROM stretch WHERE stretch.at IS NOT NULL
)
SELECT json_group_array(hex(h.body))
FROM stretch CROSS JOIN tidemill_tally AS h ON h.resolution = ?1 AND h.at = stretch.at
WHERE NOT EXISTS (SELECT 1 FROM tidemill_total WHERE resolution = ?1 AND at = stretch.at)
