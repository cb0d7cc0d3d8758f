DELETE FROM tidemill_feed WHERE first + n <= ?
