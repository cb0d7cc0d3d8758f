SELECT first, at, entries FROM tidemill_feed
WHERE first >= (SELECT coalesce(max(first), 0) FROM tidemill_feed WHERE first <= ?1)
    AND first < ?1 + ?2
ORDER BY first
