SELECT json_array((SELECT min(first) FROM tidemill_feed),
    (SELECT first + n FROM tidemill_feed ORDER BY first DESC LIMIT 1),
    (SELECT at FROM tidemill_feed ORDER BY first DESC LIMIT 1))
