DELETE FROM tidemill_feed WHERE first < (SELECT max(first) FROM tidemill_feed WHERE first <= ?)
