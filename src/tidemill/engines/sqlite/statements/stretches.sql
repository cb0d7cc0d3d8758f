WITH RECURSIVE stretch(at) AS (
    SELECT min(at) FROM tidemill_tally WHERE resolution = ?1 AND at >= ?2 AND at < ?3
    UNION ALL
    SELECT (SELECT min(at) FROM tidemill_tally
        WHERE resolution = ?1 AND at > stretch.at AND at < ?3)
    FROM stretch WHERE stretch.at IS NOT NULL
)
SELECT json_group_array(at) FROM stretch WHERE at IS NOT NULL
