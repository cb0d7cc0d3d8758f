SELECT at FROM tidemill_feed ORDER BY first DESC LIMIT 1
